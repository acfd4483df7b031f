//! A packet walks the rule graph, as it would walk the kernel's.
//!
//! [`walk`] takes one packet through one family's graph from one base chain. [`Nodes`] judges a
//! flow between two addresses of a cluster on every node that sees it. [`explain()`] says for a flow
//! which object, rule and kernel rule decided and what nearly did; [`matrix()`] says for many pods who
//! reaches whom.

mod endpoint;
pub mod explain;
mod flow;
pub mod matrix;
mod packet;
mod port;
#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, EndpointError, NoAddress};
pub use explain::explain;
pub(crate) use flow::node_addresses;
pub use flow::{Answer, Decision, DirectionAnswer, Flow, Nodes, Verdict};
pub use matrix::matrix;
pub use packet::Packet;
pub use port::{FlowPort, FlowPortError};

use crate::ruleset::{Chain, ChainName, Hook, RejectWith, Rule, Ruleset, Target};

/// Where a packet's walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Back in the base chain: rules that follow our jump see it.
    Pass,
    /// Accepted: rules that follow our jump don't see it.
    Accept,
    /// Dropped.
    Drop,
    /// Dropped, and its sender is told.
    Reject(RejectWith),
}

/// A rule that a packet met and whose matches held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The chain's name.
    pub chain: &'a ChainName,
    /// The rule's index in it.
    pub index: usize,
    /// The rule.
    pub rule: &'a Rule,
}

/// A packet's walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk<'a> {
    /// Where it ended.
    pub outcome: Outcome,
    /// The packet's mark at the end.
    pub mark: u32,
    /// The connection's mark at the end.
    pub connmark: u32,
    /// The rules that it met and whose matches held, in order.
    pub hits: Vec<Hit<'a>>,
}

/// More transitions than any graph of ours has; one that has more goes round in circles.
const LIMIT: usize = 100_000;

/// Takes a packet through a graph from a base chain. A hook without a jump of ours lets it pass. A
/// graph that goes round in circles, which no kernel would take, drops it.
pub fn walk<'a>(graph: &'a Ruleset, hook: Hook, packet: &Packet) -> Walk<'a> {
    run(graph, graph.hooks.get(&hook), packet, None)
}

/// Takes a packet through one chain and what it leads to. A chain that isn't there lets it pass.
pub fn walk_chain<'a>(graph: &'a Ruleset, chain: &ChainName, packet: &Packet) -> Walk<'a> {
    run(graph, Some(chain), packet, None)
}

/// Takes a packet through a graph from a chain. Jumps to `passed_by` are passed by, as if that chain
/// were empty.
fn run<'a>(
    graph: &'a Ruleset,
    start: Option<&ChainName>,
    packet: &Packet,
    passed_by: Option<&str>,
) -> Walk<'a> {
    let mut packet = packet.clone();
    let mut hits = Vec::new();
    let mut stack: Vec<Position<'a>> = start.and_then(|name| enter(graph, name)).into_iter().collect();
    let mut outcome = Outcome::Pass;
    let mut transitions = 0;
    while let Some(position) = stack.last_mut() {
        let Some(rule) = position.chain.rules.get(position.next) else {
            stack.pop();
            continue;
        };
        let hit = Hit { chain: position.name, index: position.next, rule };
        position.next += 1;
        if !rule.matches.iter().all(|m| packet.matches(m, &graph.sets)) {
            continue;
        }
        hits.push(hit);
        transitions += 1;
        if transitions > LIMIT {
            outcome = Outcome::Drop;
            break;
        }
        match &rule.target {
            Target::Accept => outcome = Outcome::Accept,
            Target::Drop => outcome = Outcome::Drop,
            Target::Reject(with) => outcome = Outcome::Reject(*with),
            Target::Return => {
                stack.pop();
            }
            Target::Jump(name) if passed_by == Some(name.as_str()) => {}
            Target::Jump(name) => stack.extend(enter(graph, name)),
            Target::Goto(name) => {
                stack.pop();
                stack.extend(enter(graph, name));
            }
            Target::SetMark { value, mask } => packet.mark = packet.mark & !mask ^ value,
            Target::SetConnmark { value, mask } => packet.connmark = packet.connmark & !mask ^ value,
            Target::Nflog { .. } | Target::Unreadable => {}
        }
        if outcome != Outcome::Pass {
            break;
        }
    }
    Walk { outcome, mark: packet.mark, connmark: packet.connmark, hits }
}

struct Position<'a> {
    name: &'a ChainName,
    chain: &'a Chain,
    next: usize,
}

fn enter<'a>(graph: &'a Ruleset, name: &ChainName) -> Option<Position<'a>> {
    let (name, chain) = graph.chains.get_key_value(name)?;
    Some(Position { name, chain, next: 0 })
}
