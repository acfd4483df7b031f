//! Pods, the workloads that own them, and where they live.

use serde::{Deserialize, Serialize};

use super::{LabelSelector, Metadata, null_is_default};

/// A Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Its metadata.
    pub metadata: Metadata,
    /// What it shall be.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: PodSpec,
    /// What it is.
    #[serde(deserialize_with = "null_is_default")]
    pub status: PodStatus,
}

/// `spec` of a Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node it runs on; empty = not scheduled yet.
    #[serde(deserialize_with = "null_is_default")]
    pub node_name: String,
    /// Whether it lives in the node's own network.
    #[serde(deserialize_with = "null_is_default")]
    pub host_network: bool,
    /// Its containers.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// Its init and sidecar containers.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
}

/// A container, as far as its ports.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its ports.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its name; empty = none.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its number: 1 to 65535, if it is valid.
    pub container_port: i64,
    /// `TCP`, `UDP` or `SCTP`; empty = TCP.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// `status` of a Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(deserialize_with = "null_is_default")]
    pub phase: String,
    /// Its main address; empty = none yet.
    #[serde(
        rename = "podIP",
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub pod_ip: String,
    /// All its addresses, at most one of each family.
    #[serde(rename = "podIPs", deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub pod_ips: Vec<PodIp>,
}

/// One address of a Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A Namespace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Namespace {
    /// Its metadata.
    pub metadata: Metadata,
}

/// A Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Node {
    /// Its metadata.
    pub metadata: Metadata,
    /// What it shall be.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: NodeSpec,
    /// What it is.
    #[serde(deserialize_with = "null_is_default")]
    pub status: NodeStatus,
}

/// `spec` of a Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeSpec {
    /// The range of its pods' addresses; empty = none.
    #[serde(
        rename = "podCIDR",
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub pod_cidr: String,
    /// The ranges of its pods' addresses, at most one of each family.
    #[serde(
        rename = "podCIDRs",
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pod_cidrs: Vec<String>,
}

/// `status` of a Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its addresses and names.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
}

/// One address or name of a Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// The address or name.
    pub address: String,
}

/// A Deployment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Deployment {
    /// Its metadata.
    pub metadata: Metadata,
    /// What it shall be.
    #[serde(deserialize_with = "null_is_default")]
    pub spec: DeploymentSpec,
}

/// `spec` of a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct DeploymentSpec {
    /// The pods that it manages.
    #[serde(deserialize_with = "null_is_default")]
    pub selector: LabelSelector,
}

/// A ReplicaSet: it ties pods to their Deployment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ReplicaSet {
    /// Its metadata.
    pub metadata: Metadata,
}
