//! Which sets see which pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::{Cluster, HolderChange};
use crate::compile::sets::{Content, PortHolders, Scopes, SetSpec};
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

/// The scopes of a set's pods; `None` = all pods.
fn scopes(content: &Content) -> Option<&Scopes> {
    match content {
        Content::Pods(scopes) | Content::NamedPorts(PortHolders::Pods(scopes), ..) => Some(scopes),
        Content::NamedPorts(..) | Content::Networks(_) => None,
    }
}

/// The only namespace that a set sees, if it is one.
fn only_namespace(content: &Content) -> Option<&str> {
    scopes(content)?.only_namespace()
}

impl Memberships {
    pub(super) fn add(&mut self, spec: SetSpec) {
        if matches!(spec.content, Content::Networks(_)) {
            return;
        }
        if let Some(name) = only_namespace(&spec.content) {
            self.named.entry(name.to_owned()).or_default().insert(spec.name.clone());
            self.seen.remove(name);
        } else {
            self.wide.insert(spec.name.clone());
            self.seen.clear();
        }
        self.sets.insert(spec.name.clone(), Arc::new(spec));
    }

    pub(super) fn remove(&mut self, name: &SetName) {
        let Some(spec) = self.sets.remove(name) else { return };
        if let Some(namespace) = only_namespace(&spec.content) {
            if let Some(names) = self.named.get_mut(namespace) {
                names.remove(name);
                if names.is_empty() {
                    self.named.remove(namespace);
                }
            }
            self.seen.remove(namespace);
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
                // A set of one scope is known to see the namespace.
                let one = scopes(&spec.content).is_none_or(Scopes::is_one);
                let sees = |scope: &PodScope| one || cluster.namespace_in_scope(&pod.namespace, scope);
                if !is_inside(&spec.content, pod, sees) {
                    continue;
                }
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
            let sees = |scope: &PodScope, labels: &Labels| match &scope.namespaces {
                NamespaceScope::Named(named) => named == name,
                NamespaceScope::Selected(selector) => selector.matches(labels),
            };
            let Some(scopes) = scopes(&spec.content) else { continue };
            if scopes.iter().all(|scope| sees(scope, before) == sees(scope, after)) {
                continue;
            }
            let mut members = none(spec);
            for pod in cluster.pods_of(name) {
                let [was, is] = [before, after]
                    .map(|labels| is_inside(&spec.content, pod, |scope: &PodScope| sees(scope, labels)));
                if was != is {
                    let addresses = cluster.addresses_of(pod).filter(|a| Family::of(*a) == spec.family);
                    let found = addresses.flat_map(|address| of_pod(&spec.content, address, pod));
                    (if is { &mut members.gained } else { &mut members.lost }).extend(found);
                }
            }
            if !members.gained.is_empty() || !members.lost.is_empty() {
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
            let sees = |spec: &&Arc<SetSpec>| {
                let of =
                    |scopes: &Scopes| scopes.iter().any(|scope| cluster.namespace_in_scope(namespace, scope));
                scopes(&spec.content).is_none_or(of)
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

/// Whether a pod lies in a set's scopes, of which these see its namespace.
fn is_inside(content: &Content, pod: &PodFacts, sees: impl Fn(&PodScope) -> bool) -> bool {
    let holds = |scope: &PodScope| sees(scope) && scope.pods.matches(&pod.labels);
    scopes(content).is_none_or(|scopes| scopes.iter().any(holds))
}

/// The members that the address of a pod is that lies in the set's scopes.
fn of_pod(content: &Content, address: IpAddr, pod: &PodFacts) -> Vec<Member> {
    match content {
        Content::Pods(_) => vec![Member::Address(address)],
        Content::NamedPorts(holders, ..) if !holders.hold(address) => Vec::new(),
        Content::NamedPorts(_, names, protocol) => {
            names.of(pod, *protocol).map(|port| Member::AddressPort(address, *protocol, port)).collect()
        }
        Content::Networks(_) => Vec::new(),
    }
}
