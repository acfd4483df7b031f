//! From one state of the rule graphs to another: an ordered list of steps.
//!
//! Members and rules are not one atomic unit in the iptables-nft backend, so the order of the steps
//! is what makes a change safe.

use std::sync::Arc;

use crate::ruleset::{ChainContent, ChainName, Family, Hook, Member, Rule, Set, SetName};

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

/// The steps from one state to another.
pub fn diff(from: &crate::ruleset::Rulesets, to: &crate::ruleset::Rulesets) -> Transaction {
    let _ = (from, to);
    Transaction::default()
}
