//! One attempt of one probe: what was sent and which answer is awaited.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ms_acl_core::model::Protocol;
use nix::errno::Errno;
use socket2::{SockAddr, Socket};

use super::{Outcome, Probe};
use crate::net::sctp::{Chunk, Packet};
use crate::net::socket::{self, Kind};

/// What a socket of a probe does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It still waits.
    Waiting,
    /// It is over.
    Done(Outcome),
}

/// A socket of its own for one probe: TCP, UDP and ICMP.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) socket: Socket,
    protocol: Protocol,
    payload: Vec<u8>,
    sent: bool,
}

impl Flight {
    /// Opens a socket in the calling thread's namespace, binds it and connects it.
    ///
    /// Errors mean that the probe can't be made; a refusal by the own network stack is a step.
    pub(super) fn launch(probe: &Probe) -> io::Result<(Flight, Step)> {
        let kind = match probe.protocol {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Udp => Kind::Udp,
            Protocol::Icmp | Protocol::Sctp => Kind::Icmp,
        };
        let socket = socket::open(kind, probe.to.is_ipv4())?;
        socket::hear_all_errors(&socket)?;
        if kind == Kind::Tcp {
            socket.set_reuse_address(true)?;
            // Closing sends a reset: no TIME_WAIT, so that a chosen source port is free for the next probe.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        bind(&socket, probe)?;
        let payload = match probe.protocol {
            Protocol::Icmp | Protocol::Sctp => echo_request(probe.to),
            Protocol::Tcp | Protocol::Udp => nonce().to_vec(),
        };
        let mut flight = Flight { socket, protocol: probe.protocol, payload, sent: false };
        let port = if kind == Kind::Icmp { 0 } else { probe.port };
        let step = match flight.socket.connect(&SockAddr::from(socket::at(probe.to, port))) {
            Ok(()) => flight.send(),
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => Step::Waiting,
            Err(error) => own_refusal(error)?,
        };
        Ok((flight, step))
    }

    /// Sends the payload: TCP once it is connected, the others at the start and again at each attempt.
    pub(super) fn send(&mut self) -> Step {
        self.sent = true;
        match self.socket.send(&self.payload) {
            Err(error) if socket::is_refusal(socket::errno(&error)) => Step::Done(Outcome::Rejected),
            // A firewall of the own namespace (EPERM) or a full queue ate it: the answer won't come.
            Ok(_) | Err(_) => Step::Waiting,
        }
    }

    /// Whether a new attempt takes a new socket: the kernel repeats a SYN only after a second.
    pub(super) fn needs_new_socket(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    /// Whether the payload went out.
    pub(super) fn was_sent(&self) -> bool {
        self.sent
    }

    /// Looks at a socket that has something to say.
    pub(super) fn proceed(&mut self, writable: bool) -> Step {
        let error = socket::take_error(&self.socket);
        let error = error.or_else(|| socket::take_queued_error(&self.socket).map(|(errno, _)| errno));
        match error {
            Some(errno) if socket::is_refusal(errno) => return Step::Done(Outcome::Rejected),
            Some(_) => return Step::Waiting,
            None => {}
        }
        if writable && !self.sent && self.send() != Step::Waiting {
            return Step::Done(Outcome::Rejected);
        }
        let mut buffer = [0; 256];
        match io::Read::read(&mut &self.socket, &mut buffer) {
            Ok(length) if self.is_answer(&buffer[..length]) => Step::Done(Outcome::Allowed),
            // The other end closed before it answered.
            Ok(0) if self.protocol == Protocol::Tcp => Step::Done(Outcome::Rejected),
            Err(error) if socket::is_refusal(socket::errno(&error)) => Step::Done(Outcome::Rejected),
            Ok(_) | Err(_) => Step::Waiting,
        }
    }

    fn is_answer(&self, received: &[u8]) -> bool {
        match self.protocol {
            Protocol::Tcp => !received.is_empty(),
            Protocol::Udp => received == self.payload,
            // Past type, code, checksum and identifier.
            Protocol::Icmp | Protocol::Sctp => received.get(8..) == self.payload.get(8..),
        }
    }
}

/// Binds to the probe's source, on a source port that hasn't been used lately if none is given.
pub(crate) fn bind(socket: &Socket, probe: &Probe) -> io::Result<()> {
    let source = probe.from.address;
    if let Some(port) = probe.from_port {
        return socket.bind(&SockAddr::from(socket::at(source, port)));
    }
    let mut last = io::Error::from(Errno::EADDRINUSE);
    for _ in 0..16 {
        match socket.bind(&SockAddr::from(socket::at(source, fresh_port()))) {
            Err(error) if error.raw_os_error() == Some(Errno::EADDRINUSE as i32) => last = error,
            bound => return bound,
        }
    }
    Err(last)
}

/// The outcome if the own network stack refuses to send, or the error if the probe makes no sense.
pub(super) fn own_refusal(error: io::Error) -> io::Result<Step> {
    match socket::errno(&error) {
        // What a blackhole route says.
        Errno::EINVAL => Ok(Step::Done(Outcome::Dropped)),
        errno if socket::is_refusal(errno) => Ok(Step::Done(Outcome::Rejected)),
        _ => Err(error),
    }
}

/// A source port that no probe has used for as long as possible.
///
/// The kernel's own choice would now and then meet a connection tracking entry of an earlier probe, and pass as its
/// reply or continuation.
pub(super) fn fresh_port() -> u16 {
    const FIRST: u16 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = u32::from(u16::MAX - FIRST);
    let offset = NEXT.fetch_add(1, Ordering::Relaxed) % span;
    FIRST + u16::try_from(offset).expect("the remainder is below the span of ports")
}

/// The INIT for an SCTP probe, with a tag of its own.
pub(super) fn init(source: u16, destination: u16) -> Packet {
    let [.., a, b, c, d] = nonce();
    let initiate_tag = u32::from_be_bytes([a, b, c, d]);
    Packet { source, destination, verification_tag: 0, chunk: Chunk::Init, initiate_tag }
}

/// An echo request; the kernel fills in identifier and checksum.
fn echo_request(to: IpAddr) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    [kind, 0, 0, 0, 0, 0, 0, 1].into_iter().chain(nonce()).collect()
}

/// Eight bytes that no other probe of this process sends.
pub(crate) fn nonce() -> [u8; 8] {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    (u64::from(std::process::id()) << 32 | u64::from(number)).to_be_bytes()
}
