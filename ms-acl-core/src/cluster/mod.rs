//! The world as state: events in, what is known out.
//!
//! A [`Cluster`] holds what the objects say, lowered. The outcome of a series of events depends on
//! the last version of each object only, never on the order in which they came, with one exception
//! that is meant: an object that turns invalid keeps its last valid version.

mod intern;
mod owner;
mod pods;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::lower::acl::AclDocument;
use crate::lower::{network_policy, selector, workload};
use crate::model::{Diagnostic, Labels, NamespaceScope, PodFacts, PodScope, Policy, Selector, Severity};
use crate::object::{DecodeError, NetworkPolicy, Object};
use crate::ruleset::ObjectRef;
use pods::Pods;

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

    /// Takes in an object, new or changed.
    pub fn apply(&mut self, object: Object) {
        let name = object.reference();
        self.faults.remove(&name);
        let key = (name.namespace.clone(), name.name.clone());
        match object {
            Object::Pod(pod) => {
                let (facts, diagnostics) = workload::pod(&pod);
                self.note(name, diagnostics);
                self.pods.put(facts);
            }
            Object::Namespace(namespace) => {
                self.namespaces.insert(key.1, namespace.metadata.labels);
            }
            Object::Node(node) => {
                self.nodes.insert(key.1, node);
            }
            Object::Deployment(deployment) => match selector(&deployment.spec.selector) {
                Ok(selector) => {
                    self.deployments.insert(key, selector);
                }
                Err(faults) => {
                    let faults = faults.into_iter().map(|(path, detail)| Diagnostic {
                        object: name.clone(),
                        path: format!("/spec/selector{path}"),
                        severity: Severity::Error,
                        detail,
                    });
                    let faults = faults.collect();
                    self.note(name, faults);
                }
            },
            Object::ReplicaSet(replica_set) => {
                self.replica_sets.insert(key, workload::deployment_of(&replica_set));
            }
            Object::NetworkPolicy(policy) => self.put_policy(name, key, &policy),
        }
    }

    /// Takes note of an object that doesn't decode. Its last version stays; a NetworkPolicy without
    /// one is refused as far as can be read whom it selects.
    pub fn apply_undecodable(&mut self, error: &DecodeError) {
        let name = error.object.clone();
        let key = (name.namespace.clone(), name.name.clone());
        let mut stands = "its last valid version stays";
        if let Some(remains) = &error.remains
            && !self.policies.get(&key).is_some_and(|entry| entry.valid)
        {
            stands = REFUSED;
            let policy = match network_policy::lower(remains) {
                Ok(policy) => policy,
                Err(invalid) => invalid.refusal,
            };
            self.policies.insert(key, PolicyEntry { policy: Arc::new(policy), valid: false });
        } else if !self.knows(&name) {
            stands = "it is left out";
        }
        let detail = format!("can't be decoded: {}; {stands}", error.cause);
        let diagnostic =
            Diagnostic { object: name.clone(), path: String::new(), severity: Severity::Error, detail };
        self.faults.insert(name, vec![diagnostic]);
    }

    /// Forgets an object. One that isn't known is no error.
    pub fn delete(&mut self, object: &ObjectRef) {
        self.faults.remove(object);
        let key = (object.namespace.clone(), object.name.clone());
        match object.kind {
            "Pod" => {
                self.pods.remove(&key.0, &key.1);
            }
            "Namespace" => {
                self.namespaces.remove(&object.name);
            }
            "Node" => {
                self.nodes.remove(&object.name);
            }
            "Deployment" => {
                self.deployments.remove(&key);
            }
            "ReplicaSet" => {
                self.replica_sets.remove(&key);
            }
            "NetworkPolicy" => {
                self.policies.remove(&key);
            }
            _ => {}
        }
    }

    /// Takes in a Deployment ACL document in place of the former one.
    pub fn set_acl(&mut self, document: Arc<AclDocument>) {
        self.acl = document;
    }

    /// The Deployment ACL document in force.
    pub fn acl(&self) -> &Arc<AclDocument> {
        &self.acl
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

    /// Whether a namespace matches a selector. A namespace that isn't known is there all the same,
    /// and every namespace carries its name as a label.
    pub fn namespace_matches(&self, name: &str, selector: &Selector) -> bool {
        if selector.is_everything() {
            return true;
        }
        let mut labels = self.namespaces.get(name).cloned().unwrap_or_default();
        labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned());
        selector.matches(&labels)
    }

    /// Whether a pod lies in a scope.
    pub fn in_scope(&self, pod: &PodFacts, scope: &PodScope) -> bool {
        let namespace_matches = match &scope.namespaces {
            NamespaceScope::Named(name) => **name == *pod.namespace,
            NamespaceScope::Selected(selector) => self.namespace_matches(&pod.namespace, selector),
        };
        namespace_matches && scope.pods.matches(&pod.labels)
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

    fn put_policy(&mut self, name: ObjectRef, key: Key, object: &NetworkPolicy) {
        match network_policy::lower(object) {
            Ok(policy) => {
                self.policies.insert(key, PolicyEntry { policy: Arc::new(policy), valid: true });
            }
            Err(invalid) => {
                let keeps = self.policies.get(&key).is_some_and(|entry| entry.valid);
                let stands = if keeps { "its last valid version stays in force" } else { REFUSED };
                let explain = |d: Diagnostic| Diagnostic { detail: format!("{}; {stands}", d.detail), ..d };
                self.note(name, invalid.diagnostics.into_iter().map(explain).collect());
                if !keeps {
                    let policy = Arc::new(invalid.refusal);
                    self.policies.insert(key, PolicyEntry { policy, valid: false });
                }
            }
        }
    }

    fn note(&mut self, name: ObjectRef, diagnostics: Vec<Diagnostic>) {
        if !diagnostics.is_empty() {
            self.faults.insert(name, diagnostics);
        }
    }

    fn knows(&self, object: &ObjectRef) -> bool {
        let key = (object.namespace.clone(), object.name.clone());
        match object.kind {
            "Pod" => self.pods.get(&key.0, &key.1).is_some(),
            "Namespace" => self.namespaces.contains_key(&object.name),
            "Node" => self.nodes.contains_key(&object.name),
            "Deployment" => self.deployments.contains_key(&key),
            "ReplicaSet" => self.replica_sets.contains_key(&key),
            _ => self.policies.contains_key(&key),
        }
    }
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
