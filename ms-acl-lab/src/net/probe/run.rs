//! One thread for a batch of probes: it hops through the namespaces to open sockets, then waits for all of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use ms_acl_core::model::Protocol;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{SockAddr, Socket};

use super::flight::{self, Flight, Step};
use super::{Outcome, Patience, Probe};
use crate::net::cluster::Cluster;
use crate::net::error::{Cause, Doing, LabError, Result};
use crate::net::sctp::{self, Chunk, Packet};
use crate::net::socket::{self, Kind};

/// The bit of an event's number that tells a shared SCTP socket from a probe's own.
const SHARED: u64 = 1 << 32;

/// Sends all probes from the calling thread, which is left in one of their namespaces.
pub(super) fn run(cluster: &Cluster, probes: &[Probe], patience: Patience) -> Result<Vec<Outcome>> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).doing(|| "open an epoll instance")?;
    let states = probes.iter().map(|_| State::default()).collect();
    let mut batch = Batch {
        cluster,
        probes,
        patience,
        epoll,
        here: None,
        states,
        shared: Vec::new(),
        shared_of: BTreeMap::new(),
    };
    // By namespace, so that each is entered once.
    let mut order: Vec<usize> = (0..probes.len()).collect();
    order.sort_by(|a, b| probes[*a].from.cmp(&probes[*b].from));
    for number in order {
        batch.attempt(number)?;
    }
    while batch.wait()? {}
    Ok(batch.states.into_iter().map(|state| state.outcome.unwrap_or(Outcome::Dropped)).collect())
}

/// Where a probe stands.
#[derive(Default)]
struct State {
    attempts: u32,
    deadline: Option<Instant>,
    flight: Option<Flight>,
    init: Option<Packet>,
    outcome: Option<Outcome>,
}

/// A raw SCTP socket for all probes from one address: a raw socket hears every packet of its protocol, so one for
/// each probe would make the kernel copy each answer to each of them.
struct Shared {
    socket: Socket,
    v4: bool,
    /// The probes by the tag of their INIT.
    waiting: BTreeMap<u32, usize>,
}

struct Batch<'a> {
    cluster: &'a Cluster,
    probes: &'a [Probe],
    patience: Patience,
    epoll: Epoll,
    here: Option<&'a str>,
    states: Vec<State>,
    shared: Vec<Shared>,
    shared_of: BTreeMap<(&'a str, IpAddr), usize>,
}

impl<'a> Batch<'a> {
    /// Sends a probe's next attempt.
    fn attempt(&mut self, number: usize) -> Result<()> {
        let probe = &self.probes[number];
        if probe.from.address.is_ipv4() != probe.to.is_ipv4() {
            return Err(unfit(probe, "the two addresses are of different families"));
        }
        self.enter(&probe.from.host)?;
        let state = &mut self.states[number];
        state.attempts += 1;
        state.deadline = Some(Instant::now() + self.patience.wait);
        let step = match (probe.protocol, &mut state.flight) {
            (Protocol::Sctp, _) => self.send_init(number)?,
            (_, Some(flight)) if !flight.needs_new_socket() => flight.send(),
            _ => self.launch(number)?,
        };
        self.take(number, step);
        Ok(())
    }

    fn launch(&mut self, number: usize) -> Result<Step> {
        let probe = &self.probes[number];
        // Closes the socket of the attempt before, whose source port may be the same.
        self.states[number].flight = None;
        let (flight, step) =
            socket::patiently(|| Flight::launch(probe)).doing(|| format!("probe {probe}"))?;
        let mut interest = EpollFlags::EPOLLIN;
        interest.set(EpollFlags::EPOLLOUT, probe.protocol == Protocol::Tcp);
        self.epoll
            .add(&flight.socket, EpollEvent::new(interest, number as u64))
            .doing(|| "watch a probe's socket")?;
        self.states[number].flight = Some(flight);
        Ok(step)
    }

    fn send_init(&mut self, number: usize) -> Result<Step> {
        let probe = &self.probes[number];
        let group = self.shared_socket(number)?;
        let shared = &mut self.shared[group];
        let packet = *self.states[number].init.get_or_insert_with(|| {
            flight::init(probe.from_port.unwrap_or_else(flight::fresh_port), probe.port)
        });
        shared.waiting.insert(packet.initiate_tag, number);
        // The port goes into the packet; a raw socket takes none.
        let to = SockAddr::from(socket::at(probe.to, 0));
        let bytes = packet.encode();
        loop {
            match self.shared[group].socket.send_to(&bytes, &to) {
                Ok(_) => return Ok(Step::Waiting),
                // The error of an earlier packet: its probe takes it, this one is sent again.
                Err(error) if socket::is_refusal(socket::errno(&error)) && self.take_shared_errors(group) => {
                }
                // A full queue, or a firewall of the own namespace: if it refused, the socket hears of it by ICMP too.
                Err(error) if matches!(socket::errno(&error), Errno::EAGAIN | Errno::EPERM) => {
                    return Ok(Step::Waiting);
                }
                Err(error) => return flight::own_refusal(error).doing(|| format!("probe {probe}")),
            }
        }
    }

