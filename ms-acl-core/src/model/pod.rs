//! A pod, cut down to what policy looks at.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Labels, Protocol};

/// A pod as policy sees it. Texts and labels that many pods have in common are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// The node it runs on; empty = none yet.
    pub node: Arc<str>,
    /// Its addresses, none while it has no network of its own: not started, ended, or host network.
    pub addresses: Box<[IpAddr]>,
    /// Whether it lives in the network of its node: it looks like the node, and no policy governs it.
    pub host_network: bool,
    /// The addresses that it lists while it lives in the network of its node: the node's. Nothing is
    /// decided by them; they say who is meant by such a pod.
    pub host_addresses: Box<[IpAddr]>,
    /// Its containers' named ports, sorted, without repetitions.
    pub ports: Arc<[NamedPort]>,
    /// Who controls it.
    pub owner: PodOwner,
    /// When it was created, as the number that the digits of date and time form; 0 = unknown. Of two
    /// pods with one address the newer has it.
    pub created: u64,
}

impl PodFacts {
    /// Whether it is newer than another pod; the name decides between pods of one second.
    pub fn is_newer_than(&self, other: &PodFacts) -> bool {
        let age = |pod: &PodFacts| (pod.created, Arc::clone(&pod.namespace), Arc::clone(&pod.name));
        age(self) > age(other)
    }
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
        name: Arc<str>,
        /// The pod's `pod-template-hash` label, with which a Deployment ends its ReplicaSets' names.
        template_hash: Option<Arc<str>>,
    },
    /// Something that no Deployment stands behind.
    Other,
}
