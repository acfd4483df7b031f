//! What to build: nodes, their wiring, pods.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ms_acl_core::ruleset::Family;

use super::cluster::Cluster;
use super::error::Result;

/// How the pods of a node are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wiring {
    /// A /32 and a /128 behind a veth of its own, with proxy ARP and a link-local gateway, as Calico does.
    #[default]
    Routed,
    /// On a Linux bridge `cni0` with the node's gateway address, as flannel does; bridged packets pass iptables.
    Bridged,
}

/// The families in which a pod has an address that it wasn't given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    /// One address in each family.
    #[default]
    Dual,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Families {
    /// Whether this family is one of them.
    pub fn contain(self, family: Family) -> bool {
        match self {
            Families::Dual => true,
            Families::V4 => family == Family::V4,
            Families::V6 => family == Family::V6,
        }
    }
}

/// A node to build.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    pub(crate) name: String,
    pub(crate) wiring: Option<Wiring>,
    pub(crate) addresses: [Option<IpAddr>; 2],
    pub(crate) pod_ranges: [Option<IpNet>; 2],
}

impl NodeSpec {
    /// A node with this name and the cluster's wiring.
    pub fn new(name: impl Into<String>) -> Self {
        NodeSpec { name: name.into(), wiring: None, addresses: [None; 2], pod_ranges: [None; 2] }
    }

    /// Chooses the node's address in the address's family; the other stays the lab's choice.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        let address = address.into();
        self.addresses[usize::from(address.is_ipv6())] = Some(address);
        self
    }

    /// Chooses the range of the node's pods in the range's family; the other stays the lab's choice.
    #[must_use]
    pub fn pod_range(mut self, range: IpNet) -> Self {
        self.pod_ranges[usize::from(range.addr().is_ipv6())] = Some(range);
        self
    }

    /// Wires this node's pods otherwise than the cluster's.
    #[must_use]
    pub fn wiring(mut self, wiring: Wiring) -> Self {
        self.wiring = Some(wiring);
        self
    }
}

impl From<&str> for NodeSpec {
    fn from(name: &str) -> Self {
        NodeSpec::new(name)
    }
}

/// A pod to add.
#[derive(Debug, Clone)]
pub struct PodSpec {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) families: Families,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
}

impl PodSpec {
    /// A dual-stack pod with this name on this node. Slashes in the name are fine: `default/web-0`.
    pub fn new(name: impl Into<String>, node: impl Into<String>) -> Self {
        PodSpec { name: name.into(), node: node.into(), families: Families::Dual, v4: None, v6: None }
    }

    /// Restricts the families of the pod.
    #[must_use]
    pub fn families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// Chooses the pod's address in the address's family. It need not be in its node's range: then every other node
    /// and the outside host get a route to it (but pods on the bridge of a range that holds it look for it there).
    ///
    /// The other family keeps an address of the lab's choice, unless [`PodSpec::families`] leaves it out.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        match address.into() {
            IpAddr::V4(v4) => self.v4 = Some(v4),
            IpAddr::V6(v6) => self.v6 = Some(v6),
        }
        self
    }
}

/// Gathers what a new cluster has.
#[derive(Debug, Clone, Default)]
pub struct ClusterBuilder {
    pub(crate) wiring: Wiring,
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) pods: Vec<PodSpec>,
    pub(crate) outside_addresses: Vec<IpAddr>,
}

impl ClusterBuilder {
    /// Wires the pods of every node that doesn't say otherwise.
    #[must_use]
    pub fn wiring(mut self, wiring: Wiring) -> Self {
        self.wiring = wiring;
        self
    }

    /// Adds a node. A cluster without any gets `node1` and `node2`.
    #[must_use]
    pub fn node(mut self, node: impl Into<NodeSpec>) -> Self {
        self.nodes.push(node.into());
        self
    }

    /// Adds nodes named `node1`, `node2`, …
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes.extend((1..=count).map(|n| NodeSpec::new(format!("node{n}"))));
        self
    }

    /// Adds a pod.
    #[must_use]
    pub fn pod(mut self, pod: PodSpec) -> Self {
        self.pods.push(pod);
        self
    }

    /// Gives the outside host one more address, anywhere; every node has a route to it.
    #[must_use]
    pub fn outside_address(mut self, address: impl Into<IpAddr>) -> Self {
        self.outside_addresses.push(address.into());
        self
    }

    /// Makes the namespaces and wires them.
    ///
    /// Needs root. What earlier processes left behind is removed first.
    pub fn build(self) -> Result<Cluster> {
        Cluster::build(self)
    }
}
