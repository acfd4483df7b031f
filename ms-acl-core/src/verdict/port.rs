//! The port of a flow as people name it: `80`, `80/tcp`, `53/udp`, `9/sctp`, `icmp`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::model::Protocol;

/// The protocol of a flow and its destination port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowPort {
    protocol: Protocol,
    number: u16,
}

/// A text that is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a port: {hint}; a port is 80, 80/tcp, 53/udp, 9/sctp or icmp")]
pub struct FlowPortError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub hint: &'static str,
}

impl FlowPort {
    /// Every kind of ICMP: in IPv6 ICMPv6. An echo request stands for all.
    pub const ICMP: FlowPort = FlowPort { protocol: Protocol::Icmp, number: 0 };

    /// A port of a protocol; the number is ignored where the protocol has no ports.
    pub fn new(protocol: Protocol, number: u16) -> Self {
        FlowPort { protocol, number: if protocol.has_ports() { number } else { 0 } }
    }

    /// The protocol.
    pub fn protocol(self) -> Protocol {
        self.protocol
    }

    /// The number; 0 where the protocol has no ports.
    pub fn number(self) -> u16 {
        self.number
    }
}

impl FromStr for FlowPort {
    type Err = FlowPortError;

    fn from_str(text: &str) -> Result<Self, FlowPortError> {
        let error = |hint| FlowPortError { text: text.to_owned(), hint };
        let (number, protocol) = match text.split_once('/') {
            Some((number, protocol)) => (number, protocol.to_ascii_lowercase()),
            None if is_icmp(text) => return Ok(FlowPort::ICMP),
            None => (text, "tcp".to_owned()),
        };
        let protocol = match protocol.as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ if is_icmp(&protocol) || is_icmp(number) => return Err(error("icmp has no ports")),
            _ => return Err(error("the number stands first, then tcp, udp or sctp")),
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match number.parse::<u16>() {
            Ok(number) if digits && number > 0 => Ok(FlowPort { protocol, number }),
            _ if digits => Err(error("a number from 1 to 65535 is needed")),
            _ => Err(error("a number is needed, a name means another one on every pod")),
        }
    }
}

fn is_icmp(text: &str) -> bool {
    ["icmp", "icmpv6", "icmp6"].iter().any(|name| text.eq_ignore_ascii_case(name))
}

impl fmt::Display for FlowPort {
    /// `80/tcp`, `icmp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Icmp => f.write_str("icmp"),
            protocol => write!(f, "{}/{protocol}", self.number),
        }
    }
}

impl Serialize for FlowPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_parse_with_tcp_as_the_default() {
        for (text, printed) in [
            ("80", "80/tcp"),
            ("80/tcp", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("9/sctp", "9/sctp"),
            ("icmp", "icmp"),
            ("ICMPv6", "icmp"),
            ("65535", "65535/tcp"),
        ] {
            assert_eq!(text.parse::<FlowPort>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_port_says_why() {
        for (text, hint) in [
            ("0", "from 1 to 65535"),
            ("65536", "from 1 to 65535"),
            ("99999999999999999999", "from 1 to 65535"),
            ("http", "a name means another one"),
            ("", "a number is needed"),
            ("+80", "a number is needed"),
            ("tcp/80", "the number stands first"),
            ("80/dccp", "the number stands first"),
            ("8/icmp", "icmp has no ports"),
            ("80-90", "a number is needed"),
        ] {
            let error = text.parse::<FlowPort>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
