//! How the chains and jumps of two states differ.

use std::sync::Arc;

use super::{RuleStep, Step, chain_edit};
use crate::ruleset::{ChainContent, ChainName, Family, Rulesets};

/// The batch that gives `to`'s chains and jumps; `None` = they are `from`'s. Chains that only `from` has
/// stay.
pub(super) fn batch(from: &Rulesets, to: &Rulesets) -> Option<Step> {
    let mut batch = Vec::new();
    let mut edits = Vec::new();
    for family in Family::BOTH {
        let (old, new) = (from.family(family), to.family(family));
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
    }
    batch.append(&mut edits);
    (!batch.is_empty()).then_some(Step::Rules(batch))
}

/// The chains that only `from` has.
pub(super) fn dead(from: &Rulesets, to: &Rulesets) -> Vec<(Family, ChainName)> {
    let of = |family| {
        let new = &to.family(family).chains;
        let dead = from.family(family).chains.keys().filter(|name| !new.contains_key(*name));
        dead.map(move |name| (family, name.clone()))
    };
    Family::BOTH.into_iter().flat_map(of).collect()
}
