//! Writing and reading netlink messages.

use crate::sys::{NFGEN_HEADER, NLMSG_HEADER};

/// An attribute's flag: it holds attributes.
const NESTED: u16 = 0x8000;
/// An attribute's flag: its number is in network byte order (ipset insists on it).
const NET_ORDER: u16 = 0x4000;
/// The bits of an attribute's type that are its type.
const TYPE_MASK: u16 = 0x3fff;
/// The length of an attribute's header.
const ATTRIBUTE_HEADER: usize = 4;

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A netfilter message that is being written.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A message of a subsystem. `resource` is 0 in all messages but a batch's begin and end.
    pub(crate) fn new(subsystem: u16, command: u16, flags: u16, family: u8) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(&(subsystem << 8 | command).to_ne_bytes());
        bytes.extend_from_slice(&(flags | super::flag::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[family, 0, 0, 0]);
        Writer { bytes }
    }

    /// A message of another part of the kernel: its type and what comes before its attributes.
    pub(crate) fn plain(kind: u16, start: &[u8]) -> Self {
        let mut writer = Writer::new(kind >> 8, kind & 0xff, 0, 0);
        writer.bytes.truncate(NLMSG_HEADER);
        writer.bytes.extend_from_slice(start);
        writer
    }

    /// A list of attributes without a message around it.
    pub(crate) fn attributes() -> Self {
        Writer { bytes: Vec::with_capacity(512) }
    }

    /// The number of bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The finished message, its length in its header.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(header) = self.bytes.get_mut(..4) {
            header.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes
    }

    /// The attributes alone.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An attribute of raw bytes.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.head(kind, value.len());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// An attribute of raw bytes whose flag says that they are in network byte order.
    pub(crate) fn net_order(&mut self, kind: u16, value: &[u8]) {
        self.bytes(kind | NET_ORDER, value);
    }

    /// A number in network byte order, without a flag that says so (nf_tables).
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// As [`Writer::be32`].
    pub(crate) fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A text and a NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.head(kind, value.len() + 1);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    /// An attribute of attributes, with the flag that says so.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.head(kind | NESTED, 0);
        fill(self);
        self.close(start);
    }

    /// Attributes that were written before, as they are.
    pub(crate) fn raw(&mut self, attributes: &[u8]) {
        self.bytes.extend_from_slice(attributes);
    }

    fn head(&mut self, kind: u16, value: usize) {
        // An attribute is at most 64 KiB long. Everything that can be longer (a rule, a list of
        // members) is cut or refused before it gets here.
        let length = u16::try_from(ATTRIBUTE_HEADER + value).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
    }

    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(padded(self.bytes.len()), 0);
    }
}

/// Sets flags of a finished message.
pub(crate) fn set_flags(message: &mut [u8], flags: u16) {
    if let Some([low, high]) = message.get_mut(6..8) {
        let old = u16::from_ne_bytes([*low, *high]);
        [*low, *high] = (old | flags).to_ne_bytes();
    }
}

/// A received message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// Subsystem and command.
    pub(crate) kind: u16,
    /// Its flags.
    pub(crate) flags: u16,
    /// The sequence number of the request that it belongs to.
    pub(crate) sequence: u32,
    /// The socket on whose account it was sent.
    pub(crate) port: u32,
    /// What follows the netlink header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The address family of a netfilter message.
    pub(crate) fn family(&self) -> u8 {
        self.payload.first().copied().unwrap_or(0)
    }

    /// The attributes of a netfilter message.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        self.attributes_after(NFGEN_HEADER)
    }

    /// The attributes of a message of another part of the kernel, after what comes before them.
    pub(crate) fn attributes_after(&self, start: usize) -> Attributes<'a> {
        Attributes::of(self.payload.get(start..).unwrap_or_default())
    }
}

/// The messages of a datagram.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Reads a datagram.
    pub(crate) fn of(datagram: &'a [u8]) -> Self {
        Messages(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = usize::try_from(ne32(self.0, 0)?).ok()?;
        let payload = self.0.get(NLMSG_HEADER..length)?;
        let message = Message {
            kind: ne16(self.0, 4)?,
            flags: ne16(self.0, 6)?,
            sequence: ne32(self.0, 8)?,
            port: ne32(self.0, 12)?,
            payload,
        };
        self.0 = self.0.get(padded(length)..).unwrap_or_default();
        Some(message)
    }
}

