//! Deployments, ReplicaSets, and who controls what.

use ms_acl_core::object::{Deployment, DeploymentSpec, Metadata, OwnerReference, ReplicaSet};

use super::Dice;
use super::selector::{POD, selector};

/// Deployments of one cluster, whether they can be read or not.
pub(super) struct Workloads {
    /// The Deployments' namespaces and names.
    pub(super) names: Vec<(String, String)>,
    /// The objects that can be read.
    pub(super) deployments: Vec<Deployment>,
    /// The objects that can be read.
    pub(super) replica_sets: Vec<ReplicaSet>,
}

/// Hashes of pod templates; one ends like another.
pub(super) const HASHES: [&str; 3] = ["5d4f8c7b9", "c7b9", "x"];

pub(super) fn workloads(dice: &mut Dice, namespaces: &[String]) -> Workloads {
    let mut all = Workloads { names: Vec::new(), deployments: Vec::new(), replica_sets: Vec::new() };
    let longest = "d".repeat(240);
    let known = ["web", "web-x", "app-x", "pp-x", &longest];
    for _ in 0..dice.between(0, 7) {
        let name = (dice.pick(namespaces), dice.pick(&known).to_owned());
        if !all.names.contains(&name) {
            all.names.push(name);
        }
    }
    for (namespace, name) in all.names.clone() {
        if dice.chance(85) {
            let spec = DeploymentSpec { selector: selector(dice, POD) };
            all.deployments.push(Deployment { metadata: named(&namespace, &name), spec });
        }
        for hash in dice.some(&HASHES, 70) {
            if dice.chance(75) {
                let mut metadata = named(&namespace, &format!("{name}-{hash}"));
                metadata.owner_references = above(dice, &name);
                all.replica_sets.push(ReplicaSet { metadata });
            }
        }
    }
    // Another Deployment's ReplicaSet may have the same name: web-x's of hash x, web's of hash x-x.
    let mut seen = std::collections::BTreeSet::new();
    all.replica_sets.retain(|set| seen.insert((set.metadata.namespace.clone(), set.metadata.name.clone())));
    all
}

/// Who controls a ReplicaSet: mostly its Deployment.
fn above(dice: &mut Dice, deployment: &str) -> Vec<OwnerReference> {
    match dice.below(16) {
        15 => vec![owner("example.com/v1", "Deployment", deployment, Some(true))],
        14 => vec![owner("extensions/v1beta1", "Deployment", deployment, Some(true))],
        13 => vec![owner("", "Deployment", deployment, Some(true))],
        0 => Vec::new(),
        1 => vec![owner("argoproj.io/v1alpha1", "Rollout", deployment, Some(true))],
        2 => vec![owner("apps/v1", "Deployment", deployment, None)],
        3 => vec![
            owner("v1", "ConfigMap", "web", Some(false)),
            owner("apps/v1", "Deployment", deployment, Some(true)),
        ],
        _ => vec![owner("apps/v1", "Deployment", deployment, Some(true))],
    }
}

/// Who controls a pod of a namespace, with the hash that its label says.
pub(super) fn of_pod(
    dice: &mut Dice,
    workloads: &[(String, String)],
    namespace: &str,
) -> (Vec<OwnerReference>, Option<String>) {
    let here: Vec<&String> =
        workloads.iter().filter(|(of, _)| of == namespace).map(|(_, deployment)| deployment).collect();
    let hash = dice.pick(&HASHES).to_owned();
    if here.is_empty() || dice.chance(35) {
        let strangers = [
            Vec::new(),
            vec![owner("apps/v1", "StatefulSet", "web", Some(true))],
            vec![owner("v1", "ConfigMap", "web", None)],
        ];
        let hash = dice.chance(10).then_some(hash);
        return (strangers[dice.pick(&[0, 0, 0, 1, 2])].clone(), hash);
    }
    let name = format!("{}-{hash}", dice.pick(&here));
    let label =
        if dice.chance(85) { Some(hash) } else { dice.chance(50).then(|| dice.pick(&HASHES).to_owned()) };
    let group =
        dice.pick(&["apps/v1", "apps/v1", "apps/v1", "apps/v1", "", "extensions/v1beta1", "example.com/v1"]);
    (vec![owner(group, "ReplicaSet", &name, Some(true))], label)
}

fn owner(api_version: &str, kind: &str, name: &str, controller: Option<bool>) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: String::new(),
        controller,
    }
}

/// Metadata of a namespace and a name.
pub(super) fn named(namespace: &str, name: &str) -> Metadata {
    Metadata { namespace: namespace.to_owned(), name: name.to_owned(), ..Metadata::default() }
}
