//! The two ends of a flow: their addresses in each family, and whose an address is.

use std::net::IpAddr;

use super::{NoAnswer, Question};
use crate::cluster::Cluster;
use crate::ruleset::Family;
use crate::verdict::{Endpoint, node_addresses};

/// A source's address and a destination's, of one family.
pub(super) type Pair = (IpAddr, IpAddr);

/// A pair in the family of the destination's first address that the source has too, and one in the
/// other family; `None` where they have no family in common.
pub(in crate::verdict) fn common(
    sources: &[IpAddr],
    destinations: &[IpAddr],
) -> Option<(Pair, Option<Pair>)> {
    let first = |addresses: &[IpAddr], family| addresses.iter().copied().find(|a| Family::of(*a) == family);
    let families = destinations.iter().map(|address| Family::of(*address));
    let mut pairs = families.filter_map(|family| {
        let pair = (first(sources, family)?, first(destinations, family)?);
        Some((family, pair))
    });
    let (family, pair) = pairs.next()?;
    Some((pair, pairs.find(|(other, _)| *other != family).map(|(_, pair)| pair)))
}

/// The addresses by which the ends that are nodes, or live in the network of one, are asked for: they are
/// the nodes' own, also where no Node object says so.
pub(super) fn addresses_of_nodes(
    cluster: &Cluster,
    question: &Question,
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Vec<(String, Vec<IpAddr>)> {
    let ends = [&question.from, &question.to].into_iter();
    let nodes = ends.filter_map(|end| {
        let node = match end {
            Endpoint::Node(name) => name.clone(),
            Endpoint::Pod { .. } => end.pod(cluster).filter(|pod| pod.host_network)?.node.to_string(),
            Endpoint::Address(_) => return None,
        };
        Some((node, end.addresses(cluster, local_addresses).ok()?))
    });
    nodes.collect()
}

pub(super) fn pairs(
    cluster: &Cluster,
    (from, to): (&Endpoint, &Endpoint),
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Result<(Pair, Option<Pair>), NoAnswer> {
    let sources = from.addresses(cluster, local_addresses)?;
    let destinations = to.addresses(cluster, local_addresses)?;
    if let Some(pairs) = common(&sources, &destinations) {
        return Ok(pairs);
    }
    let family = |addresses: &[IpAddr]| addresses.first().map_or(Family::V4, |a| Family::of(*a));
    Err(NoAnswer::NoCommonFamily {
        from: from.clone(),
        from_family: family(&sources),
        to: to.clone(),
        to_family: family(&destinations),
    })
}

/// The node that has an address itself, as far as Node objects tell.
pub(super) fn node_at(cluster: &Cluster, address: IpAddr) -> Option<&str> {
    let mut names = cluster.nodes().map(|node| node.metadata.name.as_str());
    names.find(|name| node_addresses(cluster, name).any(|own| own == address))
}

/// An address in words: `10.0.2.1 (pod b/web)`.
pub(super) fn who(cluster: &Cluster, address: IpAddr) -> String {
    match (cluster.pod_at(address), node_at(cluster, address)) {
        (Some(pod), _) => format!("{address} (pod {}/{})", pod.namespace, pod.name),
        (None, Some(node)) => format!("{address} (node {node})"),
        (None, None) => address.to_string(),
    }
}
