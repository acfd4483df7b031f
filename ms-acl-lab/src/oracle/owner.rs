//! Which Deployment a pod belongs to.

use ms_acl_core::object::{OwnerReference, Pod};

use super::World;
use super::selector;

/// The name of the pod's Deployment, in the pod's namespace.
pub(super) fn deployment_of<'w>(world: &'w World, pod: &'w Pod) -> Option<&'w str> {
    match pod.metadata.controller() {
        Some(owner) => deployment_by_owner(world, pod, owner),
        None => deployment_by_selector(world, pod),
    }
}

/// The Deployment that controls the ReplicaSet that controls the pod. Where that ReplicaSet can't be
/// read, its name tells: the Deployment's, a `-`, and the pod's hash.
fn deployment_by_owner<'w>(world: &'w World, pod: &'w Pod, owner: &'w OwnerReference) -> Option<&'w str> {
    if !is(owner, "ReplicaSet") {
        return None;
    }
    for replica_set in &world.replica_sets {
        let meta = &replica_set.metadata;
        if meta.namespace == pod.metadata.namespace && meta.name == owner.name {
            let above = meta.controller()?;
            return is(above, "Deployment").then_some(above.name.as_str());
        }
    }
    let hash = pod.metadata.labels.get("pod-template-hash")?;
    owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')
}

/// Kinds belong to groups: another group's Deployment is another thing. What is in `apps` was in
/// `extensions` before; a reference that names no group is taken for what it looks like.
fn is(owner: &OwnerReference, kind: &str) -> bool {
    let version = owner.api_version.as_str();
    owner.kind == kind
        && (version.is_empty() || version.starts_with("apps/") || version.starts_with("extensions/"))
}

/// The only Deployment of the namespace whose selector matches; of two, neither. An empty selector is
/// invalid for a Deployment, and so selects nobody.
fn deployment_by_selector<'w>(world: &'w World, pod: &Pod) -> Option<&'w str> {
    let mut found = None;
    for deployment in &world.deployments {
        let of_namespace = deployment.metadata.namespace == pod.metadata.namespace;
        let chosen = &deployment.spec.selector;
        let empty = chosen.match_labels.is_empty() && chosen.match_expressions.is_empty();
        let usable = !empty && selector::is_valid(chosen);
        if of_namespace && usable && selector::matches(chosen, &pod.metadata.labels) {
            if found.is_some() {
                return None;
            }
            found = Some(deployment.metadata.name.as_str());
        }
    }
    found
}
