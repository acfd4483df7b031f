//! The sockets that serve, and how each answers.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, sendto};
use socket2::{SockAddr, Socket};

use super::Ports;
use crate::net::sctp::{Chunk, Packet};
use crate::net::socket::{self, Kind};

/// A socket that serves.
pub(super) enum Served {
    /// Accepts TCP connections.
    Listener { listener: TcpListener, streams: bool },
    /// One TCP connection.
    Connection { stream: TcpStream, streams: bool },
    /// UDP; with the clients to stream to, if it is a stream.
    Datagrams { socket: UdpSocket, clients: Option<Clients> },
    /// SCTP on one address.
    Sctp { socket: Socket, v4: bool, ports: Vec<u16> },
}

/// Clients of a UDP stream, each with the time when it was last heard.
type Clients = BTreeMap<SocketAddr, Instant>;

/// What came of an answer.
pub(super) enum Answer {
    /// Nothing that changes what is open.
    Done,
    /// New connections.
    Accepted(Vec<Served>),
    /// The other end closed.
    Ended,
}

/// What a stream sends.
const STREAMED: &[u8] = b"~";
/// How long a UDP stream goes on without a word of its client.
const STREAM_FOR: Duration = Duration::from_secs(10);

/// Opens the sockets for one address in the calling thread's namespace and appends them to `open`.
pub(super) fn open(address: IpAddr, ports: &Ports, mut open: Vec<Served>) -> io::Result<Vec<Served>> {
    let tcp = ports.tcp.iter().map(|port| (port, false)).chain(ports.streams.iter().map(|port| (port, true)));
    for (port, streams) in tcp {
        let listener = TcpListener::bind(socket::at(address, *port))?;
        listener.set_nonblocking(true)?;
        open.push(Served::Listener { listener, streams });
    }
    let udp = ports
        .udp
        .iter()
        .map(|port| (port, None))
        .chain(ports.streams.iter().map(|port| (port, Some(Clients::new()))));
    for (port, clients) in udp {
        let socket = UdpSocket::bind(socket::at(address, *port))?;
        socket.set_nonblocking(true)?;
        open.push(Served::Datagrams { socket, clients });
    }
    if !ports.sctp.is_empty() {
        let v4 = address.is_ipv4();
        let socket = socket::open(Kind::Sctp, v4)?;
        socket.bind(&SockAddr::from(socket::at(address, 0)))?;
        open.push(Served::Sctp { socket, v4, ports: ports.sctp.clone() });
    }
    Ok(open)
}

impl AsFd for Served {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Served::Listener { listener, .. } => listener.as_fd(),
            Served::Connection { stream, .. } => stream.as_fd(),
            Served::Datagrams { socket, .. } => socket.as_fd(),
            Served::Sctp { socket, .. } => socket.as_fd(),
        }
    }
}

impl Served {
    /// Answers everything that has come.
    pub(super) fn answer(&mut self) -> Answer {
        match self {
            Served::Listener { listener, streams } => Answer::Accepted(accept(listener, *streams)),
            Served::Connection { stream, .. } => {
                if echo(stream).is_ok() {
                    Answer::Done
                } else {
                    Answer::Ended
                }
            }
            Served::Datagrams { socket, clients } => {
                echo_datagrams(socket, clients.as_mut());
                Answer::Done
            }
            Served::Sctp { socket, v4, ports } => {
                answer_inits(socket, *v4, ports);
                Answer::Done
            }
        }
    }

    /// Sends to the clients of a stream; `false` if there is none.
    pub(super) fn send_stream(&mut self) -> bool {
        match self {
            Served::Connection { stream, streams: true } => {
                // A full buffer or a lost connection: the next answer finds out.
                let _ = stream.write(STREAMED);
                true
            }
            Served::Datagrams { socket, clients: Some(clients) } => {
                clients.retain(|_, heard| heard.elapsed() < STREAM_FOR);
                for client in clients.keys() {
                    let _ = socket.send_to(STREAMED, client);
                }
                !clients.is_empty()
            }
            _ => false,
        }
    }
}

fn accept(listener: &TcpListener, streams: bool) -> Vec<Served> {
    let mut accepted = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok() {
            accepted.push(Served::Connection { stream, streams });
        }
    }
    accepted
}

fn echo(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => stream.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn echo_datagrams(socket: &UdpSocket, mut clients: Option<&mut Clients>) {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, client)) => {
                let _ = socket.send_to(&buffer[..length], client);
                if let Some(clients) = &mut clients {
                    clients.insert(client, Instant::now());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // An ICMP error about an earlier answer; reading took it away.
            Err(_) => {}
        }
    }
}

fn answer_inits(socket: &Socket, v4: bool, ports: &[u16]) {
    let mut buffer = [0; 512];
    loop {
        let Some((length, client)) = socket::receive(socket, &mut buffer) else {
            // Errors about earlier answers keep the socket ready until they are taken.
            let any = socket::take_error(socket).is_some() || socket::take_queued_error(socket).is_some();
            if any {
                continue;
            }
            return;
        };
        let packet = socket::sctp_payload(&buffer[..length], v4).and_then(Packet::decode);
        let Some(init) = packet.filter(|p| p.chunk == Chunk::Init && ports.contains(&p.destination)) else {
            continue;
        };
        let answer = Packet {
            source: init.destination,
            destination: init.source,
            verification_tag: init.initiate_tag,
            chunk: Chunk::InitAck,
            initiate_tag: init.initiate_tag ^ u32::MAX,
        };
        // In IPv6 the kernel takes the "port" of a raw socket's peer for a protocol: received ones are zero.
        let _ = sendto(socket.as_raw_fd(), &answer.encode(), &client, MsgFlags::empty());
    }
}
