//! The process's limit of open files: a cluster serves on some thousand sockets.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::error::{Doing, Result};

/// Raises the soft limit to the hard one.
pub(crate) fn raise_open_files() -> Result<()> {
    let action = || "raise the limit of open files";
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).doing(action)?;
    if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard).doing(action) } else { Ok(()) }
}
