//! A cluster of network namespaces: nodes on an underlay, pods behind them, a host outside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ms_acl_core::ruleset::Family;

use super::address;
use super::error::{Cause, Doing, Result};
use super::namespace::{Namespace, in_thread};
use super::probe::Endpoint;
use super::serve::Server;
use super::spec::{ClusterBuilder, NodeSpec, PodSpec, Wiring};
use super::{limit, sweep, sysctl, tool, wire};

/// The name of the host outside of the cluster.
pub const OUTSIDE: &str = "outside";
/// The name of the underlay's own namespace.
const FABRIC: &str = "fabric";

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
    pub(super) hosts: BTreeMap<String, Namespace>,
    fabric: Namespace,
    pub(super) nodes: Vec<Node>,
    pub(super) pods: BTreeMap<String, Pod>,
    outside_addresses: Vec<IpAddr>,
    next_index: u32,
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
        let nodes = plan_nodes(&spec.nodes, spec.wiring)?;
        if nodes.iter().any(|node| node.wiring == Wiring::Bridged) {
            // Where it is a module it may not be loaded yet; where it isn't, writing its settings tells.
            let _ = tool::output("modprobe", &["br_netfilter"], None);
        }

        let prefix = sweep::new_prefix();
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).chain([OUTSIDE, FABRIC]).collect();
        let full: Vec<String> = names.iter().map(|name| full_name(&prefix, name)).collect();
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
        let members: Vec<&str> = self.hosts.values().map(Namespace::name).collect();
        tool::ip_batch(&wire::fabric(&members))?;

        let further = &self.outside_addresses[2..];
        for node in &self.nodes {
            let others: Vec<&Node> = self.nodes.iter().filter(|other| other.name != node.name).collect();
            self.namespace(&node.name)?.enter()?;
            tool::ip_batch(&wire::node(node, &others, further, address::OUTSIDE))?;
            wire::node_interfaces(node).iter().try_for_each(|interface| sysctl::interface(interface))?;
        }
        outside.enter()?;
        let nodes: Vec<&Node> = self.nodes.iter().collect();
        tool::ip_batch(&wire::outside(address::OUTSIDE, further, &nodes))?;
        sysctl::interface(wire::UPLINK)
    }

    /// Adds pods; either all of them are there afterwards, or none and an error says why.
    pub fn add_pods(&mut self, specs: &[PodSpec]) -> Result<()> {
        let mut planned: Vec<Pod> = Vec::with_capacity(specs.len());
        for spec in specs {
            let pod = self.plan_pod(spec, &planned).doing(|| format!("add pod {}", spec.name))?;
            planned.push(pod);
        }
        let full: Vec<String> = planned.iter().map(|pod| full_name(&self.prefix, &pod.name)).collect();
        let namespaces = Namespace::create_all(&full)?;
        in_thread(|| self.wire_pods(&planned, &namespaces))?;
        for (pod, namespace) in planned.into_iter().zip(namespaces) {
            self.hosts.insert(pod.name.clone(), namespace);
            self.pods.insert(pod.name.clone(), pod);
        }
        Ok(())
    }

    /// Adds a pod.
    pub fn add_pod(&mut self, spec: PodSpec) -> Result<&Pod> {
        let name = spec.name.clone();
        self.add_pods(&[spec])?;
        self.pod(&name)
    }

    /// Removes a pod: what it served ends, its interfaces and routes go, its addresses are free again.
    pub fn remove_pod(&mut self, name: &str) -> Result<()> {
        let pod = self.pod(name)?.clone();
        self.server.forget(name);
        let node = self.namespace(&pod.node)?;
        // Deleted by hand: the kernel would do it later, when it cleans the namespace up.
        in_thread(|| {
            node.enter()?;
            tool::output("ip", &["link", "del", &pod.interface], None)
        })?;
        if let Some(namespace) = self.hosts.remove(name) {
            sweep::end_processes(&BTreeSet::from([namespace.inode()]));
        }
        self.pods.remove(name);
        Ok(())
    }

    fn plan_pod(&mut self, spec: &PodSpec, planned: &[Pod]) -> Result<Pod, Cause> {
        let file_name = full_name(&self.prefix, &spec.name);
        let name_taken = self.hosts.values().map(Namespace::name).any(|name| name == file_name)
            || planned.iter().any(|pod| full_name(&self.prefix, &pod.name) == file_name);
        if name_taken || spec.name == FABRIC {
            return Err(Cause::Taken(format!("the name {}", spec.name)));
        }
        let node = self.find_node(&spec.node)?;
        let taken = |address| {
            self.pods.values().chain(planned).any(|pod| pod.addresses().any(|other| other == address))
        };
        let [v4, v6] = plan_addresses(spec, node, taken)?;
        let kind = if node.wiring == Wiring::Routed { "cali" } else { "veth" };
        let index = self.next_index;
        self.next_index += 1;
        Ok(Pod {
            name: spec.name.clone(),
            node: spec.node.clone(),
            v4: v4.and_then(|a| if let IpAddr::V4(v4) = a { Some(v4) } else { None }),
            v6: v6.and_then(|a| if let IpAddr::V6(v6) = a { Some(v6) } else { None }),
            interface: format!("{kind}{index}"),
            index,
        })
    }

    /// Wires new pods, node by node, so that each node needs one process for all of them.
    fn wire_pods(&self, pods: &[Pod], namespaces: &[Namespace]) -> Result<()> {
        for namespace in namespaces {
            namespace.enter()?;
            sysctl::host()?;
        }
        for node in &self.nodes {
            let own: Vec<(&Pod, &Namespace)> =
                pods.iter().zip(namespaces).filter(|(pod, _)| pod.node == node.name).collect();
            let lines: Vec<String> =
                own.iter().flat_map(|(pod, namespace)| wire::attach(node, pod, namespace.name())).collect();
            self.namespace(&node.name)?.enter()?;
            tool::ip_batch(&lines)?;
            if node.wiring == Wiring::Routed {
                own.iter().try_for_each(|(pod, _)| sysctl::gateway_interface(&pod.interface))?;
            }
            for (pod, namespace) in own {
                namespace.enter()?;
                tool::ip_batch(&wire::pod(node, pod))?;
                sysctl::interface(wire::UPLINK)?;
            }
        }
        Ok(())
    }

    /// The nodes, in the order in which they were given.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.find_node(name).doing(|| format!("look up node {name}"))
    }

    fn find_node(&self, name: &str) -> Result<&Node, Cause> {
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
}

