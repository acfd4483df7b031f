//! The rule graph as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::iptables_rule;
use crate::ruleset::{
    ChainContent, Comment, Family, Match, ObjectRef, Provenance, RejectWith, Rule, Ruleset, Rulesets, Set,
    SetKey, SetKind, SetRole, States, Target,
};

/// Both families as JSON, over several lines.
///
/// ```text
/// {"ipv4": {                                    both families, or the one asked for
///   "hooks":  [{"hook": "FORWARD", "chain": NAME}],
///   "chains": [{"name": NAME, "title": TEXT, "filledBy": "us" | "operator", "rules": [RULE]}],
///   "sets":   [{"name": NAME, "title": TEXT, "kind": "addresses" | "networks" | "address-ports",
///               "role": "permit" | "refuse", "members": ["10.0.0.1" | "10.0.0.0/8" | "10.0.0.1,tcp:80"]}]
/// }}
/// RULE   = {"matches": [MATCH], "target": TARGET, "comment": TEXT | null, "provenance": PROVENANCE | null,
///           "text": as iptables-save prints it, behind the chain's name}
/// MATCH  = {"match": "source" | "destination", "not": BOOL, "network": CIDR}
///        | {"match": "protocol", "protocol": "tcp" | "udp" | "sctp" | "icmp"}
///        | {"match": "ports", "ports": ["80", "8000-8100"]}        destination ports
///        | {"match": "icmpType", "type": NUMBER}
///        | {"match": "tcpFlags", "not": BOOL, "mask": NUMBER, "set": NUMBER}
///        | {"match": "state", "states": ["invalid" | "new" | "related" | "established"]}
///        | {"match": "mark" | "connmark", "value": NUMBER, "mask": NUMBER}
///        | {"match": "local", "end": "source" | "destination"}
///        | {"match": "set", "not": BOOL, "set": NAME, "key": "source" | "destination" | "destinationPort"}
/// TARGET = {"target": "accept" | "drop" | "return"} | {"target": "jump" | "goto", "chain": NAME}
///        | {"target": "reject", "with": "tcp-reset" | "port-unreachable" | "admin-prohibited"}
///        | {"target": "mark" | "connmark", "value": NUMBER, "mask": NUMBER}      (mark & !mask) ^ value
///        | {"target": "log", "group": NUMBER, "prefix": TEXT} | {"target": "unreadable"}
/// PROVENANCE = {"object": {"kind", "namespace", "name"} | null, "direction": "egress" | "ingress",
///               "gate": "acl" | "egress-firewall" | "kubernetes", "rule": NUMBER | null, "label": TEXT | null}
/// ```
/// Chains and sets are in the order of their names. Fields may be added; none changes its meaning.
pub fn json(graphs: &Rulesets) -> String {
    text(&[&graphs.v4, &graphs.v6])
}

/// One family as JSON, in the shape of [`json()`].
pub fn json_family(graph: &Ruleset) -> String {
    text(&[graph])
}

fn text(graphs: &[&Ruleset]) -> String {
    let views: BTreeMap<String, GraphView<'_>> =
        graphs.iter().map(|graph| (graph.family.to_string(), GraphView::new(graph))).collect();
    // Values of these types always have a JSON form.
    serde_json::to_string_pretty(&views).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct GraphView<'a> {
    hooks: Vec<HookView<'a>>,
    chains: Vec<ChainView<'a>>,
    sets: Vec<SetView<'a>>,
}

#[derive(Serialize)]
struct HookView<'a> {
    hook: &'static str,
    chain: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChainView<'a> {
    name: &'a str,
    title: &'a str,
    filled_by: &'static str,
    rules: Vec<RuleView<'a>>,
}

#[derive(Serialize)]
struct SetView<'a> {
    name: &'a str,
    title: &'a str,
    kind: &'static str,
    role: &'static str,
    members: Vec<String>,
}

#[derive(Serialize)]
struct RuleView<'a> {
    matches: Vec<Value>,
    target: Value,
    comment: Option<&'a str>,
    provenance: Option<ProvenanceView<'a>>,
    text: String,
}

#[derive(Serialize)]
struct ProvenanceView<'a> {
    object: Option<ObjectView<'a>>,
    direction: String,
    gate: String,
    rule: Option<usize>,
    label: Option<&'a str>,
}

#[derive(Serialize)]
struct ObjectView<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> GraphView<'a> {
    fn new(graph: &'a Ruleset) -> Self {
        let hooks =
            graph.hooks.iter().map(|(hook, chain)| HookView { hook: hook.chain(), chain: chain.as_str() });
        let chains = graph.chains.iter().map(|(name, chain)| ChainView {
            name: name.as_str(),
            title: &chain.title,
            filled_by: match chain.content {
                ChainContent::Ours => "us",
                ChainContent::Operators => "operator",
            },
            rules: chain.rules.iter().map(|rule| RuleView::new(rule, graph.family)).collect(),
        });
        let sets = graph.sets.iter().map(|(name, set)| SetView::new(name.as_str(), set));
        GraphView { hooks: hooks.collect(), chains: chains.collect(), sets: sets.collect() }
    }
}

