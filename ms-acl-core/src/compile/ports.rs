//! Destination ports → the fewest lines that say them.

use std::collections::BTreeMap;

use crate::model::{PortMatch, PortRange, PortSpec, Protocol};
use crate::resolve::NamedPorts;
use crate::ruleset::Match;

/// Which ports of a protocol.
enum Wanted {
    All,
    Ranges(Vec<PortRange>),
}

/// The matches that together say these ports, one list a line; names are resolved by `named`, one
/// that isn't in there is no port.
pub(super) fn lines(ports: &[PortMatch], named: &NamedPorts) -> Vec<Vec<Match>> {
    let mut wanted: BTreeMap<Protocol, Wanted> = BTreeMap::new();
    for port in ports {
        let ranges: &[PortRange] = match &port.port {
            PortSpec::Any => {
                wanted.insert(port.protocol, Wanted::All);
                continue;
            }
            PortSpec::Range(range) => &[*range],
            PortSpec::Named(name) => {
                named.get(&(name.clone(), port.protocol)).map(Vec::as_slice).unwrap_or_default()
            }
        };
        if let Wanted::Ranges(list) =
            wanted.entry(port.protocol).or_insert_with(|| Wanted::Ranges(Vec::new()))
        {
            list.extend_from_slice(ranges);
        }
    }
    let mut lines = Vec::new();
    for (protocol, wanted) in wanted {
        match wanted {
            Wanted::All => lines.push(vec![Match::Protocol(protocol)]),
            Wanted::Ranges(ranges) => {
                for chunk in chunks(PortRange::union(ranges)) {
                    let ports = match chunk[..] {
                        [range] => Match::Port(range),
                        _ => Match::Ports(chunk),
                    };
                    lines.push(vec![Match::Protocol(protocol), ports]);
                }
            }
        }
    }
    lines
}

/// Cuts a list of ranges into pieces that one multiport match can hold.
fn chunks(ranges: Vec<PortRange>) -> Vec<Vec<PortRange>> {
    let mut chunks: Vec<Vec<PortRange>> = Vec::new();
    let mut free = 0;
    for range in ranges {
        let slots = if range.is_single() { 1 } else { 2 };
        match chunks.last_mut() {
            Some(chunk) if free >= slots => chunk.push(range),
            _ => {
                chunks.push(vec![range]);
                free = Match::MULTIPORT_SLOTS;
            }
        }
        free -= slots;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    fn tcp(port: PortSpec) -> PortMatch {
        PortMatch { protocol: Protocol::Tcp, port }
    }

    #[test]
    fn more_than_15_ports_take_more_than_one_line() {
        let ports: Vec<PortMatch> =
            (0..20).map(|n| tcp(PortSpec::Range(range(n * 10 + 1, n * 10 + 1)))).collect();
        let lines = lines(&ports, &NamedPorts::new());
        assert_eq!(lines.len(), 2);
        let ranges: Vec<PortMatch> =
            (0..8).map(|n| tcp(PortSpec::Range(range(n * 10 + 1, n * 10 + 2)))).collect();
        let sizes: Vec<usize> = super::lines(&ranges, &NamedPorts::new())
            .iter()
            .map(|line| if let Match::Ports(ports) = &line[1] { ports.len() } else { 1 })
            .collect();
        assert_eq!(sizes, [7, 1]);
    }

    #[test]
    fn a_name_that_is_not_there_is_no_port() {
        assert!(lines(&[tcp(PortSpec::Named("http".into()))], &NamedPorts::new()).is_empty());
    }

    #[test]
    fn all_ports_of_a_protocol_swallow_single_ones() {
        let ports =
            [tcp(PortSpec::Range(range(80, 80))), tcp(PortSpec::Any), tcp(PortSpec::Range(range(81, 81)))];
        assert_eq!(lines(&ports, &NamedPorts::new()), [[Match::Protocol(Protocol::Tcp)]]);
    }

    #[test]
    fn touching_ports_are_one_range() {
        let ports = [tcp(PortSpec::Range(range(80, 80))), tcp(PortSpec::Range(range(81, 90)))];
        assert_eq!(
            lines(&ports, &NamedPorts::new()),
            [[Match::Protocol(Protocol::Tcp), Match::Port(range(80, 90))]]
        );
    }
}
