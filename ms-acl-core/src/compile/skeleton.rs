//! The chains that base chains jump to, and the small ones that end a policy's.

use std::collections::BTreeMap;

use super::name::fixed;
use super::{ACCEPT, ADMIN, ALLOW, EGRESS, INGRESS, PASS, REJECT};
use crate::model::{Marks, NodeTraffic, Protocol, Settings};
use crate::ruleset::{
    Chain, ChainContent, ChainName, Family, Hook, Icmp, Match, RejectWith, Rule, States, Target,
};

/// Neighbour and router discovery, redirects and multicast listener discovery. They aren't
/// tracked, so no state lets them pass; a bridged pod dies without them.
const NEIGHBOUR_DISCOVERY: [u8; 8] = [130, 131, 132, 133, 134, 135, 136, 143];

/// What of the skeleton is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(crate) struct Needs {
    /// Some policy lets flows pass.
    pub(crate) pass: bool,
    /// Some policy accepts flows.
    pub(crate) accept: bool,
    /// Some policy refuses flows with an answer.
    pub(crate) reject: bool,
    /// Some pod's egress is governed.
    pub(crate) egress: bool,
    /// Some pod's ingress is governed.
    pub(crate) ingress: bool,
}

/// Everything around the dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Skeleton {
    /// The chains.
    pub(crate) chains: Vec<(ChainName, Chain)>,
    /// Where base chains jump in.
    pub(crate) hooks: BTreeMap<Hook, ChainName>,
}

/// Builds everything around the dispatch.
pub(crate) fn build(family: Family, settings: &Settings, needs: Needs) -> Skeleton {
    let marks = settings.marks;
    let accepts = needs.accept;
    let mut skeleton = Skeleton::default();
    if needs.pass {
        skeleton.add(PASS, "a gate lets pass", vec![set_mark(marks.pass)]);
    }
    if needs.reject {
        skeleton.add(REJECT, "refusal with an answer", reject());
    }
    if accepts {
        skeleton.add(ALLOW, "a gate accepts", vec![set_mark(marks.pass | marks.accept)]);
        let seen = Target::SetConnmark { value: marks.seen, mask: marks.seen };
        let rules = vec![Rule::new(vec![], seen), clear(marks), Rule::new(vec![], Target::Accept)];
        skeleton.add(ACCEPT, "accepted: later rules don't see it", rules);
    }
    let title = "the operator's own".to_owned();
    let admin = Chain { content: ChainContent::Operators, title, ..Chain::default() };
    skeleton.chains.push((fixed(ADMIN), admin));

    let mut forward = vec![jump(ADMIN)];
    forward.extend(established(marks, accepts));
    forward.extend(neighbour_discovery(family));
    if family == Family::V6 && (needs.egress || needs.ingress) {
        let link_local = "fe80::/10".parse().expect("a network");
        forward.push(Rule::new(vec![Match::Source(link_local)], Target::Drop));
        forward.push(Rule::new(vec![Match::Destination(link_local)], Target::Drop));
    }
    forward.extend(judge(marks, accepts));
    skeleton.hook(Hook::Forward, "MS-FORWARD", forward);

    let mut output = established(marks, accepts);
    match settings.node_traffic {
        NodeTraffic::Allow => output.push(Rule::new(vec![Match::SourceIsLocal], Target::Return)),
        NodeTraffic::Enforce => output.extend(neighbour_discovery(family)),
    }
    output.extend(judge(marks, accepts));
    skeleton.hook(Hook::Output, "MS-OUTPUT", output);

    if settings.node_traffic == NodeTraffic::Enforce && needs.egress {
        let mut input = established(marks, accepts);
        input.extend(neighbour_discovery(family));
        input.extend(judge(marks, accepts));
        skeleton.hook(Hook::Input, "MS-INPUT", input);
    }
    skeleton
}

impl Skeleton {
    fn add(&mut self, name: &'static str, title: &str, rules: Vec<Rule>) {
        self.chains.push((fixed(name), Chain { rules, title: title.to_owned(), ..Chain::default() }));
    }

    fn hook(&mut self, hook: Hook, name: &'static str, rules: Vec<Rule>) {
        self.add(name, &format!("from {}", hook.chain()), rules);
        self.hooks.insert(hook, fixed(name));
    }
}

/// What of the skeleton a policy's or a gate's chain needs.
pub(crate) fn needs_of(chain: &Chain) -> Needs {
    let names = |name: &str| {
        let mut targets = chain.rules.iter().map(|rule| &rule.target);
        targets.any(|target| matches!(target, Target::Goto(to) if to.as_str() == name))
    };
    Needs { pass: names(PASS), accept: names(ALLOW), reject: names(REJECT), ..Needs::default() }
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
