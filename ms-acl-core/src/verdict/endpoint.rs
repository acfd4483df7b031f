//! The ends of a flow as people name them: `default/web-1`, `10.0.0.1`, `node:n1`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::flow::node_addresses;
use crate::cluster::Cluster;

/// One end of a flow, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A pod: `namespace/name`.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An address, whoever has it.
    Address(IpAddr),
    /// A node: `node:NAME`.
    Node(String),
}

/// A text that names no end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no end of a flow: {hint}")]
pub struct EndpointError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub hint: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = |hint| EndpointError { text: text.to_owned(), hint };
        if let Some(name) = text.strip_prefix("node:") {
            return if name.is_empty() || name.contains('/') {
                Err(error("node: needs the name of a node behind it"))
            } else {
                Ok(Endpoint::Node(name.to_owned()))
            };
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Endpoint::Address(address.to_canonical()));
        }
        match text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                Err(error("it is a network; a flow has a single address at each end"))
            }
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Endpoint::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            Some(_) => Err(error("a pod is namespace/name")),
            None => Err(error("a pod is namespace/name, a node is node:NAME, anything else is an address")),
        }
    }
}

impl fmt::Display for Endpoint {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Endpoint::Address(address) => write!(f, "{address}"),
            Endpoint::Node(name) => write!(f, "node:{name}"),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why an end of a flow has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// No such pod.
    #[error("there is no pod {pod}{}", did_you_mean(.similar))]
    UnknownPod {
        /// What was asked for.
        pod: String,
        /// Pods of the namespace with names that start alike, a few.
        similar: Vec<String>,
    },
    /// A pod that doesn't run.
    #[error("pod {pod} has no address: it hasn't started or has ended, so nothing reaches it")]
    NotRunning {
        /// The pod.
        pod: String,
    },
    /// A pod whose addresses another pod has by now.
    #[error("pod {pod} has lost its address {address} to the newer pod {holder}")]
    TakenOver {
        /// The pod.
        pod: String,
        /// An address that it lists.
        address: IpAddr,
        /// The pod that has it.
        holder: String,
    },
    /// A pod on the host network of a node, neither of which lists an address.
    #[error(
        "pod {pod} lives in the network of node {node:?}, of which no address is known: ask for the address"
    )]
    HostNetwork {
        /// The pod.
        pod: String,
        /// Its node; empty = none yet.
        node: String,
    },
    /// No such node.
    #[error("there is no node {node}{}", did_you_mean(.known))]
    UnknownNode {
        /// What was asked for.
        node: String,
        /// Nodes that are known, a few.
        known: Vec<String>,
    },
    /// A node of which no address is known: its Node object lists none, or there is no such object.
    #[error("no address of node {node} is known, no Node object lists one: ask for the address")]
    NodeWithoutAddress {
        /// The node.
        node: String,
    },
}

fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// At most this many suggestions.
const FEW: usize = 3;

impl Endpoint {
    /// The addresses of this end: at least one. A node has those that its Node object lists, else those
    /// that `local_addresses` tells or its pods on the host network have; a pod on the host network has
    /// those of its node, else its own.
    pub fn addresses(
        &self,
        cluster: &Cluster,
        local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        match self {
            Endpoint::Address(address) => Ok(vec![*address]),
            Endpoint::Node(name) => addresses_of_node(cluster, name, local_addresses),
            Endpoint::Pod { namespace, name } => pod_addresses(cluster, (namespace, name), local_addresses),
        }
    }

    /// The pod, where this end is one: by name, or by an address of its own.
    pub fn pod<'a>(&self, cluster: &'a Cluster) -> Option<&'a crate::model::PodFacts> {
        match self {
            Endpoint::Pod { namespace, name } => cluster.pod(namespace, name),
            Endpoint::Address(address) => cluster.pod_at(*address),
            Endpoint::Node(_) => None,
        }
    }
}

fn filled(addresses: Vec<IpAddr>) -> Option<Vec<IpAddr>> {
    Some(addresses).filter(|addresses| !addresses.is_empty())
}

fn addresses_of_node(
    cluster: &Cluster,
    name: &str,
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Result<Vec<IpAddr>, NoAddress> {
    let here = || cluster.pods().filter(|pod| *pod.node == *name);
    let of_pods = || here().flat_map(|pod| pod.host_addresses.iter().copied()).collect();
    let local = || local_addresses(name).into_iter().filter(|address| reaches_others(*address)).collect();
    let known = filled(node_addresses(cluster, name).collect());
    known.or_else(|| filled(local())).or_else(|| filled(of_pods())).ok_or_else(|| {
        if cluster.node(name).is_some() || here().next().is_some() {
            return NoAddress::NodeWithoutAddress { node: name.to_owned() };
        }
        let of_pods = cluster.pods().map(|pod| &*pod.node).filter(|node| !node.is_empty());
        let known: BTreeSet<&str> = cluster.nodes().map(|node| &*node.metadata.name).chain(of_pods).collect();
        let known = known.into_iter().take(FEW).map(str::to_owned).collect();
        NoAddress::UnknownNode { node: name.to_owned(), known }
    })
}

/// Whether an address means something outside of its own machine.
fn reaches_others(address: IpAddr) -> bool {
    !address.is_loopback()
        && !address.is_multicast()
        && match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        }
}

fn pod_addresses(
    cluster: &Cluster,
    (namespace, name): (&str, &str),
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Result<Vec<IpAddr>, NoAddress> {
    let full = || format!("{namespace}/{name}");
    let Some(pod) = cluster.pod(namespace, name) else {
        let alike = cluster.pods_of(namespace).filter(|pod| pod.name.starts_with(name));
        let similar = alike.take(FEW).map(|pod| format!("{namespace}/{}", pod.name)).collect();
        return Err(NoAddress::UnknownPod { pod: full(), similar });
    };
    if pod.host_network {
        // What the pod itself lists is what the kubelet took for its node's own.
        return filled(node_addresses(cluster, &pod.node).collect())
            .or_else(|| filled(pod.host_addresses.to_vec()))
            .or_else(|| addresses_of_node(cluster, &pod.node, local_addresses).ok())
            .ok_or_else(|| NoAddress::HostNetwork { pod: full(), node: pod.node.to_string() });
    }
    if let Some(addresses) = filled(cluster.addresses_of(pod).collect()) {
        return Ok(addresses);
    }
    let taken = pod.addresses.iter().find_map(|address| Some((*address, cluster.pod_at(*address)?)));
    Err(match taken {
        Some((address, holder)) => NoAddress::TakenOver {
            pod: full(),
            address,
            holder: format!("{}/{}", holder.namespace, holder.name),
        },
        None => NoAddress::NotRunning { pod: full() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_of_ends_parse_and_print_alike() {
        for text in ["default/web-1", "10.0.0.1", "fd00::1", "node:n1"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("[fd00::1]".parse::<Endpoint>().unwrap().to_string(), "fd00::1");
        assert_eq!("::ffff:10.0.0.1".parse::<Endpoint>().unwrap().to_string(), "10.0.0.1");
    }

    #[test]
    fn what_names_no_end_says_what_would() {
        for (text, hint) in [
            ("web", "namespace/name"),
            ("", "namespace/name"),
            ("/web", "namespace/name"),
            ("a/b/c", "namespace/name"),
            ("node:", "the name of a node"),
            ("10.0.0.0/8", "single address"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
