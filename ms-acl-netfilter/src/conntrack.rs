//! The kernel's table of connections: list it, and delete what belongs to an address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ms_acl_core::ruleset::Family;

use crate::batch::message::{family_number, family_of};
use crate::netlink::{Attribute, Attributes, Connection, Message, NetlinkError, Writer, subsystem};

mod command {
    pub(super) const GET: u16 = 1;
    pub(super) const DELETE: u16 = 2;
}

mod attribute {
    pub(super) const ORIGINAL: u16 = 1;
    pub(super) const REPLY: u16 = 2;
    pub(super) const MARK: u16 = 8;
    pub(super) const ID: u16 = 12;
    pub(super) const ZONE: u16 = 18;

    pub(super) const TUPLE_ADDRESSES: u16 = 1;
    pub(super) const TUPLE_PROTOCOL: u16 = 2;

    pub(super) const SOURCE_V4: u16 = 1;
    pub(super) const DESTINATION_V4: u16 = 2;
    pub(super) const SOURCE_V6: u16 = 3;
    pub(super) const DESTINATION_V6: u16 = 4;

    pub(super) const NUMBER: u16 = 1;
    pub(super) const SOURCE_PORT: u16 = 2;
    pub(super) const DESTINATION_PORT: u16 = 3;
}

/// How many entries are deleted before the replies are read.
const DELETES_AT_ONCE: usize = 256;

/// One direction of a connection, as its packets look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Where they come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
    /// The source port; 0 for protocols without ports.
    pub source_port: u16,
    /// The destination port; 0 for protocols without ports.
    pub destination_port: u16,
}

/// A connection that the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The family.
    pub family: Family,
    /// The protocol's number.
    pub protocol: u8,
    /// The direction of the first packet.
    pub original: Tuple,
    /// The other direction. Behind a Service its source is the true destination.
    pub reply: Tuple,
    /// The connection mark.
    pub mark: u32,
    /// What names the entry to the kernel: its original direction, its number, its zone.
    key: Key,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    original: Vec<u8>,
    id: Option<u32>,
    zone: Option<Vec<u8>>,
}

impl Entry {
    /// Whether an address stands in either direction.
    pub fn involves(&self, address: IpAddr) -> bool {
        [self.original.source, self.original.destination, self.reply.source, self.reply.destination]
            .contains(&address)
    }

    fn read(message: &Message<'_>) -> Option<Self> {
        let family = family_of(message.family())?;
        let attributes = message.attributes();
        let original = attributes.get(attribute::ORIGINAL)?;
        let number = original.nested().get(attribute::TUPLE_PROTOCOL)?.nested().get(attribute::NUMBER);
        Some(Entry {
            family,
            protocol: number?.u8()?,
            original: read_tuple(family, &original.nested())?,
            reply: read_tuple(family, &attributes.get(attribute::REPLY)?.nested())?,
            mark: attributes.get(attribute::MARK).and_then(Attribute::be32).unwrap_or(0),
            key: Key {
                original: original.value.to_vec(),
                id: attributes.get(attribute::ID).and_then(Attribute::be32),
                zone: attributes.get(attribute::ZONE).map(|zone| zone.value.to_vec()),
            },
        })
    }
}

fn read_tuple(family: Family, tuple: &Attributes<'_>) -> Option<Tuple> {
    let addresses = tuple.get(attribute::TUPLE_ADDRESSES)?.nested();
    let address = |v4, v6| -> Option<IpAddr> {
        Some(match family {
            Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(addresses.get(v4)?.value).ok()?).into(),
            Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(addresses.get(v6)?.value).ok()?).into(),
        })
    };
    let protocol = tuple.get(attribute::TUPLE_PROTOCOL)?.nested();
    let port = |kind| protocol.get(kind).and_then(Attribute::be16).unwrap_or(0);
    Some(Tuple {
        source: address(attribute::SOURCE_V4, attribute::SOURCE_V6)?,
        destination: address(attribute::DESTINATION_V4, attribute::DESTINATION_V6)?,
        source_port: port(attribute::SOURCE_PORT),
        destination_port: port(attribute::DESTINATION_PORT),
    })
}

/// A client with a socket of its own.
#[derive(Debug)]
pub struct Conntrack {
    connection: Connection,
}

impl Conntrack {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> std::io::Result<Self> {
        Ok(Conntrack { connection: Connection::open()? })
    }

    /// All connections of a family for which `wanted` holds. Entries may be missing or listed twice if the
    /// table changes meanwhile.
    pub fn entries(
        &mut self,
        family: Family,
        mut wanted: impl FnMut(&Entry) -> bool,
    ) -> Result<Vec<Entry>, NetlinkError> {
        let message = Writer::new(subsystem::CONNTRACK, command::GET, 0, family_number(family)).finish();
        self.connection.collect(&message, Vec::new, |all, entry| {
            all.extend(Entry::read(entry).filter(|entry| wanted(entry)));
        })
    }

    /// Deletes connections, and returns how many there were. One that is gone already is no error.
    pub fn delete(&mut self, entries: &[Entry]) -> Result<usize, NetlinkError> {
        let mut deleted = 0;
        for part in entries.chunks(DELETES_AT_ONCE) {
            let messages = part.iter().map(|entry| {
                let family = family_number(entry.family);
                let mut message = Writer::new(subsystem::CONNTRACK, command::DELETE, 0, family);
                message.nest(attribute::ORIGINAL, |tuple| tuple.raw(&entry.key.original));
                if let Some(id) = entry.key.id {
                    message.be32(attribute::ID, id);
                }
                if let Some(zone) = &entry.key.zone {
                    message.bytes(attribute::ZONE, zone);
                }
                message.finish()
            });
            let mut gone = 0;
            let sent = self.connection.requests_with_errors(messages.collect(), |_| gone += 1);
            match sent {
                Err((_, error)) if error.errno() != Some(libc::ENOENT) => return Err(error),
                _ => deleted += part.len() - gone,
            }
        }
        Ok(deleted)
    }

    /// Deletes all connections in which one of the addresses stands, in either direction: one walk through
    /// the table for all of them.
    pub fn delete_of(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<usize, NetlinkError> {
        let mut deleted = 0;
        for family in Family::BOTH {
            if addresses.iter().any(|address| Family::of(*address) == family) {
                let entries = self.entries(family, |entry| {
                    let tuples = [entry.original, entry.reply];
                    tuples.iter().any(|tuple| {
                        addresses.contains(&tuple.source) || addresses.contains(&tuple.destination)
                    })
                })?;
                deleted += self.delete(&entries)?;
            }
        }
        Ok(deleted)
    }
}
