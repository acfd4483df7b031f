//! Exact arithmetic of networks: blocks with holes, united.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use iprange::{IpNet as RangeNet, IpRange};

use crate::model::Block;
use crate::ruleset::Family;

/// The union of blocks in one family, as few disjoint networks as possible, in order. A hole is a
/// hole of its own block only.
pub(crate) fn union<'a>(blocks: impl IntoIterator<Item = &'a Block>, family: Family) -> Vec<IpNet> {
    let blocks = blocks.into_iter().filter(|block| Family::of(block.net.addr()) == family);
    match family {
        Family::V4 => united(blocks, |net| if let IpNet::V4(net) = net { Some(net.trunc()) } else { None })
            .into_iter()
            .map(|net: Ipv4Net| IpNet::V4(net))
            .collect(),
        Family::V6 => united(blocks, |net| if let IpNet::V6(net) = net { Some(net.trunc()) } else { None })
            .into_iter()
            .map(|net: Ipv6Net| IpNet::V6(net))
            .collect(),
    }
}

fn united<'a, N>(blocks: impl Iterator<Item = &'a Block>, of: impl Fn(IpNet) -> Option<N>) -> Vec<N>
where
    N: RangeNet + iprange::ToNetwork<N> + Clone + Ord,
{
    let mut parts: Vec<N> = Vec::new();
    for block in blocks {
        let Some(net) = of(block.net) else { continue };
        if block.except.is_empty() {
            parts.push(net);
            continue;
        }
        let holes: IpRange<N> = block.except.iter().filter_map(|hole| of(*hole)).collect();
        parts.extend(std::iter::once(net).collect::<IpRange<N>>().exclude(&holes).iter());
    }
    // All at once: a merge for each block would cost the square of their number.
    let mut all: IpRange<N> = parts.into_iter().collect();
    all.simplify();
    let mut nets: Vec<N> = all.iter().collect();
    nets.sort();
    nets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// A block within 16 addresses of the end of a family, so that all of them can be looked at.
    fn small_block(v6: bool) -> impl Strategy<Value = Block> {
        let net = move |low: u8, length: u8| -> IpNet {
            let text = if v6 {
                format!("ff::{low:x}/{}", 124 + length)
            } else {
                format!("9.0.0.{low}/{}", 28 + length)
            };
            text.parse::<IpNet>().unwrap().trunc()
        };
        ((0_u8..16, 0_u8..=4), proptest::collection::vec((0_u8..16, 0_u8..=4), 0..4)).prop_map(
            move |((low, length), holes)| Block {
                net: net(low, length),
                except: holes.into_iter().map(|(low, length)| net(low, length)).collect(),
            },
        )
    }

    fn check(blocks: &[Block], family: Family, address: impl Fn(u8) -> std::net::IpAddr) {
        let nets = union(blocks, family);
        for low in 0..16 {
            let address = address(low);
            let inside = |net: &IpNet| net.contains(&address);
            let expected = blocks.iter().any(|block| inside(&block.net) && !block.except.iter().any(inside));
            assert_eq!(nets.iter().filter(|net| inside(net)).count(), usize::from(expected), "{address}");
        }
        assert_eq!(IpNet::aggregate(&nets).len(), nets.len(), "as few as possible: {nets:?}");
    }

    proptest! {
        #[test]
        fn the_union_holds_exactly_the_addresses(
            v4 in proptest::collection::vec(small_block(false), 0..6),
            v6 in proptest::collection::vec(small_block(true), 0..6),
        ) {
            check(&v4, Family::V4, |low| format!("9.0.0.{low}").parse().unwrap());
            check(&v6, Family::V6, |low| format!("ff::{low:x}").parse().unwrap());
        }
    }
}
