//! Two graphs of one family as one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::compile::dispatch::{self, Line};
use crate::compile::layout::{self, GateLayout};
use crate::compile::name::{Identity, fixed};
use crate::compile::skeleton::{self, Needs};
use crate::compile::{ROOTS, gate, gate_with_policies};
use crate::model::{PodFacts, Policy, Settings};
use crate::resolve::gate_of;
use crate::ruleset::{
    Chain, ChainName, Comment, Direction, GateKind, Member, Rule, Ruleset, SetKind, Target,
};

/// What is known of the cluster.
pub(super) struct Known<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) settings: &'a Settings,
    /// Whose addresses are known.
    pub(super) addresses: &'a BTreeMap<IpAddr, (Arc<str>, Arc<str>)>,
    /// Addresses that lost a holder since the start.
    pub(super) passed_on: &'a BTreeSet<IpAddr>,
    /// Policies that are known, or were.
    pub(super) policies: &'a BTreeSet<Comment>,
    /// The addresses of this node's pods.
    pub(super) local: BTreeSet<IpAddr>,
    /// The entries of the ACL document, by the text on the jump to their chains.
    pub(super) acl: BTreeMap<Comment, Arc<Policy>>,
}

impl Known<'_> {
    /// A pod's other addresses of an address's family.
    fn others(&self, pod: &PodFacts, address: IpAddr) -> Vec<IpAddr> {
        let own = self.cluster.addresses_of(pod);
        own.filter(|other| *other != address && other.is_ipv4() == address.is_ipv4()).collect()
    }
}

/// Merges a family's former graph into the desired one.
pub(super) fn family(former: &Ruleset, desired: &Ruleset, known: &Known<'_>) -> Ruleset {
    let mut merge = Merge { former, desired, known, graph: desired.clone() };
    let mut needs = Needs::default();
    for (direction, root) in ROOTS {
        let root = fixed(root);
        let lines = merge.lines(direction);
        match direction {
            Direction::Egress => needs.egress = !lines.is_empty(),
            Direction::Ingress => needs.ingress = !lines.is_empty(),
        }
        for below in layout::dispatch_below(desired, &root) {
            merge.graph.chains.remove(below);
        }
        for (name, chain) in dispatch::chains(&root, (direction, former.family), &lines) {
            merge.graph.chains.insert(name, Arc::new(chain));
        }
    }
    let mut graph = merge.graph;
    join_members(&mut graph, former);
    graph.complete_from(former);
    for chain in graph.chains.values() {
        let needed = skeleton::needs_of(chain);
        needs.pass |= needed.pass;
        needs.accept |= needed.accept;
        needs.reject |= needed.reject;
    }
    let skeleton = skeleton::build(former.family, known.settings, needs);
    graph.chains.extend(skeleton.chains.into_iter().map(|(name, chain)| (name, Arc::new(chain))));
    graph.hooks = skeleton.hooks;
    graph
}

/// Former members stay in the sets that are still wanted. Sets of networks are what their name says.
fn join_members(graph: &mut Ruleset, former: &Ruleset) {
    for (name, set) in &mut graph.sets {
        let Some(former) = former.sets.get(name).filter(|_| set.kind != SetKind::Networks) else { continue };
        let more: Vec<Member> = former.members.difference(&set.members).copied().collect();
        if !more.is_empty() {
            Arc::make_mut(set).members.extend(more);
        }
    }
}

/// What a gate's chain is made of.
struct GateParts<'a> {
    /// The line that lets flows from or to outside of the controlled range pass.
    range: Option<&'a Rule>,
    /// The policies' chains, in order, each with the text on the jump to it.
    policies: &'a [(&'a ChainName, Option<&'a Comment>)],
    /// What happens when no policy decides.
    otherwise: Option<&'a Rule>,
}

struct Merge<'a> {
    former: &'a Ruleset,
    desired: &'a Ruleset,
    known: &'a Known<'a>,
    graph: Ruleset,
}

impl<'a> Merge<'a> {
    /// Which chains judge each address.
    fn lines(&mut self, direction: Direction) -> BTreeMap<IpAddr, Line> {
        let (former, desired) = (by_address(self.former, direction), by_address(self.desired, direction));
        let others = layout::other_addresses(self.former, direction);
        let addresses: BTreeSet<IpAddr> = former.keys().chain(desired.keys()).copied().collect();
        let mut lines = BTreeMap::new();
        for address in addresses {
            let desired = desired.get(&address).and_then(|groups| groups.first().copied());
            let former = former.get(&address).map(Vec::as_slice).unwrap_or_default();
            let line = match former {
                _ if self.known.passed_on.contains(&address) => desired.cloned().map(Line::to),
                [] => desired.cloned().map(Line::to),
                // It is known that no pod of this node has it.
                _ if self.is_elsewhere(address) => desired.cloned().map(Line::to),
                [former] => self.group(direction, (former, desired), self.is_known(address)),
                // A change that wasn't finished: no line of it is known to be the right one.
                [former, ..] => Some(both(desired.unwrap_or(former), Some(former))),
            };
            let others = match self.known.cluster.pod_at(address) {
                Some(pod) => self.known.others(pod, address),
                None => others.get(&address).cloned().unwrap_or_default(),
            };
            lines.extend(line.map(|line| (address, Line { others, ..line })));
        }
        lines
    }

