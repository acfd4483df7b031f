//! Requests and their replies over one long-lived socket.

use std::io;
use std::time::{Duration, Instant};

use super::message::{Message, Messages, set_flags};
use super::refusal::Refusal;
use super::{NLMSG_DONE, NLMSG_ERROR, flag};
use crate::sys::{PageBytes, Received, Socket};

/// Longer than any datagram that the kernel sends us: an error of ipset repeats a request of 60 KB.
const BUFFER: usize = 256 << 10;
/// How long an answer may take. Answers are there when the request was sent; a dump's parts come as
/// the former part is taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request over netlink failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket failed.
    #[error("netlink: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The answer didn't come, or not all of it.
    #[error("netlink: the kernel gave no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// Part of the answer was lost because the queue was full.
    #[error("netlink: the receive queue was full, an answer is lost")]
    Overrun,
    /// What was being listed changed meanwhile.
    #[error("netlink: the listing was interrupted by changes, again and again")]
    Interrupted,
}

impl NetlinkError {
    /// The error number, if the kernel refused.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            NetlinkError::Refused(refusal) => Some(refusal.errno),
            _ => None,
        }
    }
}

/// What makes faults likely that are rare otherwise: for tests of what is done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hardship {
    /// How many bytes may wait in a receive queue; the kernel gives twice that, and no less than 2,304.
    pub receive_queue: Option<u32>,
    /// How long to wait before each batch is sent, with everything read that it is made from.
    pub pause: Duration,
}

/// How often something went wrong that was done again, since the connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mishaps {
    /// Listings that somebody's change interrupted.
    pub interrupted: u64,
    /// Answers that were lost because the receive queue was full.
    pub overruns: u64,
    /// Sets that were still in use.
    pub busy: u64,
}

impl std::ops::Add for Mishaps {
    type Output = Mishaps;

    fn add(self, other: Mishaps) -> Mishaps {
        Mishaps {
            interrupted: self.interrupted + other.interrupted,
            overruns: self.overruns + other.overruns,
            busy: self.busy + other.busy,
        }
    }
}

/// A socket with its counter of requests and its buffer.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    pause: Duration,
    pub(crate) mishaps: Mishaps,
}

