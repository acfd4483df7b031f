//! What probes reach: one background thread answers on every served port of a cluster.

mod socket;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::cluster::Cluster;
use super::error::{Doing, Result};
use socket::Served;

/// The ports to serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// TCP: accepts, and sends back what it receives.
    pub tcp: Vec<u16>,
    /// UDP: sends back what it receives.
    pub udp: Vec<u16>,
    /// SCTP: answers an INIT with an INIT ACK.
    pub sctp: Vec<u16>,
    /// TCP and UDP: as above, and once a client was heard, keeps sending to it, fifty times a second; by UDP for
    /// ten seconds after its last word.
    pub streams: Vec<u16>,
}

impl Ports {
    /// The same ports for TCP, UDP and SCTP.
    pub fn all(ports: &[u16]) -> Self {
        Ports { tcp: ports.to_vec(), udp: ports.to_vec(), sctp: ports.to_vec(), streams: Vec::new() }
    }
}

/// How often a stream sends, in milliseconds.
const STREAM_PERIOD: u16 = 20;
/// The number of the event that wakes the thread.
const WAKE: u64 = u64::MAX;

impl Cluster {
    /// Serves ports on every address of a pod, a node or the outside host, link-local ones of pods included.
    pub fn serve(&self, host: &str, ports: &Ports) -> Result<()> {
        let mut addresses = self.addresses(host)?;
        if let Ok(pod) = self.pod(host) {
            addresses.push(pod.link_local().into());
        }
        let opened: io::Result<Vec<Served>> = self.run_in(host, || {
            addresses.iter().try_fold(Vec::new(), |open, a| socket::open(*a, ports, open))
        })?;
        self.server
            .add(host, opened.doing(|| format!("serve on {host}"))?)
            .doing(|| format!("serve on {host}"))
    }

    /// Serves ports on every pod that is there now.
    pub fn serve_pods(&self, ports: &Ports) -> Result<()> {
        self.pods().try_for_each(|pod| self.serve(&pod.name, ports))
    }
}

/// The thread that answers, and what it listens to.
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    epoll: Epoll,
    wake: EventFd,
    stop: AtomicBool,
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    next: u64,
    open: BTreeMap<u64, Entry>,
}

struct Entry {
    host: Arc<str>,
    socket: Served,
}

impl Server {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Server> {
        let action = || "start the lab's server";
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).doing(action)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).doing(action)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE)).doing(action)?;
        let shared =
            Arc::new(Shared { epoll, wake, stop: AtomicBool::new(false), sockets: Mutex::default() });
        let run = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("ms-acl-lab server".into()).spawn(move || run.run()).doing(action)?;
        Ok(Server { shared, thread: Some(thread) })
    }

    fn add(&self, host: &str, opened: Vec<Served>) -> io::Result<()> {
        let host: Arc<str> = host.into();
        let mut sockets = self.shared.lock();
        for socket in opened {
            sockets.insert(&self.shared.epoll, Arc::clone(&host), socket)?;
        }
        drop(sockets);
        self.shared.rouse();
        Ok(())
    }

    /// Closes every socket that serves a host.
    pub(crate) fn forget(&self, host: &str) {
        self.shared.lock().open.retain(|_, entry| &*entry.host != host);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.rouse();
        if let Some(thread) = self.thread.take() {
            // It panicked: there is nothing more to stop, and a panic here would abort.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("sockets", &self.shared.lock().open.len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Sockets> {
        // A panic while it was held left at worst a socket unanswered.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rouse(&self) {
        // The only failure is a counter that is full, and so awake already.
        let _ = self.wake.write(1);
    }

    fn run(&self) {
        let mut events = [EpollEvent::empty(); 256];
        let mut pause = EpollTimeout::NONE;
        while !self.stop.load(Ordering::Acquire) {
            let count = match self.epoll.wait(&mut events, pause) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(_) => return,
            };
            let mut sockets = self.lock();
            for event in &events[..count] {
                match event.data() {
                    WAKE => drop(self.wake.read()),
                    number => sockets.ready(&self.epoll, number),
                }
            }
            pause =
                if sockets.send_streams() { EpollTimeout::from(STREAM_PERIOD) } else { EpollTimeout::NONE };
        }
    }
}

impl Sockets {
    fn insert(&mut self, epoll: &Epoll, host: Arc<str>, socket: Served) -> io::Result<()> {
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, self.next))?;
        self.open.insert(self.next, Entry { host, socket });
        self.next += 1;
        Ok(())
    }

    /// Answers what came on a socket; closes it when the other end has.
    fn ready(&mut self, epoll: &Epoll, number: u64) {
        let Some(entry) = self.open.get_mut(&number) else { return };
        match entry.socket.answer() {
            socket::Answer::Done => {}
            socket::Answer::Accepted(connections) => {
                let host = Arc::clone(&entry.host);
                for connection in connections {
                    // Without a watch it is closed, and the client sees that.
                    let _ = self.insert(epoll, Arc::clone(&host), connection);
                }
            }
            socket::Answer::Ended => drop(self.open.remove(&number)),
        }
    }

    /// Lets every stream send; `false` if there is none.
    fn send_streams(&mut self) -> bool {
        let mut any = false;
        for entry in self.open.values_mut() {
            any |= entry.socket.send_stream();
        }
        any
    }
}
