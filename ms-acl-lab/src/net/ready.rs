//! Waits until interfaces carry packets.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::error::{Cause, Doing, Result};

/// How long an interface may take.
const LIMIT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(1);

/// Waits for interfaces of the calling thread's namespace.
///
/// The kernel starts an interface that was up before its peer in the background: until then it loses what it is given
/// to send, and lost requests for neighbours are repeated only after a second.
pub(crate) fn wait(interfaces: &[&str]) -> Result<()> {
    let action = || format!("wait for {}", interfaces.join(", "));
    let deadline = Instant::now() + LIMIT;
    loop {
        let running: BTreeSet<String> = getifaddrs()
            .doing(action)?
            .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_RUNNING))
            .map(|interface| interface.interface_name)
            .collect();
        if interfaces.iter().all(|interface| running.contains(*interface)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Cause::Unfit(format!("only {running:?} are running"))).doing(action);
        }
        thread::sleep(TICK);
    }
}
