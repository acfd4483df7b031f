//! Events in, changes out.

use std::sync::Arc;

use super::pods::HolderChange;
use super::{Cluster, Key, PolicyEntry, REFUSED};
use crate::lower::acl::AclDocument;
use crate::lower::{network_policy, selector, workload};
use crate::model::{Diagnostic, Labels, Policy, Severity};
use crate::object::{DecodeError, NetworkPolicy, Object};
use crate::ruleset::ObjectRef;

/// Something that happened in a cluster.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "events are taken in at once, never kept")]
pub enum Event {
    /// An object is new or changed.
    Apply(Object),
    /// An object is new or changed and can't be decoded.
    Undecodable(Box<DecodeError>),
    /// An object is gone.
    Delete(ObjectRef),
    /// A Deployment ACL document takes the place of the former one.
    Acl(Arc<AclDocument>),
}

/// What an event changed of what policy looks at.
#[derive(Debug)]
pub(crate) enum Change {
    /// Addresses have another holder, or another thing is known of their holders.
    Holders(Vec<HolderChange>),
    /// A NetworkPolicy is new, changed or gone.
    Policy { object: ObjectRef, after: Option<Arc<Policy>> },
    /// A namespace has other labels.
    Namespace { name: String, before: Labels, after: Labels },
    /// Pods of a namespace may belong to other Deployments.
    Owners { namespace: String },
    /// There is another ACL document.
    Acl,
}

impl Cluster {
    /// Takes in an object, new or changed.
    pub fn apply(&mut self, object: Object) {
        self.take_in(Event::Apply(object));
    }

    /// Takes note of an object that doesn't decode. Its last version stays; a NetworkPolicy without
    /// one is refused as far as can be read whom it selects.
    pub fn apply_undecodable(&mut self, error: &DecodeError) {
        self.undecodable(error);
    }

    /// Forgets an object. One that isn't known is no error.
    pub fn delete(&mut self, object: &ObjectRef) {
        self.forget(object);
    }

    /// Takes in a Deployment ACL document in place of the former one.
    pub fn set_acl(&mut self, document: Arc<AclDocument>) {
        self.take_in(Event::Acl(document));
    }

    /// Takes in an event and tells what it changed.
    pub(crate) fn take_in(&mut self, event: Event) -> Option<Change> {
        match event {
            Event::Apply(object) => self.put(object),
            Event::Undecodable(error) => self.undecodable(&error),
            Event::Delete(object) => self.forget(&object),
            Event::Acl(document) => {
                self.acl = document;
                Some(Change::Acl)
            }
        }
    }

    fn put(&mut self, object: Object) -> Option<Change> {
        let name = object.reference();
        self.faults.remove(&name);
        let key = (name.namespace.clone(), name.name.clone());
        match object {
            Object::Pod(pod) => {
                let (facts, diagnostics) = workload::pod(&pod);
                self.note(name, diagnostics);
                self.pods.put(facts).map(Change::Holders)
            }
            Object::Namespace(namespace) => {
                let name = key.1;
                let before = self.namespace_labels(&name).into_owned();
                self.namespaces.insert(name.clone(), super::with_name(namespace.metadata.labels, &name));
                self.namespace_change(name, before)
            }
            Object::Node(node) => {
                self.nodes.insert(key.1, node);
                None
            }
            Object::Deployment(deployment) => match selector(&deployment.spec.selector) {
                Ok(selector) => {
                    let namespace = key.0.clone();
                    self.deployments.insert(key, selector);
                    Some(Change::Owners { namespace })
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
                    None
                }
            },
            Object::ReplicaSet(replica_set) => {
                let namespace = key.0.clone();
                self.replica_sets.insert(key, workload::deployment_of(&replica_set));
                Some(Change::Owners { namespace })
            }
            Object::NetworkPolicy(policy) => self.put_policy(name, key, &policy),
        }
    }

    fn put_policy(&mut self, name: ObjectRef, key: Key, object: &NetworkPolicy) -> Option<Change> {
        match network_policy::lower(object) {
            Ok(policy) => {
                self.replace_policy(name, key, PolicyEntry { policy: Arc::new(policy), valid: true })
            }
            Err(invalid) => {
                let keeps = self.policies.get(&key).is_some_and(|entry| entry.valid);
                let stands = if keeps { "its last valid version stays in force" } else { REFUSED };
                let explain = |d: Diagnostic| Diagnostic { detail: format!("{}; {stands}", d.detail), ..d };
                self.note(name.clone(), invalid.diagnostics.into_iter().map(explain).collect());
                if keeps {
                    return None;
                }
                self.replace_policy(
                    name,
                    key,
                    PolicyEntry { policy: Arc::new(invalid.refusal), valid: false },
                )
            }
        }
    }

    fn replace_policy(&mut self, object: ObjectRef, key: Key, entry: PolicyEntry) -> Option<Change> {
        let after = Some(Arc::clone(&entry.policy));
        let before = self.policies.insert(key, entry);
        let same = before.is_some_and(|before| Some(&before.policy) == after.as_ref());
        (!same).then_some(Change::Policy { object, after })
    }

    fn undecodable(&mut self, error: &DecodeError) -> Option<Change> {
        let name = error.object.clone();
        let key = (name.namespace.clone(), name.name.clone());
        let mut stands = "its last valid version stays";
        let mut change = None;
        if let Some(remains) = &error.remains
            && !self.policies.get(&key).is_some_and(|entry| entry.valid)
        {
            stands = REFUSED;
            let policy = match network_policy::lower(remains) {
                Ok(policy) => policy,
                Err(invalid) => invalid.refusal,
            };
            let entry = PolicyEntry { policy: Arc::new(policy), valid: false };
            change = self.replace_policy(name.clone(), key, entry);
        } else if !self.knows(&name) {
            stands = "it is left out";
        }
        let detail = format!("can't be decoded: {}; {stands}", error.cause);
        let diagnostic =
            Diagnostic { object: name.clone(), path: String::new(), severity: Severity::Error, detail };
        self.faults.insert(name, vec![diagnostic]);
        change
    }

    fn forget(&mut self, object: &ObjectRef) -> Option<Change> {
        self.faults.remove(object);
        let key = (object.namespace.clone(), object.name.clone());
        match object.kind {
            "Pod" => self.pods.remove(&key.0, &key.1).map(Change::Holders),
            "Namespace" => {
                let before = self.namespaces.remove(&object.name)?;
                self.namespace_change(object.name.clone(), before)
            }
            "Node" => {
                self.nodes.remove(&object.name);
                None
            }
            "Deployment" => self.deployments.remove(&key).map(|_| Change::Owners { namespace: key.0 }),
            "ReplicaSet" => self.replica_sets.remove(&key).map(|_| Change::Owners { namespace: key.0 }),
            "NetworkPolicy" => {
                self.policies.remove(&key)?;
                Some(Change::Policy { object: object.clone(), after: None })
            }
            _ => None,
        }
    }

    fn namespace_change(&self, name: String, before: Labels) -> Option<Change> {
        let after = self.namespace_labels(&name).into_owned();
        (before != after).then_some(Change::Namespace { name, before, after })
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
