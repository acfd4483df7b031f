//! Network namespaces with a name under `/run/netns`, where `ip netns` looks for them.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use super::error::{Doing, Result};

/// Where named network namespaces are mounted.
const RUN_DIR: &str = "/run/netns";
/// The calling thread's network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// A named network namespace; its name goes when this value is dropped.
///
/// The kernel ends the namespace itself once no process, socket or open file holds it.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    file: File,
    inode: u64,
}

impl Namespace {
    /// Makes one new namespace for each name, in order.
    pub(crate) fn create_all(names: &[String]) -> Result<Vec<Namespace>> {
        prepare_run_dir()?;
        // A thread of its own, because each `unshare` takes the thread that calls it along.
        in_thread(|| names.iter().map(|name| Namespace::create(name)).collect())
    }

    /// Opens one that is there; its name still goes with this value.
    pub(crate) fn adopt(name: &str) -> Result<Namespace> {
        let action = || format!("open network namespace {name}");
        let file = File::open(path_of(name)).doing(action)?;
        let inode = file.metadata().doing(action)?.ino();
        Ok(Namespace { name: name.to_owned(), file, inode })
    }

    fn create(name: &str) -> Result<Namespace> {
        let path = path_of(name);
        let action = || format!("make network namespace {name}");
        OpenOptions::new().write(true).create_new(true).open(&path).doing(action)?;
        let made = unshare(CloneFlags::CLONE_NEWNET)
            .and_then(|()| mount(Some(OWN), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>))
            .doing(action);
        made.and_then(|()| Namespace::adopt(name)).inspect_err(|_| remove(name))
    }

    /// The full name, as `ip netns` prints it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes its name away now: nobody can enter it any more, while this value keeps its number from being reused.
    pub(crate) fn unname(&self) {
        remove(&self.name);
    }

    /// The number by which `/proc/PID/ns/net` names it.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Moves the calling thread into the namespace.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).doing(|| format!("enter network namespace {}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Runs `work` in a thread that may change its namespace, and passes a panic on.
pub(crate) fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The names under the directory of namespaces.
pub(crate) fn listed() -> Vec<String> {
    let Ok(entries) = fs::read_dir(RUN_DIR) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Takes a name away. Absent names are fine: whoever removed it had the same aim.
fn remove(name: &str) {
    let path = path_of(name);
    // Errors say that it isn't mounted, or that the file is gone; there is nothing more to undo.
    let _ = umount2(&path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(&path);
}

fn path_of(name: &str) -> PathBuf {
    Path::new(RUN_DIR).join(name)
}

/// Makes the directory a shared mount as `ip netns add` does, so that removal reaches every mount namespace.
fn prepare_run_dir() -> Result<()> {
    let action = || format!("prepare {RUN_DIR}");
    let none = None::<&str>;
    fs::create_dir_all(RUN_DIR).doing(action)?;
    let dir = File::open(RUN_DIR).doing(action)?;
    let _lock = Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, errno)| errno).doing(action)?;
    let share = || mount(none, RUN_DIR, none, MsFlags::MS_SHARED | MsFlags::MS_REC, none);
    if share().is_ok() {
        return Ok(());
    }
    mount(Some(RUN_DIR), RUN_DIR, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).doing(action)?;
    share().doing(action)
}
