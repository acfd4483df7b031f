//! Exact arithmetic of (address, port) pairs: which are taken, and by which rule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::PortRange;
use crate::ruleset::Family;

/// All pairs of an address of one family and a port. Each is free or taken by the rule that took it first.
#[derive(Debug, Clone)]
pub(super) struct Space {
    family: Family,
    /// By their first address; they follow each other without gaps.
    segments: BTreeMap<u128, Segment>,
    /// How much work was done; beyond [`LIMIT`] nothing is said any more.
    steps: usize,
}

/// More steps than any list that a person wrote takes: about a tenth of a second.
const LIMIT: usize = 10_000_000;

/// A stretch of addresses for which the same ports are taken.
#[derive(Debug, Clone)]
struct Segment {
    last: u128,
    /// Disjoint, ordered.
    taken: Vec<(PortRange, usize)>,
}

/// What became of an attempt to take pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether some of them were free.
    pub(super) fresh: bool,
    /// Who had taken the others.
    pub(super) by: BTreeSet<usize>,
}

impl Space {
    /// A space in which everything is free.
    pub(super) fn new(family: Family) -> Self {
        let last = match family {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        };
        let whole = Segment { last, taken: Vec::new() };
        Space { family, segments: BTreeMap::from([(0, whole)]), steps: 0 }
    }

    /// Takes what is free of these ports of these networks. Networks of the other family are none. Where
    /// the space is no longer exact, everything counts as free.
    pub(super) fn take(&mut self, nets: &[IpNet], ports: &[PortRange], rule: usize) -> Taken {
        let mut taken = Taken { fresh: false, by: BTreeSet::new() };
        let family = self.family;
        for net in nets.iter().filter(|net| Family::of(net.addr()) == family) {
            let (first, last) = bounds(net);
            self.cut(first);
            if let Some(next) = last.checked_add(1) {
                self.cut(next);
            }
            for segment in self.segments.range_mut(first..=last).map(|(_, segment)| segment) {
                for range in ports {
                    self.steps += 1 + segment.taken.len();
                    if self.steps > LIMIT {
                        return Taken { fresh: true, by: BTreeSet::new() };
                    }
                    segment.take(*range, rule, &mut taken);
                }
            }
        }
        taken
    }

    /// Whether everything that was taken could be looked at: lists without end would take time without end.
    pub(super) fn is_exact(&self) -> bool {
        self.steps <= LIMIT
    }

    /// Whether anything is free.
    pub(super) fn has_free(&self) -> bool {
        let mut segments = self.segments.values();
        segments.any(|segment| !segment.free(PortRange::ALL).is_empty())
    }

    /// Makes a segment begin at an address.
    fn cut(&mut self, at: u128) {
        let Some((first, segment)) = self.segments.range_mut(..=at).next_back() else { return };
        if *first < at && at <= segment.last {
            let rest = segment.clone();
            segment.last = at - 1;
            self.segments.insert(at, rest);
        }
    }
}

impl Segment {
    fn take(&mut self, wanted: PortRange, rule: usize, taken: &mut Taken) {
        let overlaps = |range: &PortRange| range.first() <= wanted.last() && wanted.first() <= range.last();
        taken.by.extend(self.taken.iter().filter(|(range, _)| overlaps(range)).map(|(_, rule)| *rule));
        let free = self.free(wanted);
        if !free.is_empty() {
            taken.fresh = true;
            self.taken.extend(free.into_iter().map(|range| (range, rule)));
            self.taken.sort_unstable();
        }
    }

    /// The parts of a range that are free.
    fn free(&self, wanted: PortRange) -> Vec<PortRange> {
        let mut free = Vec::new();
        // One past the last port that is looked at already; ports end at 65535, so this needs more than 16 bits.
        let mut next = u32::from(wanted.first());
        let end = u32::from(wanted.last());
        for (range, _) in &self.taken {
            let (first, last) = (u32::from(range.first()), u32::from(range.last()));
            if first > next && next <= end {
                free.extend(range_of(next, (first - 1).min(end)));
            }
            next = next.max(last + 1);
        }
        if next <= end {
            free.extend(range_of(next, end));
        }
        free
    }
}