impl Drop for Cluster {
    fn drop(&mut self) {
        sweep::end_processes(&self.hosts.values().chain([&self.fabric]).map(Namespace::inode).collect());
    }
}

/// Chooses the addresses of a pod: those that it was given, else the first free ones of its node's ranges.
fn plan_addresses(
    spec: &PodSpec,
    node: &Node,
    taken: impl Fn(IpAddr) -> bool,
) -> Result<[Option<IpAddr>; 2], Cause> {
    let given = [spec.v4.map(IpAddr::V4), spec.v6.map(IpAddr::V6)];
    let mut chosen = [None, None];
    for (slot, (family, (given, range))) in
        chosen.iter_mut().zip(Family::BOTH.into_iter().zip(given.into_iter().zip(node.pod_ranges)))
    {
        if !spec.families.contain(family) {
            continue;
        }
        let address = match given {
            Some(address) if taken(address) => return Err(Cause::Taken(address.to_string())),
            Some(address) if !range.contains(&address) => {
                return Err(Cause::Unfit(format!("{address} is not in {range}, the range of {}", node.name)));
            }
            Some(address) => address,
            None => address::free(range, &taken).ok_or_else(|| Cause::Unfit(format!("{range} is full")))?,
        };
        *slot = Some(address);
    }
    Ok(chosen)
}

fn plan_nodes(specs: &[NodeSpec], wiring: Wiring) -> Result<Vec<Node>> {
    let mut names = BTreeSet::from([OUTSIDE, FABRIC]);
    let mut nodes = Vec::with_capacity(specs.len());
    for (n, spec) in specs.iter().enumerate() {
        let action = || format!("add node {}", spec.name);
        if !names.insert(&spec.name) {
            return Err(Cause::Taken(format!("the name {}", spec.name))).doing(action);
        }
        let number = u8::try_from(n + 1).ok().filter(|n| *n <= 200);
        let number =
            number.ok_or_else(|| Cause::Unfit("a cluster has at most 200 nodes".into())).doing(action)?;
        nodes.push(Node {
            name: spec.name.clone(),
            addresses: address::node(number),
            pod_ranges: address::pod_ranges(number),
            wiring: spec.wiring.unwrap_or(wiring),
        });
    }
    Ok(nodes)
}

/// The name of a host's namespace. A slash cannot be part of it.
fn full_name(prefix: &str, host: &str) -> String {
    format!("{prefix}-{}", host.replace('/', "."))
}
