//! The layout of a graph, read off it: which pods are in which group, which gates a group has, which
//! policies a gate.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{EGRESS, INGRESS, Role};
use crate::lower::acl::AclDocument;
use crate::ruleset::{Chain, ChainName, Comment, Direction, GateKind, Match, Rule, Ruleset, Target};

/// A gate's chain and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct GateLayout<'a> {
    /// The gate's chain.
    pub(crate) chain: &'a ChainName,
    /// Which gate; `None` where nothing tells.
    pub(crate) kind: Option<GateKind>,
    /// The chains of its policies, in order, each with the text on the jump to it.
    pub(crate) policies: Vec<(&'a ChainName, Option<&'a Comment>)>,
    /// What happens when no policy decides; `None`: it passes.
    pub(crate) otherwise: Option<&'a Rule>,
}

/// The groups of one direction, each with the addresses of its pods.
pub(crate) fn groups(graph: &Ruleset, direction: Direction) -> BTreeMap<&ChainName, Vec<IpNet>> {
    let mut groups: BTreeMap<&ChainName, Vec<IpNet>> = BTreeMap::new();
    for rule in dispatch_rules(graph, direction) {
        if let (Some(name), [Match::Source(net) | Match::Destination(net)]) =
            (rule.leads_to(), &rule.matches[..])
            && Role::of(name).is_group()
        {
            groups.entry(name).or_default().push(*net);
        }
    }
    for addresses in groups.values_mut() {
        addresses.sort_unstable();
        addresses.dedup();
    }
    groups
}

/// The rules of all chains of one direction's dispatch.
fn dispatch_rules(graph: &Ruleset, direction: Direction) -> impl Iterator<Item = &Rule> {
    let root = match direction {
        Direction::Egress => EGRESS,
        Direction::Ingress => INGRESS,
    };
    let root = graph.chains.keys().find(|name| name.as_str() == root);
    let below = root.map(|root| dispatch_below(graph, root)).unwrap_or_default();
    let chains = root.into_iter().chain(below).filter_map(|name| graph.chains.get(name));
    chains.flat_map(|chain| &chain.rules)
}

/// By address of a pod: its other addresses of the family, at which it reaches itself.
pub(crate) fn other_addresses(graph: &Ruleset, direction: Direction) -> BTreeMap<IpAddr, Vec<IpAddr>> {
    let mut others: BTreeMap<IpAddr, Vec<IpAddr>> = BTreeMap::new();
    for rule in dispatch_rules(graph, direction) {
        if let ([Match::Source(from), Match::Destination(to)], Target::Return) =
            (&rule.matches[..], &rule.target)
            && from != to
        {
            let (own, other) = match direction {
                Direction::Egress => (from, to),
                Direction::Ingress => (to, from),
            };
            others.entry(own.addr()).or_default().push(other.addr());
        }
    }
    others
}

/// The chains of dispatch below one of them.
pub(crate) fn dispatch_below<'a>(graph: &'a Ruleset, root: &ChainName) -> BTreeSet<&'a ChainName> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Chain> = graph.chains.get(root).into_iter().map(|chain| &**chain).collect();
    while let Some(chain) = open.pop() {
        for name in chain.rules.iter().filter_map(Rule::leads_to) {
            if matches!(Role::of(name), Role::Dispatch(_)) && found.insert(name) {
                open.extend(graph.chains.get(name).map(|chain| &**chain));
            }
        }
    }
    found
}

/// The gates of a group, in order.
pub(crate) fn gates<'a>(graph: &'a Ruleset, group: &ChainName) -> Vec<GateLayout<'a>> {
    called(graph, group).map(|(chain, _)| gate(graph, chain)).collect()
}

/// A gate's layout.
pub(crate) fn gate<'a>(graph: &'a Ruleset, chain: &'a ChainName) -> GateLayout<'a> {
    let policies: Vec<(&ChainName, &Rule)> = called(graph, chain).collect();
    let own = graph.chains.get(chain).into_iter().flat_map(|chain| &chain.rules);
    let below =
        policies.iter().filter_map(|(name, _)| graph.chains.get(*name)).flat_map(|chain| &chain.rules);
    let by_provenance = own.clone().chain(below).find_map(|rule| Some(rule.provenance.as_ref()?.gate));
    let by_comment =
        || policies.iter().find_map(|(_, jump)| kind_of_comment(jump.comment.as_ref()?.as_str()));
    GateLayout {
        chain,
        kind: by_provenance.or_else(by_comment),
        policies: policies.iter().map(|(name, jump)| (*name, jump.comment.as_ref())).collect(),
        otherwise: own.clone().next_back().filter(|rule| rule.matches.is_empty() && is_verdict(&rule.target)),
    }
}

fn is_verdict(target: &Target) -> bool {
    matches!(target, Target::Goto(_) | Target::Drop | Target::Accept | Target::Reject(_))
}

/// The chains that a chain calls, with the rules that do.
fn called<'a>(graph: &'a Ruleset, chain: &ChainName) -> impl Iterator<Item = (&'a ChainName, &'a Rule)> {
    let rules = graph.chains.get(chain).into_iter().flat_map(|chain| &chain.rules);
    rules.filter_map(|rule| match &rule.target {
        Target::Jump(name) => Some((name, rule)),
        _ => None,
    })
}

/// The gate that a comment on a jump to a policy's chain names.
fn kind_of_comment(comment: &str) -> Option<GateKind> {
    match comment.split(' ').next()? {
        "acl" => Some(GateKind::Acl),
        "egressfw" => Some(GateKind::EgressFirewall),
        "netpol" => Some(GateKind::Kubernetes),
        _ => None,
    }
}

/// The object that a comment on a jump to a policy's chain names: `NetworkPolicy default/web`.
pub(crate) fn object_of_comment(comment: &Comment) -> Option<String> {
    let (_, name) = comment.as_str().split_once(' ')?;
    let kind = match kind_of_comment(comment.as_str())? {
        GateKind::Acl => AclDocument::KIND,
        GateKind::EgressFirewall => "EgressNetworkPolicy",
        GateKind::Kubernetes => "NetworkPolicy",
    };
    Some(format!("{kind} {name}"))
}
