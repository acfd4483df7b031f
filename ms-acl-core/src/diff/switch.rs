//! A state that stands between two others: sets whose members change stand twice in it, as they were
//! and, under other names, as they shall be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::members::Changed;
use crate::compile::stand_in;
use crate::ruleset::{Chain, Direction, Family, Match, Rule, Rulesets, SetKey, SetName};

/// The state `to`, but the sets of these changes are still as in `from`, and the rules name sets in their
/// place that are as in `to`.
pub(super) fn switched(from: &Rulesets, to: &Rulesets, changes: &[Changed<'_>]) -> Rulesets {
    let mut switched = to.clone();
    for family in Family::BOTH {
        let (old, new) = (from.family(family), to.family(family));
        let graph = switched.family_mut(family);
        let mut names: BTreeMap<&SetName, SetName> = BTreeMap::new();
        for change in changes {
            let (Some(before), Some(after)) = (old.sets.get(change.name), new.sets.get(change.name)) else {
                continue;
            };
            // One of that name may have been left by a change that didn't come to its end.
            let is_free = |name: &SetName| !old.sets.contains_key(name) && !new.sets.contains_key(name);
            let mut candidates =
                (0..=old.sets.len() + new.sets.len()).map(|n| stand_in(change.name, after, n));
            let Some(name) = candidates.find(is_free) else { continue };
            graph.sets.insert(change.name.clone(), Arc::clone(before));
            graph.sets.insert(name.clone(), Arc::clone(after));
            names.insert(change.name, name);
        }
        for chain in graph.chains.values_mut() {
            if chain.rules.iter().flat_map(sets).any(|(name, _)| names.contains_key(name)) {
                *chain = Arc::new(renamed(chain, &names));
            }
        }
    }
    switched
}

fn renamed(chain: &Chain, names: &BTreeMap<&SetName, SetName>) -> Chain {
    let mut chain = chain.clone();
    for test in chain.rules.iter_mut().flat_map(|rule| &mut rule.matches) {
        if let Match::InSet(name, _) | Match::NotInSet(name, _) = test
            && let Some(other) = names.get(name)
        {
            name.clone_from(other);
        }
    }
    chain
}

/// In which directions the rules of a state ask which sets about the other end.
#[derive(Debug, Default)]
pub(super) struct Uses<'a>([BTreeSet<&'a SetName>; 2]);

impl<'a> Uses<'a> {
    pub(super) fn of(state: &'a Rulesets) -> Self {
        let mut uses = Uses::default();
        let chains = Family::BOTH.into_iter().flat_map(|family| state.family(family).chains.values());
        for (name, key) in chains.flat_map(|chain| &chain.rules).flat_map(sets) {
            let direction = match key {
                SetKey::Destination | SetKey::DestinationPort => Direction::Egress,
                SetKey::Source => Direction::Ingress,
            };
            uses.0[direction as usize].insert(name);
        }
        uses
    }

    /// Whether a rule asks the set in this direction.
    pub(super) fn shows(&self, name: &SetName, direction: Direction) -> bool {
        self.0[direction as usize].contains(name)
    }

    /// Whether any rule names the set.
    pub(super) fn name(&self, name: &SetName) -> bool {
        Direction::BOTH.into_iter().any(|direction| self.shows(name, direction))
    }
}

/// The sets that a rule names.
fn sets(rule: &Rule) -> impl Iterator<Item = (&SetName, SetKey)> {
    rule.matches.iter().filter_map(|test| match test {
        Match::InSet(name, key) | Match::NotInSet(name, key) => Some((name, *key)),
        _ => None,
    })
}