/// A list of attributes.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads bytes as attributes.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Attributes(bytes)
    }

    /// The first attribute of a type.
    pub(crate) fn get(&self, kind: u16) -> Option<Attribute<'a>> {
        self.clone().find(|attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(ne16(self.0, 0)?);
        let value = self.0.get(ATTRIBUTE_HEADER..length)?;
        let kind = ne16(self.0, 2)? & TYPE_MASK;
        self.0 = self.0.get(padded(length)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// Its type, without the flags.
    pub(crate) kind: u16,
    /// Its value.
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The attributes in it.
    pub(crate) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// A byte.
    pub(crate) fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    /// A number in network byte order.
    pub(crate) fn be16(self) -> Option<u16> {
        Some(u16::from_be_bytes(self.value.get(..2)?.try_into().ok()?))
    }

    /// A number in network byte order.
    pub(crate) fn be32(self) -> Option<u32> {
        Some(u32::from_be_bytes(self.value.get(..4)?.try_into().ok()?))
    }

    /// A number in network byte order.
    pub(crate) fn be64(self) -> Option<u64> {
        Some(u64::from_be_bytes(self.value.get(..8)?.try_into().ok()?))
    }

    /// A number in this machine's byte order.
    pub(crate) fn ne32(self) -> Option<u32> {
        ne32(self.value, 0)
    }

    /// A text up to its NUL.
    pub(crate) fn text(self) -> Option<&'a str> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        std::str::from_utf8(&self.value[..end]).ok()
    }
}

pub(super) fn ne32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn ne16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The types of the attributes, from the outermost in, around a byte of a message of ours. `nested`
/// says which of them hold attributes, by their path. For errors: the kernel names an offset.
pub(crate) fn attribute_path(message: &[u8], offset: usize) -> Vec<u16> {
    let mut path = Vec::new();
    let mut start = NLMSG_HEADER + NFGEN_HEADER;
    let mut end = message.len();
    'deeper: loop {
        let mut at = start;
        while at < end {
            let (Some(length), Some(kind)) = (ne16(message, at), ne16(message, at + 2)) else { return path };
            let length = usize::from(length);
            if length < ATTRIBUTE_HEADER {
                return path;
            }
            if (at..at + length).contains(&offset) {
                path.push(kind & TYPE_MASK);
                if kind & NESTED == 0 || offset < at + ATTRIBUTE_HEADER {
                    return path;
                }
                (start, end) = (at + ATTRIBUTE_HEADER, (at + length).min(message.len()));
                continue 'deeper;
            }
            at += padded(length);
        }
        return path;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let mut writer = Writer::new(10, 6, super::super::flag::CREATE, 2);
        writer.text(1, "filter");
        writer.nest(4, |list| {
            list.be32(1, 7);
            list.bytes(2, &[1, 2, 3]);
        });
        let bytes = writer.finish();
        let message = Messages::of(&bytes).next().unwrap();
        assert_eq!((message.kind, message.flags, message.family()), (0x0a06, 0x401, 2));
        let attributes = message.attributes();
        assert_eq!(attributes.get(1).and_then(Attribute::text), Some("filter"));
        let list = attributes.get(4).unwrap().nested();
        assert_eq!(list.get(1).and_then(Attribute::be32), Some(7));
        assert_eq!(list.get(2).unwrap().value, [1, 2, 3]);
        assert!(attributes.get(9).is_none());
    }

    #[test]
    fn an_offset_is_found_in_its_attribute() {
        let mut writer = Writer::new(10, 6, 0, 2);
        writer.text(1, "filter");
        writer.nest(4, |list| {
            list.be32(1, 7);
            list.be32(2, 8);
        });
        let bytes = writer.finish();
        assert_eq!(attribute_path(&bytes, 20), [1]);
        assert_eq!(attribute_path(&bytes, 32), [4]);
        assert_eq!(attribute_path(&bytes, 36), [4, 1]);
        assert_eq!(attribute_path(&bytes, 47), [4, 2]);
        assert!(attribute_path(&bytes, 4000).is_empty());
    }

    #[test]
    fn broken_bytes_end_the_reading() {
        assert!(Messages::of(&[1, 2, 3]).next().is_none());
        assert!(Messages::of(&[255; 64]).next().is_none());
        assert!(Attributes::of(&[3, 0, 1, 0, 9, 9, 9, 9]).next().is_none());
        assert!(Attributes::of(&[200, 0, 1, 0, 9]).next().is_none());
        // A length of zero must not turn the iteration round and round.
        assert_eq!(Attributes::of(&[0; 64]).count(), 0);
        assert_eq!(Messages::of(&[0; 64]).count(), 0);
    }
}
