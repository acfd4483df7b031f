//! Sockets of the lab: opening, binding, and the errors that the network reported to them.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr, SocketError};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, getsockopt, recvfrom, recvmsg, setsockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::sctp;
use super::wire::UPLINK;

/// Kinds of sockets that the lab opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    /// An echo socket: the kernel fills in identifier and checksum, and matches replies.
    Icmp,
    /// A raw socket: each packet starts with its SCTP header, in IPv4 with the IP header before it when received.
    Sctp,
}

/// Opens a nonblocking socket.
pub(crate) fn open(kind: Kind, v4: bool) -> io::Result<Socket> {
    let (domain, echo) = if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let (r#type, protocol) = match kind {
        Kind::Tcp => (Type::STREAM, Protocol::TCP),
        Kind::Udp => (Type::DGRAM, Protocol::UDP),
        Kind::Icmp => (Type::DGRAM, echo),
        Kind::Sctp => (Type::RAW, Protocol::from(sctp::PROTOCOL)),
    };
    let socket = Socket::new(domain, r#type, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Opens something on a chosen port; waits a little for the port.
///
/// A socket that was closed may live on for a moment: a process that another thread is just starting holds copies of
/// all open sockets until it becomes its program.
pub(crate) fn patiently<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + Duration::from_millis(500);
    loop {
        match open() {
            Err(error)
                if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable)
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

/// Lets a socket queue every ICMP error about what it sent, also those that the kernel takes for passing troubles.
pub(crate) fn hear_all_errors(socket: &Socket) -> io::Result<()> {
    match socket.domain()? {
        Domain::IPV4 => setsockopt(socket, Ipv4RecvErr, &true)?,
        _ => setsockopt(socket, Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// The socket address of an address and a port as seen in the calling thread's namespace.
///
/// Link-local addresses are taken to be on the uplink.
pub(crate) fn at(address: IpAddr, port: u16) -> SocketAddr {
    match address {
        IpAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(v4, port)),
        IpAddr::V6(v6) => {
            let scope = if v6.is_unicast_link_local() { if_nametoindex(UPLINK).unwrap_or(0) } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope))
        }
    }
}

/// Receives one packet and its sender; `None` if none waits.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> Option<(usize, SockaddrStorage)> {
    let (length, from) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer).ok()?;
    Some((length, from?))
}

/// The SCTP packet in what a raw socket received: IPv4 raw sockets also get the IP header.
pub(crate) fn sctp_payload(received: &[u8], v4: bool) -> Option<&[u8]> {
    let header = if v4 { usize::from(received.first()? & 0xf) * 4 } else { 0 };
    received.get(header..)
}

/// Takes the socket's pending error.
pub(crate) fn take_error(socket: &Socket) -> Option<Errno> {
    getsockopt(socket, SocketError).ok().filter(|code| *code != 0).map(Errno::from_raw)
}

/// Takes the next error of the socket's queue, with the start of the packet that met it (past the IP header).
///
/// The queue also knows errors that came while the kernel was still sending (a TCP socket forgets those).
pub(crate) fn take_queued_error(socket: &Socket) -> Option<(Errno, Vec<u8>)> {
    let mut packet = [0; 256];
    let mut control = nix::cmsg_space!([u8; 128]);
    let (code, length) = {
        let mut slices = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).ok()?;
        let code = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                Some(error.ee_errno)
            }
            _ => None,
        })?;
        (code, message.bytes)
    };
    Some((Errno::from_raw(i32::try_from(code).ok()?), packet[..length].to_vec()))
}

/// Whether an error says that somebody on the way, or the other end, refused.
pub(crate) fn is_refusal(errno: Errno) -> bool {
    // What the kernel makes of ICMP "unreachable" codes (icmp_err_convert, icmpv6_err_convert) and of a reset.
    matches!(
        errno,
        Errno::ECONNREFUSED
            | Errno::ECONNRESET
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EACCES
            | Errno::EPROTO
    )
}

/// The error number of an I/O error.
pub(crate) fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        ErrorKind::WouldBlock => Errno::EAGAIN,
        _ => error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw),
    }
}