    /// The raw socket for the source of an SCTP probe.
    fn shared_socket(&mut self, number: usize) -> Result<usize> {
        let probe = &self.probes[number];
        let key = (probe.from.host.as_str(), probe.from.address);
        if let Some(group) = self.shared_of.get(&key) {
            return Ok(*group);
        }
        let v4 = probe.to.is_ipv4();
        let action = || format!("probe {probe}");
        let socket = socket::open(Kind::Sctp, v4).doing(action)?;
        socket::hear_all_errors(&socket).doing(action)?;
        socket.bind(&SockAddr::from(socket::at(probe.from.address, 0))).doing(action)?;
        let group = self.shared.len();
        self.epoll
            .add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, SHARED | group as u64))
            .doing(|| "watch a raw socket")?;
        self.shared.push(Shared { socket, v4, waiting: BTreeMap::new() });
        self.shared_of.insert(key, group);
        Ok(group)
    }

    fn take(&mut self, number: usize, step: Step) {
        let state = &mut self.states[number];
        if let Step::Done(outcome) = step
            && state.outcome.is_none()
        {
            state.outcome = Some(outcome);
            // Closes the socket.
            state.flight = None;
            state.deadline = None;
        }
    }

    /// Waits for the next answers and sends again what is due; `false` once every probe has its outcome.
    fn wait(&mut self) -> Result<bool> {
        let Some(next) = self.states.iter().filter_map(|state| state.deadline).min() else {
            return Ok(false);
        };
        let pause = next.saturating_duration_since(Instant::now());
        let millis = u16::try_from(pause.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let mut events = [EpollEvent::empty(); 256];
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(millis)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno).doing(|| "wait for answers"),
        };
        for event in &events[..count] {
            self.ready(*event);
        }
        // While answers keep coming nobody is late: on a busy machine they wait here, not on the way.
        if count == 0 {
            self.expire()?;
        }
        Ok(true)
    }

    fn ready(&mut self, event: EpollEvent) {
        let number = usize::try_from(event.data() & (SHARED - 1)).expect("numbers of probes fit");
        if event.data() & SHARED != 0 {
            self.take_answers(number);
            self.take_shared_errors(number);
            return;
        }
        let Some(flight) = &mut self.states[number].flight else { return };
        let writable = event.events().contains(EpollFlags::EPOLLOUT);
        let was_sent = flight.was_sent();
        let step = flight.proceed(writable);
        if step == Step::Waiting && !was_sent && flight.was_sent() {
            let mut reading = EpollEvent::new(EpollFlags::EPOLLIN, event.data());
            // Without this the socket would stay ready for writing; the only error is that it is not watched.
            let _ = self.epoll.modify(&flight.socket, &mut reading);
        }
        self.take(number, step);
    }

    fn expire(&mut self) -> Result<()> {
        let now = Instant::now();
        for number in 0..self.states.len() {
            let state = &self.states[number];
            if state.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            if state.attempts < self.patience.attempts {
                self.attempt(number)?;
            } else {
                self.take(number, Step::Done(Outcome::Dropped));
            }
        }
        Ok(())
    }

    /// Reads the INIT ACKs that came.
    fn take_answers(&mut self, group: usize) {
        let mut buffer = [0; 512];
        while let Some((length, _)) = socket::receive(&self.shared[group].socket, &mut buffer) {
            let shared = &self.shared[group];
            let packet = socket::sctp_payload(&buffer[..length], shared.v4).and_then(Packet::decode);
            let Some(packet) = packet.filter(|packet| packet.chunk == Chunk::InitAck) else { continue };
            if let Some(&number) = shared.waiting.get(&packet.verification_tag) {
                self.take(number, Step::Done(Outcome::Allowed));
            }
        }
    }

    /// Hands the errors of a shared socket to the probes whose packets met them; `false` if there was none.
    fn take_shared_errors(&mut self, group: usize) -> bool {
        let mut any = socket::take_error(&self.shared[group].socket).is_some();
        while let Some((errno, packet)) = socket::take_queued_error(&self.shared[group].socket) {
            any = true;
            let number = sctp::initiate_tag(&packet).and_then(|tag| self.shared[group].waiting.get(&tag));
            if let Some(&number) = number
                && socket::is_refusal(errno)
            {
                self.take(number, Step::Done(Outcome::Rejected));
            }
        }
        any
    }

    fn enter(&mut self, host: &'a str) -> Result<()> {
        if self.here != Some(host) {
            self.cluster.namespace(host)?.enter()?;
            self.here = Some(host);
        }
        Ok(())
    }
}

fn unfit(probe: &Probe, reason: &str) -> LabError {
    LabError { action: format!("probe {probe}"), cause: Cause::Unfit(reason.to_owned()) }
}
