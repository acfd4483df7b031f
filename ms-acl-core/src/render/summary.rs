//! What a node enforces, for people.

use std::fmt::Write;
use std::net::IpAddr;

use super::words::{matches_in_words, target_in_words};
use crate::compile::Role;
use crate::compile::layout::{self, GateLayout};
use crate::ruleset::{Chain, ChainName, Direction, Family, Hook, Ruleset, Rulesets, Target};

/// At most this many pods of a group are named.
const FEW: usize = 8;

/// Both families: which pods are under which policies, what those policies say, and the sets.
pub fn summary(graphs: &Rulesets) -> String {
    summary_with_names(graphs, &|_| None)
}

/// The same with the names of pods: `name_of` tells whose an address is.
pub fn summary_with_names(graphs: &Rulesets, name_of: &dyn Fn(IpAddr) -> Option<String>) -> String {
    Family::BOTH.map(|family| summary_family(graphs.family(family), name_of)).join("\n")
}

/// One family.
pub fn summary_family(graph: &Ruleset, name_of: &dyn Fn(IpAddr) -> Option<String>) -> String {
    let hooks: Vec<&str> = graph.hooks.keys().map(|hook: &Hook| hook.chain()).collect();
    let hooks = if hooks.is_empty() { "nowhere".to_owned() } else { hooks.join(" and ") };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} chains, {} rules, {} sets, {} members; entered from {hooks}",
        graph.family,
        graph.chains.len(),
        graph.rule_count(),
        graph.sets.len(),
        graph.member_count()
    );
    for direction in Direction::BOTH {
        groups(&mut text, graph, direction, name_of);
    }
    let mut policies: Vec<(&ChainName, &Chain)> = graph
        .chains
        .iter()
        .filter(|(name, _)| Role::of(name) == Role::Policy)
        .map(|(name, chain)| (name, &**chain))
        .collect();
    policies.sort_by(|a, b| (&a.1.title, a.0).cmp(&(&b.1.title, b.0)));
    for (name, chain) in policies {
        policy(&mut text, graph, name, chain);
    }
    if !graph.sets.is_empty() {
        text.push_str("  sets\n");
    }
    for (name, set) in &graph.sets {
        let members = set.members.len();
        let noun = if members == 1 { "member" } else { "members" };
        let _ = writeln!(text, "    {name}: {members} {noun}: {}", set.title);
    }
    text
}

/// Who is governed in a direction, and by what.
fn groups(
    text: &mut String,
    graph: &Ruleset,
    direction: Direction,
    name_of: &dyn Fn(IpAddr) -> Option<String>,
) {
    let mut groups: Vec<_> = layout::groups(graph, direction).into_iter().collect();
    if groups.is_empty() {
        let _ = writeln!(text, "  {direction}: no pod is governed");
        return;
    }
    groups.sort_by(|a, b| a.1.cmp(&b.1));
    let _ = writeln!(text, "  {direction}");
    for (group, addresses) in groups {
        let name = |net: &ipnet::IpNet| name_of(net.addr()).unwrap_or_else(|| net.addr().to_string());
        let mut pods: Vec<String> = addresses.iter().take(FEW).map(name).collect();
        if addresses.len() > FEW {
            pods.push(format!("{} more", addresses.len() - FEW));
        }
        let _ = writeln!(text, "    {}", pods.join(", "));
        for gate in layout::gates(graph, group) {
            let _ = writeln!(text, "      {}", gate_line(graph, &gate));
        }
    }
}

fn gate_line(graph: &Ruleset, gate: &GateLayout<'_>) -> String {
    let kind = gate.kind.map_or_else(|| "gate".to_owned(), |kind| kind.to_string());
    let otherwise = gate.otherwise.map_or_else(|| "pass".to_owned(), |rule| target_in_words(&rule.target));
    let policies: Vec<String> = gate.policies.iter().map(|(name, _)| object_of(graph, name)).collect();
    format!("{kind}: {}; else {otherwise}", policies.join(", "))
}

/// The object whose policy a chain is, as far as the graph tells.
fn object_of(graph: &Ruleset, chain: &ChainName) -> String {
    let found = graph.chains.get(chain);
    let object =
        found.and_then(|chain| chain.rules.iter().find_map(|rule| rule.provenance.as_ref()?.object.clone()));
    match (object, found) {
        (Some(object), _) => object.to_string(),
        (None, Some(chain)) if !chain.title.is_empty() => chain.title.clone(),
        _ => chain.to_string(),
    }
}

/// What a policy says: a line for each of the chain's, those of the same rule below one another.
fn policy(text: &mut String, graph: &Ruleset, name: &ChainName, chain: &Chain) {
    let title = if chain.title.is_empty() { "policy" } else { &chain.title };
    let nothing = if chain.rules.is_empty() { ": no rule that can match" } else { "" };
    let _ = writeln!(text, "  {title} ({name}){nothing}");
    for rule in &chain.rules {
        let provenance = rule.provenance.as_ref();
        let index = provenance.and_then(|p| p.rule).map_or_else(|| "-".to_owned(), |rule| rule.to_string());
        let label = provenance.and_then(|p| p.label.as_ref()).map(|label| format!(" ({label})"));
        let does = match &rule.target {
            Target::Nflog { .. } => "log".to_owned(),
            target => target_in_words(target),
        };
        let matches = matches_in_words(rule, graph);
        let _ = writeln!(text, "    [{index}]{} {does}: {matches}", label.unwrap_or_default());
    }
}
