//! A transaction carried out on plain values, as a kernel would: for tests, simulations and custom
//! dataplanes.

use std::sync::Arc;

use super::{ChainEdit, RuleStep, Step};
use crate::ruleset::{Chain, Family, Ruleset, Rulesets};

/// Carries out one step. What the step assumes and the state doesn't have is ignored.
pub fn apply(step: &Step, state: &mut Rulesets) {
    match step {
        Step::CreateSet(name, set) => {
            state.family_mut(set.family).sets.insert(name.clone(), Arc::clone(set));
        }
        Step::AddMembers(name, family, members) => {
            if let Some(set) = state.family_mut(*family).sets.get_mut(name) {
                Arc::make_mut(set).members.extend(members);
            }
        }
        Step::RemoveMembers(name, family, members) => {
            if let Some(set) = state.family_mut(*family).sets.get_mut(name) {
                let set = Arc::make_mut(set);
                for member in members {
                    set.members.remove(member);
                }
            }
        }
        Step::Rules(batch) => batch.iter().for_each(|step| rules(step, state)),
        Step::DeleteChains(names) => {
            for (family, name) in names {
                state.family_mut(*family).chains.remove(name);
            }
        }
        Step::DeleteSets(names) => {
            for family in Family::BOTH {
                state.family_mut(family).sets.retain(|name, _| !names.contains(name));
            }
        }
    }
}

fn rules(step: &RuleStep, state: &mut Rulesets) {
    match step {
        RuleStep::CreateChain(family, name, content) => {
            let chain = Chain { content: *content, ..Chain::default() };
            state.family_mut(*family).chains.entry(name.clone()).or_insert_with(|| Arc::new(chain));
        }
        RuleStep::Edit(edit) => edit_chain(edit, state.family_mut(edit.family)),
        RuleStep::Hook(family, hook, chain) => {
            state.family_mut(*family).hooks.insert(*hook, chain.clone());
        }
        RuleStep::Unhook(family, hook) => {
            state.family_mut(*family).hooks.remove(hook);
        }
    }
}

fn edit_chain(edit: &ChainEdit, graph: &mut Ruleset) {
    let Some(chain) = graph.chains.get_mut(&edit.chain) else { return };
    let chain = Arc::make_mut(chain);
    let old = std::mem::take(&mut chain.rules);
    let mut inserts = edit.inserts.iter().peekable();
    for (index, rule) in old.into_iter().enumerate() {
        while let Some((_, new)) = inserts.next_if(|(at, _)| *at <= index) {
            chain.rules.push(new.clone());
        }
        if edit.deletes.binary_search(&index).is_err() {
            chain.rules.push(rule);
        }
    }
    chain.rules.extend(inserts.map(|(_, new)| new.clone()));
}
