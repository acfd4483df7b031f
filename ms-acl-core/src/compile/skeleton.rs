//! The chains that base chains jump to, and the small ones that end a policy's.

use std::sync::Arc;

use super::name::fixed;
use super::{ACCEPT, ADMIN, ALLOW, EGRESS, INGRESS, PASS, REJECT};
use crate::model::{Marks, NodeTraffic, Protocol, Settings};
use crate::ruleset::{
    Chain, ChainContent, Family, Hook, Icmp, Match, RejectWith, Rule, Ruleset, States, Target,
};

/// Neighbour and router discovery, redirects and multicast listener discovery. They aren't
/// tracked, so no state lets them pass; a bridged pod dies without them.
const NEIGHBOUR_DISCOVERY: [u8; 8] = [130, 131, 132, 133, 134, 135, 136, 143];

/// Builds everything around the dispatch, which is in the graph already.
pub(super) fn build(graph: &mut Ruleset, settings: &Settings) {
    let marks = settings.marks;
    add(graph, PASS, "a gate lets pass", vec![set_mark(marks.pass)]);
    add(graph, ALLOW, "a gate accepts", vec![set_mark(marks.pass | marks.accept)]);
    add(graph, REJECT, "refusal with an answer", reject());
    for name in [PASS, ALLOW, REJECT] {
        if !is_named(graph, name) {
            graph.chains.remove(&fixed(name));
        }
    }
    let accepts = graph.chains.contains_key(&fixed(ALLOW));
    if accepts {
        let seen = Target::SetConnmark { value: marks.seen, mask: marks.seen };
        let rules = vec![Rule::new(vec![], seen), clear(marks), Rule::new(vec![], Target::Accept)];
        add(graph, ACCEPT, "accepted: later rules don't see it", rules);
    }
    let admin = Chain {
        content: ChainContent::Operators,
        title: "the operator's own".to_owned(),
        ..Chain::default()
    };
    graph.chains.insert(fixed(ADMIN), Arc::new(admin));

    let governed = |root| graph.chains.get(&fixed(root)).is_some_and(|chain| !chain.rules.is_empty());
    let (egress, ingress) = (governed(EGRESS), governed(INGRESS));
    let mut forward = Vec::new();
    forward.push(jump(ADMIN));
    forward.extend(established(marks, accepts));
    forward.extend(neighbour_discovery(graph.family));
    if graph.family == Family::V6 && (egress || ingress) {
        let link_local = "fe80::/10".parse().expect("a network");
        forward.push(Rule::new(vec![Match::Source(link_local)], Target::Drop));
        forward.push(Rule::new(vec![Match::Destination(link_local)], Target::Drop));
    }
    forward.extend(judge(marks, accepts));
    hook(graph, Hook::Forward, "MS-FORWARD", forward);

    let mut output = established(marks, accepts);
    match settings.node_traffic {
        NodeTraffic::Allow => output.push(Rule::new(vec![Match::SourceIsLocal], Target::Return)),
        NodeTraffic::Enforce => output.extend(neighbour_discovery(graph.family)),
    }
    output.extend(judge(marks, accepts));
    hook(graph, Hook::Output, "MS-OUTPUT", output);

    if settings.node_traffic == NodeTraffic::Enforce && egress {
        let mut input = established(marks, accepts);
        input.extend(neighbour_discovery(graph.family));
        input.extend(judge(marks, accepts));
        hook(graph, Hook::Input, "MS-INPUT", input);
    }
}

/// Packets of connections that were judged already. Those that we accepted are accepted here too,
/// or their later packets would meet strangers' rules.
fn established(marks: Marks, accepts: bool) -> Vec<Rule> {
    let state = Match::State(States::RELATED.or(States::ESTABLISHED));
    let seen = Match::Connmark { value: marks.seen, mask: marks.seen };
    let accept = accepts.then(|| Rule::new(vec![state.clone(), seen], Target::Accept));
    accept.into_iter().chain([Rule::new(vec![state], Target::Return)]).collect()
}

fn neighbour_discovery(family: Family) -> Vec<Rule> {
    let types = if family == Family::V6 { &NEIGHBOUR_DISCOVERY[..] } else { &[] };
    let matches = |kind| vec![Match::Protocol(Protocol::Icmp), Match::Icmp(Icmp { kind })];
    types.iter().map(|kind| Rule::new(matches(*kind), Target::Return)).collect()
}

/// Both directions, and what follows from them. Nothing of our marks leaves our chains.
fn judge(marks: Marks, accepts: bool) -> Vec<Rule> {
    let mut rules = vec![clear(marks), jump(EGRESS), jump(INGRESS)];
    if accepts {
        let accepted = Match::Mark { value: marks.accept, mask: marks.accept };
        rules.push(Rule::new(vec![accepted], Target::Goto(fixed(ACCEPT))));
    }
    rules.push(clear(marks));
    rules
}

fn reject() -> Vec<Rule> {
    let tcp = vec![Match::Protocol(Protocol::Tcp)];
    vec![
        Rule::new(tcp, Target::Reject(RejectWith::TcpReset)),
        Rule::new(vec![], Target::Reject(RejectWith::PortUnreachable)),
    ]
}

fn set_mark(bits: u32) -> Rule {
    Rule::new(vec![], Target::SetMark { value: bits, mask: bits })
}

fn clear(marks: Marks) -> Rule {
    Rule::new(vec![], Target::SetMark { value: 0, mask: marks.all() })
}

fn jump(name: &'static str) -> Rule {
    Rule::new(vec![], Target::Jump(fixed(name)))
}

fn add(graph: &mut Ruleset, name: &'static str, title: &str, rules: Vec<Rule>) {
    graph.chains.insert(fixed(name), Arc::new(Chain { rules, title: title.to_owned(), ..Chain::default() }));
}

fn hook(graph: &mut Ruleset, hook: Hook, name: &'static str, rules: Vec<Rule>) {
    add(graph, name, &format!("from {}", hook.chain()), rules);
    graph.hooks.insert(hook, fixed(name));
}

fn is_named(graph: &Ruleset, name: &str) -> bool {
    let mut targets = graph.chains.values().flat_map(|chain| &chain.rules).map(|rule| &rule.target);
    targets.any(|target| matches!(target, Target::Goto(to) | Target::Jump(to) if to.as_str() == name))
}
