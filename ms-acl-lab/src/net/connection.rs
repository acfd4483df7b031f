//! A connection that stays open while policy changes under it.

use std::io;
use std::time::{Duration, Instant};

use ms_acl_core::model::Protocol;
use socket2::{SockAddr, Socket};

use super::cluster::Cluster;
use super::error::{Cause, Doing, Result};
use super::probe::{self, Probe};
use super::socket::{self, Kind};

/// How long a message and its echo may take. Within it TCP sends again once.
const ROUND_TRIP: Duration = Duration::from_millis(600);
/// How often UDP is sent within that time.
const UDP_ATTEMPTS: u32 = 2;

/// An open TCP or UDP flow to a port that the lab serves. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    attempts: u32,
}

impl Cluster {
    /// Opens the flow that a TCP or UDP probe describes and proves it with one message and its echo.
    pub fn connect(&self, flow: &Probe) -> Result<Connection> {
        let open = || -> Result<Connection, Cause> {
            let (kind, attempts) = match flow.protocol {
                Protocol::Tcp => (Kind::Tcp, 1),
                Protocol::Udp => (Kind::Udp, UDP_ATTEMPTS),
                other => return Err(Cause::Unfit(format!("{other} has no connections here"))),
            };
            let socket = socket::patiently(|| {
                let socket = socket::open(kind, flow.to.is_ipv4())?;
                socket.set_nonblocking(false)?;
                socket.set_reuse_address(true)?;
                probe::bind(&socket, flow)?;
                socket.connect_timeout(&SockAddr::from(socket::at(flow.to, flow.port)), ROUND_TRIP)?;
                Ok(socket)
            })?;
            let mut connection = Connection { socket, attempts };
            if connection.works() {
                Ok(connection)
            } else {
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
        };
        self.run_in(&flow.from.host, open)?.doing(|| format!("connect {flow}"))
    }
}

impl Connection {
    /// Whether a message gets through and its echo comes back.
    pub fn works(&mut self) -> bool {
        let message = probe::nonce();
        (0..self.attempts).any(|_| {
            // A refusal of an earlier message may be what it returns: the echo decides.
            let _ = self.socket.send(&message);
            self.awaits(&message, ROUND_TRIP / self.attempts)
        })
    }

    /// Sends bytes; whether they arrive is not known here.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.send(bytes).doing(|| "send on a connection").map(drop)
    }

    /// The number of bytes that come within a time, those included that had come before.
    ///
    /// For streams (see [`Ports::streams`](super::Ports)): call it twice, the first time to take what is waiting.
    pub fn receive_for(&mut self, time: Duration) -> usize {
        let mut count = 0;
        self.receive_until(Instant::now() + time, |bytes| {
            count += bytes.len();
            false
        });
        count
    }

    fn awaits(&mut self, message: &[u8], limit: Duration) -> bool {
        let mut received = Vec::new();
        self.receive_until(Instant::now() + limit, |bytes| {
            received.extend_from_slice(bytes);
            received.windows(message.len()).any(|window| window == message)
        })
    }

    /// Receives until `enough` says so or time is over; `false` in the latter case and when the connection is dead.
    fn receive_until(&mut self, deadline: Instant, mut enough: impl FnMut(&[u8]) -> bool) -> bool {
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match io::Read::read(&mut &self.socket, &mut buffer) {
                Ok(0) => return false,
                Ok(length) if enough(&buffer[..length]) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // UDP goes on after an ICMP error, TCP is over.
                Err(_) if self.attempts == UDP_ATTEMPTS => {}
                Err(_) => return false,
            }
        }
    }
}
