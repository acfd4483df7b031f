//! Services: an address in front of a pod, as kube-proxy makes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ms_acl_core::model::Protocol;
use ms_acl_core::ruleset::Family;

use super::cluster::Cluster;
use super::error::Result;

/// A Service with one backend. Both addresses are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The Service's address: the ClusterIP.
    pub address: IpAddr,
    /// The Service's port.
    pub port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The pod behind it.
    pub backend: IpAddr,
    /// The port on that pod.
    pub backend_port: u16,
}

impl Cluster {
    /// Makes a Service work on a node, for its pods and for itself: DNAT by `iptables -t nat`.
    ///
    /// A pod that reaches itself through it is masqueraded, as kube-proxy does it.
    pub fn add_service(&self, node: &str, service: &Service) -> Result<()> {
        self.change_service(node, 'A', service)
    }

    /// Takes a Service away from a node.
    pub fn remove_service(&self, node: &str, service: &Service) -> Result<()> {
        self.change_service(node, 'D', service)
    }

    /// Makes a Service work on every node.
    pub fn add_service_everywhere(&self, service: &Service) -> Result<()> {
        self.nodes().iter().try_for_each(|node| self.add_service(&node.name, service))
    }

    fn change_service(&self, node: &str, verb: char, service: &Service) -> Result<()> {
        let family = Family::of(service.address);
        for rule in service.rules() {
            self.iptables(node, family, &format!("-t nat -{verb} {rule}"))?;
        }
        Ok(())
    }
}

impl Service {
    fn rules(&self) -> [String; 3] {
        let Service { address, port, protocol, backend, backend_port } = self;
        let target = SocketAddr::new(*backend, *backend_port);
        let dnat = format!("-d {address} -p {protocol} --dport {port} -j DNAT --to-destination {target}");
        [
            format!("PREROUTING {dnat}"),
            format!("OUTPUT {dnat}"),
            format!(
                "POSTROUTING -s {backend} -d {backend} -p {protocol} --dport {backend_port} \
                 -m conntrack --ctstate DNAT -j MASQUERADE"
            ),
        ]
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let front = SocketAddr::new(self.address, self.port);
        let back = SocketAddr::new(self.backend, self.backend_port);
        write!(f, "{front}/{} -> {back}", self.protocol)
    }
}
