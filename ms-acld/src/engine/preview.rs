//! What a policy document would change, without changing it.

use std::sync::Arc;

use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::compile;
use ms_acl_core::diff::{RuleStep, Step, Transaction, diff};
use ms_acl_core::lower::acl::{AclDocument, AclFault};
use ms_acl_core::model::Settings;
use ms_acl_core::ruleset::Rulesets;
use serde::Serialize;

use super::fault::acl_warnings;

/// The answer to a dry run.
#[derive(Debug)]
pub(crate) struct Preview {
    /// The generation now; nothing has been taken in.
    pub(crate) generation: u64,
    /// What is hardly meant, as far as the cluster is known.
    pub(crate) warnings: Vec<AclFault>,
    pub(crate) changes: Changes,
}

/// How much of the graphs changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Changes {
    pub(crate) chains: Change,
    pub(crate) rules: Change,
    pub(crate) members: Change,
}

/// How many come, and how many go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

/// Compiles a cluster with another document, and compares.
pub(super) fn preview(
    generation: u64,
    cluster: &Cluster,
    rulesets: Option<&Rulesets>,
    settings: &Settings,
    document: Arc<AclDocument>,
) -> Preview {
    let compiled;
    let before = if let Some(rulesets) = rulesets {
        rulesets
    } else {
        compiled = compile(cluster, settings).rulesets;
        &compiled
    };
    let mut cluster = cluster.clone();
    cluster.set_acl(document);
    let after = compile(&cluster, settings).rulesets;
    let changes = changes(&diff(before, &after), before);
    Preview { generation, warnings: acl_warnings(&cluster), changes }
}

/// Counts what a transaction does to a state.
fn changes(transaction: &Transaction, before: &Rulesets) -> Changes {
    let mut changes = Changes::default();
    for step in &transaction.steps {
        match step {
            Step::CreateSet(_, set) => changes.members.added += set.members.len(),
            Step::AddMembers(_, _, members) => changes.members.added += members.len(),
            Step::RemoveMembers(_, _, members) => changes.members.removed += members.len(),
            Step::Rules(steps) => {
                for step in steps {
                    match step {
                        RuleStep::CreateChain(..) => changes.chains.added += 1,
                        RuleStep::Edit(edit) => {
                            changes.rules.added += edit.inserts.len();
                            changes.rules.removed += edit.deletes.len();
                        }
                        RuleStep::Hook(..) | RuleStep::Unhook(..) => {}
                    }
                }
            }
            Step::DeleteChains(chains) => {
                changes.chains.removed += chains.len();
                let rules =
                    chains.iter().filter_map(|(family, name)| before.family(*family).chains.get(name));
                changes.rules.removed += rules.map(|chain| chain.rules.len()).sum::<usize>();
            }
            Step::DeleteSets(names) => {
                let sets = [&before.v4, &before.v6].into_iter().flat_map(|graph| &graph.sets);
                let gone = sets.filter(|(name, _)| names.contains(name));
                changes.members.removed += gone.map(|(_, set)| set.members.len()).sum::<usize>();
            }
        }
    }
    changes
}
