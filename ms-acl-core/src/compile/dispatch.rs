//! Dispatch: from a packet's address to the chain that judges that pod.
//!
//! Plain address comparisons, because one costs 2 ns and a set look-up 125 ns. Above
//! [`LINEAR`] pods the lines form a path-compressed tree of address prefixes. The tree depends on
//! the addresses only, so a pod that comes or goes changes the chains on its own path and no others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::name::Identity;
use crate::ruleset::{Chain, ChainName, Direction, Family, Match, Rule, Ruleset, Target};

/// Up to this many pods one chain holds all lines.
const LINEAR: usize = 64;
/// A chain of the tree holds up to this many pods before it branches.
const LEAF: usize = 8;
/// A branch looks at this many bits: fan-out 8.
const BITS: u8 = 3;
/// The tree has at most this many levels of chains below its root.
const DEPTH: usize = 5;

/// Puts the dispatch of one direction into the graph, under `root`.
pub(super) fn build(
    graph: &mut Ruleset,
    root: &ChainName,
    direction: Direction,
    pods: &BTreeMap<IpAddr, ChainName>,
) {
    let lines: Vec<(u128, &ChainName)> =
        pods.iter().map(|(address, chain)| (bits(*address), chain)).collect();
    let tree = Tree { family: graph.family, direction };
    let rules = if lines.len() <= LINEAR { tree.leaf(&lines) } else { tree.branch(graph, &lines, 0) };
    let title = format!("{direction} dispatch");
    graph.chains.insert(root.clone(), Arc::new(Chain { rules, title, ..Chain::default() }));
}

struct Tree {
    family: Family,
    direction: Direction,
}

impl Tree {
    /// A pod's own line, and before it the line that lets it reach itself.
    fn leaf(&self, lines: &[(u128, &ChainName)]) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(2 * lines.len());
        for (bits, chain) in lines {
            let net = self.net(*bits, self.family.bits());
            rules.push(Rule::new(vec![Match::Source(net), Match::Destination(net)], Target::Return));
            rules.push(Rule::new(vec![self.side(net)], Target::Goto((*chain).clone())));
        }
        rules
    }

    /// The lines that lead to the parts of a sorted list of addresses that has more than a leaf's.
    fn branch(&self, graph: &mut Ruleset, lines: &[(u128, &ChainName)], depth: usize) -> Vec<Rule> {
        let common = common_prefix(lines, self.family);
        let length = (common + BITS).min(self.family.bits());
        let mut rules = Vec::new();
        let same =
            |a: &(u128, &ChainName), b: &(u128, &ChainName)| self.net(a.0, length) == self.net(b.0, length);
        for part in lines.chunk_by(same) {
            if let [_] = part {
                rules.extend(self.leaf(part));
                continue;
            }
            let net = self.net(part[0].0, common_prefix(part, self.family));
            let below = if part.len() <= LEAF || depth + 1 == DEPTH {
                self.leaf(part)
            } else {
                self.branch(graph, part, depth + 1)
            };
            let mut identity = Identity::new("dispatch");
            identity.direction(self.direction);
            identity.nets(&[net]);
            let name = identity.chain_name('D');
            let title = format!("{} dispatch of {net}", self.direction);
            graph.chains.insert(name.clone(), Arc::new(Chain { rules: below, title, ..Chain::default() }));
            rules.push(Rule::new(vec![self.side(net)], Target::Goto(name)));
        }
        rules
    }

    fn side(&self, net: IpNet) -> Match {
        match self.direction {
            Direction::Egress => Match::Source(net),
            Direction::Ingress => Match::Destination(net),
        }
    }

    fn net(&self, bits: u128, length: u8) -> IpNet {
        let address = match self.family {
            Family::V4 => IpAddr::from(((bits >> 96) as u32).to_be_bytes()),
            Family::V6 => IpAddr::from(bits.to_be_bytes()),
        };
        IpNet::new_assert(address, length).trunc()
    }
}

/// An address as its bits, first bit highest, in both families.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The number of leading bits that all addresses of a sorted list share.
fn common_prefix(lines: &[(u128, &ChainName)], family: Family) -> u8 {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return 0 };
    let shared = (first.0 ^ last.0).leading_zeros();
    u8::try_from(shared).unwrap_or(u8::MAX).min(family.bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(addresses: impl IntoIterator<Item = IpAddr>, family: Family) -> Ruleset {
        let chain = ChainName::new("MS-E-x").unwrap();
        let pods = addresses.into_iter().map(|address| (address, chain.clone())).collect();
        let mut graph = Ruleset::new(family);
        build(&mut graph, &root(), Direction::Egress, &pods);
        graph
    }

    fn root() -> ChainName {
        ChainName::new("MS-EGRESS").unwrap()
    }

    fn depth(graph: &Ruleset, chain: &ChainName) -> usize {
        let below = graph.chains.get(chain).into_iter().flat_map(|chain| &chain.rules).filter_map(|rule| {
            if let Target::Goto(name) = &rule.target { Some(depth(graph, name)) } else { None }
        });
        below.max().map_or(0, |below| below + 1)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_few_pods_are_one_list() {
        let graph = built([address("10.0.0.1"), address("10.0.0.2")], Family::V4);
        assert_eq!(graph.chains[&root()].rules.len(), 4);
        assert_eq!(graph.chains.len(), 1);
    }

    #[test]
    fn a_thousand_pods_are_a_tree_of_few_comparisons() {
        let graph = built((0..1000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())), Family::V4);
        assert!(depth(&graph, &root()) <= DEPTH + 2, "{}", depth(&graph, &root()));
        assert!(graph.chains.values().all(|chain| chain.rules.len() <= 16));
    }

    #[test]
    fn hostile_addresses_keep_the_depth() {
        let spread = (0..100_u32).map(|n| IpAddr::from((1_u32 << (n % 32) | n).to_be_bytes()));
        let graph = built(spread, Family::V4);
        assert!(depth(&graph, &root()) <= DEPTH + 2);
        let spread = (0..128_u32).map(|n| IpAddr::from((1_u128 << n).to_be_bytes()));
        assert!(depth(&built(spread, Family::V6), &root()) <= DEPTH + 2);
    }

    #[test]
    fn a_pod_that_comes_changes_few_chains() {
        let addresses = || (0..1000_u32).map(|n| IpAddr::from((0x0a00_0000 + n * 3).to_be_bytes()));
        let before = built(addresses(), Family::V4);
        let after = built(addresses().chain([address("10.0.4.2")]), Family::V4);
        let changed = after.chains.iter().filter(|(name, chain)| before.chains.get(*name) != Some(chain));
        assert!(changed.count() <= 3);
    }
}
