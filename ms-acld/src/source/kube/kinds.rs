//! The kinds that are watched, each a line of one table.

use ms_acl_core::object::Object;
use serde::de::DeserializeOwned;

/// A kind of the Kubernetes API.
#[derive(Debug)]
pub(super) struct Kind {
    /// The kind as objects name it.
    pub(super) name: &'static str,
    /// Several of them, as sentences and paths name them.
    pub(super) plural: &'static str,
    /// The kind's group; empty = the core's.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) scope: Scope,
    pub(super) need: Need,
    /// Reads an object of this kind, only the fields that policy needs.
    pub(super) decode: fn(&str) -> serde_json::Result<Object>,
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Namespaced,
    Cluster,
}

/// What follows where a kind can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing is known without it: the kernel is left as it is.
    Required,
    /// The rest is enforced without it; this is how.
    Optional(&'static str),
}

/// Everything that is watched.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "Namespace",
        plural: "namespaces",
        group: "",
        version: "v1",
        scope: Scope::Cluster,
        need: Need::Required,
        decode: |text| read(text, Object::Namespace),
    },
    Kind {
        name: "Node",
        plural: "nodes",
        group: "",
        version: "v1",
        scope: Scope::Cluster,
        need: Need::Required,
        decode: |text| read(text, Object::Node),
    },
    Kind {
        name: "NetworkPolicy",
        plural: "networkpolicies",
        group: "networking.k8s.io",
        version: "v1",
        scope: Scope::Namespaced,
        need: Need::Required,
        decode: |text| read(text, Object::NetworkPolicy),
    },
    Kind {
        name: "Deployment",
        plural: "deployments",
        group: "apps",
        version: "v1",
        scope: Scope::Namespaced,
        need: Need::Optional("pods without an owner belong to no Deployment"),
        decode: |text| read(text, Object::Deployment),
    },
    Kind {
        name: "ReplicaSet",
        plural: "replicasets",
        group: "apps",
        version: "v1",
        scope: Scope::Namespaced,
        need: Need::Optional("the Deployment of a pod is told by the name of its ReplicaSet"),
        decode: |text| read(text, Object::ReplicaSet),
    },
    Kind {
        name: "Pod",
        plural: "pods",
        group: "",
        version: "v1",
        scope: Scope::Namespaced,
        need: Need::Required,
        decode: |text| read(text, Object::Pod),
    },
];

impl Kind {
    /// `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path of all objects of this kind, or of those of one namespace.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        match namespace {
            Some(namespace) if self.scope == Scope::Namespaced => {
                format!("{root}/{version}/namespaces/{namespace}/{}", self.plural)
            }
            _ => format!("{root}/{version}/{}", self.plural),
        }
    }
}

/// Reads an object and drops what isn't kept of any.
fn read<T: DeserializeOwned>(text: &str, object: fn(T) -> Object) -> serde_json::Result<Object> {
    let mut object = object(serde_json::from_str(text)?);
    object.metadata_mut().annotations.clear();
    Ok(object)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::text::{Duplicates, Syntax, documents};

    fn kind(name: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.name == name).unwrap()
    }

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(kind("Pod").path(None), "/api/v1/pods");
        assert_eq!(kind("Pod").path(Some("a")), "/api/v1/namespaces/a/pods");
        assert_eq!(kind("Node").path(Some("a")), "/api/v1/nodes");
        assert_eq!(
            kind("NetworkPolicy").path(Some("a")),
            "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies"
        );
    }

    #[test]
    fn every_kind_that_the_core_knows_is_watched_by_its_name() {
        let mut watched: Vec<_> = KINDS.iter().map(|kind| (kind.api_version(), kind.name)).collect();
        let mut known: Vec<_> =
            ms_acl_core::object::KINDS.iter().map(|(version, name)| ((*version).to_owned(), *name)).collect();
        watched.sort_unstable();
        known.sort_unstable();
        assert_eq!(watched, known);
        for kind in KINDS {
            let object = (kind.decode)(r#"{"metadata":{"name":"x","annotations":{"a":"b"}}}"#).unwrap();
            assert_eq!(object.kind(), kind.name);
            assert!(object.metadata().annotations.is_empty());
        }
    }

    /// The rules of a role, as `group/plural verb`.
    fn rights(manifest: &str) -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(manifest);
        let text = std::fs::read(path).unwrap();
        let documents: Vec<Value> = documents(Syntax::Yaml, &text, Duplicates::Refuse).unwrap();
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut rights = Vec::new();
        for rule in documents.iter().filter_map(|document| document["rules"].as_array()).flatten() {
            for group in texts(&rule["apiGroups"]) {
                for plural in texts(&rule["resources"]) {
                    rights
                        .extend(texts(&rule["verbs"]).iter().map(|verb| format!("{group}/{plural} {verb}")));
                }
            }
        }
        rights.sort_unstable();
        rights
    }

    fn expected(verbs: impl Fn(&Kind) -> &'static [&'static str]) -> Vec<String> {
        let of = |kind: &'static Kind| {
            verbs(kind).iter().map(move |verb| format!("{}/{} {verb}", kind.group, kind.plural))
        };
        let mut rights: Vec<String> = KINDS.iter().flat_map(of).collect();
        rights.sort_unstable();
        rights
    }

    #[test]
    fn the_manifests_give_the_rights_that_are_needed_and_no_others() {
        assert_eq!(rights("base/cluster-role.yaml"), expected(|_| &["get", "list", "watch"]));
        let role = expected(|kind| match kind.name {
            "Namespace" => &["get"],
            _ if kind.scope == Scope::Cluster => &[],
            _ => &["get", "list", "watch"],
        });
        assert_eq!(rights("overlays/one-namespace/role.yaml"), role);
    }
}
