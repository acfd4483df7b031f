//! Notifications of nf_tables: somebody else changed something of ours.
//!
//! Sets have no notifications; their element counts are compared instead
//! ([`Dataplane::member_counts`](crate::Dataplane::member_counts)).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ms_acl_core::ruleset::{ChainName, Family, Hook};

use crate::batch::message::{Announced, announced};
use crate::netlink::{Hardship, Messages, NetlinkError};
use crate::own::is_owned_name;
use crate::sys::{Received, Socket};

/// The multicast group of nf_tables, as a bit of a mask.
const GROUP: u32 = 1 << (7 - 1);
/// Longer than any notification.
const BUFFER: usize = 128 << 10;

/// What others changed since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing of ours.
    Nothing,
    /// These.
    Touched(Touched),
    /// More notifications came than the queue holds: anything may have changed.
    Overrun,
}

/// Things of ours that somebody else changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Chains that are named like ours: their rules, or they themselves.
    pub chains: BTreeSet<(Family, ChainName)>,
    /// Base chains in which our jump may stand: their rules, or they themselves.
    pub hooks: BTreeSet<(Family, Hook)>,
    /// Families whose table was made, changed or deleted, with everything in it.
    pub tables: BTreeSet<Family>,
    /// Chains of ours that have another name now.
    pub renamed: BTreeSet<(Family, String)>,
}

impl Touched {
    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.hooks.is_empty() && self.tables.is_empty() && self.renamed.is_empty()
    }

    /// Both together.
    pub fn merge(&mut self, more: Touched) {
        self.chains.extend(more.chains);
        self.hooks.extend(more.hooks);
        self.tables.extend(more.tables);
        self.renamed.extend(more.renamed);
    }

    fn add(&mut self, what: Announced<'_>) {
        match what {
            Announced::Table(family) => {
                self.tables.insert(family);
            }
            Announced::Renamed(family, name) => {
                self.renamed.insert((family, name.to_owned()));
            }
            Announced::Chain(family, name) => {
                if let Some(hook) =
                    [Hook::Input, Hook::Forward, Hook::Output].into_iter().find(|hook| hook.chain() == name)
                {
                    self.hooks.insert((family, hook));
                } else if is_owned_name(name)
                    && let Ok(name) = ChainName::new(name)
                {
                    self.chains.insert((family, name));
                }
            }
        }
    }
}

/// Listens to changes of rules in one network namespace. It hears everybody's, and passes over those of
/// the dataplane that it was made for.
#[derive(Debug)]
pub struct Watcher {
    socket: Socket,
    own_port: u32,
    buffer: Vec<u8>,
}

impl Watcher {
    /// Listens in the network namespace of the calling thread. `own_port` is the
    /// [`Dataplane::port`](crate::Dataplane::port) whose changes are none of others.
    pub fn open(own_port: u32) -> std::io::Result<Self> {
        Self::open_under(own_port, Hardship::default())
    }

    /// The same with faults made likely, for tests.
    pub fn open_under(own_port: u32, hardship: Hardship) -> std::io::Result<Self> {
        let socket = Socket::open(GROUP)?;
        if let Some(bytes) = hardship.receive_queue {
            socket.limit_receive_queue(bytes)?;
        }
        Ok(Watcher { socket, own_port, buffer: vec![0; BUFFER] })
    }

    /// Waits until somebody else changed something of ours, or until the time is over. Everything that is
    /// queued by then is taken together.
    pub fn wait(&mut self, timeout: Duration) -> Result<Change, NetlinkError> {
        let deadline = Instant::now() + timeout;
        let mut touched = Touched::default();
        loop {
            match self.socket.receive(&mut self.buffer)? {
                Received::Overrun => return Ok(Change::Overrun),
                Received::Datagram(length) => {
                    let messages = Messages::of(&self.buffer[..length]);
                    for message in messages.filter(|message| message.port != self.own_port) {
                        if let Some(what) = announced(&message) {
                            touched.add(what);
                        }
                    }
                    // Somebody may write without a pause.
                    if Instant::now() < deadline {
                        continue;
                    }
                    let nothing = touched.is_empty();
                    return Ok(if nothing { Change::Nothing } else { Change::Touched(touched) });
                }
                Received::Nothing if !touched.is_empty() => return Ok(Change::Touched(touched)),
                Received::Nothing => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(Change::Nothing);
                    }
                    self.socket.wait(left)?;
                }
            }
        }
    }
}
