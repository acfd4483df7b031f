//! Dispatch: from a packet's address to the chain that judges that pod.
//!
//! Plain address comparisons, because one costs 2 ns and a set look-up 125 ns. Above
//! [`LINEAR`] pods the lines form a path-compressed tree of address prefixes. The tree depends on
//! the addresses only, so a pod that comes or goes changes the chains on its own path and no others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::name::Identity;
use crate::ruleset::{Chain, ChainName, Direction, Family, Match, Rule, Target};

/// Up to this many pods one chain holds all lines.
const LINEAR: usize = 64;
/// A chain of the tree holds up to this many pods before it branches.
const LEAF: usize = 8;
/// A branch looks at this many bits: fan-out 8.
const BITS: u8 = 3;
/// The tree has at most this many levels of chains below its root.
const DEPTH: usize = 5;

/// The chain that judges a pod in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The chain of the pod's group.
    pub(crate) group: ChainName,
    /// The group that it leaves: while memberships change, both must let pass.
    pub(crate) leaving: Option<ChainName>,
    /// The pod's other addresses of the family: a pod reaches itself there too. Hardly ever any.
    pub(crate) others: Vec<IpAddr>,
}

impl Line {
    /// A line for a pod without other addresses of the family.
    pub(crate) fn to(group: ChainName) -> Self {
        Line { group, leaving: None, others: Vec::new() }
    }

    /// A line for one of a pod's addresses of a family.
    pub(crate) fn new(group: ChainName, address: IpAddr, all: &[IpAddr]) -> Self {
        let others = all.iter().copied().filter(|other| *other != address).collect();
        Line { others, ..Line::to(group) }
    }
}

/// The chains of one direction's dispatch in one family: the one under `root` and the tree below it.
pub(crate) fn chains(
    root: &ChainName,
    (direction, family): (Direction, Family),
    pods: &BTreeMap<IpAddr, Line>,
) -> Vec<(ChainName, Chain)> {
    let lines: Vec<(u128, &Line)> = pods.iter().map(|(address, line)| (bits(*address), line)).collect();
    let mut tree = Tree { family, direction, chains: Vec::new() };
    let rules = if lines.len() <= LINEAR { tree.leaf(&lines) } else { tree.branch(&lines, 0) };
    let title = format!("{direction} dispatch");
    tree.chains.push((root.clone(), Chain { rules, title, ..Chain::default() }));
    tree.chains
}

struct Tree {
    family: Family,
    direction: Direction,
    chains: Vec<(ChainName, Chain)>,
}

impl Tree {
    /// A pod's own line, and before it the lines that let it reach itself.
    fn leaf(&self, lines: &[(u128, &Line)]) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(2 * lines.len());
        for (bits, line) in lines {
            let net = self.net(*bits, self.family.bits());
            rules.push(Rule::new(vec![Match::Source(net), Match::Destination(net)], Target::Return));
            for other in &line.others {
                let other = IpNet::from(*other);
                let (from, to) = match self.direction {
                    Direction::Egress => (net, other),
                    Direction::Ingress => (other, net),
                };
                rules.push(Rule::new(vec![Match::Source(from), Match::Destination(to)], Target::Return));
            }
            if let Some(leaving) = &line.leaving {
                rules.push(Rule::new(vec![self.side(net)], Target::Jump(leaving.clone())));
            }
            rules.push(Rule::new(vec![self.side(net)], Target::Goto(line.group.clone())));
        }
        rules
    }

    /// The lines that lead to the parts of a sorted list of addresses that has more than a leaf's.
    fn branch(&mut self, lines: &[(u128, &Line)], depth: usize) -> Vec<Rule> {
        let common = common_prefix(lines, self.family);
        let length = (common + BITS).min(self.family.bits());
        let mut rules = Vec::new();
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or_default();
        let same = |a: &(u128, &Line), b: &(u128, &Line)| a.0 & mask == b.0 & mask;
        for part in lines.chunk_by(same) {
            if let [_] = part {
                rules.extend(self.leaf(part));
                continue;
            }
            let net = self.net(part[0].0, common_prefix(part, self.family));
            let below = if part.len() <= LEAF || depth + 1 == DEPTH {
                self.leaf(part)
            } else {
                self.branch(part, depth + 1)
            };
            let mut identity = Identity::new("dispatch");
            identity.direction(self.direction);
            identity.nets(&[net]);
            let name = identity.chain_name('D');
            let title = format!("{} dispatch of {net}", self.direction);
            self.chains.push((name.clone(), Chain { rules: below, title, ..Chain::default() }));
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
fn common_prefix(lines: &[(u128, &Line)], family: Family) -> u8 {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return 0 };
    let shared = (first.0 ^ last.0).leading_zeros();
    u8::try_from(shared).unwrap_or(u8::MAX).min(family.bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(addresses: impl IntoIterator<Item = IpAddr>, family: Family) -> BTreeMap<ChainName, Chain> {
        let line = |address| Line::new(ChainName::new("MS-E-x").unwrap(), address, &[address]);
        let pods = addresses.into_iter().map(|address| (address, line(address))).collect();
        chains(&root(), (Direction::Egress, family), &pods).into_iter().collect()
    }

    fn root() -> ChainName {
        ChainName::new("MS-EGRESS").unwrap()
    }

    fn depth(graph: &BTreeMap<ChainName, Chain>, chain: &ChainName) -> usize {
        let below = graph.get(chain).into_iter().flat_map(|chain| &chain.rules).filter_map(|rule| {
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
        assert_eq!(graph[&root()].rules.len(), 4);
        assert_eq!(graph.len(), 1);
    }

    #[test]
    fn a_thousand_pods_are_a_tree_of_few_comparisons() {
        let graph = built((0..1000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())), Family::V4);
        assert!(depth(&graph, &root()) <= DEPTH + 2, "{}", depth(&graph, &root()));
        assert!(graph.values().all(|chain| chain.rules.len() <= 16));
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
        let changed = after.iter().filter(|(name, chain)| before.get(*name) != Some(chain));
        assert!(changed.count() <= 3);
    }
}
