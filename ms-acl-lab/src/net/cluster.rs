//! A cluster of network namespaces: nodes on an underlay, pods behind them, a host outside.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ms_acl_core::ruleset::Family;

use super::error::{Cause, Doing, Result};
use super::namespace::{Namespace, in_thread};
use super::probe::Endpoint;
use super::serve::Server;
use super::spec::{ClusterBuilder, Wiring};
use super::{address, limit, plan, ready, sweep, sysctl, tool, wire};

/// The name of the host outside of the cluster.
pub const OUTSIDE: &str = "outside";
/// The name of the underlay's own namespace.
pub(crate) const FABRIC: &str = "fabric";

/// A node of a cluster.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its addresses on the underlay: IPv4, IPv6.
    pub addresses: [IpAddr; 2],
    /// The ranges of its pods' addresses: IPv4, IPv6.
    pub pod_ranges: [IpNet; 2],
    /// How its pods are connected.
    pub wiring: Wiring,
}

/// A pod of a cluster.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The name of its node.
    pub node: String,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Its interface's name in the node.
    pub interface: String,
    pub(super) index: u32,
}

impl Pod {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// The link-local address of its interface, which every pod has.
    pub fn link_local(&self) -> Ipv6Addr {
        address::link_local(wire::pod_mac(self))
    }
}

/// A living cluster. Dropping it, also in a panic, removes its namespaces and ends the processes in them.
#[derive(Debug)]
pub struct Cluster {
    prefix: String,
    // Dropped before the namespaces, which its sockets would keep alive.
    pub(super) server: Server,
    /// Nodes, pods and the outside host by name.
    pub(super) hosts: BTreeMap<String, Namespace>,
    fabric: Namespace,
    pub(super) nodes: Vec<Node>,
    pub(super) pods: BTreeMap<String, Pod>,
    outside_addresses: Vec<IpAddr>,
    pub(super) next_index: u32,
    /// The Ethernet addresses that pods on bridges had last, by their IPv6 addresses.
    pub(super) macs: BTreeMap<Ipv6Addr, [u8; 6]>,
}

impl Cluster {
    /// Starts to gather what a new cluster has.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    pub(super) fn build(mut spec: ClusterBuilder) -> Result<Cluster> {
        sweep::sweep();
        limit::raise_open_files()?;
        if spec.nodes.is_empty() {
            spec = spec.nodes(2);
        }
        let nodes = plan::nodes(&spec.nodes, spec.wiring)?;
        if nodes.iter().any(|node| node.wiring == Wiring::Bridged) && !sysctl::has_bridge_filter() {
            // Where it can't be loaded either, writing its settings fails and tells.
            let _ = tool::output("modprobe", &["br_netfilter"], None);
        }

        let prefix = sweep::new_prefix();
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).chain([OUTSIDE, FABRIC]).collect();
        let full: Vec<String> = names.iter().map(|name| plan::namespace_name(&prefix, name)).collect();
        let mut namespaces = Namespace::create_all(&full)?;
        let fabric = namespaces.pop().expect("the fabric's name was the last of the list");
        let hosts = names.iter().map(|name| (*name).to_owned()).zip(namespaces).collect();
        let mut cluster = Cluster {
            prefix,
            server: Server::start()?,
            hosts,
            fabric,
            nodes,
            pods: BTreeMap::new(),
            outside_addresses: address::OUTSIDE.into_iter().chain(spec.outside_addresses).collect(),
            next_index: 1000,
            macs: BTreeMap::new(),
        };
        in_thread(|| cluster.wire_underlay())?;
        cluster.add_pods(&spec.pods)?;
        Ok(cluster)
    }

    /// Gives every namespace but the pods' its settings, interfaces and routes.
    fn wire_underlay(&self) -> Result<()> {
        for node in &self.nodes {
            self.namespace(&node.name)?.enter()?;
            sysctl::node(node.wiring == Wiring::Bridged)?;
        }
        let outside = self.namespace(OUTSIDE)?;
        outside.enter()?;
        sysctl::host()?;

        self.fabric.enter()?;
        sysctl::fabric()?;
        let first = |name: &str| self.find_node(name).map_or(address::OUTSIDE[0], |node| node.addresses[0]);
        let members: Vec<(&str, IpAddr)> =
            self.hosts.iter().map(|(name, namespace)| (namespace.name(), first(name))).collect();
        tool::ip_batch(&wire::fabric(&members))?;

        let further = &self.outside_addresses[2..];
        for node in &self.nodes {
            self.namespace(&node.name)?.enter()?;
            tool::ip_batch(&wire::node(node, &self.nodes, further))?;
            wire::node_interfaces(node).iter().try_for_each(|interface| sysctl::interface(interface))?;
        }
        outside.enter()?;
        tool::ip_batch(&wire::outside(further, &self.nodes))?;
        sysctl::interface(wire::UPLINK)?;

        ready::wait(&[wire::UPLINK])?;
        for node in &self.nodes {
            self.namespace(&node.name)?.enter()?;
            ready::wait(&[wire::UPLINK])?;
        }
        self.fabric.enter()?;
        let ports: Vec<String> = (0..members.len()).map(wire::fabric_port).collect();
        ready::wait(&ports.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The nodes, in the order in which they were given.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.find_node(name).doing(|| format!("look up node {name}"))
    }

    pub(super) fn find_node(&self, name: &str) -> Result<&Node, Cause> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| Cause::Absent(format!("node {name}")))
    }

    /// The pods that are there, by name.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// A pod by its name.
    pub fn pod(&self, name: &str) -> Result<&Pod> {
        let found = self.pods.get(name).ok_or_else(|| Cause::Absent(format!("pod {name}")));
        found.doing(|| format!("look up pod {name}"))
    }

    /// The addresses of a pod, a node or the outside host. The first of a family is the one it sends from.
    ///
    /// Those of a node with bridged pods include its bridge's.
    pub fn addresses(&self, host: &str) -> Result<Vec<IpAddr>> {
        if let Some(pod) = self.pods.get(host) {
            return Ok(pod.addresses().collect());
        }
        if host == OUTSIDE {
            return Ok(self.outside_addresses.clone());
        }
        let node = self.node(host)?;
        let gateways = node.pod_ranges.map(address::gateway);
        let bridged = node.wiring == Wiring::Bridged;
        Ok(node.addresses.into_iter().chain(gateways.into_iter().filter(|_| bridged)).collect())
    }

    /// The first address of a pod, a node or the outside host in a family.
    pub fn address(&self, host: &str, family: Family) -> Result<IpAddr> {
        let found = self.addresses(host)?.into_iter().find(|address| Family::of(*address) == family);
        let absent = || Cause::Absent(format!("{family} address of {host}"));
        found.ok_or_else(absent).doing(|| format!("look up {host}"))
    }

    /// Where a probe from this host starts: its namespace and its first address in the family.
    pub fn endpoint(&self, host: &str, family: Family) -> Result<Endpoint> {
        Ok(Endpoint { host: host.to_owned(), address: self.address(host, family)? })
    }

    /// The name of a host's namespace, as `ip netns` lists it.
    pub fn namespace_name(&self, host: &str) -> Result<&str> {
        self.namespace(host).map(Namespace::name)
    }

    pub(super) fn namespace(&self, host: &str) -> Result<&Namespace> {
        let found = self.hosts.get(host).ok_or_else(|| Cause::Absent(format!("host {host}")));
        found.doing(|| format!("find the namespace of {host}"))
    }

    pub(super) fn full_name(&self, host: &str) -> String {
        plan::namespace_name(&self.prefix, host)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        sweep::end(self.hosts.values().chain([&self.fabric]));
    }
}
