//! Which sets see which pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::{Cluster, HolderChange};
use crate::compile::sets::{Content, PortHolders, SetSpec};
use crate::model::{Labels, NamespaceScope, PodFacts, PodScope};
use crate::ruleset::{Family, Member, SetName, SetRole};

/// What a set gains and loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) set: SetName,
    pub(super) family: Family,
    pub(super) role: SetRole,
    pub(super) gained: Vec<Member>,
    pub(super) lost: Vec<Member>,
}

/// The sets in use whose members are pods, by the namespaces that they see.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    sets: BTreeMap<SetName, Arc<SetSpec>>,
    /// Sets that see exactly one namespace.
    named: BTreeMap<String, BTreeSet<SetName>>,
    /// Sets that see namespaces by their labels, or all of them.
    wide: BTreeSet<SetName>,
    /// For a namespace: the sets that see it. Filled when it is asked for, emptied when it may differ.
    seen: BTreeMap<Arc<str>, Vec<Arc<SetSpec>>>,
}

/// The scope of a set's pods; `None` = all pods.
fn scope(content: &Content) -> Option<&PodScope> {
    match content {
        Content::Pods(scope) | Content::NamedPort(PortHolders::Pods(scope), ..) => Some(scope),
        Content::NamedPort(..) | Content::Networks(_) => None,
    }
}

impl Memberships {
    pub(super) fn add(&mut self, spec: SetSpec) {
        if matches!(spec.content, Content::Networks(_)) {
            return;
        }
        if let Some(PodScope { namespaces: NamespaceScope::Named(name), .. }) = scope(&spec.content) {
            self.named.entry(name.clone()).or_default().insert(spec.name.clone());
            self.seen.remove(name.as_str());
        } else {
            self.wide.insert(spec.name.clone());
            self.seen.clear();
        }
        self.sets.insert(spec.name.clone(), Arc::new(spec));
    }

    pub(super) fn remove(&mut self, name: &SetName) {
        let Some(spec) = self.sets.remove(name) else { return };
        if let Some(PodScope { namespaces: NamespaceScope::Named(namespace), .. }) = scope(&spec.content) {
            if let Some(names) = self.named.get_mut(namespace) {
                names.remove(name);
                if names.is_empty() {
                    self.named.remove(namespace);
                }
            }
            self.seen.remove(namespace.as_str());
        } else {
            self.wide.remove(name);
            self.seen.clear();
        }
    }

    /// What changes where an address has another holder, or its holder is another thing.
    pub(super) fn of_holder(&mut self, change: &HolderChange, cluster: &Cluster) -> Vec<Members> {
        let mut members: BTreeMap<SetName, Members> = BTreeMap::new();
        let sides = [(&change.before, false), (&change.after, true)];
        for (pod, is) in sides {
            let Some(pod) = pod else { continue };
            let family = Family::of(change.address);
            for spec in self.seeing(&pod.namespace, cluster).iter().filter(|spec| spec.family == family) {
                let found = of_pod(&spec.content, change.address, pod);
                if found.is_empty() {
                    continue;
                }
                let entry = members.entry(spec.name.clone()).or_insert_with(|| none(spec));
                if is {
                    entry.gained = found;
                } else {
                    entry.lost = found;
                }
            }
        }
        let mut members: Vec<Members> = members.into_values().collect();
        for change in &mut members {
            let both: Vec<Member> =
                change.gained.iter().filter(|m| change.lost.contains(m)).copied().collect();
            change.gained.retain(|member| !both.contains(member));
            change.lost.retain(|member| !both.contains(member));
        }
        members.retain(|change| !change.gained.is_empty() || !change.lost.is_empty());
        members
    }

    /// What changes where a namespace has other labels.
    pub(super) fn of_namespace(
        &mut self,
        name: &str,
        before: &Labels,
        after: &Labels,
        cluster: &Cluster,
    ) -> Vec<Members> {
        self.seen.remove(name);
        let mut all = Vec::new();
        for spec in self.wide.iter().filter_map(|name| self.sets.get(name)) {
            let Some(PodScope { namespaces: NamespaceScope::Selected(selector), .. }) = scope(&spec.content)
            else {
                continue;
            };
            let (was, is) = (selector.matches(before), selector.matches(after));
            if was == is {
                continue;
            }
            let mut found = Vec::new();
            for pod in cluster.pods_of(name) {
                let addresses = cluster.addresses_of(pod).filter(|a| Family::of(*a) == spec.family);
                found.extend(addresses.flat_map(|address| of_pod(&spec.content, address, pod)));
            }
            if !found.is_empty() {
                let mut members = none(spec);
                *(if is { &mut members.gained } else { &mut members.lost }) = found;
                all.push(members);
            }
        }
        all
    }

    /// The sets that see a namespace.
    fn seeing(&mut self, namespace: &Arc<str>, cluster: &Cluster) -> &[Arc<SetSpec>] {
        if !self.seen.contains_key(namespace) {
            let named = self.named.get(&**namespace).into_iter().flatten();
            let wide = self.wide.iter();
            let specs = named.chain(wide).filter_map(|name| self.sets.get(name));
            let sees = |spec: &&Arc<SetSpec>| match scope(&spec.content) {
                Some(PodScope { namespaces: NamespaceScope::Selected(selector), .. }) => {
                    cluster.namespace_matches(namespace, selector)
                }
                _ => true,
            };
            let specs = specs.filter(sees).cloned().collect();
            self.seen.insert(Arc::clone(namespace), specs);
        }
        self.seen.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }
}

fn none(spec: &SetSpec) -> Members {
    let (gained, lost) = (Vec::new(), Vec::new());
    Members { set: spec.name.clone(), family: spec.family, role: spec.role, gained, lost }
}

/// The members that a pod's address is in a set that sees the pod's namespace.
fn of_pod(content: &Content, address: IpAddr, pod: &PodFacts) -> Vec<Member> {
    let in_scope = |scope: &PodScope| scope.pods.matches(&pod.labels);
    match content {
        Content::Pods(scope) if in_scope(scope) => vec![Member::Address(address)],
        Content::NamedPort(holders, name, protocol) => {
            let holds = match holders {
                PortHolders::Everybody => true,
                PortHolders::Pods(scope) => in_scope(scope),
                PortHolders::Networks(nets) => nets.iter().any(|net| net.contains(&address)),
            };
            let ports =
                pod.ports.iter().filter(|port| holds && port.name == *name && port.protocol == *protocol);
            ports.map(|port| Member::AddressPort(address, *protocol, port.port)).collect()
        }
        Content::Pods(_) | Content::Networks(_) => Vec::new(),
    }
}
