//! From one state of the rule graphs to another: an ordered list of steps.
//!
//! Members and rules are not one atomic unit in the iptables-nft backend, so the order of the steps
//! is what makes a change safe.

mod apply;
mod chain;
mod members;
mod rules;
mod switch;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use apply::apply;
pub(crate) use chain::edit as chain_edit;

use crate::ruleset::{ChainContent, ChainName, Family, Hook, Member, Rule, Rulesets, Set, SetName};
use members::Changed;
use switch::Uses;

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

/// The steps from one state to another: carried out on `from` they give `to`, and there is nothing to
/// do where the two are equal.
///
/// After each step no packet passes that both states refuse, and none is refused that both let pass.
/// New sets are filled before a rule names them; the rules of both families change in one batch; chains
/// and sets that nothing names any more go at the end. Where members are all that changes, and it shows
/// in one direction only, they change where they are. Otherwise a set with other members is built under
/// a name of its own, the batch switches to that, and a second batch switches back to the set itself
/// once it has its members.
pub fn diff(from: &Rulesets, to: &Rulesets) -> Transaction {
    let changes = members::changes(from, to);
    let rules = rules::batch(from, to);
    let mut steps = members::created(from, to);
    let uses = if changes.is_empty() { Uses::default() } else { Uses::of(from) };
    let (named, unnamed): (Vec<Changed<'_>>, Vec<Changed<'_>>) =
        changes.into_iter().partition(|change| uses.name(change.name));
    steps.extend(members::steps(&unnamed));
    let mut dead: Vec<SetName> = members::dead(from, to);
    if named.is_empty() {
        steps.extend(rules);
    } else if rules.is_none() && members::may_change_in_place(&uses, &named) {
        steps.extend(members::steps(&named));
    } else {
        let switched = switch::switched(from, to, &named);
        steps.extend(members::created(to, &switched));
        steps.extend(rules::batch(from, &switched));
        steps.extend(members::steps(&named));
        steps.extend(rules::batch(&switched, to));
        dead.extend(members::dead(&switched, to));
    }
    let chains = rules::dead(from, to);
    steps.extend((!chains.is_empty()).then_some(Step::DeleteChains(chains)));
    steps.extend((!dead.is_empty()).then_some(Step::DeleteSets(dead)));
    Transaction { steps }
}
