//! Protocols and ports.

use std::fmt;

/// A transport protocol that policy can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP (6).
    Tcp,
    /// UDP (17).
    Udp,
    /// SCTP (132).
    Sctp,
    /// ICMP (1) in IPv4, ICMPv6 (58) in IPv6.
    Icmp,
}

impl Protocol {
    /// Whether its packets have ports.
    pub fn has_ports(self) -> bool {
        self != Protocol::Icmp
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
            Protocol::Icmp => "icmp",
        })
    }
}

/// Why two numbers are not a range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{first}-{last} is not a range of ports: the end is smaller than the start")]
pub struct PortRangeError {
    /// The start.
    pub first: u16,
    /// The end.
    pub last: u16,
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: PortRange = PortRange { first: 0, last: u16::MAX };

    /// A range; `first` must not be greater than `last`.
    pub fn new(first: u16, last: u16) -> Result<Self, PortRangeError> {
        if first > last { Err(PortRangeError { first, last }) } else { Ok(PortRange { first, last }) }
    }

    /// A single port.
    pub fn single(port: u16) -> Self {
        PortRange { first: port, last: port }
    }

    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether a port lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether it is one port only.
    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    /// The union of ranges: sorted, with overlapping and adjacent ranges merged.
    pub fn union(ranges: impl IntoIterator<Item = PortRange>) -> Vec<PortRange> {
        let mut all: Vec<PortRange> = ranges.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(all.len());
        for range in all {
            match merged.last_mut() {
                Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        merged
    }
}

impl fmt::Display for PortRange {
    /// `80` or `8000-8100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_before_it_starts_cannot_be_built() {
        assert_eq!(PortRange::new(2, 1), Err(PortRangeError { first: 2, last: 1 }));
    }

    #[test]
    fn a_union_merges_what_touches() {
        let range = |a, b| PortRange::new(a, b).unwrap();
        assert_eq!(
            PortRange::union([
                range(80, 80),
                range(81, 90),
                range(1, 2),
                range(85, 100),
                range(65535, 65535)
            ]),
            [range(1, 2), range(80, 100), range(65535, 65535)]
        );
        assert_eq!(PortRange::union([PortRange::ALL, range(5, 6)]), [PortRange::ALL]);
    }
}