fn range_of(first: u32, last: u32) -> Option<PortRange> {
    PortRange::new(u16::try_from(first).ok()?, u16::try_from(last).ok()?).ok()
}

/// The first and the last address of a network, as numbers.
fn bounds(net: &IpNet) -> (u128, u128) {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    (number(net.network()), number(net.broadcast()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn ports(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn what_is_taken_together_is_taken() {
        let mut space = Space::new(Family::V4);
        assert!(space.take(&nets(&["10.0.0.0/9"]), &[PortRange::ALL], 0).fresh);
        assert!(space.take(&nets(&["10.128.0.0/9"]), &[ports(0, 99), ports(100, 65535)], 1).fresh);
        let taken = space.take(&nets(&["10.0.0.0/8"]), &[ports(80, 80)], 2);
        assert_eq!(taken, Taken { fresh: false, by: [0, 1].into() });
        assert!(space.has_free());
    }

    #[test]
    fn a_single_free_pair_counts() {
        let mut space = Space::new(Family::V4);
        space.take(&nets(&["0.0.0.0/0"]), &[ports(0, 65534)], 0);
        assert!(space.take(&nets(&["255.255.255.255/32"]), &[PortRange::ALL], 1).fresh);
        assert!(!space.take(&nets(&["255.255.255.255/32"]), &[PortRange::ALL], 2).fresh);
        assert!(space.take(&nets(&["0.0.0.0/0"]), &[PortRange::ALL], 3).fresh);
        assert!(!space.has_free());
    }

    #[test]
    fn networks_of_the_other_family_are_none() {
        let mut space = Space::new(Family::V6);
        assert_eq!(
            space.take(&nets(&["0.0.0.0/0"]), &[PortRange::ALL], 0),
            Taken { fresh: false, by: [].into() }
        );
        assert!(space.take(&nets(&["::/0"]), &[PortRange::ALL], 0).fresh);
        assert!(!space.has_free());
    }

    #[test]
    fn a_list_without_end_is_given_up() {
        let mut space = Space::new(Family::V4);
        let wide: Vec<IpNet> =
            (0..20_000_u32).map(|n| IpNet::new_assert(IpAddr::from((n << 8).to_be_bytes()), 24)).collect();
        for rule in 0..2_000 {
            let port = u16::try_from(2 * rule).unwrap();
            space.take(&wide, &[ports(port, port)], rule);
        }
        assert!(!space.is_exact());
        assert!(space.take(&nets(&["0.0.0.0/32"]), &[ports(0, 0)], 0).fresh);
    }

    proptest! {
        /// On 16 addresses and few ports, it says what looking at each pair says.
        #[test]
        fn it_is_exact(list in proptest::collection::vec((0_u8..16, 0_u8..=4, 0_u16..8, 0_u16..8), 1..8)) {
            let mut space = Space::new(Family::V4);
            let mut plain: BTreeMap<(u8, u16), usize> = BTreeMap::new();
            for (rule, (low, length, a, b)) in list.into_iter().enumerate() {
                let net: IpNet = format!("9.0.0.{low}/{}", 28 + length).parse().unwrap();
                let net = net.trunc();
                let wanted = ports(a.min(b), a.max(b));
                let taken = space.take(&[net], &[wanted], rule);
                let (mut fresh, mut by) = (false, BTreeSet::new());
                for address in 0..16 {
                    for port in wanted.first()..=wanted.last() {
                        if net.contains(&IpAddr::from([9, 0, 0, address])) {
                            if let Some(earlier) = plain.get(&(address, port)) {
                                by.insert(*earlier);
                            } else {
                                fresh = true;
                                plain.insert((address, port), rule);
                            }
                        }
                    }
                }
                prop_assert_eq!(taken, Taken { fresh, by });
            }
        }
    }
}