impl Connection {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        Self::open_under(Hardship::default())
    }

    /// The same with faults made likely.
    pub(crate) fn open_under(hardship: Hardship) -> io::Result<Self> {
        Self::over(Socket::open(0)?, hardship)
    }

    /// Opens a socket for interfaces and routes in the network namespace of the calling thread.
    pub(crate) fn open_route() -> io::Result<Self> {
        Self::over(Socket::open_route()?, Hardship::default())
    }

    fn over(socket: Socket, hardship: Hardship) -> io::Result<Self> {
        if let Some(bytes) = hardship.receive_queue {
            socket.limit_receive_queue(bytes)?;
        }
        // Sequence numbers of batches start at 1 each time; requests count on from far above them.
        let buffer = vec![0; BUFFER];
        Ok(Connection {
            socket,
            sequence: 1 << 31,
            buffer,
            pause: hardship.pause,
            mishaps: Mishaps::default(),
        })
    }

    /// The socket's address in its namespace.
    pub(crate) fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Sends requests in one datagram and gives every reply to `on_reply` with the index of its request,
    /// until each request was acknowledged. The first refusal is returned, with the index of the request.
    pub(crate) fn requests(
        &mut self,
        messages: Vec<Vec<u8>>,
        mut on_reply: impl FnMut(usize, &Message<'_>),
    ) -> Result<(), (usize, NetlinkError)> {
        self.exchange(messages, |index, reply| {
            if reply.kind != NLMSG_ERROR {
                on_reply(index, reply);
            }
        })
    }

    /// The same for requests whose refusals say more than a number, in a way of their own: they are
    /// given to `on_error`.
    pub(crate) fn requests_with_errors(
        &mut self,
        messages: Vec<Vec<u8>>,
        mut on_error: impl FnMut(&Message<'_>),
    ) -> Result<(), (usize, NetlinkError)> {
        self.exchange(messages, |_, reply| {
            if Refusal::read(reply).is_some() {
                on_error(reply);
            }
        })
    }

    fn exchange(
        &mut self,
        messages: Vec<Vec<u8>>,
        mut on_message: impl FnMut(usize, &Message<'_>),
    ) -> Result<(), (usize, NetlinkError)> {
        let count = messages.len();
        if count == 0 {
            return Ok(());
        }
        let first = self.take_numbers(count);
        let mut bytes = Vec::with_capacity(messages.iter().map(Vec::len).sum());
        for (number, mut message) in (first..).zip(messages) {
            set_header(&mut message, flag::ACK, number);
            bytes.extend_from_slice(&message);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        self.drain().map_err(|error| (0, error))?;
        self.socket.send(&[&bytes]).map_err(|error| (0, error.into()))?;

        let mut open = count;
        let mut refused: Option<(usize, Refusal)> = None;
        let deadline = Instant::now() + PATIENCE;
        while open > 0 {
            let length = self.receive(deadline).map_err(|error| (count - open, error))?;
            for message in Messages::of(&self.buffer[..length]) {
                let Some(index) = index_in(message.sequence, first, count) else { continue };
                on_message(index, &message);
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                open = open.saturating_sub(1);
                if let Some(refusal) = Refusal::read(&message)
                    && refused.is_none()
                {
                    refused = Some((index, refusal));
                }
            }
        }
        match refused {
            Some((index, refusal)) => Err((index, refusal.into())),
            None => Ok(()),
        }
    }

    /// Sends one request and gives its replies to `on_reply`.
    pub(crate) fn request(
        &mut self,
        message: Vec<u8>,
        mut on_reply: impl FnMut(&Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.requests(vec![message], |_, reply| on_reply(reply)).map_err(|(_, error)| error)
    }

    /// Asks for a listing and gives its entries to `on_entry`. A listing that was interrupted by a
    /// change is [`NetlinkError::Interrupted`]: what was collected is to be thrown away.
    pub(crate) fn dump(
        &mut self,
        mut message: Vec<u8>,
        mut on_entry: impl FnMut(&Message<'_>),
    ) -> Result<(), NetlinkError> {
        let number = self.take_numbers(1);
        set_header(&mut message, flag::DUMP, number);
        self.drain()?;
        self.socket.send(&[&message])?;

        let mut interrupted = false;
        loop {
            // Each part has its own time: a listing may be as long as it likes.
            let length = self.receive(Instant::now() + PATIENCE)?;
            for message in Messages::of(&self.buffer[..length]) {
                if message.sequence != number {
                    continue;
                }
                interrupted |= message.flags & flag::DUMP_INTERRUPTED != 0;
                if message.kind == NLMSG_DONE {
                    let code = super::message::ne32(message.payload, 0).map_or(0, u32::cast_signed);
                    return match (code < 0, interrupted) {
                        (true, _) => Err(Refusal::plain(code.saturating_neg()).into()),
                        (false, true) => Err(NetlinkError::Interrupted),
                        (false, false) => Ok(()),
                    };
                }
                if message.kind == NLMSG_ERROR {
                    // An acknowledgement instead of a listing: there was nothing to list.
                    return Refusal::read(&message).map_or(Ok(()), |refusal| Err(refusal.into()));
                }
                on_entry(&message);
            }
        }
    }

    /// Asks for a listing until it isn't interrupted; `start` gives an empty collection each time.
    pub(crate) fn collect<T>(
        &mut self,
        message: &[u8],
        mut start: impl FnMut() -> T,
        mut add: impl FnMut(&mut T, &Message<'_>),
    ) -> Result<T, NetlinkError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut all = start();
            match self.dump(message.to_vec(), |entry| add(&mut all, entry)) {
                Ok(()) => return Ok(all),
                Err(NetlinkError::Interrupted) if Instant::now() < deadline => self.mishaps.interrupted += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends an atomic batch and gives every reply to `on_reply`. The kernel has dealt with the batch
    /// and queued all replies when it has been sent, so this doesn't wait.
    pub(crate) fn batch(
        &mut self,
        page: &PageBytes,
        mut on_reply: impl FnMut(&Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.drain()?;
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
        self.socket.send(&page.parts())?;
        let mut outcome = Ok(());
        loop {
            match self.socket.receive(&mut self.buffer)? {
                Received::Datagram(length) => {
                    Messages::of(&self.buffer[..length]).for_each(|message| on_reply(&message));
                }
                Received::Nothing => return outcome,
                // It is told first, before the replies that there was room for.
                Received::Overrun => outcome = Err(self.overrun()),
            }
        }
    }

    /// The next datagram's length, waiting for it until a moment.
    fn receive(&mut self, deadline: Instant) -> Result<usize, NetlinkError> {
        loop {
            match self.socket.receive(&mut self.buffer)? {
                Received::Datagram(length) => return Ok(length),
                Received::Overrun => return Err(self.overrun()),
                Received::Nothing => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() || !self.socket.wait(left)? && Instant::now() >= deadline {
                        return Err(NetlinkError::Silent);
                    }
                }
            }
        }
    }

    fn overrun(&mut self) -> NetlinkError {
        self.mishaps.overruns += 1;
        NetlinkError::Overrun
    }

    /// Throws away what is left of a request that failed half way.
    fn drain(&mut self) -> Result<(), NetlinkError> {
        loop {
            match self.socket.receive(&mut self.buffer)? {
                Received::Nothing => return Ok(()),
                Received::Datagram(_) | Received::Overrun => {}
            }
        }
    }

    fn take_numbers(&mut self, count: usize) -> u32 {
        let count = u32::try_from(count).unwrap_or(u32::MAX >> 2);
        if self.sequence.checked_add(count).is_none() {
            self.sequence = 1 << 31;
        }
        let first = self.sequence;
        self.sequence += count;
        first
    }
}

fn set_header(message: &mut [u8], flags: u16, sequence: u32) {
    set_flags(message, flags);
    if let Some(place) = message.get_mut(8..12) {
        place.copy_from_slice(&sequence.to_ne_bytes());
    }
}

fn index_in(sequence: u32, first: u32, count: usize) -> Option<usize> {
    let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
    (index < count).then_some(index)
}
