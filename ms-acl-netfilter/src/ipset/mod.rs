//! Sets of addresses over netlink, without the ipset tool: members travel in lists of up to 60 KB.
//!
//! Members and rules are not one atomic unit, and neither are the members of one message: when one is
//! refused, those before it are in the set.

mod message;

use std::time::Duration;

use ms_acl_core::ruleset::{Family, Member, SetKind, SetName};

use crate::netlink::{Attribute, Connection, Hardship, Mishaps, NetlinkError, Refusal};
pub use message::{ListedMember, StrangeMember};
pub(crate) use message::{PROTOCOL, is_kind};
use message::{attribute, command};

/// ipset's numbers of errors that are handled here.
pub(crate) mod errno {
    pub(crate) const BUSY: i32 = 4100;
    pub(crate) const REFERENCED: i32 = 4108;
}

/// How often and how long a set that is still busy is tried again: the kernel lets go of a set some time
/// after the last rule that named it went.
const DESTROY_ATTEMPTS: u32 = 63;
const DESTROY_PAUSE: Duration = Duration::from_millis(8);
/// Messages of members that are sent before their replies are read.
const MESSAGES_AT_ONCE: usize = 16;

/// What a set is like, without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHeader {
    /// The name.
    pub name: String,
    /// The type: `hash:ip`.
    pub kind: String,
    /// The family's number: 2 or 10, 0 for a type without one.
    pub family: u8,
    /// The kernel's number of the set, by which rules name it.
    pub index: Option<u16>,
    /// The number of members.
    pub members: u32,
    /// How many rules and sets name it.
    pub references: u32,
    /// How many members it can have.
    pub limit: u32,
    /// What it has that none of ours has: `a timeout`.
    pub special: Option<&'static str>,
}

impl std::fmt::Display for SetHeader {
    /// `hash:ip of ipv4 for 65536 members, with a timeout`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            2 => "ipv4",
            10 => "ipv6",
            _ => "no family",
        };
        write!(f, "{} of {family} for {} members", self.kind, self.limit)?;
        self.special.map_or(Ok(()), |special| write!(f, ", with {special}"))
    }
}

/// Why a member list was refused, and which member.
#[derive(Debug, thiserror::Error)]
#[error("{}{source}", .member.map(|member| format!("{member}: ")).unwrap_or_default())]
pub struct MemberError {
    /// The member, where it is known.
    pub member: Option<Member>,
    /// The reason.
    pub source: NetlinkError,
}

