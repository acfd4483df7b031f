//! What the oracle is asked about: a world, and flows in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use ms_acl_core::object::{Deployment, Namespace, NetworkPolicy, Node, Object, Pod, ReplicaSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that decides about a flow: all objects of a cluster and what its operator set.
///
/// No two objects of a kind have the same namespace and name: no API server lets that happen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// What the operator set, the same on every node.
    pub settings: Settings,
    /// All Nodes.
    pub nodes: Vec<Node>,
    /// All Namespaces; one that is named by other objects and isn't here is implied.
    pub namespaces: Vec<Namespace>,
    /// All Pods.
    pub pods: Vec<Pod>,
    /// All ReplicaSets that can be read.
    pub replica_sets: Vec<ReplicaSet>,
    /// All Deployments.
    pub deployments: Vec<Deployment>,
    /// All NetworkPolicies, invalid ones too (as if they had never been valid).
    pub network_policies: Vec<NetworkPolicy>,
    /// The pushed policy document; null = none was pushed.
    pub acl: Value,
    /// By name of the node: local addresses of its kernel that its Node object doesn't list.
    pub local_addresses: BTreeMap<String, Vec<IpAddr>>,
}

impl World {
    /// All objects, in no particular order.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::new();
        objects.extend(self.nodes.iter().cloned().map(Object::Node));
        objects.extend(self.namespaces.iter().cloned().map(Object::Namespace));
        objects.extend(self.pods.iter().cloned().map(Object::Pod));
        objects.extend(self.replica_sets.iter().cloned().map(Object::ReplicaSet));
        objects.extend(self.deployments.iter().cloned().map(Object::Deployment));
        objects.extend(self.network_policies.iter().cloned().map(Object::NetworkPolicy));
        objects
    }
}

impl World {
    /// All objects as the API server writes them, in the order of [`World::objects`].
    pub fn manifests(&self) -> Vec<Value> {
        fn of<T: Serialize>(version: &str, kind: &str, objects: &[T]) -> Vec<Value> {
            let written = objects.iter().filter_map(|object| serde_json::to_value(object).ok());
            let named = written.map(|mut value| {
                value["apiVersion"] = version.into();
                value["kind"] = kind.into();
                value
            });
            named.collect()
        }
        let mut manifests = of("v1", "Node", &self.nodes);
        manifests.extend(of("v1", "Namespace", &self.namespaces));
        manifests.extend(of("v1", "Pod", &self.pods));
        manifests.extend(of("apps/v1", "ReplicaSet", &self.replica_sets));
        manifests.extend(of("apps/v1", "Deployment", &self.deployments));
        manifests.extend(of("networking.k8s.io/v1", "NetworkPolicy", &self.network_policies));
        manifests
    }
}

/// What the operator sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether traffic between a pod and its own node is judged.
    pub node_traffic: NodeTraffic,
    /// Kubernetes policy judges flows whose other end lies here; a family without an entry: all.
    pub pod_ip_range: Vec<IpNet>,
    /// How Kubernetes policy refuses.
    pub refuse_with: RefuseWith,
}

/// Traffic between a pod and the node it runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeTraffic {
    /// It always passes.
    #[default]
    Allow,
    /// It is judged like any other.
    Enforce,
}

/// How Kubernetes policy refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefuseWith {
    /// The sender is told.
    #[default]
    Reject,
    /// In silence.
    Drop,
}

/// The first packet of a connection, as the nodes of its two ends see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// Its source.
    pub from: IpAddr,
    /// Its destination after DNAT (24), of the family of its source.
    pub to: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its destination port after DNAT; means nothing for ICMP.
    pub port: u16,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow { from, to, protocol, port } = self;
        write!(f, "{from} -> {to} {port}/{protocol:?}")
    }
}

/// A protocol that policy tells from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP echo, or ICMPv6 echo: by the family of the flow's addresses.
    Icmp,
}
