//! Who gets which name and address. Pure: nothing here touches the kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ms_acl_core::ruleset::Family;

use super::address;
use super::cluster::{FABRIC, Node, OUTSIDE};
use super::error::{Cause, Doing, Result};
use super::spec::{NodeSpec, PodSpec, Wiring};

/// The name of a host's namespace. A slash cannot be part of it.
pub(crate) fn namespace_name(prefix: &str, host: &str) -> String {
    format!("{prefix}-{}", host.replace('/', "."))
}

/// The nodes of a new cluster: what they weren't given is chosen by their number.
pub(crate) fn nodes(specs: &[NodeSpec], wiring: Wiring) -> Result<Vec<Node>> {
    let mut names = BTreeSet::from([OUTSIDE, FABRIC]);
    let mut nodes: Vec<Node> = Vec::with_capacity(specs.len());
    for (n, spec) in specs.iter().enumerate() {
        let action = || format!("add node {}", spec.name);
        if !names.insert(&spec.name) {
            return Err(Cause::Taken(format!("the name {}", spec.name))).doing(action);
        }
        let number = u8::try_from(n + 1).ok().filter(|n| *n <= 200);
        let number =
            number.ok_or_else(|| Cause::Unfit("a cluster has at most 200 nodes".into())).doing(action)?;
        let node = Node {
            name: spec.name.clone(),
            addresses: given_or(spec.addresses, address::node(number)),
            pod_ranges: given_or(spec.pod_ranges, address::pod_ranges(number)),
            wiring: spec.wiring.unwrap_or(wiring),
        };
        if let Some(twin) = nodes.iter().find(|other| clash(other, &node)) {
            let reason = format!("its address or range is that of {}", twin.name);
            return Err(Cause::Unfit(reason)).doing(action);
        }
        nodes.push(node);
    }
    Ok(nodes)
}

/// The addresses of a pod: those that it was given, else the first free ones of its node's ranges.
pub(crate) fn pod_addresses(
    spec: &PodSpec,
    node: &Node,
    taken: impl Fn(IpAddr) -> bool,
) -> Result<[Option<IpAddr>; 2], Cause> {
    let choose = |family, given: Option<IpAddr>, range| match given {
        _ if !spec.families.contain(family) => Ok(None),
        Some(address) if taken(address) => Err(Cause::Taken(address.to_string())),
        Some(address) => Ok(Some(address)),
        None => {
            address::free(range, &taken).map(Some).ok_or_else(|| Cause::Unfit(format!("{range} is full")))
        }
    };
    let [v4, v6] = node.pod_ranges;
    Ok([choose(Family::V4, spec.v4.map(IpAddr::V4), v4)?, choose(Family::V6, spec.v6.map(IpAddr::V6), v6)?])
}

fn given_or<T: Copy>(given: [Option<T>; 2], chosen: [T; 2]) -> [T; 2] {
    let ([a, b], [c, d]) = (given, chosen);
    [a.unwrap_or(c), b.unwrap_or(d)]
}

/// Whether two nodes share an address, or one's range contains the other's.
fn clash(a: &Node, b: &Node) -> bool {
    let ranges = a.pod_ranges.iter().zip(&b.pod_ranges);
    a.addresses.iter().any(|address| b.addresses.contains(address))
        || ranges.into_iter().any(|(a, b)| a.contains(b) || b.contains(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(specs: &[NodeSpec]) -> Result<Vec<Node>> {
        nodes(specs, Wiring::Routed)
    }

    #[test]
    fn names_and_addresses_belong_to_one_node() {
        assert!(plan(&["a".into(), "b".into()]).is_ok());
        assert!(plan(&["a".into(), "a".into()]).is_err());
        assert!(plan(&[OUTSIDE.into()]).is_err());
        let given = |name: &str| NodeSpec::new(name).address([192, 168, 0, 1]);
        assert!(plan(&[given("a"), "b".into()]).is_ok());
        assert!(plan(&[given("a"), given("b")]).is_err());
        let ranged = |name: &str, range: &str| NodeSpec::new(name).pod_range(range.parse().unwrap());
        assert!(plan(&[ranged("a", "10.1.0.0/16"), ranged("b", "10.1.2.0/24")]).is_err());
    }

    #[test]
    fn pods_get_what_they_ask_for_or_the_first_free_address() {
        let node = plan(&["a".into()]).unwrap().remove(0);
        let taken = |address: IpAddr| address.to_string() == "10.244.1.2";
        let pod = PodSpec::new("p", "a");
        let [v4, v6] = pod_addresses(&pod, &node, taken).unwrap();
        assert_eq!([v4.unwrap().to_string(), v6.unwrap().to_string()], ["10.244.1.3", "fd00:10:244:1::2"]);
        assert!(pod_addresses(&pod.clone().address([10, 244, 1, 2]), &node, taken).is_err());
        let four = pod.families(crate::net::Families::V4).address([10, 9, 9, 9]);
        assert_eq!(pod_addresses(&four, &node, taken).unwrap(), [Some([10, 9, 9, 9].into()), None]);
    }
}