    fn is_known(&self, address: IpAddr) -> bool {
        self.known.addresses.contains_key(&address)
    }

    fn is_elsewhere(&self, address: IpAddr) -> bool {
        self.is_known(address) && !self.known.local.contains(&address)
    }

    /// The chains that judge a pod: its gates as they are known, and what else it was under. Of a pod that
    /// isn't known nobody can say that a policy isn't for it any more.
    fn group(
        &mut self,
        direction: Direction,
        (former, desired): (&'a ChainName, Option<&'a ChainName>),
        is_known: bool,
    ) -> Option<Line> {
        let before = layout::gates(self.former, former);
        let now = desired.map(|group| layout::gates(self.desired, group)).unwrap_or_default();
        let recognised = before.iter().all(|gate| gate.kind.is_some() && !gate.policies.is_empty());
        if !recognised || before.is_empty() {
            return Some(both(desired.unwrap_or(former), Some(former)));
        }
        let mut gates = Vec::new();
        for kind in [GateKind::Acl, GateKind::EgressFirewall, GateKind::Kubernetes] {
            let of_kind = |gates: &[GateLayout<'a>]| -> Option<GateLayout<'a>> {
                gates.iter().find(|gate| gate.kind == Some(kind)).cloned()
            };
            let (mut held, now) = (of_kind(&before), of_kind(&now));
            if kind == GateKind::Acl {
                gates.extend(self.acl(direction, held.as_ref(), now.as_ref()));
                continue;
            }
            if let Some(held) = held.as_mut().filter(|_| is_known) {
                held.policies.retain(|(_, comment)| comment.is_none_or(|c| !self.known.policies.contains(c)));
            }
            gates.extend(self.gates(direction, kind, held, now));
        }
        let chains = (self.former.chains.get(former), desired.and_then(|name| self.desired.chains.get(name)));
        let guards =
            chains.1.or(chains.0)?.rules.iter().filter(|rule| !matches!(rule.target, Target::Jump(_)));
        let jumps = gates.iter().map(|gate| Rule::new(Vec::new(), Target::Jump(gate.clone())));
        let rules: Vec<Rule> = guards.cloned().chain(jumps).collect();
        if gates.is_empty() {
            return None;
        }
        if let Some(desired) = desired.filter(|name| self.desired.chains.get(*name).is_some_and(same(&rules)))
        {
            return Some(Line::to(desired.clone()));
        }
        let kind = match direction {
            Direction::Egress => 'E',
            Direction::Ingress => 'I',
        };
        let title = format!("{direction} of pods that a former run governed");
        let mut identity = Identity::new("held group");
        identity.direction(direction);
        for gate in &gates {
            identity.chain(gate);
        }
        Some(Line::to(self.insert(former, (identity, kind), Chain { rules, title, ..Chain::default() })))
    }

    /// The ACL gates. The document is always known, not always whose pods an entry is for: the former entry
    /// stays beside the one that seems to be the pod's, with its content of now. Both must let pass.
    fn acl(
        &mut self,
        direction: Direction,
        held: Option<&GateLayout<'a>>,
        now: Option<&GateLayout<'a>>,
    ) -> Vec<ChainName> {
        let mut gates: Vec<ChainName> = now.map(|gate| gate.chain.clone()).into_iter().collect();
        let entries = held.iter().flat_map(|held| &held.policies).filter_map(|(_, comment)| *comment);
        for entry in entries.filter_map(|comment| self.known.acl.get(comment)) {
            let Some(gate) = gate_of(entry, direction) else { continue };
            let names = gate::gate_names(&gate, direction);
            let (cluster, settings) = (self.known.cluster, self.known.settings);
            gate_with_policies(&mut self.graph, cluster, settings, (&names, &gate, direction));
            if !gates.contains(&names.gate) {
                gates.push(names.gate);
            }
        }
        gates
    }

    /// The gates of one kind. Policies of Kubernetes add up in one gate; of firewalls one alone decides, so
    /// that a former one which isn't the known one is a gate of its own: both must let pass.
    fn gates(
        &mut self,
        direction: Direction,
        kind: GateKind,
        mut held: Option<GateLayout<'a>>,
        now: Option<GateLayout<'a>>,
    ) -> Vec<ChainName> {
        let known: BTreeSet<&ChainName> =
            now.iter().flat_map(|gate| gate.policies.iter().map(|(name, _)| *name)).collect();
        if let Some(held) = &mut held {
            held.policies.retain(|(name, _)| !known.contains(name));
        }
        let held = held.filter(|held| !held.policies.is_empty());
        match (held, now) {
            (None, now) => now.map(|gate| gate.chain.clone()).into_iter().collect(),
            (Some(held), Some(now)) if kind == GateKind::Kubernetes => {
                vec![self.united(direction, &held, &now)]
            }
            (Some(held), now) => {
                let own = self.held_gate(direction, &held);
                now.map(|gate| gate.chain.clone()).into_iter().chain([own]).collect()
            }
        }
    }

    /// The known policies of a gate and those that a former run had besides.
    fn united(&mut self, direction: Direction, held: &GateLayout<'a>, now: &GateLayout<'a>) -> ChainName {
        let mut policies = now.policies.clone();
        policies.extend(&held.policies);
        // In the former order, so that a gate which is as it was stays the same chain.
        let place = |name: &ChainName| {
            let chain = self.former.chains.get(held.chain)?;
            chain.rules.iter().position(|rule| rule.leads_to() == Some(name))
        };
        policies.sort_by_key(|(name, _)| place(name));
        let range = range_of(self.desired, now.chain);
        let parts = GateParts { range, policies: &policies, otherwise: now.otherwise };
        self.gate(direction, held.chain, parts)
    }

    /// A gate of a former run, with those of its policies that may still be there.
    fn held_gate(&mut self, direction: Direction, held: &GateLayout<'a>) -> ChainName {
        let range = range_of(self.former, held.chain);
        let parts = GateParts { range, policies: &held.policies, otherwise: held.otherwise };
        self.gate(direction, held.chain, parts)
    }

    fn gate(
        &mut self,
        direction: Direction,
        former: &ChainName,
        GateParts { range, policies, otherwise }: GateParts<'_>,
    ) -> ChainName {
        let marks = self.known.settings.marks;
        let asked = policies.iter().flat_map(|(name, comment)| gate::ask(name, comment.cloned(), marks));
        let rules: Vec<Rule> = std::iter::once(gate::clear(marks))
            .chain(range.cloned())
            .chain(asked)
            .chain(otherwise.cloned())
            .collect();
        let mut identity = Identity::new("held gate");
        identity.direction(direction);
        identity.chain(former);
        for (name, _) in policies {
            identity.chain(name);
        }
        let title = format!("{direction} gate with policies of a former run");
        self.insert(former, (identity, 'G'), Chain { rules, title, ..Chain::default() })
    }

    /// Puts a chain into the graph: under its former name where the kernel has it so, else under one of its
    /// own.
    fn insert(&mut self, former: &ChainName, (identity, kind): (Identity, char), chain: Chain) -> ChainName {
        let as_it_was = self.former.chains.get(former).filter(|chain_was| same(&chain.rules)(chain_was));
        let name = match as_it_was {
            Some(_) => former.clone(),
            None => identity.chain_name(kind),
        };
        self.graph.chains.entry(name.clone()).or_insert_with(|| Arc::new(chain));
        name
    }
}

/// One chain, or two that must both let pass.
fn both(group: &ChainName, other: Option<&ChainName>) -> Line {
    let leaving = other.filter(|other| *other != group).cloned();
    Line { leaving, ..Line::to(group.clone()) }
}

/// The groups that each address is led to, in the order of their names.
fn by_address(graph: &Ruleset, direction: Direction) -> BTreeMap<IpAddr, Vec<&ChainName>> {
    let mut lines: BTreeMap<IpAddr, Vec<&ChainName>> = BTreeMap::new();
    for (group, nets) in layout::groups(graph, direction) {
        for net in nets.iter().filter(|net| net.prefix_len() == net.max_prefix_len()) {
            lines.entry(net.addr()).or_default().push(group);
        }
    }
    lines
}

/// The line of a gate that lets flows from or to outside of the controlled range pass.
fn range_of<'a>(graph: &'a Ruleset, gate: &ChainName) -> Option<&'a Rule> {
    let rule = graph.chains.get(gate)?.rules.get(1)?;
    let of_mark = |test: &crate::ruleset::Match| matches!(test, crate::ruleset::Match::Mark { .. });
    (rule.target == Target::Return && !rule.matches.iter().any(of_mark)).then_some(rule)
}

/// Whether a chain has these rules, as a kernel sees them.
fn same(rules: &[Rule]) -> impl Fn(&Arc<Chain>) -> bool + '_ {
    move |chain| {
        chain.rules.len() == rules.len()
            && chain.rules.iter().zip(rules).all(|(one, other)| one.programs_same(other))
    }
}
