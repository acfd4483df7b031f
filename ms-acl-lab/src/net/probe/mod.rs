//! The prober: many packets at once, each answered, refused or lost.

mod flight;
mod run;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use ms_acl_core::model::Protocol;

pub(super) use flight::{bind, nonce};

use super::cluster::Cluster;
use super::error::Result;
use super::namespace::in_thread;

/// A place to send from: a namespace and one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The name of a pod, a node or the outside host.
    pub host: String,
    /// One of its addresses.
    pub address: IpAddr,
}

/// A question: does this get through, and does the answer come back?
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probe {
    /// The sender.
    pub from: Endpoint,
    /// The destination's address, which may be a Service's.
    pub to: IpAddr,
    /// The protocol. TCP exchanges data both ways, UDP and ICMP an echo, SCTP the handshake's first two packets.
    pub protocol: Protocol,
    /// The destination port; no meaning for ICMP.
    pub port: u16,
    /// The source port (ICMP: identifier); else one that wasn't used lately.
    pub from_port: Option<u16>,
}

impl Probe {
    /// A probe from a source port of the lab's choice.
    pub fn new(from: Endpoint, to: IpAddr, protocol: Protocol, port: u16) -> Self {
        Probe { from, to, protocol, port, from_port: None }
    }

    /// The same probe from this source port.
    #[must_use]
    pub fn from_port(mut self, port: u16) -> Self {
        self.from_port = Some(port);
        self
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probe { from, to, protocol, port, .. } = self;
        write!(f, "{} ({}) -> {to} {protocol}", from.host, from.address)?;
        if protocol.has_ports() { write!(f, "/{port}") } else { Ok(()) }
    }
}

/// The answer to a [`Probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The destination answered.
    Allowed,
    /// An ICMP error or a TCP reset came. The lab serves every port that it probes, so a reset is a refusal.
    Rejected,
    /// No answer came, to any attempt.
    Dropped,
}

/// How long the prober waits, and how often it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The time that each attempt has for its answer.
    pub wait: Duration,
    /// The number of attempts, at least one.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { wait: Duration::from_millis(300), attempts: 2 }
    }
}

impl Cluster {
    /// Sends all probes at once and returns their outcomes in the same order.
    pub fn probe(&self, probes: &[Probe]) -> Result<Vec<Outcome>> {
        self.probe_with(probes, Patience::default())
    }

    /// As [`Cluster::probe`], with a patience of one's own.
    pub fn probe_with(&self, probes: &[Probe], patience: Patience) -> Result<Vec<Outcome>> {
        in_thread(|| run::run(self, probes, patience))
    }
}
