//! How the sets of two states differ.

use std::sync::Arc;

use super::Step;
use super::switch::Uses;
use crate::ruleset::{Direction, Family, Member, Rulesets, SetName, SetRole};

/// A set of both states, with other members.
#[derive(Debug)]
pub(super) struct Changed<'a> {
    pub(super) name: &'a SetName,
    family: Family,
    role: SetRole,
    gained: Vec<Member>,
    lost: Vec<Member>,
}

/// The steps that create and fill the sets that only `to` has.
pub(super) fn created(from: &Rulesets, to: &Rulesets) -> Vec<Step> {
    let mut steps = Vec::new();
    for family in Family::BOTH {
        let (old, new) = (&from.family(family).sets, &to.family(family).sets);
        let created = new.iter().filter(|(name, _)| !old.contains_key(*name));
        steps.extend(created.map(|(name, set)| Step::CreateSet(name.clone(), Arc::clone(set))));
    }
    steps
}

/// The sets that only `from` has.
pub(super) fn dead(from: &Rulesets, to: &Rulesets) -> Vec<SetName> {
    let of = |family| {
        let new = &to.family(family).sets;
        from.family(family).sets.keys().filter(|name| !new.contains_key(*name)).cloned()
    };
    Family::BOTH.into_iter().flat_map(of).collect()
}

/// The sets of both states whose members differ.
pub(super) fn changes<'a>(from: &'a Rulesets, to: &Rulesets) -> Vec<Changed<'a>> {
    let mut changes = Vec::new();
    for family in Family::BOTH {
        let new = &to.family(family).sets;
        for (name, before) in &from.family(family).sets {
            let Some(set) = new.get(name).filter(|set| !Arc::ptr_eq(before, set)) else { continue };
            let gained: Vec<Member> = set.members.difference(&before.members).copied().collect();
            let lost: Vec<Member> = before.members.difference(&set.members).copied().collect();
            if !gained.is_empty() || !lost.is_empty() {
                changes.push(Changed { name, family, role: set.role, gained, lost });
            }
        }
    }
    changes
}

/// The steps of these changes: members come first and go last, refusing ones the other way round.
pub(super) fn steps(changes: &[Changed<'_>]) -> Vec<Step> {
    let of = |role: SetRole| changes.iter().filter(move |change| change.role == role);
    let gains = of(SetRole::Refuse).chain(of(SetRole::Permit)).filter(|change| !change.gained.is_empty());
    let losses = of(SetRole::Permit).chain(of(SetRole::Refuse)).filter(|change| !change.lost.is_empty());
    let add = |c: &Changed<'_>| Step::AddMembers(c.name.clone(), c.family, c.gained.clone());
    let remove = |c: &Changed<'_>| Step::RemoveMembers(c.name.clone(), c.family, c.lost.clone());
    gains.map(add).chain(losses.map(remove)).collect()
}

/// Whether these may change one after the other while all rules stay. In between, sets hold what they
/// held and what they shall hold, so a rule of one direction matches what it matches in one of the two
/// states. Two directions could together let pass what neither state does, and a set that refuses
/// could refuse what neither does: these only change alone, in one step.
pub(super) fn may_change_in_place(uses: &Uses<'_>, changes: &[Changed<'_>]) -> bool {
    if let [only] = changes
        && (only.gained.is_empty() || only.lost.is_empty())
    {
        return true;
    }
    let shows = |direction| changes.iter().any(|change| uses.shows(change.name, direction));
    changes.iter().all(|change| change.role == SetRole::Permit) && !Direction::BOTH.into_iter().all(shows)
}
