//! A netlink socket that never waits longer than it was told to.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How much may wait in a socket's queues. It is a limit, not a reservation.
const QUEUE_BYTES: libc::c_int = 256 << 20;

/// What a receive found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// A datagram of so many bytes.
    Datagram(usize),
    /// Nothing is waiting.
    Nothing,
    /// The kernel dropped datagrams because the queue was full.
    Overrun,
}

/// A bound netlink socket.
pub(crate) struct Socket {
    inner: mnl::Socket,
}

// SAFETY: libmnl's socket is a plain structure of a descriptor and an address; nothing in it belongs
// to the thread that opened it, and `Socket` is not `Sync`.
unsafe impl Send for Socket {}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread, subscribed to the multicast
    /// groups of a bit mask (0 = none).
    pub(crate) fn open(groups: u32) -> io::Result<Self> {
        Self::open_on(mnl::Bus::Netfilter, groups)
    }

    /// Opens a socket for interfaces and routes in the network namespace of the calling thread.
    pub(crate) fn open_route() -> io::Result<Self> {
        Self::open_on(mnl::Bus::Route, 0)
    }

    fn open_on(bus: mnl::Bus, groups: u32) -> io::Result<Self> {
        let inner = mnl::Socket::open(bus)?;
        let socket = Socket { inner };
        socket.close_on_exec()?;
        // The forced sizes need CAP_NET_ADMIN in the first user namespace. In another one the system's
        // limits hold, and a batch that is too long for them says so when it is sent.
        for (forced, plain) in
            [(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF), (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)]
        {
            if socket.set(libc::SOL_SOCKET, forced, QUEUE_BYTES).is_err() {
                let _ = socket.set(libc::SOL_SOCKET, plain, QUEUE_BYTES);
            }
        }
        // Errors name the attribute that was refused, and don't repeat the whole request. Kernels
        // that know neither still answer with the plain error number.
        let _ = socket.set(libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
        let _ = socket.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        socket.inner.bind(groups, 0)?;
        Ok(socket)
    }

    /// Lets no more than so many bytes wait in the receive queue; the kernel gives twice that.
    pub(crate) fn limit_receive_queue(&self, bytes: u32) -> io::Result<()> {
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
    }

    /// The socket's address in its namespace, by which notifications name who caused them.
    pub(crate) fn port(&self) -> u32 {
        self.inner.portid()
    }

    /// Sends one datagram made of parts. The kernel has dealt with it when this returns.
    pub(crate) fn send(&self, parts: &[&[u8]]) -> io::Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut vectors: Vec<libc::iovec> = parts
            .iter()
            .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() })
            .collect();
        // SAFETY: an all-zero msghdr is a valid one: no address, no vectors, no control data.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = vectors.as_mut_ptr();
        header.msg_iovlen = vectors.len();
        loop {
            // SAFETY: the descriptor is open; the header points to `vectors`, whose entries point to
            // `parts`, and all of them outlive the call, which only reads them.
            let sent = unsafe { libc::sendmsg(self.inner.as_raw_fd(), &raw const header, 0) };
            match usize::try_from(sent) {
                Ok(sent) if sent == total => return Ok(()),
                Ok(_) => return Err(io::Error::other("netlink took only a part of a request")),
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
    }

    /// Takes the next datagram of the queue, without waiting. A datagram that is longer than the
    /// buffer is an error: it can't be read again.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            // SAFETY: the descriptor is open, and the kernel writes at most `buffer.len()` bytes.
            let got = unsafe {
                libc::recv(
                    self.inner.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                )
            };
            match usize::try_from(got) {
                Ok(length) if length <= buffer.len() => return Ok(Received::Datagram(length)),
                Ok(length) => {
                    return Err(io::Error::other(format!("an answer of {length} bytes doesn't fit")));
                }
                Err(_) => {
                    let error = io::Error::last_os_error();
                    match error.raw_os_error() {
                        Some(libc::EINTR) => {}
                        Some(libc::EAGAIN) => return Ok(Received::Nothing),
                        Some(libc::ENOBUFS) => return Ok(Received::Overrun),
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// Waits until something can be received; `false` when the time is over first.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.inner.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one pollfd is passed, and it outlives the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
        if ready >= 0 {
            return Ok(ready > 0);
        }
        match io::Error::last_os_error() {
            // A signal ended the wait early: the caller looks and waits again if it has to.
            error if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            error => Err(error),
        }
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        const LENGTH: libc::socklen_t = 4;
        const { assert!(size_of::<libc::c_int>() == LENGTH as usize) };
        // SAFETY: the value is a c_int that outlives the call, and its size is given.
        let result = unsafe {
            libc::setsockopt(self.inner.as_raw_fd(), level, option, (&raw const value).cast(), LENGTH)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn close_on_exec(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open; F_SETFD takes an int and touches no memory.
        let result = unsafe { libc::fcntl(self.inner.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("port", &self.port()).finish()
    }
}
