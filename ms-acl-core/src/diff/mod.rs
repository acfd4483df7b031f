//! From one state of the rule graphs to another: an ordered list of steps.
//!
//! Members and rules are not one atomic unit in the iptables-nft backend, so the order of the steps
//! is what makes a change safe.

mod apply;
mod chain;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use apply::apply;
pub(crate) use chain::edit as chain_edit;

use crate::ruleset::{ChainContent, ChainName, Family, Hook, Member, Rule, Rulesets, Set, SetName, SetRole};

/// A change: its steps are to be done in their order, each completely before the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Transaction {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Creates a set and fills it, before any rule names it.
    CreateSet(SetName, Arc<Set>),
    /// Adds members to an existing set. Members that are there already are no error.
    AddMembers(SetName, Family, Vec<Member>),
    /// Removes members from an existing set. Members that are gone already are no error.
    RemoveMembers(SetName, Family, Vec<Member>),
    /// Changes chains and jumps of both families, all in one atomic batch.
    Rules(Vec<RuleStep>),
    /// Deletes chains that nothing of ours names any more, in a batch of their own.
    DeleteChains(Vec<(Family, ChainName)>),
    /// Deletes sets that nothing names any more.
    DeleteSets(Vec<SetName>),
}

/// One change within an atomic batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleStep {
    /// Creates an empty chain; one that exists already is no error.
    CreateChain(Family, ChainName, ChainContent),
    /// Changes the rules of a chain.
    Edit(ChainEdit),
    /// Makes sure that a base chain jumps to our chain, exactly once and at the configured place.
    Hook(Family, Hook, ChainName),
    /// Takes our jumps out of a base chain.
    Unhook(Family, Hook),
}

/// A change of one chain's rules. Indexes are of the chain as it was before the edit; all inserts
/// happen before all deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEdit {
    /// The family.
    pub family: Family,
    /// The chain.
    pub chain: ChainName,
    /// How many rules the chain had before.
    pub before: usize,
    /// New rules, each with the index of the old rule before which it goes (`before` = at the end).
    /// Rules with the same index keep their order; indexes never fall.
    pub inserts: Vec<(usize, Rule)>,
    /// Indexes of old rules that go, ascending.
    pub deletes: Vec<usize>,
}

/// The steps from one state to another: `apply(diff(from, to), from) == to`, and nothing to do where
/// they are equal.
///
/// New sets are filled before a rule names them. Members come before the rules change and go after
/// it; a set that refuses gains first and loses last. Chains and sets that nothing names any more go
/// at the end.
pub fn diff(from: &Rulesets, to: &Rulesets) -> Transaction {
    let mut steps = Vec::new();
    let mut gains = Vec::new();
    let mut losses = Vec::new();
    let mut batch = Vec::new();
    let mut edits = Vec::new();
    let mut dead_chains = Vec::new();
    let mut dead_sets = Vec::new();
    for family in Family::BOTH {
        let (old, new) = (from.family(family), to.family(family));
        members(&old.sets, &new.sets, &mut steps, (&mut gains, &mut losses));
        dead_sets.extend(old.sets.keys().filter(|name| !new.sets.contains_key(*name)).cloned());
        for (name, chain) in &new.chains {
            let before = old.chains.get(name);
            if before.is_none() {
                batch.push(RuleStep::CreateChain(family, name.clone(), chain.content));
            }
            if chain.content == ChainContent::Ours && before.is_none_or(|before| !Arc::ptr_eq(before, chain))
            {
                let before = before.map(|chain| &chain.rules[..]).unwrap_or_default();
                edits.extend(chain_edit(family, name, before, &chain.rules).map(RuleStep::Edit));
            }
        }
        for (hook, chain) in &new.hooks {
            if old.hooks.get(hook) != Some(chain) {
                edits.push(RuleStep::Hook(family, *hook, chain.clone()));
            }
        }
        for hook in old.hooks.keys().filter(|hook| !new.hooks.contains_key(*hook)) {
            edits.push(RuleStep::Unhook(family, *hook));
        }
        for name in old.chains.keys().filter(|name| !new.chains.contains_key(*name)) {
            dead_chains.push((family, name.clone()));
        }
    }
    batch.append(&mut edits);
    gains.sort_by_key(|(role, _)| *role != SetRole::Refuse);
    losses.sort_by_key(|(role, _)| *role == SetRole::Refuse);
    steps.extend(gains.into_iter().map(|(_, step)| step));
    steps.extend((!batch.is_empty()).then_some(Step::Rules(batch)));
    steps.extend(losses.into_iter().map(|(_, step)| step));
    steps.extend((!dead_chains.is_empty()).then_some(Step::DeleteChains(dead_chains)));
    steps.extend((!dead_sets.is_empty()).then_some(Step::DeleteSets(dead_sets)));
    Transaction { steps }
}

type Roled = (SetRole, Step);

/// New sets, and what the sets that stay gain and lose.
fn members(
    old: &BTreeMap<SetName, Arc<Set>>,
    new: &BTreeMap<SetName, Arc<Set>>,
    steps: &mut Vec<Step>,
    (gains, losses): (&mut Vec<Roled>, &mut Vec<Roled>),
) {
    for (name, set) in new {
        let Some(before) = old.get(name) else {
            steps.push(Step::CreateSet(name.clone(), Arc::clone(set)));
            continue;
        };
        if Arc::ptr_eq(before, set) {
            continue;
        }
        let gained: Vec<Member> = set.members.difference(&before.members).copied().collect();
        let lost: Vec<Member> = before.members.difference(&set.members).copied().collect();
        if !gained.is_empty() {
            gains.push((set.role, Step::AddMembers(name.clone(), set.family, gained)));
        }
        if !lost.is_empty() {
            losses.push((set.role, Step::RemoveMembers(name.clone(), set.family, lost)));
        }
    }
}
