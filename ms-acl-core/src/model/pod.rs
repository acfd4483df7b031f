//! A pod, cut down to what policy looks at.

use std::net::IpAddr;

use super::{Labels, Protocol};

/// A pod as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// The node it runs on; empty = none yet.
    pub node: String,
    /// Its addresses, none while it has no network of its own: not started, ended, or host network.
    pub addresses: Vec<IpAddr>,
    /// Its containers' named ports.
    pub ports: Vec<NamedPort>,
    /// Who controls it.
    pub owner: PodOwner,
    /// RFC 3339 time of its creation: of two pods with one address the newer has it.
    pub created: String,
}

/// A named port of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// The name.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The number.
    pub port: u16,
}

/// Who controls a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodOwner {
    /// Nobody.
    Nobody,
    /// A ReplicaSet.
    ReplicaSet {
        /// Its name.
        name: String,
        /// The pod's `pod-template-hash` label, with which a Deployment ends its ReplicaSets' names.
        template_hash: Option<String>,
    },
    /// Something that no Deployment stands behind.
    Other,
}
