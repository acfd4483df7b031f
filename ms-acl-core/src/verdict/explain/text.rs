//! An explanation as text, for somebody who is awake at three in the morning.

use std::fmt::{self, Display, Formatter};

use super::{End, Explanation, GateDecision, Question, Reason, RuleName, Side, Trail, words};
use crate::cluster::Cluster;
use crate::ruleset::{Direction, GateKind};
use crate::verdict::{Endpoint, Verdict};

/// At most this many rules that nearly match are printed for a gate.
const FEW: usize = 8;

impl Display for Explanation {
    /// The verdict and every reason against the flow in the first lines; then each direction with its
    /// gates, the kernel's rules, and what nearly matched where the flow is refused. The other family
    /// follows where anything about it differs.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let first = &self.trail;
        let other = self.other_family.as_ref();
        let disagrees = other.filter(|other| other.verdict != first.verdict);
        let (from, to, port) = (&self.from, &self.to, self.port);
        if let Some(other) = disagrees {
            let (a, b) = (first.family, other.family);
            writeln!(f, "{} in {a}, {} in {b}: {from} -> {to} {port}", first.verdict, other.verdict)?;
            refusals(f, first, &format!("in {a}, "))?;
            refusals(f, other, &format!("in {b}, "))?;
        } else {
            writeln!(f, "{}: {from} -> {to} {port}", first.verdict)?;
            refusals(f, first, "")?;
        }
        trail(f, first)?;
        match other {
            Some(other) if decided(first) == decided(other) => {
                writeln!(
                    f,
                    "{} gives the same verdict for the same reasons: {}",
                    other.family, other.verdict
                )?;
            }
            Some(other) => {
                writeln!(f, "{}, the other family: {}", other.family, other.verdict)?;
                trail(f, other)?;
            }
            None => {}
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Everything that refuses a flow, a line each: it passes once none of them is left.
fn refusals(f: &mut Formatter<'_>, trail: &Trail, family: &str) -> fmt::Result {
    let mut word = "because";
    for (direction, side) in trail.sides().filter(|(_, side)| side.verdict != Verdict::Allow) {
        let gates = side.gates.iter().filter(|gate| gate.verdict != Verdict::Allow);
        let mut details: Vec<&str> = gates.map(|gate| &*gate.detail).collect();
        if details.is_empty() {
            details.push(&side.detail);
        }
        for detail in details {
            writeln!(f, "{word} {family}in {direction} of {}: {detail}", side.pod)?;
            word = "and also";
        }
    }
    Ok(())
}

/// What decides a direction: what it says, why, and by which gate, object and rule.
type Decided<'a> = (Direction, Verdict, Reason, Option<(GateKind, Option<&'a str>, Option<usize>)>);

/// What decides each direction of a flow.
fn decided(trail: &Trail) -> Vec<Decided<'_>> {
    fn one((direction, side): (Direction, &Side)) -> Decided<'_> {
        let rule = side.decision().map(|gate| (gate.gate, gate.object.as_deref(), gate.rule));
        (direction, side.verdict, side.reason, rule)
    }
    trail.sides().map(one).collect()
}

fn trail(f: &mut Formatter<'_>, trail: &Trail) -> fmt::Result {
    writeln!(f, "  {} from {} to {}", trail.family, end(&trail.source), end(&trail.destination))?;
    for (direction, answer) in [(Direction::Egress, &trail.egress), (Direction::Ingress, &trail.ingress)] {
        if let Some(answer) = answer {
            side(f, direction, answer)?;
        } else {
            let end = match direction {
                Direction::Egress => "source",
                Direction::Ingress => "destination",
            };
            writeln!(f, "  {direction}: nobody judges it, the {end} is no pod with a network of its own")?;
        }
    }
    if trail.accepted {
        writeln!(
            f,
            "  an ACL rule says ALLOW: rules that follow ours in the base chain don't see this flow"
        )?;
    }
    Ok(())
}

