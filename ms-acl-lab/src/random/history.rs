//! Histories: a world, and what happens in it.

use ms_acl_core::object::{Deployment, Metadata, Namespace, NetworkPolicy, Pod, ReplicaSet};
use ms_acl_core::ruleset::ObjectRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dice, Shape, cluster};
use crate::oracle::{World, acl, is_valid_policy};

/// A world, and what happens in it, one thing after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The world at the start.
    pub world: World,
    /// What happens.
    pub edits: Vec<Edit>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is an object, new or changed, but for the last two")]
pub enum Edit {
    Pod(Pod),
    Namespace(Namespace),
    ReplicaSet(ReplicaSet),
    Deployment(Deployment),
    NetworkPolicy(NetworkPolicy),
    /// Another policy document is pushed; null = none.
    Acl(Value),
    /// An object goes, if it is there.
    Delete {
        kind: String,
        namespace: String,
        name: String,
    },
}

/// A history in a shape, with at most so many edits.
pub fn history(dice: &mut Dice, shape: &Shape, most: usize) -> History {
    let world = cluster::world(dice, shape);
    // Objects of the same names as other worlds have them.
    let others: Vec<World> = (0..2).map(|_| cluster::world(dice, shape)).collect();
    let mut now = world.clone();
    let mut edits = Vec::new();
    for _ in 0..dice.between(1, most) {
        let other = dice.pick(&others);
        if let Some(edit) = edit(dice, &now, &other) {
            edit.happen(&mut now);
            edits.push(edit);
        }
    }
    History { world, edits }
}

fn edit(dice: &mut Dice, now: &World, other: &World) -> Option<Edit> {
    Some(match dice.below(20) {
        0..=6 => Edit::Pod(changed_pod(dice, now, other)?),
        7..=8 => delete("Pod", &some(dice, &now.pods)?.metadata),
        9..=12 => {
            let mut policy = some(dice, &other.network_policies)?;
            if dice.chance(60) {
                policy.metadata = some(dice, &now.network_policies)?.metadata;
            }
            Edit::NetworkPolicy(policy)
        }
        13 => delete("NetworkPolicy", &some(dice, &now.network_policies)?.metadata),
        14 => Edit::Acl(other.acl.clone()),
        15 => Edit::Namespace(some(dice, &other.namespaces)?),
        16 => delete("Namespace", &some(dice, &now.namespaces)?.metadata),
        17 => Edit::ReplicaSet(some(dice, &other.replica_sets)?),
        18 => Edit::Deployment(some(dice, &other.deployments)?),
        _ if dice.chance(50) => delete("ReplicaSet", &some(dice, &now.replica_sets)?.metadata),
        _ => delete("Deployment", &some(dice, &now.deployments)?.metadata),
    })
}

/// A new pod, or one that is there with another place, other labels, ports, or all of it.
fn changed_pod(dice: &mut Dice, now: &World, other: &World) -> Option<Pod> {
    let new = some(dice, &other.pods)?;
    let Some(mut old) = some(dice, &now.pods).filter(|_| dice.chance(75)) else { return Some(new) };
    match dice.below(6) {
        0 => old.metadata.labels = new.metadata.labels,
        1 => old.metadata.owner_references = new.metadata.owner_references,
        2 => old.spec.containers = new.spec.containers,
        3 => old.status.phase = new.status.phase,
        // The same name with another address, as a StatefulSet's pods have (40).
        4 => {
            old.status = new.status;
            old.spec.host_network = new.spec.host_network;
        }
        _ => {
            let metadata = old.metadata;
            old = new;
            old.metadata.name = metadata.name;
            old.metadata.namespace = metadata.namespace;
        }
    }
    Some(old)
}

fn some<T: Clone>(dice: &mut Dice, all: &[T]) -> Option<T> {
    if all.is_empty() { None } else { Some(dice.pick(all)) }
}

fn delete(kind: &str, metadata: &Metadata) -> Edit {
    let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
    Edit::Delete { kind: kind.to_owned(), namespace, name }
}

impl Edit {
    /// The object that goes.
    pub fn deleted(&self) -> Option<ObjectRef> {
        let Edit::Delete { kind, namespace, name } = self else { return None };
        let kind = ["Pod", "Namespace", "ReplicaSet", "Deployment", "NetworkPolicy"]
            .into_iter()
            .find(|known| known == kind)?;
        Some(ObjectRef::new(kind, namespace, name))
    }

    /// Makes it happen. A policy or a document that isn't valid leaves a valid one in force (42).
    pub fn happen(&self, world: &mut World) {
        match self {
            Edit::Pod(pod) => put(&mut world.pods, pod, |pod| &pod.metadata),
            Edit::Namespace(namespace) => {
                put(&mut world.namespaces, namespace, |namespace| &namespace.metadata);
            }
            Edit::ReplicaSet(set) => put(&mut world.replica_sets, set, |set| &set.metadata),
            Edit::Deployment(deployment) => {
                put(&mut world.deployments, deployment, |deployment| &deployment.metadata);
            }
            Edit::NetworkPolicy(policy) => {
                let meta = &policy.metadata;
                let stays = world.network_policies.iter().any(|old| {
                    old.metadata.name == meta.name
                        && old.metadata.namespace == meta.namespace
                        && is_valid_policy(old)
                });
                if is_valid_policy(policy) || !stays {
                    put(&mut world.network_policies, policy, |policy| &policy.metadata);
                }
            }
            Edit::Acl(document) => {
                if document.is_null() || acl::read(document).is_ok() {
                    world.acl = document.clone();
                }
            }
            Edit::Delete { kind, namespace, name } => {
                let stays = |meta: &Metadata| meta.name != *name || meta.namespace != *namespace;
                match kind.as_str() {
                    "Pod" => world.pods.retain(|pod| stays(&pod.metadata)),
                    "Namespace" => world.namespaces.retain(|namespace| stays(&namespace.metadata)),
                    "ReplicaSet" => world.replica_sets.retain(|set| stays(&set.metadata)),
                    "Deployment" => world.deployments.retain(|deployment| stays(&deployment.metadata)),
                    _ => world.network_policies.retain(|policy| stays(&policy.metadata)),
                }
            }
        }
    }
}

/// Puts an object in the place of its former self.
fn put<T: Clone>(all: &mut Vec<T>, new: &T, meta: impl Fn(&T) -> &Metadata) {
    let name = |object: &T| (meta(object).namespace.clone(), meta(object).name.clone());
    match all.iter_mut().find(|old| name(old) == name(new)) {
        Some(old) => *old = new.clone(),
        None => all.push(new.clone()),
    }
}
