//! One daemon in one network namespace.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context, bail};

/// The socket's name. Abstract names are per network namespace, and go with the process.
const NAME: &str = "ms-acld";

/// Held while the process lives: no other daemon starts in this network namespace.
#[derive(Debug)]
pub(crate) struct OnlyInstance {
    _socket: UnixListener,
}

impl OnlyInstance {
    pub(crate) fn claim() -> anyhow::Result<Self> {
        let name = SocketAddr::from_abstract_name(NAME).context("can't name the instance socket")?;
        match UnixListener::bind_addr(&name) {
            Ok(socket) => Ok(OnlyInstance { _socket: socket }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                bail!("another ms-acld runs in this network namespace (it holds the unix socket @{NAME})")
            }
            Err(error) => Err(error).context("can't claim the instance socket"),
        }
    }
}

/// A random text that tells this process from its predecessors.
pub(crate) fn random_name() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    Ok(text.context("can't get a random number")?.trim().to_owned())
}
