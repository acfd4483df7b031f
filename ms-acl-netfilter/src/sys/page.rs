//! One atomic batch of nf_tables messages, laid out by libnftnl in one page.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::offset_of;

use nftnl::{Batch, FinalizedBatch, MsgType, NlMsg};

use super::{NFGEN_HEADER, NLMSG_HEADER};
use crate::netlink::flag;

/// What the messages that begin and end a batch take, with room to spare.
const FRAME: usize = 1024;
/// The length of the message that begins a batch, as libnftnl writes it: headers only.
const BEGIN: usize = NLMSG_HEADER + NFGEN_HEADER;
/// In the message that begins a batch: the generation that it is for.
const BEGIN_GENERATION: u16 = 1;

/// A batch that is being written. It is one page however long it gets: pages are sent one by one,
/// and a batch in two datagrams is two batches.
pub(crate) struct Page {
    batch: Batch,
}

/// A finished batch: begin, messages, end.
pub(crate) struct PageBytes {
    batch: FinalizedBatch,
    /// The message that begins the batch, where it isn't libnftnl's.
    begin: Option<Vec<u8>>,
}

impl Page {
    /// A page for messages of so many bytes in all. `None` if that is more than a page can hold (2 GiB).
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes.checked_add(FRAME)?;
        let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes < 1 << 31)?;
        Some(Page { batch: Batch::with_page_size(bytes) })
    }

    /// Adds a whole message and returns its sequence number. Its header must hold its length.
    pub(crate) fn raw(&mut self, message: &[u8]) -> u32 {
        assert!(message.len() >= NLMSG_HEADER, "a message has a header");
        assert!(u16::try_from(message.len()).is_ok(), "a message fits into a page's reserve");
        self.add(&Raw { message })
    }

    /// Ends the batch. With a generation, the kernel refuses it (ERESTART) if anybody changed any rules since
    /// that generation.
    pub(crate) fn finish(self, generation: Option<u32>) -> PageBytes {
        let batch = self.batch.finalize();
        let begin = generation.and_then(|generation| {
            let mut begin = batch.iter().next()?.get(..BEGIN)?.to_vec();
            begin.extend_from_slice(&8_u16.to_ne_bytes());
            begin.extend_from_slice(&BEGIN_GENERATION.to_ne_bytes());
            begin.extend_from_slice(&generation.to_be_bytes());
            let length = u32::try_from(begin.len()).ok()?.to_ne_bytes();
            begin.get_mut(..length.len())?.copy_from_slice(&length);
            Some(begin)
        });
        PageBytes { batch, begin }
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
        let mut parts: Vec<&[u8]> = self.batch.iter().collect();
        if let (Some(begin), Some(first)) = (&self.begin, parts.first_mut()) {
            *first = first.get(BEGIN..).unwrap_or_default();
            parts.insert(0, begin);
        }
        parts
    }
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
