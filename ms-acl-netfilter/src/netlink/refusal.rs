//! The kernel's answer to a request that it didn't carry out.

use std::fmt;

use super::message::{Attribute, Attributes, Message, ne32};
use super::{NLMSG_ERROR, flag};
use crate::sys::NLMSG_HEADER;

const EXT_MESSAGE: u16 = 1;
const EXT_OFFSET: u16 = 2;

/// Why the kernel refused a request: an error number, and what it says beyond that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error number, positive; ipset has numbers of its own from 4097.
    pub errno: i32,
    /// The kernel's sentence, where it has one.
    pub message: Option<String>,
    /// Where in the request the attribute stands that was refused.
    pub offset: Option<u32>,
}

impl Refusal {
    /// A refusal that says no more than a number.
    pub(crate) fn plain(errno: i32) -> Self {
        Refusal { errno, message: None, offset: None }
    }

    /// Whether chains are in a loop or nested too deeply. The kernel says so of every rule of the batch that comes
    /// after the one that is to blame, too.
    pub fn is_too_deep(&self) -> bool {
        self.errno == libc::EMLINK
    }

    /// Reads an error message of the kernel. `None` = it is no error, or an acknowledgement.
    pub(crate) fn read(message: &Message<'_>) -> Option<Refusal> {
        if message.kind != NLMSG_ERROR {
            return None;
        }
        let code = ne32(message.payload, 0)?.cast_signed();
        if code == 0 {
            return None;
        }
        let mut refusal = Refusal::plain(code.saturating_neg());
        if message.flags & flag::ACK_ATTRIBUTES != 0 {
            // The request's header comes after the number, and the rest of it unless that is left out.
            let length = ne32(message.payload, 4).and_then(|length| usize::try_from(length).ok());
            let request = match message.flags & flag::CAPPED {
                0 => length.unwrap_or(0),
                _ => NLMSG_HEADER,
            };
            let start = request.min(message.payload.len()).next_multiple_of(4) + 4;
            let attributes = Attributes::of(message.payload.get(start..).unwrap_or_default());
            refusal.message = attributes.get(EXT_MESSAGE).and_then(Attribute::text).map(str::to_owned);
            refusal.offset = attributes.get(EXT_OFFSET).and_then(Attribute::ne32);
        }
        Some(refusal)
    }

    /// The error's usual name and sentence.
    fn reason(&self) -> (&'static str, &'static str) {
        match self.errno {
            libc::EPERM => ("EPERM", "not permitted: CAP_NET_ADMIN is missing"),
            libc::ENOENT => ("ENOENT", "no such chain, rule, set, extension or revision"),
            libc::EAGAIN => ("EAGAIN", "try again"),
            libc::ENOMEM => ("ENOMEM", "out of memory"),
            libc::EBUSY => ("EBUSY", "still in use"),
            libc::EEXIST => ("EEXIST", "exists already"),
            libc::EINVAL => ("EINVAL", "invalid"),
            libc::EMLINK => ("EMLINK", "a loop, or chains nested too deeply"),
            libc::ERANGE => ("ERANGE", "out of range"),
            libc::EOPNOTSUPP => ("EOPNOTSUPP", "not supported by this kernel"),
            libc::EAFNOSUPPORT => ("EAFNOSUPPORT", "this kernel lacks the address family"),
            libc::EPROTONOSUPPORT => ("EPROTONOSUPPORT", "this kernel lacks the protocol"),
            libc::ENFILE => ("ENFILE", "too many"),
            libc::ENOSPC => ("ENOSPC", "no room left"),
            libc::EOVERFLOW => ("EOVERFLOW", "too many references"),
            4097 => ("IPSET_ERR_PROTOCOL", "ipset: protocol error"),
            4098 => ("IPSET_ERR_FIND_TYPE", "ipset: this kernel lacks the type or its revision"),
            4099 => ("IPSET_ERR_MAX_SETS", "ipset: too many sets"),
            4100 => ("IPSET_ERR_BUSY", "ipset: the set is still in use"),
            4101 => ("IPSET_ERR_EXIST_SETNAME2", "ipset: the second set exists already"),
            4102 => ("IPSET_ERR_TYPE_MISMATCH", "ipset: the sets are of different types"),
            4103 => ("IPSET_ERR_EXIST", "ipset: the member is there already, or isn't there"),
            4104 => ("IPSET_ERR_INVALID_CIDR", "ipset: not a prefix length that sets take"),
            4105 => ("IPSET_ERR_INVALID_NETMASK", "ipset: not a netmask"),
            4106 => ("IPSET_ERR_INVALID_FAMILY", "ipset: the set is of the other address family"),
            4107 => ("IPSET_ERR_TIMEOUT", "ipset: the set has no timeouts"),
            4108 => ("IPSET_ERR_REFERENCED", "ipset: the set is referenced"),
            4109 => ("IPSET_ERR_IPADDR_IPV4", "ipset: not an IPv4 address"),
            4110 => ("IPSET_ERR_IPADDR_IPV6", "ipset: not an IPv6 address"),
            4352 => ("IPSET_ERR_HASH_FULL", "ipset: the set is full"),
            4353 => ("IPSET_ERR_HASH_ELEM", "ipset: the all-zero address can't be a member"),
            4354 => ("IPSET_ERR_INVALID_PROTO", "ipset: not a protocol that sets take"),
            4355 => ("IPSET_ERR_MISSING_PROTO", "ipset: the protocol is missing"),
            _ => ("", ""),
        }
    }
}

impl fmt::Display for Refusal {
    /// `EBUSY, still in use` and the kernel's own sentence after a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            ("", _) => write!(f, "{}", std::io::Error::from_raw_os_error(self.errno))?,
            (name, sentence) => write!(f, "{name}, {sentence}")?,
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(flags: u16, payload: &[u8]) -> Option<Refusal> {
        Refusal::read(&Message { kind: NLMSG_ERROR, flags, sequence: 1, port: 1, payload })
    }

    #[test]
    fn an_acknowledgement_is_no_refusal() {
        assert_eq!(error(0, &[0; 20]), None);
    }

    #[test]
    fn the_kernels_sentence_is_read() {
        let mut payload = (-16_i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; 16]);
        payload.extend_from_slice(&[8, 0, 2, 0, 36, 0, 0, 0]);
        payload.extend_from_slice(&[8, 0, 1, 0, b'b', b'a', b'd', 0]);
        let refusal = error(flag::CAPPED | flag::ACK_ATTRIBUTES, &payload).unwrap();
        assert_eq!(refusal, Refusal { errno: 16, message: Some("bad".to_owned()), offset: Some(36) });
        assert_eq!(refusal.to_string(), "EBUSY, still in use: bad");
        // An error is never lost, however little of it can be read.
        assert_eq!(error(flag::ACK_ATTRIBUTES, &payload[..8]), Some(Refusal::plain(16)));
    }
}
