//! What has changed since the last transaction was taken, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::membership::Members;
use crate::diff::{RuleStep, Step, Transaction, chain_edit};
use crate::ruleset::{Chain, ChainContent, ChainName, Family, Hook, Rulesets, Set, SetName, SetRole};

/// Steps that are ready, then one batch of rules that is still open, then the members that change
/// after it. Rules that change after those members begin another batch.
#[derive(Debug, Default)]
pub(super) struct Pending {
    ready: Vec<Step>,
    /// Chains of the open batch, each as the kernel has it when the batch is sent.
    chains: BTreeMap<(Family, ChainName), Option<Arc<Chain>>>,
    /// Hooks of the open batch, likewise.
    hooks: BTreeMap<(Family, Hook), Option<ChainName>>,
    after: Vec<Step>,
    /// Chains that are gone from the graph and still in the kernel.
    dead_chains: BTreeMap<(Family, ChainName), Arc<Chain>>,
    /// Sets that are gone from the graph and still in the kernel.
    dead_sets: BTreeMap<SetName, Arc<Set>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.chains.is_empty()
            && self.hooks.is_empty()
            && self.after.is_empty()
            && self.dead_chains.is_empty()
            && self.dead_sets.is_empty()
    }

    /// Another event begins. Sets that the former ones gave up may be wanted again, with other members:
    /// the rules that named them have to be gone by then.
    pub(super) fn begin(&mut self, graph: &Rulesets) {
        if !self.dead_sets.is_empty() {
            self.close(graph);
        }
    }

    /// Puts a chain into the graph, or takes it out.
    pub(super) fn chain(
        &mut self,
        graph: &mut Rulesets,
        family: Family,
        name: &ChainName,
        new: Option<Chain>,
    ) {
        let old = graph.family(family).chains.get(name).cloned();
        if old.as_deref() == new.as_ref() {
            return;
        }
        self.open(graph);
        let key = (family, name.clone());
        let dead = self.dead_chains.remove(&key);
        let kernels = self.chains.entry(key.clone()).or_insert_with(|| old.or(dead)).clone();
        let chains = &mut graph.family_mut(family).chains;
        if let Some(chain) = new {
            chains.insert(name.clone(), Arc::new(chain));
        } else {
            chains.remove(name);
            self.dead_chains.extend(kernels.map(|kernels| (key, kernels)));
        }
    }

    /// Lets a base chain jump to a chain, or to none.
    pub(super) fn hook(&mut self, graph: &mut Rulesets, family: Family, hook: Hook, new: Option<ChainName>) {
        let old = graph.family(family).hooks.get(&hook).cloned();
        if old == new {
            return;
        }
        self.open(graph);
        self.hooks.entry((family, hook)).or_insert(old);
        let hooks = &mut graph.family_mut(family).hooks;
        match new {
            Some(chain) => hooks.insert(hook, chain),
            None => hooks.remove(&hook),
        };
    }

    /// Puts a new set into the graph: created and filled before the open batch names it.
    pub(super) fn create_set(&mut self, graph: &mut Rulesets, name: &SetName, set: Arc<Set>) {
        if let Some(dead) = self.dead_sets.remove(name) {
            // The kernel has it still, with the members that it had. It went in an earlier event, so what
            // is ready leaves no rule that names it.
            let gained: Vec<_> = set.members.difference(&dead.members).copied().collect();
            let lost: Vec<_> = dead.members.difference(&set.members).copied().collect();
            let gains = (!gained.is_empty()).then(|| Step::AddMembers(name.clone(), set.family, gained));
            let losses = (!lost.is_empty()).then(|| Step::RemoveMembers(name.clone(), set.family, lost));
            self.ready.extend(gains.into_iter().chain(losses));
        } else {
            self.ready.push(Step::CreateSet(name.clone(), Arc::clone(&set)));
        }
        graph.family_mut(set.family).sets.insert(name.clone(), set);
    }

    /// Takes a set out of the graph.
    pub(super) fn drop_set(&mut self, graph: &mut Rulesets, family: Family, name: &SetName) {
        if let Some(set) = graph.family_mut(family).sets.remove(name) {
            self.dead_sets.insert(name.clone(), set);
        }
    }

    /// Changes members of sets in the graph. A set that has just gone from it stays as it is until it
    /// is deleted: nothing that packets reach names it.
    pub(super) fn members(&mut self, members: &[Members], graph: &mut Rulesets) {
        let mut changed = Vec::with_capacity(members.len());
        for change in members {
            if let Some(set) = graph.family_mut(change.family).sets.get_mut(&change.set) {
                let set = Arc::make_mut(set);
                set.members.extend(&change.gained);
                for member in &change.lost {
                    set.members.remove(member);
                }
                changed.push(change);
            }
        }
        self.member_steps(&changed);
    }

    /// Sets that refuse gain first, sets that permit lose first.
    fn member_steps(&mut self, members: &[&Members]) {
        let gaining = members.iter().copied().filter(|m| !m.gained.is_empty());
        let (refuse, permit): (Vec<&Members>, Vec<&Members>) =
            gaining.partition(|m| m.role == SetRole::Refuse);
        let gains = refuse.into_iter().chain(permit);
        let gains = gains.map(|m| Step::AddMembers(m.set.clone(), m.family, m.gained.clone()));
        let losing = members.iter().copied().filter(|m| !m.lost.is_empty());
        let (permit, refuse): (Vec<&Members>, Vec<&Members>) =
            losing.partition(|m| m.role == SetRole::Permit);
        let losses = permit.into_iter().chain(refuse);
        let losses = losses.map(|m| Step::RemoveMembers(m.set.clone(), m.family, m.lost.clone()));
        let open = !self.chains.is_empty() || !self.hooks.is_empty();
        let steps = if open { &mut self.after } else { &mut self.ready };
        steps.extend(gains.chain(losses));
    }

    /// Makes sure that a batch is open whose rules change before no members.
    fn open(&mut self, graph: &Rulesets) {
        if !self.after.is_empty() {
            self.close(graph);
        }
    }

    /// Turns the open batch into a step.
    fn close(&mut self, graph: &Rulesets) {
        let mut batch = Vec::new();
        let mut edits = Vec::new();
        for ((family, name), kernels) in std::mem::take(&mut self.chains) {
            let Some(chain) = graph.family(family).chains.get(&name) else { continue };
            if kernels.is_none() {
                batch.push(RuleStep::CreateChain(family, name.clone(), chain.content));
            }
            if chain.content == ChainContent::Ours {
                let before = kernels.as_ref().map(|chain| &chain.rules[..]).unwrap_or_default();
                edits.extend(chain_edit(family, &name, before, &chain.rules).map(RuleStep::Edit));
            }
        }
        for ((family, hook), old) in std::mem::take(&mut self.hooks) {
            match graph.family(family).hooks.get(&hook) {
                Some(chain) if old.as_ref() != Some(chain) => {
                    edits.push(RuleStep::Hook(family, hook, chain.clone()));
                }
                None if old.is_some() => edits.push(RuleStep::Unhook(family, hook)),
                _ => {}
            }
        }
        batch.append(&mut edits);
        self.ready.extend((!batch.is_empty()).then_some(Step::Rules(batch)));
        self.ready.append(&mut self.after);
    }

    /// All steps; what is gone from the graph is deleted at the end.
    pub(super) fn finish(mut self, graph: &Rulesets) -> Transaction {
        self.close(graph);
        let mut steps = self.ready;
        let chains: Vec<_> = self.dead_chains.into_keys().collect();
        let sets: Vec<_> = self.dead_sets.into_keys().collect();
        steps.extend((!chains.is_empty()).then_some(Step::DeleteChains(chains)));
        steps.extend((!sets.is_empty()).then_some(Step::DeleteSets(sets)));
        Transaction { steps }
    }
}
