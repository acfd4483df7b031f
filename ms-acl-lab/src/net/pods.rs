//! Pods come and go while the cluster lives.

use std::net::IpAddr;

use super::cluster::{Cluster, FABRIC, Node, OUTSIDE, Pod};
use super::error::{Cause, Doing, Result};
use super::namespace::{Namespace, in_thread};
use super::spec::{PodSpec, Wiring};
use super::{plan, ready, sweep, sysctl, tool, wire};

impl Cluster {
    /// Adds a pod.
    pub fn add_pod(&mut self, spec: PodSpec) -> Result<&Pod> {
        let name = spec.name.clone();
        self.add_pods(&[spec])?;
        self.pod(&name)
    }

    /// Adds pods, with one process a node and one a pod; nothing is added when one of them can't be.
    pub fn add_pods(&mut self, specs: &[PodSpec]) -> Result<()> {
        let mut planned: Vec<Pod> = Vec::with_capacity(specs.len());
        for spec in specs {
            let pod = self.plan_pod(spec, &planned).doing(|| format!("add pod {}", spec.name))?;
            planned.push(pod);
        }
        let names: Vec<String> = planned.iter().map(|pod| self.full_name(&pod.name)).collect();
        let namespaces = Namespace::create_all(&names)?;
        in_thread(|| self.wire_pods(&planned, &namespaces))?;
        for (pod, namespace) in planned.iter().zip(namespaces) {
            self.hosts.insert(pod.name.clone(), namespace);
            self.pods.insert(pod.name.clone(), pod.clone());
        }
        self.renew_neighbours(&planned)
    }

    /// Removes a pod: what it served ends, its interfaces and routes go, its name and addresses are free again.
    pub fn remove_pod(&mut self, name: &str) -> Result<()> {
        let pod = self.pod(name)?.clone();
        self.server.forget(name);
        sweep::end(self.hosts.get(name).into_iter());
        in_thread(|| {
            let node = self.node(&pod.node)?;
            self.namespace(&node.name)?.enter()?;
            tool::ip_batch(&wire::detach(node, &pod))?;
            self.route_strays(node, "del", pod.addresses())
        })?;
        self.pods.remove(name);
        self.hosts.remove(name);
        Ok(())
    }

    /// Lets the neighbours on a bridge forget IPv6 addresses that have another Ethernet address than last time.
    ///
    /// Ethernet addresses follow a pod's first address, which is another if only its IPv6 address is one used before.
    fn renew_neighbours(&mut self, added: &[Pod]) -> Result<()> {
        for pod in added {
            let (Some(v6), mac) = (pod.v6, wire::pod_mac(pod)) else { continue };
            if self.macs.insert(v6, mac).is_none_or(|before| before == mac) {
                continue;
            }
            let hosts = self.pods.values().filter(|other| other.node == pod.node).map(|other| &other.name);
            let hosts: Vec<&String> = hosts.chain([&pod.node]).collect();
            in_thread(|| {
                hosts.iter().try_for_each(|host| {
                    self.namespace(host)?.enter()?;
                    tool::ip_batch(&[format!("neigh flush to {v6}")])
                })
            })?;
        }
        Ok(())
    }

    fn plan_pod(&mut self, spec: &PodSpec, planned: &[Pod]) -> Result<Pod, Cause> {
        let full_name = self.full_name(&spec.name);
        let name_taken = spec.name == FABRIC
            || self.hosts.values().any(|namespace| namespace.name() == full_name)
            || planned.iter().any(|pod| self.full_name(&pod.name) == full_name);
        if name_taken {
            return Err(Cause::Taken(format!("the name {}", spec.name)));
        }
        let node = self.find_node(&spec.node)?;
        let taken =
            |address| self.pods.values().chain(planned).any(|pod| pod.addresses().any(|a| a == address));
        let [v4, v6] = plan::pod_addresses(spec, node, taken)?;
        let kind = match node.wiring {
            Wiring::Routed => "cali",
            Wiring::Bridged => "veth",
        };
        let index = self.next_index;
        self.next_index += 1;
        Ok(Pod {
            name: spec.name.clone(),
            node: spec.node.clone(),
            v4: v4.and_then(|address| if let IpAddr::V4(v4) = address { Some(v4) } else { None }),
            v6: v6.and_then(|address| if let IpAddr::V6(v6) = address { Some(v6) } else { None }),
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
            for (pod, namespace) in &own {
                namespace.enter()?;
                tool::ip_batch(&wire::pod(node, pod))?;
                sysctl::interface(wire::UPLINK)?;
            }
            for (_, namespace) in &own {
                namespace.enter()?;
                ready::wait(&[wire::UPLINK])?;
            }
            self.namespace(&node.name)?.enter()?;
            ready::wait(&own.iter().map(|(pod, _)| pod.interface.as_str()).collect::<Vec<_>>())?;
            self.route_strays(node, "add", own.iter().flat_map(|(pod, _)| pod.addresses()))?;
        }
        Ok(())
    }

    /// Adds or deletes the routes to those addresses of a node's pods that its ranges don't hold, on all others.
    fn route_strays(&self, node: &Node, verb: &str, addresses: impl Iterator<Item = IpAddr>) -> Result<()> {
        let lines: Vec<String> =
            addresses.filter_map(|address| wire::stray_route(node, verb, address)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let others = self.nodes.iter().map(|other| other.name.as_str()).filter(|other| *other != node.name);
        for host in others.chain([OUTSIDE]) {
            self.namespace(host)?.enter()?;
            tool::ip_batch(&lines)?;
        }
        Ok(())
    }
}
