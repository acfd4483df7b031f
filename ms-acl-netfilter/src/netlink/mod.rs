//! Netlink as bytes: messages and attributes written and read, requests and their replies.
//!
//! Reading never panics: what can't be read is treated as absent.

mod connection;
mod message;
mod refusal;

pub(crate) use connection::Connection;
pub use connection::{Hardship, Mishaps, NetlinkError};
pub(crate) use message::{Attribute, Attributes, Message, Messages, Writer, attribute_path, set_flags};
pub use refusal::Refusal;

/// The kernel's subsystems, the upper byte of a message's type.
pub(crate) mod subsystem {
    pub(crate) const CONNTRACK: u16 = 1;
    pub(crate) const IPSET: u16 = 6;
    pub(crate) const NFTABLES: u16 = 10;
    pub(crate) const NFT_COMPAT: u16 = 11;
}

/// Bits of a message's flags.
pub(crate) mod flag {
    pub(crate) const REQUEST: u16 = 0x1;
    pub(crate) const ACK: u16 = 0x4;
    pub(crate) const ECHO: u16 = 0x8;
    pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const EXCL: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
    /// On a delete: not what is inside as well.
    pub(crate) const NOT_RECURSIVE: u16 = 0x100;
    /// On an error: the request isn't repeated in it.
    pub(crate) const CAPPED: u16 = 0x100;
    /// On an error: attributes follow that explain it.
    pub(crate) const ACK_ATTRIBUTES: u16 = 0x200;
}

/// A message that reports the outcome of a request.
pub(crate) const NLMSG_ERROR: u16 = 2;
/// A message that ends a dump.
pub(crate) const NLMSG_DONE: u16 = 3;
