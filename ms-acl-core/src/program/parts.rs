//! The chains and sets of one family, and who uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Local, Shop};
use crate::compile::ROOTS;
use crate::compile::dispatch::{self, Line};
use crate::compile::gate::{self, GateNames, GroupNames};
use crate::compile::name::fixed;
use crate::compile::policy;
use crate::compile::sets::SetSpec;
use crate::compile::skeleton::{self, Needs, Skeleton};
use crate::model::{Policy, Settings};
use crate::resolve::{Gate, ResolvedPolicy};
use crate::ruleset::{Chain, ChainName, Direction, Family, ObjectRef, SetName};

/// The parts of one family's graph.
#[derive(Debug)]
pub(super) struct Parts {
    family: Family,
    /// For each direction: the dispatch.
    governed: [BTreeMap<IpAddr, Line>; 2],
    /// Whether a direction's dispatch has changed since it was written.
    stale: [bool; 2],
    /// The chains of each direction's dispatch.
    dispatch: [BTreeSet<ChainName>; 2],
    /// Lines that change once memberships have: to the group alone, or away.
    leaving: Vec<(Direction, IpAddr, Option<Line>)>,
    nodes: BTreeMap<ChainName, Node>,
    by_object: BTreeMap<ObjectRef, BTreeSet<ChainName>>,
    sets: BTreeMap<SetName, usize>,
    /// Chains that may have become unused.
    unused: BTreeSet<ChainName>,
    /// How many chains need `MS-PASS`, `MS-ALLOW`, `MS-REJECT`.
    needs: [usize; 3],
    skeleton: Skeleton,
    written: Option<Needs>,
}

/// A chain of a group, a gate or a policy.
#[derive(Debug)]
struct Node {
    /// How many dispatch lines (a group) or chains (others) name it.
    uses: usize,
    below: Vec<ChainName>,
    sets: Vec<SetName>,
    needs: Needs,
    policy: Option<(ResolvedPolicy, Direction)>,
}

impl Parts {
    pub(super) fn new(family: Family) -> Self {
        Parts {
            family,
            governed: Default::default(),
            stale: [true; 2],
            dispatch: Default::default(),
            leaving: Vec::new(),
            nodes: BTreeMap::new(),
            by_object: BTreeMap::new(),
            sets: BTreeMap::new(),
            unused: BTreeSet::new(),
            needs: [0; 3],
            skeleton: Skeleton::default(),
            written: None,
        }
    }

    /// Takes away the lines of addresses that a pod has no more.
    pub(super) fn vacate(&mut self, old: Option<&Local>, new: Option<&Local>) {
        let after = self.addresses(new);
        for address in self.addresses(old).into_iter().filter(|address| !after.contains(address)) {
            for direction in Direction::BOTH {
                self.set_line(direction, address, None);
            }
        }
    }

