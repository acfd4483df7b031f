//! The world as state: events in, what is known out.
//!
//! A [`Cluster`] holds what the objects say, lowered. The outcome of a series of events depends on
//! the last version of each object only, never on the order in which they came, with one exception
//! that is meant: an object that turns invalid keeps its last valid version.

mod event;
mod intern;
mod owner;
mod pods;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::lower::acl::AclDocument;
use crate::model::{Diagnostic, Labels, NamespaceScope, PodFacts, PodScope, Policy, Selector};
use crate::ruleset::ObjectRef;
use pods::Pods;

pub(crate) use event::Change;
pub use event::Event;
pub(crate) use pods::HolderChange;

/// A namespace and a name.
pub(crate) type Key = (String, String);

pub(crate) fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_owned(), name.to_owned())
}

/// The label that every namespace has: its name.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Everything that is known of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pods: Pods,
    namespaces: BTreeMap<String, Labels>,
    nodes: BTreeMap<String, crate::object::Node>,
    deployments: BTreeMap<Key, Selector>,
    replica_sets: BTreeMap<Key, Option<String>>,
    policies: BTreeMap<Key, PolicyEntry>,
    acl: Arc<AclDocument>,
    faults: BTreeMap<ObjectRef, Vec<Diagnostic>>,
    incomplete: bool,
}

/// A NetworkPolicy as it is in force.
#[derive(Debug, Clone)]
struct PolicyEntry {
    policy: Arc<Policy>,
    /// Whether this is a version that its author wrote, not a refusal that stands in for one.
    valid: bool,
}

impl Cluster {
    /// An empty cluster.
    pub fn new() -> Self {
        Cluster::default()
    }

    /// The Deployment ACL document in force.
    pub fn acl(&self) -> &Arc<AclDocument> {
        &self.acl
    }

    /// Says whether objects may exist that nobody could read. Then a namespace without an object of its
    /// own may have any labels: of it matches only what its name alone decides. To be said before a
    /// [`crate::program::Program`] begins.
    pub fn set_incomplete(&mut self, incomplete: bool) {
        self.incomplete = incomplete;
    }

    /// What is wrong with the objects, ordered by object.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        self.faults.values().flatten().cloned().chain(self.acl_warnings()).collect()
    }

    /// The number of objects of each kind that are known.
    pub fn counts(&self) -> Counts {
        Counts {
            pods: self.pods.len(),
            namespaces: self.namespaces.len(),
            nodes: self.nodes.len(),
            network_policies: self.policies.len(),
            acl_entries: self.acl.deployments(),
        }
    }

    /// All pods, ordered by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &PodFacts> {
        self.pods.iter().map(|pod| &**pod)
    }

    /// The pods of a namespace, by name.
    pub fn pods_of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a PodFacts> {
        self.pods.of(namespace).map(|pod| &**pod)
    }

    /// A pod by its name.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&PodFacts> {
        self.pods.get(namespace, name).map(|pod| &**pod)
    }

    /// The pod that has an address: of several, the newest.
    pub fn pod_at(&self, address: IpAddr) -> Option<&PodFacts> {
        self.pods.holder(address).map(|pod| &**pod)
    }

    /// The addresses that a pod really has: none that a newer pod has.
    pub fn addresses_of<'a>(&'a self, pod: &'a PodFacts) -> impl Iterator<Item = IpAddr> + 'a {
        pod.addresses.iter().copied().filter(|address| {
            self.pods.holder(*address).is_some_and(|h| h.namespace == pod.namespace && h.name == pod.name)
        })
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&crate::object::Node> {
        self.nodes.get(name)
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &crate::object::Node> {
        self.nodes.values()
    }

    /// The namespaces that exist: those with an object of their own, and those that a pod or a policy
    /// lives in.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        let own = self.namespaces.keys().map(String::as_str);
        let of_policies = self.policies.keys().map(|(namespace, _)| namespace.as_str());
        own.chain(of_policies).chain(self.pods().map(|pod| &*pod.namespace)).collect()
    }

    /// Whether a Deployment exists.
    pub fn has_deployment(&self, namespace: &str, name: &str) -> bool {
        self.deployments.contains_key(&key(namespace, name))
    }

    /// Whether a namespace matches a selector. A namespace that isn't known is there all the same,
    /// and every namespace carries its name as a label.
    pub fn namespace_matches(&self, name: &str, selector: &Selector) -> bool {
        if self.incomplete && !self.namespaces.contains_key(name) {
            return selector.must_match_by(NAMESPACE_NAME_LABEL, name);
        }
        selector.is_everything() || selector.matches(&self.namespace_labels(name))
    }

    /// A namespace's labels, its name among them.
    pub(crate) fn namespace_labels(&self, name: &str) -> Cow<'_, Labels> {
        match self.namespaces.get(name) {
            Some(labels) => Cow::Borrowed(labels),
            None => Cow::Owned(with_name(Labels::new(), name)),
        }
    }

    /// Whether a pod lies in a scope.
    pub fn in_scope(&self, pod: &PodFacts, scope: &PodScope) -> bool {
        self.namespace_in_scope(&pod.namespace, scope) && scope.pods.matches(&pod.labels)
    }

    /// Whether a scope looks at a namespace.
    pub(crate) fn namespace_in_scope(&self, namespace: &str, scope: &PodScope) -> bool {
        match &scope.namespaces {
            NamespaceScope::Named(name) => name == namespace,
            NamespaceScope::Selected(selector) => self.namespace_matches(namespace, selector),
        }
    }

    /// The NetworkPolicies of a namespace, by name.
    pub(crate) fn policies_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Policy>> {
        let start = (namespace.to_owned(), String::new());
        let in_namespace = self.policies.range(start..).take_while(move |((ns, _), _)| ns == namespace);
        in_namespace.map(|(_, entry)| &entry.policy)
    }

    /// All NetworkPolicies that are in force.
    pub fn network_policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values().map(|entry| &entry.policy)
    }
}

fn with_name(mut labels: Labels, name: &str) -> Labels {
    labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned());
    labels
}

const REFUSED: &str = "the pods that it selects are refused in the directions that it declares";

/// How many objects of each kind are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the number of objects of the kind that it names")]
pub struct Counts {
    pub pods: usize,
    pub namespaces: usize,
    pub nodes: usize,
    pub network_policies: usize,
    pub acl_entries: usize,
}