impl<'a> SetView<'a> {
    fn new(name: &'a str, set: &'a Set) -> Self {
        SetView {
            name,
            title: &set.title,
            kind: match set.kind {
                SetKind::Addresses => "addresses",
                SetKind::Networks => "networks",
                SetKind::AddressPorts => "address-ports",
            },
            role: match set.role {
                SetRole::Permit => "permit",
                SetRole::Refuse => "refuse",
            },
            members: set.members.iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> RuleView<'a> {
    fn new(rule: &'a Rule, family: Family) -> Self {
        RuleView {
            matches: rule.matches.iter().map(match_value).collect(),
            target: target_value(&rule.target),
            comment: rule.comment.as_ref().map(Comment::as_str),
            provenance: rule.provenance.as_deref().map(ProvenanceView::new),
            text: iptables_rule(rule, family).trim_start().to_owned(),
        }
    }
}

impl<'a> ProvenanceView<'a> {
    fn new(provenance: &'a Provenance) -> Self {
        let object = |object: &'a ObjectRef| ObjectView {
            kind: object.kind,
            namespace: &object.namespace,
            name: &object.name,
        };
        ProvenanceView {
            object: provenance.object.as_ref().map(object),
            direction: provenance.direction.to_string(),
            gate: provenance.gate.to_string(),
            rule: provenance.rule,
            label: provenance.label.as_deref(),
        }
    }
}

fn match_value(test: &Match) -> Value {
    match test {
        Match::Source(net) => json!({"match": "source", "not": false, "network": net}),
        Match::NotSource(net) => json!({"match": "source", "not": true, "network": net}),
        Match::Destination(net) => json!({"match": "destination", "not": false, "network": net}),
        Match::NotDestination(net) => json!({"match": "destination", "not": true, "network": net}),
        Match::Protocol(protocol) => json!({"match": "protocol", "protocol": protocol.to_string()}),
        Match::Port(range) => json!({"match": "ports", "ports": [range.to_string()]}),
        Match::Ports(ranges) => {
            let ports: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            json!({"match": "ports", "ports": ports})
        }
        Match::Icmp(icmp) => json!({"match": "icmpType", "type": icmp.kind}),
        Match::TcpFlags { mask, set, inverted } => {
            json!({"match": "tcpFlags", "not": inverted, "mask": mask, "set": set})
        }
        Match::State(states) => json!({"match": "state", "states": state_names(*states)}),
        Match::Mark { value, mask } => json!({"match": "mark", "value": value, "mask": mask}),
        Match::Connmark { value, mask } => json!({"match": "connmark", "value": value, "mask": mask}),
        Match::SourceIsLocal => json!({"match": "local", "end": "source"}),
        Match::DestinationIsLocal => json!({"match": "local", "end": "destination"}),
        Match::InSet(set, key) => {
            json!({"match": "set", "not": false, "set": set.as_str(), "key": key_name(*key)})
        }
        Match::NotInSet(set, key) => {
            json!({"match": "set", "not": true, "set": set.as_str(), "key": key_name(*key)})
        }
    }
}

fn state_names(states: States) -> Vec<&'static str> {
    let names = [
        (States::INVALID, "invalid"),
        (States::NEW, "new"),
        (States::RELATED, "related"),
        (States::ESTABLISHED, "established"),
    ];
    names.iter().filter(|(state, _)| states.contains(*state)).map(|(_, name)| *name).collect()
}

fn key_name(key: SetKey) -> &'static str {
    match key {
        SetKey::Source => "source",
        SetKey::Destination => "destination",
        SetKey::DestinationPort => "destinationPort",
    }
}

fn target_value(target: &Target) -> Value {
    match target {
        Target::Accept => json!({"target": "accept"}),
        Target::Drop => json!({"target": "drop"}),
        Target::Return => json!({"target": "return"}),
        Target::Jump(chain) => json!({"target": "jump", "chain": chain.as_str()}),
        Target::Goto(chain) => json!({"target": "goto", "chain": chain.as_str()}),
        Target::Reject(with) => json!({"target": "reject", "with": match with {
            RejectWith::TcpReset => "tcp-reset",
            RejectWith::PortUnreachable => "port-unreachable",
            RejectWith::AdminProhibited => "admin-prohibited",
        }}),
        Target::SetMark { value, mask } => json!({"target": "mark", "value": value, "mask": mask}),
        Target::SetConnmark { value, mask } => json!({"target": "connmark", "value": value, "mask": mask}),
        Target::Nflog { group, prefix } => {
            json!({"target": "log", "group": group, "prefix": prefix.as_str()})
        }
        Target::Unreadable => json!({"target": "unreadable"}),
    }
}