fn end(end: &End) -> String {
    match (&end.pod, &end.node) {
        (Some(pod), Some(node)) => format!("{} (pod {pod} on node {node})", end.address),
        (Some(pod), None) => format!("{} (pod {pod} on no node yet)", end.address),
        (None, Some(node)) => format!("{} (node {node})", end.address),
        (None, None) => format!("{} (outside of the cluster)", end.address),
    }
}

fn side(f: &mut Formatter<'_>, direction: Direction, side: &Side) -> fmt::Result {
    writeln!(f, "  {direction} of {} on node {}: {}", side.pod, side.node, side.verdict)?;
    if side.deciding.is_none() {
        writeln!(f, "    {}", side.detail)?;
        if let Some(text) = &side.kernel.text {
            writeln!(f, "      {text}")?;
        }
    }
    for decision in &side.gates {
        gate(f, direction, decision)?;
    }
    Ok(())
}

fn gate(f: &mut Formatter<'_>, direction: Direction, decision: &GateDecision) -> fmt::Result {
    writeln!(f, "    gate {}: {}, {}", decision.gate, decision.verdict, decision.detail)?;
    match (&decision.kernel.chain, decision.kernel.line, &decision.kernel.text) {
        (Some(chain), Some(line), Some(text)) => {
            let rule = text.strip_prefix(&format!("-A {chain} ")).unwrap_or(text);
            writeln!(f, "      kernel: chain {chain}, line {line}: {rule}")?;
        }
        (Some(chain), _, _) => writeln!(f, "      kernel: the end of chain {chain}")?,
        _ => {}
    }
    let name = |rule: &RuleName| {
        let place = words::place(decision.gate, direction, rule.rule);
        format!("{} {place}{}", rule.object, words::label(rule.label.as_deref()))
    };
    for rule in decision.matching.iter().take(FEW) {
        match decision.gate {
            GateKind::Kubernetes => writeln!(f, "      also matches: {}", name(rule))?,
            _ => writeln!(f, "      comes too late: {}, which would {}", name(rule), rule.action)?,
        }
    }
    if decision.verdict == Verdict::Allow || decision.reason == Reason::OutsidePodIpRange {
        return Ok(());
    }
    // Only what would change the outcome helps somebody whose flow is refused.
    let helpful = decision.nearest.iter().filter(|near| matches!(near.name.action, "allow" | "accept"));
    let (shown, count) = (helpful.clone().take(FEW), helpful.count());
    for near in shown {
        writeln!(f, "      nearly: {}, but {}", name(&near.name), near.detail)?;
    }
    if count > FEW {
        writeln!(f, "      nearly: {} more rules", count - FEW)?;
    }
    Ok(())
}

/// What else is worth knowing about an answer.
pub(super) fn notes(
    cluster: &Cluster,
    question: &Question,
    first: &Trail,
    other: Option<&Trail>,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(other) = other.filter(|other| other.verdict != first.verdict) {
        notes.push(format!(
            "the families disagree: {} says {}, {} says {}",
            first.family, first.verdict, other.family, other.verdict
        ));
    }
    for end in [&question.from, &question.to] {
        if let Some(pod) = end.pod(cluster).filter(|pod| pod.host_network) {
            notes.push(format!(
                "{end} lives on the host network: it looks like node {}, and no policy governs it or selects it",
                pod.node
            ));
        } else if let Some(pod) = end.pod(cluster).filter(|pod| pod.node.is_empty()) {
            notes.push(format!("{end} has no node: no node judges it ({} addresses)", pod.addresses.len()));
        }
        if let Endpoint::Address(address) = end
            && cluster.pod_at(*address).is_none()
            && super::node_at(cluster, *address).is_none()
        {
            notes.push(format!(
                "{address} is the address of no pod and no node: it is taken for one outside of the cluster (for a \
                 Service ask for a pod behind it: policy sees addresses and ports after translation)"
            ));
        }
    }
    if first.verdict != Verdict::Allow || other.is_some_and(|other| other.verdict != Verdict::Allow) {
        notes.push(
            "this is about a new connection: packets of one that is established already pass".to_owned(),
        );
    }
    notes
}
