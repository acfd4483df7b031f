//! One atomic batch of nf_tables messages, laid out by libnftnl in one page.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::mem::offset_of;

use ms_acl_core::ruleset::{Family, Hook};
use nftnl::{Batch, Chain, ChainType, FinalizedBatch, MsgType, NlMsg, ProtoFamily, Table};

use super::NLMSG_HEADER;
use crate::netlink::flag;

/// What the messages for a table and for base chains take at most, with room to spare.
const SMALL_MESSAGE: usize = 512;

/// A batch that is being written. It is one page however long it gets: pages are sent one by one,
/// and a batch in two datagrams is two batches.
pub(crate) struct Page {
    batch: Batch,
}

/// A finished batch: begin, messages, end.
pub(crate) struct PageBytes {
    batch: FinalizedBatch,
}

impl Page {
    /// A page for raw messages of so many bytes in all, besides `small` messages for tables and base
    /// chains. `None` if that is more than a page can hold (2 GiB).
    pub(crate) fn new(raw_bytes: usize, small: usize) -> Option<Self> {
        let bytes = raw_bytes.checked_add(small.checked_add(4)?.checked_mul(SMALL_MESSAGE)?)?;
        let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes < 1 << 31)?;
        Some(Page { batch: Batch::with_page_size(bytes) })
    }

    /// Adds a whole message and returns its sequence number. Its header must hold its length.
    pub(crate) fn raw(&mut self, message: &[u8]) -> u32 {
        assert!(message.len() >= NLMSG_HEADER, "a message has a header");
        assert!(u16::try_from(message.len()).is_ok(), "a message fits into a page's reserve");
        self.add(&Raw { message })
    }

    /// Adds the table `filter` of a family: one that exists already is no error.
    pub(crate) fn table(&mut self, family: Family) -> u32 {
        self.add(&filter(family))
    }

    /// Adds a base chain of the table `filter`: one that exists already is no error, and its policy is
    /// never touched, because none is sent.
    pub(crate) fn base_chain(&mut self, family: Family, hook: Hook) -> u32 {
        let (name, number): (&CStr, _) = match hook {
            Hook::Input => (c"INPUT", nftnl::Hook::In),
            Hook::Forward => (c"FORWARD", nftnl::Hook::Forward),
            Hook::Output => (c"OUTPUT", nftnl::Hook::Out),
        };
        let table = filter(family);
        let mut chain = Chain::new(name, &table);
        chain.set_hook(number, 0);
        chain.set_type(ChainType::Filter);
        self.add(&chain)
    }

    /// Ends the batch.
    pub(crate) fn finish(self) -> PageBytes {
        PageBytes { batch: self.batch.finalize() }
    }

    fn add<T: NlMsg>(&mut self, message: &T) -> u32 {
        let numbered = Numbered { message, sequence: Cell::new(0) };
        self.batch.add(&numbered, MsgType::Add);
        numbered.sequence.get()
    }
}

impl PageBytes {
    /// The datagram, in parts.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        self.batch.iter().collect()
    }
}

fn filter(family: Family) -> Table {
    let family = match family {
        Family::V4 => ProtoFamily::Ipv4,
        Family::V6 => ProtoFamily::Ipv6,
    };
    Table::new(c"filter", family)
}

/// A message that was written before, header and all.
struct Raw<'a> {
    message: &'a [u8],
}

// SAFETY: `write` writes `message.len()` bytes, which `Page::raw` bounds by 65,535, less than
// `nft_nlmsg_maxsize`.
unsafe impl NlMsg for Raw<'_> {
    unsafe fn write(&self, buf: *mut c_void, seq: u32, _: MsgType) {
        // SAFETY: the caller gives room for the longest message, and the two don't overlap: `buf`
        // belongs to the batch.
        unsafe { std::ptr::copy_nonoverlapping(self.message.as_ptr(), buf.cast::<u8>(), self.message.len()) };
        let place = buf.wrapping_byte_add(offset_of!(libc::nlmsghdr, nlmsg_seq)).cast::<[u8; 4]>();
        // SAFETY: a header was just written at the start of the buffer (`Page::raw` checks that the
        // message has one), and this is inside of it.
        unsafe { place.write(seq.to_ne_bytes()) };
    }
}

/// Any message, with the sequence number that it was given. Its acknowledgement is not asked for:
/// errors always come back, and 256 acknowledgements would fill a default receive queue.
struct Numbered<'a, T> {
    message: &'a T,
    sequence: Cell<u32>,
}

// SAFETY: writes what the inner message writes, and changes two bytes of its header.
unsafe impl<T: NlMsg> NlMsg for Numbered<'_, T> {
    unsafe fn write(&self, buf: *mut c_void, seq: u32, msg_type: MsgType) {
        self.sequence.set(seq);
        // SAFETY: the same buffer under the same promise.
        unsafe { self.message.write(buf, seq, msg_type) };
        let place = buf.wrapping_byte_add(offset_of!(libc::nlmsghdr, nlmsg_flags)).cast::<[u8; 2]>();
        // SAFETY: every message starts with a header, and this is inside of it.
        let flags = u16::from_ne_bytes(unsafe { place.read() });
        // SAFETY: as above.
        unsafe { place.write((flags & !flag::ACK).to_ne_bytes()) };
    }
}
