//! Names of the lab's namespaces, and the removal of what ended processes left.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace::{self, Namespace};

/// The start of the name of every namespace that this lab makes.
const MARK: &str = "msl";

/// A prefix for the namespaces of a new cluster: `msl<pid>x<n>`.
pub(crate) fn new_prefix() -> String {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    format!("{MARK}{}x{}", std::process::id(), CLUSTERS.fetch_add(1, Ordering::Relaxed))
}

/// The process that made the namespace with this name, if the name is the lab's.
fn owner(name: &str) -> Option<u32> {
    let (pid, rest) = name.strip_prefix(MARK)?.split_once('x')?;
    let (number, _) = rest.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

/// Removes the namespaces whose process has ended, with the processes that still run in them.
pub(crate) fn sweep() {
    let ended = |pid| !Path::new(&format!("/proc/{pid}")).exists();
    let stale: Vec<Namespace> = namespace::listed()
        .iter()
        .filter(|name| owner(name).is_some_and(ended))
        // Another process may be sweeping too, and be faster.
        .filter_map(|name| Namespace::adopt(name).ok())
        .collect();
    end(stale.iter());
}

/// Takes the names of namespaces away and kills every process, except this one, that is in one of them.
///
/// In this order, so that nothing enters one later. Only processes that were started for the lab can be there: nobody
/// else enters a cluster's namespaces.
pub(crate) fn end<'a>(namespaces: impl Iterator<Item = &'a Namespace>) {
    let numbers: BTreeSet<u64> = namespaces
        .map(|namespace| {
            namespace.unname();
            namespace.inode()
        })
        .collect();
    if !numbers.is_empty() {
        end_processes(&numbers);
    }
}

fn end_processes(namespaces: &BTreeSet<u64>) {
    let Ok(entries) = fs::read_dir("/proc") else { return };
    let own = std::process::id();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == own || !network_of(pid).is_some_and(|inode| namespaces.contains(&inode)) {
            continue;
        }
        if let Ok(pid) = i32::try_from(pid) {
            // It may have ended by itself since.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The number of the network namespace of a process.
fn network_of(pid: u32) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_lab_have_an_owner() {
        assert_eq!(owner("msl42x0-node1"), Some(42));
        for name in ["msl42x0", "msl42-node1", "mslx0-node1", "msl42xa-b", "other42x0-node1", "cni-msl42x0-a"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
        assert_eq!(owner(&format!("{}-a", new_prefix())), Some(std::process::id()));
    }
}