    /// Puts a pod's lines in place of those of its former self. `both`: memberships change next, so a
    /// line that would go stays until [`Parts::leave`].
    pub(super) fn settle(
        &mut self,
        old: Option<&Local>,
        new: Option<&Local>,
        both: bool,
        (settings, shop): (&Settings, &mut Shop<'_>),
    ) {
        let (before, after) = (self.addresses(old), self.addresses(new));
        for (index, direction) in Direction::BOTH.into_iter().enumerate() {
            let names = |local: Option<&Local>| local.and_then(|local| local.names[index].clone());
            let (leaves, enters) = (names(old), names(new));
            let gates = new.map(|local| local.pod.gates(direction)).unwrap_or_default();
            for address in &after {
                if let Some(names) = &enters {
                    self.group(names, gates, (settings, direction), shop);
                }
                let kept = before.contains(address).then_some(leaves.as_ref()).flatten();
                let kept = kept.map(|names| names.group.clone()).filter(|_| both);
                let group = enters.as_ref().map(|names| names.group.clone());
                let line = |group: &ChainName| Line::new(group.clone(), *address, &after);
                let line = match (&group, kept) {
                    (Some(group), Some(kept)) if *group != kept => {
                        self.leaving.push((direction, *address, Some(line(group))));
                        Some(Line { leaving: Some(kept), ..line(group) })
                    }
                    (Some(group), _) => Some(line(group)),
                    (None, Some(kept)) => {
                        self.leaving.push((direction, *address, None));
                        Some(line(&kept))
                    }
                    (None, None) => None,
                };
                self.set_line(direction, *address, line.as_ref());
            }
        }
    }

    fn addresses(&self, local: Option<&Local>) -> Vec<IpAddr> {
        let addresses = local.into_iter().flat_map(|local| local.pod.addresses.iter().copied());
        addresses.filter(|address| Family::of(*address) == self.family).collect()
    }

    /// Lets the lines that waited for memberships go.
    pub(super) fn leave(&mut self) {
        for (direction, address, line) in std::mem::take(&mut self.leaving) {
            self.set_line(direction, address, line.as_ref());
        }
    }

    fn set_line(&mut self, direction: Direction, address: IpAddr, line: Option<&Line>) {
        let index = direction as usize;
        let old = match line {
            Some(line) => self.governed[index].insert(address, line.clone()),
            None => self.governed[index].remove(&address),
        };
        if old.as_ref() == line {
            return;
        }
        self.stale[index] = true;
        for group in groups(line) {
            if let Some(node) = self.nodes.get_mut(group) {
                node.uses += 1;
            }
        }
        for group in groups(old.as_ref()) {
            self.release(&group.clone());
        }
    }

    fn release(&mut self, name: &ChainName) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.uses = node.uses.saturating_sub(1);
            if node.uses == 0 {
                self.unused.insert(name.clone());
            }
        }
    }

    /// Makes sure that the chains of a group are there.
    fn group(
        &mut self,
        names: &GroupNames,
        gates: &[Gate],
        (settings, direction): (&Settings, Direction),
        shop: &mut Shop<'_>,
    ) {
        if self.nodes.contains_key(&names.group) {
            return;
        }
        for (names, gate) in names.gates.iter().zip(gates) {
            self.gate(names, gate, (settings, direction), shop);
        }
        let below = names.gates.iter().map(|gate| gate.gate.clone()).collect();
        let chain = gate::group_chain(names, gates, direction);
        self.insert(&names.group, (chain, Vec::new()), (below, None), shop);
        self.unused.insert(names.group.clone());
    }

    fn gate(
        &mut self,
        names: &GateNames,
        gate: &Gate,
        (settings, direction): (&Settings, Direction),
        shop: &mut Shop<'_>,
    ) {
        if let Some(node) = self.nodes.get_mut(&names.gate) {
            node.uses += 1;
            return;
        }
        let policies = gate.tiers.iter().flat_map(|tier| &tier.policies);
        for (resolved, name) in policies.zip(names.policies.iter().flatten()) {
            if let Some(node) = self.nodes.get_mut(name) {
                node.uses += 1;
                continue;
            }
            let built = policy::chain(resolved, direction, self.family);
            self.by_object.entry(resolved.policy.object.clone()).or_default().insert(name.clone());
            self.insert(name, built, (Vec::new(), Some((resolved.clone(), direction))), shop);
            self.nodes.entry(name.clone()).and_modify(|node| node.uses = 1);
        }
        let built = gate::gate_chain(names, gate, settings, (direction, self.family));
        let below = names.policies.iter().flatten().cloned().collect();
        self.insert(&names.gate, built, (below, None), shop);
        self.nodes.entry(names.gate.clone()).and_modify(|node| node.uses = 1);
    }

    fn insert(
        &mut self,
        name: &ChainName,
        (chain, specs): (Chain, Vec<SetSpec>),
        (below, policy): (Vec<ChainName>, Option<(ResolvedPolicy, Direction)>),
        shop: &mut Shop<'_>,
    ) {
        let sets = self.use_sets(specs, shop);
        let needs = skeleton::needs_of(&chain);
        self.count(needs, 1);
        self.nodes.insert(name.clone(), Node { uses: 0, below, sets, needs, policy });
        shop.pending.chain(shop.graph, self.family, name, Some(chain));
    }

    /// Builds the chains of a policy again, with its new content.
    pub(super) fn rewrite(&mut self, object: &ObjectRef, policy: &Arc<Policy>, shop: &mut Shop<'_>) {
        for name in self.by_object.get(object).cloned().unwrap_or_default() {
            let Some((resolved, direction)) = self.nodes.get(&name).and_then(|node| node.policy.clone())
            else {
                continue;
            };
            let resolved = ResolvedPolicy { policy: Arc::clone(policy), ..resolved };
            let (chain, specs) = policy::chain(&resolved, direction, self.family);
            let sets = self.use_sets(specs, shop);
            let needs = skeleton::needs_of(&chain);
            self.count(needs, 1);
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            node.policy = Some((resolved, direction));
            let former = (std::mem::replace(&mut node.sets, sets), std::mem::replace(&mut node.needs, needs));
            self.count(former.1, -1);
            shop.pending.chain(shop.graph, self.family, &name, Some(chain));
            self.release_sets(&former.0, shop);
        }
    }

    fn use_sets(&mut self, specs: Vec<SetSpec>, shop: &mut Shop<'_>) -> Vec<SetName> {
        let mut names = Vec::with_capacity(specs.len());
        for spec in specs {
            let name = spec.name.clone();
            let uses = self.sets.entry(name.clone()).or_default();
            *uses += 1;
            if *uses == 1 {
                let set = Arc::new(spec.fill(shop.cluster));
                shop.pending.create_set(shop.graph, &name, set);
                shop.memberships.add(spec);
            }
            names.push(name);
        }
        names
    }

    fn release_sets(&mut self, names: &[SetName], shop: &mut Shop<'_>) {
        for name in names {
            let Some(uses) = self.sets.get_mut(name) else { continue };
            *uses -= 1;
            if *uses == 0 {
                self.sets.remove(name);
                shop.memberships.remove(name);
                shop.pending.drop_set(shop.graph, self.family, name);
            }
        }
    }

    fn count(&mut self, needs: Needs, by: isize) {
        let needed = [needs.pass, needs.accept, needs.reject];
        for (count, needed) in self.needs.iter_mut().zip(needed) {
            *count = count.saturating_add_signed(if needed { by } else { 0 });
        }
    }

    /// Writes the dispatch and the skeleton where they changed, and forgets what nobody uses.
    pub(super) fn write(&mut self, settings: &Settings, shop: &mut Shop<'_>) {
        for (direction, root) in ROOTS {
            let index = direction as usize;
            if std::mem::take(&mut self.stale[index]) {
                let chains = dispatch::chains(&fixed(root), (direction, self.family), &self.governed[index]);
                let names: BTreeSet<ChainName> = chains.iter().map(|(name, _)| name.clone()).collect();
                let former = std::mem::replace(&mut self.dispatch[index], names);
                for (name, chain) in chains {
                    shop.pending.chain(shop.graph, self.family, &name, Some(chain));
                }
                for name in former.difference(&self.dispatch[index]) {
                    shop.pending.chain(shop.graph, self.family, name, None);
                }
            }
        }
        self.sweep(shop);
        let [pass, accept, reject] = self.needs.map(|count| count > 0);
        let [egress, ingress] = [0, 1].map(|index: usize| !self.governed[index].is_empty());
        let needs = Needs { pass, accept, reject, egress, ingress };
        if self.written != Some(needs) {
            self.write_skeleton(skeleton::build(self.family, settings, needs), shop);
            self.written = Some(needs);
        }
    }

    fn write_skeleton(&mut self, skeleton: Skeleton, shop: &mut Shop<'_>) {
        let former = std::mem::replace(&mut self.skeleton, skeleton.clone());
        for (name, chain) in skeleton.chains {
            shop.pending.chain(shop.graph, self.family, &name, Some(chain));
        }
        for (hook, name) in &skeleton.hooks {
            shop.pending.hook(shop.graph, self.family, *hook, Some(name.clone()));
        }
        for hook in former.hooks.keys().filter(|hook| !skeleton.hooks.contains_key(*hook)) {
            shop.pending.hook(shop.graph, self.family, *hook, None);
        }
        let names: BTreeSet<&ChainName> = self.skeleton.chains.iter().map(|(name, _)| name).collect();
        for (name, _) in former.chains.iter().filter(|(name, _)| !names.contains(name)) {
            shop.pending.chain(shop.graph, self.family, name, None);
        }
    }

    fn sweep(&mut self, shop: &mut Shop<'_>) {
        while let Some(name) = self.unused.pop_first() {
            let Some(node) = self.nodes.remove(&name) else { continue };
            if node.uses > 0 {
                self.nodes.insert(name, node);
                continue;
            }
            shop.pending.chain(shop.graph, self.family, &name, None);
            self.count(node.needs, -1);
            self.release_sets(&node.sets, shop);
            for below in &node.below {
                self.release(below);
            }
            if let Some((resolved, _)) = node.policy
                && let Some(names) = self.by_object.get_mut(&resolved.policy.object)
            {
                names.remove(&name);
                if names.is_empty() {
                    self.by_object.remove(&resolved.policy.object);
                }
            }
        }
    }
}

fn groups(line: Option<&Line>) -> impl Iterator<Item = &ChainName> {
    line.into_iter().flat_map(|line| std::iter::once(&line.group).chain(line.leaving.as_ref()))
}