/// A client with a socket of its own.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> std::io::Result<Self> {
        Self::open_under(Hardship::default())
    }

    /// The same with faults made likely, for tests.
    pub fn open_under(hardship: Hardship) -> std::io::Result<Self> {
        Ok(Client { connection: Connection::open_under(hardship)? })
    }

    /// What went wrong and was done again.
    pub fn mishaps(&self) -> Mishaps {
        self.connection.mishaps
    }

    /// The highest protocol that the kernel speaks; an error if it has no sets.
    pub fn protocol(&mut self) -> Result<u8, NetlinkError> {
        let mut version = 0;
        let message = message::new(command::PROTOCOL, 0, Family::V4).finish();
        self.connection.request(message, |reply| {
            version = reply.attributes().get(attribute::PROTOCOL).and_then(Attribute::u8).unwrap_or(0);
        })?;
        Ok(version)
    }

    /// Creates an empty set. With `exclusive`, one that exists already is refused; without, one that has
    /// the same type and parameters is taken as it is. It has room for `expected` members before the kernel
    /// has to make its table larger.
    pub fn create(
        &mut self,
        name: &SetName,
        kind: SetKind,
        family: Family,
        expected: usize,
        exclusive: bool,
    ) -> Result<(), NetlinkError> {
        self.connection.request(message::create(name, kind, family, expected, exclusive), |_| {})
    }

    /// Adds members. Those that are there already are no error.
    pub fn add(&mut self, name: &SetName, family: Family, members: &[Member]) -> Result<(), MemberError> {
        self.change(command::ADD, name, family, members)
    }

    /// Removes members. Those that aren't there are no error.
    pub fn remove(&mut self, name: &SetName, family: Family, members: &[Member]) -> Result<(), MemberError> {
        self.change(command::DELETE, name, family, members)
    }

    /// Removes members that we never add. Those that aren't there are no error.
    pub fn remove_strange(
        &mut self,
        name: &SetName,
        family: Family,
        members: &[StrangeMember],
    ) -> Result<(), NetlinkError> {
        let mut rest = members;
        while !rest.is_empty() {
            let (bytes, taken) = message::strange_members(name, family, rest);
            self.connection.request(bytes, |_| {})?;
            rest = &rest[taken..];
        }
        Ok(())
    }

    fn change(
        &mut self,
        command: u16,
        name: &SetName,
        family: Family,
        members: &[Member],
    ) -> Result<(), MemberError> {
        let mut rest = members;
        let mut at_once = MESSAGES_AT_ONCE;
        while !rest.is_empty() {
            // Each message with the part of the members that it holds.
            let mut left = rest;
            let mut parts = Vec::new();
            let mut messages = Vec::new();
            while !left.is_empty() && messages.len() < at_once {
                let (bytes, taken) = message::members(command, name, family, left)?;
                messages.push(bytes);
                parts.push(&left[..taken]);
                left = &left[taken..];
            }
            let mut line = None;
            let sent = self.connection.requests_with_errors(messages, |error| {
                line = line.or_else(|| message::refused_line(error));
            });
            match sent {
                Ok(()) => rest = left,
                // Answers were lost for want of room: one at a time there is room for each, and doing something
                // twice is no error.
                Err((_, NetlinkError::Overrun)) if at_once > 1 => at_once = 1,
                Err((index, source)) => {
                    let part = parts.get(index).copied().unwrap_or_default();
                    let at = line.and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
                    return Err(MemberError { member: at.and_then(|at| part.get(at).copied()), source });
                }
            }
        }
        Ok(())
    }

    /// The headers of all sets of the namespace.
    pub fn headers(&mut self) -> Result<Vec<SetHeader>, NetlinkError> {
        let message = message::list(None, true);
        self.connection.collect(&message, Vec::new, |all, entry| all.extend(message::read_header(entry)))
    }

    /// The header of a set, if there is one of this name.
    pub fn header(&mut self, name: &SetName) -> Result<Option<SetHeader>, NetlinkError> {
        let message = message::list(Some(name), true);
        match self.connection.collect(
            &message,
            || None,
            |found, entry| {
                *found = found.take().or_else(|| message::read_header(entry));
            },
        ) {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            other => other,
        }
    }

    /// The members of a set.
    pub fn members(
        &mut self,
        name: &SetName,
        kind: SetKind,
        family: Family,
    ) -> Result<Vec<ListedMember>, NetlinkError> {
        let message = message::list(Some(name), false);
        self.connection.collect(&message, Vec::new, |all, entry| {
            message::read_members(entry, kind, family, all);
        })
    }

    /// Removes all members.
    pub fn flush(&mut self, name: &SetName) -> Result<(), NetlinkError> {
        let mut message = message::new(command::FLUSH, 0, Family::V4);
        message.text(attribute::NAME, name.as_str());
        self.connection.request(message.finish(), |_| {})
    }

    /// Exchanges the contents of two sets of the same type. Rules go on naming the set they named.
    pub fn swap(&mut self, one: &SetName, other: &SetName) -> Result<(), NetlinkError> {
        let mut message = message::new(command::SWAP, 0, Family::V4);
        message.text(attribute::NAME, one.as_str());
        message.text(attribute::SECOND_NAME, other.as_str());
        self.connection.request(message.finish(), |_| {})
    }

    /// Destroys sets. One that doesn't exist is no error. One that is busy is tried again for about 500
    /// ms. Returns those that stay, with the reason.
    pub fn destroy(&mut self, names: &[SetName]) -> Result<Vec<(SetName, Refusal)>, (SetName, NetlinkError)> {
        let mut left: Vec<SetName> = names.to_vec();
        let mut attempt = 0;
        loop {
            let mut stay = Vec::new();
            for name in left {
                let mut message = message::new(command::DESTROY, 0, Family::V4);
                message.text(attribute::NAME, name.as_str());
                match self.connection.request(message.finish(), |_| {}) {
                    Ok(()) => {}
                    Err(NetlinkError::Refused(refusal)) if refusal.errno == libc::ENOENT => {}
                    Err(NetlinkError::Refused(refusal)) => stay.push((name, refusal)),
                    Err(error) => return Err((name, error)),
                }
            }
            attempt += 1;
            let busy = stay
                .iter()
                .any(|(_, refusal)| [errno::BUSY, errno::REFERENCED, libc::EBUSY].contains(&refusal.errno));
            if !busy || attempt == DESTROY_ATTEMPTS {
                return Ok(stay);
            }
            self.connection.mishaps.busy += 1;
            left = stay.into_iter().map(|(name, _)| name).collect();
            std::thread::sleep(DESTROY_PAUSE);
        }
    }
}

impl From<message::UnfitMember> for MemberError {
    fn from(unfit: message::UnfitMember) -> Self {
        MemberError { member: Some(unfit.0), source: Refusal::plain(libc::EINVAL).into() }
    }
}
