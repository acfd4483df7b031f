//! Kubernetes objects as the API server writes them, cut down to the fields that policy needs.
//!
//! Names and shapes are Kubernetes'; unknown fields are ignored; `null` is the same as absent. These
//! types decode any JSON or YAML that the API server accepts and judge nothing: whether a policy is
//! valid is decided in [`crate::lower`].

mod meta;
mod policy;
mod selector;
mod shape;
mod workload;

use serde::Deserialize;
use serde_json::Value;

pub use meta::{Metadata, OwnerReference};
pub use policy::{
    IntOrString, IpBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
    NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
pub use selector::{LabelSelector, LabelSelectorRequirement};
pub use workload::{
    Container, ContainerPort, Deployment, DeploymentSpec, Namespace, Node, NodeAddress, NodeSpec, NodeStatus,
    Pod, PodIp, PodSpec, PodStatus, ReplicaSet,
};

use crate::ruleset::ObjectRef;

/// An object of one of the kinds that the core knows.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is the kind that it holds")]
pub enum Object {
    Pod(Pod),
    Namespace(Namespace),
    Node(Node),
    Deployment(Deployment),
    ReplicaSet(ReplicaSet),
    NetworkPolicy(NetworkPolicy),
}

/// The kinds that the core knows, with the API group they belong to.
pub const KINDS: [(&str, &str); 6] = [
    ("v1", "Pod"),
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
];

/// An object that can't be decoded.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {cause}")]
pub struct DecodeError {
    /// The object, as far as its name could be read.
    pub object: ObjectRef,
    /// What is wrong with it, with the place.
    pub cause: serde_json::Error,
    /// What could still be read of a policy: enough to know whom it selects and in which
    /// directions, so that it can be refused instead of ignored.
    pub remains: Option<Box<NetworkPolicy>>,
}

impl Object {
    /// Decodes an object by its `apiVersion` and `kind`. `Ok(None)`: a kind that the core doesn't know.
    pub fn decode(value: Value) -> Result<Option<Object>, DecodeError> {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let Some(&(_, kind)) = KINDS.iter().find(|known| **known == (version.as_str(), kind.as_str())) else {
            return Ok(None);
        };
        let object = name_of(kind, &value);
        if kind == "NetworkPolicy" {
            // Decoded from a reference: of one that doesn't decode it is still read whom it selects.
            let decoded = shape::check(&value).and_then(|()| NetworkPolicy::deserialize(&value));
            return match decoded {
                Ok(policy) => Ok(Some(Object::NetworkPolicy(policy))),
                Err(cause) => {
                    Err(DecodeError { object, cause, remains: policy::remains_of(&value).map(Box::new) })
                }
            };
        }
        let decoded = shape::check(&value).and_then(|()| match kind {
            "Pod" => Pod::deserialize(value).map(Object::Pod),
            "Namespace" => Namespace::deserialize(value).map(Object::Namespace),
            "Node" => Node::deserialize(value).map(Object::Node),
            "Deployment" => Deployment::deserialize(value).map(Object::Deployment),
            _ => ReplicaSet::deserialize(value).map(Object::ReplicaSet),
        });
        decoded.map(Some).map_err(|cause| DecodeError { object, cause, remains: None })
    }

    /// The kind as Kubernetes writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Object::Pod(_) => "Pod",
            Object::Namespace(_) => "Namespace",
            Object::Node(_) => "Node",
            Object::Deployment(_) => "Deployment",
            Object::ReplicaSet(_) => "ReplicaSet",
            Object::NetworkPolicy(_) => "NetworkPolicy",
        }
    }

    /// The object's metadata.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Object::Pod(object) => &object.metadata,
            Object::Namespace(object) => &object.metadata,
            Object::Node(object) => &object.metadata,
            Object::Deployment(object) => &object.metadata,
            Object::ReplicaSet(object) => &object.metadata,
            Object::NetworkPolicy(object) => &object.metadata,
        }
    }

    /// The object's metadata, to fill in defaults.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        match self {
            Object::Pod(object) => &mut object.metadata,
            Object::Namespace(object) => &mut object.metadata,
            Object::Node(object) => &mut object.metadata,
            Object::Deployment(object) => &mut object.metadata,
            Object::ReplicaSet(object) => &mut object.metadata,
            Object::NetworkPolicy(object) => &mut object.metadata,
        }
    }

    /// Whether objects of this kind live outside of namespaces.
    pub fn is_cluster_scoped(&self) -> bool {
        matches!(self, Object::Namespace(_) | Object::Node(_))
    }

    /// The object's name.
    pub fn reference(&self) -> ObjectRef {
        let meta = self.metadata();
        let namespace = if self.is_cluster_scoped() { "" } else { &meta.namespace };
        ObjectRef::new(self.kind(), namespace, &meta.name)
    }
}

fn name_of(kind: &'static str, value: &Value) -> ObjectRef {
    let text = |field: &str| {
        value.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let namespace = if matches!(kind, "Namespace" | "Node") { String::new() } else { text("namespace") };
    ObjectRef::new(kind, namespace, text("name"))
}

/// Reads `null` as the type's default, as the API server does.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_as_the_api_server_writes_it_decodes() {
        let pod = Object::decode(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}, "managedFields": [],
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d", "uid": "x", "controller": true}]},
            "spec": {"nodeName": "n1", "hostNetwork": null,
                "initContainers": [{"name": "i", "ports": [{"name": "probe", "containerPort": 1}]}],
                "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}, {"name": "d"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}
        }));
        let Ok(Some(Object::Pod(pod))) = pod else { panic!("{pod:?}") };
        assert_eq!(pod.status.pod_ips.len(), 2);
        assert_eq!(pod.spec.containers[0].ports[0].container_port, 8080);
        assert_eq!(pod.metadata.controller().map(|owner| owner.name.as_str()), Some("web-7d"));
    }

    #[test]
    fn an_unknown_kind_is_no_error() {
        assert!(matches!(Object::decode(json!({"apiVersion": "v1", "kind": "Secret"})), Ok(None)));
        assert!(matches!(
            Object::decode(json!({"apiVersion": "extensions/v1beta1", "kind": "NetworkPolicy"})),
            Ok(None)
        ));
        assert!(matches!(Object::decode(json!(3)), Ok(None)));
    }

    #[test]
    fn what_remains_of_a_broken_policy_still_tells_whom_it_selects() {
        let error = Object::decode(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "a"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": "nonsense"}
        }))
        .unwrap_err();
        assert_eq!(error.object.to_string(), "NetworkPolicy a/p");
        let remains = error.remains.unwrap();
        assert_eq!(remains.spec.pod_selector.match_labels["app"], "web");
        assert_eq!(remains.spec.policy_types, ["Egress"]);
    }

    #[test]
    fn absent_and_empty_selectors_differ() {
        let policy: NetworkPolicy = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "a"},
            "spec": {"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}, {"podSelector": null}]}]}
        }))
        .unwrap();
        let from = &policy.spec.ingress[0].from;
        assert!(from[0].namespace_selector.is_some() && from[0].pod_selector.is_none());
        assert!(from[1].pod_selector.is_none());
    }
}
