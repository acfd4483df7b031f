//! Changes of the kernel in sentences.

use ms_acl_core::diff::{RuleStep, Step, Transaction};
use ms_acl_core::ruleset::Family;
use ms_acl_netfilter::{Observed, RemoveReport};

/// A removal in sentences.
pub(crate) fn removal_lines(report: &RemoveReport) -> Vec<String> {
    let places = match (report.base_chains, report.tables) {
        (0, 0) => String::new(),
        (chains, tables) => {
            format!(", and what was made for them: {chains} base chains and {tables} tables")
        }
    };
    let removed =
        format!("removed {} jumps, {} chains and {} sets{places}", report.jumps, report.chains, report.sets);
    let kept = report.kept.iter().map(|kept| format!("kept {}: {}", kept.what, kept.why));
    std::iter::once(removed).chain(kept).collect()
}

/// What a repair touches: `the jump in FORWARD, the chain MS-EGRESS, … (5 in all)`.
pub(super) fn describe(transaction: &Transaction) -> String {
    let mut touched: Vec<String> = Vec::new();
    for step in &transaction.steps {
        match step {
            Step::Rules(steps) => touched.extend(steps.iter().map(|step| match step {
                RuleStep::CreateChain(family, name, _) => format!("the {family} chain {name} is gone"),
                RuleStep::Edit(edit) => format!("rules of the {} chain {}", edit.family, edit.chain),
                RuleStep::Hook(family, hook, _) | RuleStep::Unhook(family, hook) => {
                    format!("the jump in {family} {}", hook.chain())
                }
            })),
            Step::CreateSet(name, _) => touched.push(format!("the set {name} is gone")),
            Step::AddMembers(name, ..) | Step::RemoveMembers(name, ..) => {
                touched.push(format!("members of {name}"));
            }
            Step::DeleteChains(_) | Step::DeleteSets(_) => {}
        }
    }
    let count = touched.len();
    touched.truncate(3);
    let list = touched.join(", ");
    if count > 3 { format!("{list}, … ({count} in all)") } else { list }
}

/// What is wrong with what others have, a sentence each.
pub(super) fn findings(observed: &Observed) -> Vec<String> {
    let foreign = observed
        .foreign
        .iter()
        .map(|foreign| format!("{} isn't ours and is left alone: {}", foreign.what, foreign.why));
    let dormant = observed.dormant.iter().map(|family| {
        let tool = if *family == Family::V4 { "ip" } else { "ip6" };
        format!(
            "the {family} table filter is dormant: none of its rules judges a packet, ours neither. Somebody else \
             has rules in it, so it is left as it is; nft add table {tool} filter wakes it"
        )
    });
    foreign.chain(dormant).collect()
}
