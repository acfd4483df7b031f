//! Why a flow passes, or doesn't.
//!
//! The walk over the compiled graph answers, so the explanation is of what the kernel runs: each
//! direction's part of the graph is walked by itself (the packet passes by the other direction), and
//! within it each gate's chain, so that all gates tell what they decide, also behind one that
//! refuses. The cluster's policies only lend the words, and tell which rules nearly matched.

mod ends;
mod fit;
mod side;
mod text;
mod words;

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::{Endpoint, Flow, FlowPort, NoAddress, Nodes, Verdict};
use crate::ruleset::{ChainName, Direction, Family, GateKind};
pub(super) use ends::common;
use ends::{addresses_of_nodes, node_at, pairs, who};

/// A question: may this end open a flow to that one?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who opens it.
    pub from: Endpoint,
    /// To whom, after translation: a pod, not a Service.
    pub to: Endpoint,
    /// To which port.
    pub port: FlowPort,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// An end has no address.
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    /// The ends have no family in common.
    #[error("{from} has only {from_family} and {to} only {to_family}: no flow is possible between them")]
    NoCommonFamily {
        /// Who opens the flow.
        from: Endpoint,
        /// Its family.
        from_family: Family,
        /// To whom.
        to: Endpoint,
        /// Its family.
        to_family: Family,
    },
}

/// What becomes of a flow, and why.
///
/// As JSON: the fields of [`Trail`] for the family in which the flow is most likely opened (that of
/// the destination's first address), then `from`, `to`, `port`, `otherFamily` (a second trail where both ends
/// have both families, else null) and `notes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The trail of the first family.
    #[serde(flatten)]
    pub trail: Trail,
    /// Who opens the flow, as asked.
    pub from: Endpoint,
    /// To whom, as asked.
    pub to: Endpoint,
    /// To which port.
    pub port: FlowPort,
    /// The trail of the other family, where both ends have it.
    pub other_family: Option<Trail>,
    /// What else is worth knowing, in sentences.
    pub notes: Vec<String>,
}

/// What becomes of a flow in one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trail {
    /// What becomes of it: the first refusal of the two directions, else allow.
    pub verdict: Verdict,
    /// What the source's own direction says; `None` where the source is no pod of a node.
    pub egress: Option<Side>,
    /// What the destination's own direction says; `None` where the destination is no pod of a node.
    pub ingress: Option<Side>,
    /// Whether an ACL rule accepts the flow: rules of other programs after ours don't see it.
    pub accepted: bool,
    /// The family.
    #[serde(serialize_with = "as_text")]
    pub family: Family,
    /// The address that opens the flow, and whose it is.
    pub source: End,
    /// The address that it goes to, and whose it is.
    pub destination: End,
}

impl Trail {
    /// The directions that somebody judges, the source's own first.
    pub fn sides(&self) -> impl Iterator<Item = (Direction, &Side)> {
        let sides = [(Direction::Egress, &self.egress), (Direction::Ingress, &self.ingress)];
        sides.into_iter().filter_map(|(direction, side)| Some((direction, side.as_ref()?)))
    }

    /// The direction that refuses the flow: the source's own where both do.
    pub fn refusal(&self) -> Option<(Direction, &Side)> {
        self.sides().find(|(_, side)| side.verdict != Verdict::Allow)
    }
}

/// An address and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The pod that has it: `namespace/name`.
    pub pod: Option<String>,
    /// The node that the pod runs on, or whose own the address is.
    pub node: Option<String>,
}

/// What one direction of a pod says of a flow.
///
/// As JSON: `verdict`; `gate`, `tier`, `object`, `rule`, `label`, `chain`, `line`, `text`, `nearest` and
/// `matching` of the gate that decides (see [`GateDecision`]; null or empty where none does); `reason`,
/// `detail`, `pod`, `node`; and `gates`, all of them in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What it says.
    pub verdict: Verdict,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub detail: String,
    /// The pod: `namespace/name`.
    pub pod: String,
    /// The node that judges it.
    pub node: String,
    /// The kernel rule that decided, where no gate did.
    pub kernel: KernelRule,
    /// What each gate decides, in order, each as if those before it had let the flow pass.
    pub gates: Vec<GateDecision>,
    /// The index of the gate that decides: the first that refuses, else the last that has a rule for
    /// the flow, else the last; `None` where no gate judges it.
    pub deciding: Option<usize>,
}

impl Side {
    /// The gate that decides.
    pub fn decision(&self) -> Option<&GateDecision> {
        self.gates.get(self.deciding?)
    }
}

/// Why a direction, or a gate, says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A rule matches.
    Rule,
    /// No rule of the policies matches, and this is what happens then.
    NoRule,
    /// The other end lies outside of the range that Kubernetes policy judges.
    OutsidePodIpRange,
    /// No policy selects the pod in this direction.
    NoPolicy,
    /// A pod always reaches itself.
    Itself,
    /// Traffic between a pod and its own node isn't judged.
    OwnNode,
    /// Link-local addresses are no way around.
    LinkLocal,
    /// Policies select the pod, and the rules that were asked have no line for it: the kernel lacks
    /// them, or holds those of another moment.
    NotProgrammed,
    /// A rule of ours that belongs to no policy.
    Scaffolding,
}

