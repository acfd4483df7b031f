//! Why the lab could not do something.

use std::io;
use std::process::ExitStatus;

/// An action of the lab that failed, with its cause.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}")]
pub struct LabError {
    /// What was tried, as the rest of "could not …".
    pub action: String,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

/// The cause of a [`LabError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A tool ended with a failure; its standard error output is kept.
    #[error("{program} ended with {status}: {stderr}")]
    Tool {
        /// The program's name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error output.
        stderr: String,
    },
    /// Something that was named is not in the cluster.
    #[error("there is no {0}")]
    Absent(String),
    /// Something new has the name or the address of something that is there.
    #[error("{0} is taken")]
    Taken(String),
    /// A request that the lab's wiring cannot carry out.
    #[error("{0}")]
    Unfit(String),
}

impl From<nix::errno::Errno> for Cause {
    fn from(errno: nix::errno::Errno) -> Self {
        Cause::Io(errno.into())
    }
}

/// What the lab's functions return.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// Names the failed action of a result.
pub(crate) trait Doing<T> {
    /// Turns the error into a [`LabError`] with `action`, which completes "could not …".
    fn doing<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T>;
}

impl<T, E: Into<Cause>> Doing<T> for std::result::Result<T, E> {
    fn doing<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T> {
        self.map_err(|cause| LabError { action: action().into(), cause: cause.into() })
    }
}
