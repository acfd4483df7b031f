//! Exact arithmetic of networks: blocks with holes, united.
//!
//! Networks become ranges of addresses, ranges are cut and joined, and what is left becomes networks
//! again. That takes as long as sorting them, and the fewest networks come out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use crate::model::Block;
use crate::ruleset::Family;

/// Addresses of one family as numbers, both ends included.
type Range = (u128, u128);

/// The union of blocks in one family, as few disjoint networks as possible, in order. A hole is a
/// hole of its own block only.
pub(crate) fn union<'a>(blocks: impl IntoIterator<Item = &'a Block>, family: Family) -> Vec<IpNet> {
    let blocks = blocks.into_iter().filter(|block| Family::of(block.net.addr()) == family);
    let ranges = blocks.flat_map(|block| {
        let holes = block.except.iter().filter(|hole| Family::of(hole.addr()) == family);
        without(range(block.net), holes.map(|hole| range(*hole)).collect())
    });
    joined(ranges.collect()).into_iter().flat_map(|range| networks(range, family)).collect()
}

/// What holes leave of a range.
fn without((first, last): Range, mut holes: Vec<Range>) -> Vec<Range> {
    holes.sort_unstable();
    let mut left = Vec::with_capacity(holes.len() + 1);
    // Everything before this number is decided.
    let mut next = first;
    for (from, to) in holes {
        if to < next {
            continue;
        }
        if from > last {
            break;
        }
        if from > next {
            left.push((next, from - 1));
        }
        if to >= last {
            return left;
        }
        next = to + 1;
    }
    left.push((next, last));
    left
}

/// Ranges in order, with those that overlap or touch made one.
fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn range(net: IpNet) -> Range {
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    (number(net.network()), number(net.broadcast()))
}

/// The fewest networks that are a range.
fn networks((first, last): Range, family: Family) -> IpSubnets {
    match family {
        Family::V4 => {
            let address = |number| Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX));
            Ipv4Subnets::new(address(first), address(last), 0).into()
        }
        Family::V6 => Ipv6Subnets::new(Ipv6Addr::from(first), Ipv6Addr::from(last), 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(net: &str, except: &[&str]) -> Block {
        Block { net: net.parse().unwrap(), except: except.iter().map(|hole| hole.parse().unwrap()).collect() }
    }

    fn texts(nets: &[IpNet]) -> Vec<String> {
        nets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_hole_is_a_hole_of_its_own_block_only() {
        let blocks = [block("10.0.0.0/8", &["10.0.0.0/9"]), block("10.1.0.0/16", &[])];
        assert_eq!(texts(&union(&blocks, Family::V4)), ["10.1.0.0/16", "10.128.0.0/9"]);
    }

    #[test]
    fn everything_stays_everything_in_both_families() {
        assert_eq!(texts(&union(&[block("0.0.0.0/0", &[])], Family::V4)), ["0.0.0.0/0"]);
        assert_eq!(texts(&union(&[block("::/0", &[])], Family::V6)), ["::/0"]);
        assert_eq!(
            texts(&union(&[block("0.0.0.0/1", &[]), block("128.0.0.0/1", &[])], Family::V4)),
            ["0.0.0.0/0"]
        );
        assert!(union(&[block("0.0.0.0/0", &[])], Family::V6).is_empty());
    }

    #[test]
    fn nested_duplicate_and_overlapping_blocks_merge() {
        let blocks =
            [block("10.0.0.0/8", &[]), block("10.0.0.0/8", &[]), block("10.1.0.0/16", &["10.1.1.0/24"])];
        assert_eq!(texts(&union(&blocks, Family::V4)), ["10.0.0.0/8"]);
        assert!(union(&[block("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/9"])], Family::V4).is_empty());
    }

    /// Where a family is looked at: as a universe of 16 places, each a network of `length` bits.
    #[derive(Debug, Clone, Copy)]
    struct Universe {
        family: Family,
        /// The length of the network that is the universe: the places are 4 bits longer.
        length: u8,
    }

    impl Universe {
        /// The network of so many of the 4 bits that holds a place.
        fn net(self, place: u8, bits: u8) -> IpNet {
            let base = 0xfd0a_0bf7_0000_1111_2222_7777_ffff_fff0_u128;
            let head = base & !u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
            let bytes = (head | u128::from(place) << (124 - self.length)).to_be_bytes();
            let address = match self.family {
                Family::V4 => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
                Family::V6 => IpAddr::from(bytes),
            };
            IpNet::new(address, self.length + bits).unwrap().trunc()
        }
    }

    /// The whole family, its end, and places between, both families.
    fn universes() -> impl Strategy<Value = Universe> {
        let v4 = (0_u8..=28).prop_map(|length| Universe { family: Family::V4, length });
        let v6 = (0_u8..=124).prop_map(|length| Universe { family: Family::V6, length });
        prop_oneof![v4, v6]
    }

    fn place_and_bits() -> impl Strategy<Value = (u8, u8)> {
        (0_u8..16, 0_u8..=4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_union_holds_exactly_the_addresses(
            universe in universes(),
            drawn in proptest::collection::vec((place_and_bits(), proptest::collection::vec(place_and_bits(), 0..4)), 0..6),
        ) {
            let net = |(place, bits)| universe.net(place, bits);
            let blocks: Vec<Block> = drawn
                .iter()
                .map(|(at, holes)| Block { net: net(*at), except: holes.iter().copied().map(net).collect() })
                .collect();
            // The naive bitmap: a bit for each place.
            let holds = |net: &IpNet, place| net.contains(&universe.net(place, 4));
            let wanted: Vec<bool> = (0..16)
                .map(|place| {
                    blocks.iter().any(|block| {
                        holds(&block.net, place) && !block.except.iter().any(|hole| holds(hole, place))
                    })
                })
                .collect();
            let nets = union(&blocks, universe.family);
            for (place, wanted) in (0..16).zip(&wanted) {
                let found = nets.iter().filter(|net| holds(net, place)).count();
                prop_assert_eq!(found, usize::from(*wanted), "place {} of {:?}", place, nets);
            }
            prop_assert_eq!(nets.len(), fewest(&wanted), "as few as possible: {:?}", nets);
            prop_assert!(nets.is_sorted());
            let other = if universe.family == Family::V4 { Family::V6 } else { Family::V4 };
            prop_assert!(union(&blocks, other).is_empty());
        }
    }

    /// The fewest networks that hold a bitmap: all of it, or those of its halves.
    fn fewest(bitmap: &[bool]) -> usize {
        match bitmap {
            all if all.iter().all(|bit| *bit) => 1,
            none if none.iter().all(|bit| !*bit) => 0,
            some => {
                let (low, high) = some.split_at(some.len() / 2);
                fewest(low) + fewest(high)
            }
        }
    }

    #[test]
    fn thousands_of_blocks_and_holes_are_united_at_once() {
        let hole = |n: u32| IpNet::new(IpAddr::from((0x0a00_0000 + 2 * n).to_be_bytes()), 32).unwrap();
        let one = Block { net: "10.0.0.0/8".parse().unwrap(), except: (0..20_000).map(hole).collect() };
        let many: Vec<Block> = (0..20_000).map(|n| Block { net: hole(n), except: vec![] }).collect();
        // What is left of the first 40,000 addresses, and the rest of the block in powers of two.
        assert!(union([&one], Family::V4).len() > 20_000);
        assert_eq!(union(&many, Family::V4).len(), 20_000);
        assert_eq!(texts(&union(many.iter().chain([&one]), Family::V4)), ["10.0.0.0/8"]);
    }
}