/// A rule as it stands in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct KernelRule {
    /// The chain it stands in.
    #[serde(serialize_with = "as_optional_text")]
    pub chain: Option<ChainName>,
    /// Its number in the chain, from 1, as `iptables -L --line-numbers` counts.
    pub line: Option<usize>,
    /// The rule as iptables-save prints it.
    pub text: Option<String>,
}

/// What one gate decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateDecision {
    /// What it decides.
    pub verdict: Verdict,
    /// Which gate: `acl`, `egress-firewall`, `kubernetes`.
    #[serde(serialize_with = "as_text")]
    pub gate: GateKind,
    /// The tier of the gate that decides: `acl`, `egress-firewall`, `network-policy`.
    pub tier: &'static str,
    /// The object that decides; where no rule matches, all objects of the tier, separated by `, `.
    pub object: Option<String>,
    /// The index of the rule that decides in its object's list for the direction (ACL: in the entry's
    /// list of rules), from 0; `None` = no rule, but what happens otherwise.
    pub rule: Option<usize>,
    /// The rule's own name.
    pub label: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The same in a sentence.
    pub detail: String,
    /// The deciding rule in the kernel.
    #[serde(flatten)]
    pub kernel: KernelRule,
    /// The tier's policies for the pod, in order.
    pub policies: Vec<String>,
    /// The tier's rules that failed in exactly one match.
    pub nearest: Vec<Nearest>,
    /// The tier's other rules that match the flow too.
    pub matching: Vec<RuleName>,
}

/// A rule of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleName {
    /// The object.
    pub object: String,
    /// The rule's index in its object's list for the direction, from 0.
    pub rule: usize,
    /// The rule's own name.
    pub label: Option<String>,
    /// What the rule does: `allow`, `accept`, `drop`, `reject`.
    pub action: &'static str,
}

/// A rule that failed in exactly one match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// The rule.
    #[serde(flatten)]
    pub name: RuleName,
    /// Which match failed.
    pub failed: Failed,
    /// What the rule wants there and what the flow has.
    pub detail: String,
}

/// A match of a rule that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failed {
    /// The rule is for other sources.
    Source,
    /// The rule is for other destinations.
    Destination,
    /// The rule is for other ports of the protocol.
    Port,
    /// The rule is for other protocols.
    Protocol,
}

/// Answers a question. `local_addresses` tells which addresses a node has itself; those of the Node
/// object count in any case.
pub fn explain(
    nodes: &mut Nodes<'_>,
    question: &Question,
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Result<Explanation, NoAnswer> {
    let cluster = nodes.cluster();
    let (first, second) = pairs(cluster, (&question.from, &question.to), local_addresses)?;
    let own = addresses_of_nodes(cluster, question, local_addresses);
    let local_addresses = &|node: &str| {
        let own = own.iter().filter(|(name, _)| name == node).flat_map(|(_, addresses)| addresses);
        let mut addresses = local_addresses(node);
        addresses.extend(own);
        addresses
    };
    let mut judge = |(from, to)| {
        let flow = Flow { from, to, protocol: question.port.protocol(), port: question.port.number() };
        let mut trail = trail(nodes, flow, local_addresses);
        for end in [&mut trail.source, &mut trail.destination] {
            let node = own.iter().find(|(_, addresses)| addresses.contains(&end.address));
            end.node = end.node.take().or_else(|| node.map(|(name, _)| name.clone()));
        }
        trail
    };
    let first = judge(first);
    let other_family = second.map(judge);
    let notes = text::notes(cluster, question, &first, other_family.as_ref());
    Ok(Explanation {
        trail: first,
        from: question.from.clone(),
        to: question.to.clone(),
        port: question.port,
        other_family,
        notes,
    })
}

fn trail(nodes: &mut Nodes<'_>, flow: Flow, local_addresses: &dyn Fn(&str) -> Vec<IpAddr>) -> Trail {
    let answer = nodes.judge(flow, local_addresses);
    let cluster = nodes.cluster();
    let end = |address: IpAddr| {
        let pod = cluster.pod_at(address);
        let node = match pod {
            Some(pod) => Some(pod.node.to_string()).filter(|node| !node.is_empty()),
            None => node_at(cluster, address).map(str::to_owned),
        };
        End { address, pod: pod.map(|pod| format!("{}/{}", pod.namespace, pod.name)), node }
    };
    let (source, destination) = (end(flow.from), end(flow.to));
    Trail {
        verdict: answer.verdict,
        egress: side::side(nodes, flow, Direction::Egress, local_addresses),
        ingress: side::side(nodes, flow, Direction::Ingress, local_addresses),
        accepted: answer.accepted,
        family: Family::of(flow.from),
        source,
        destination,
    }
}

pub(super) fn as_text<S: Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn as_optional_text<S: Serializer>(
    value: &Option<impl std::fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
