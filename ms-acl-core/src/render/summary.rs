//! A few lines for people: what a node enforces.

use std::fmt::Write;

use crate::ruleset::{Family, Rulesets};

/// Chains, rules, sets and members of each family, and every set with its meaning and size.
pub fn summary(graphs: &Rulesets) -> String {
    let mut text = String::new();
    for family in Family::BOTH {
        let graph = graphs.family(family);
        let _ = writeln!(
            text,
            "{family}: {} chains, {} rules, {} sets, {} members",
            graph.chains.len(),
            graph.rule_count(),
            graph.sets.len(),
            graph.member_count()
        );
        for (name, chain) in &graph.chains {
            let _ = writeln!(text, "  {name}: {} ({} rules)", chain.title, chain.rules.len());
        }
        for (name, set) in &graph.sets {
            let _ = writeln!(text, "  {name}: {} ({} members)", set.title, set.members.len());
        }
    }
    text
}
