//! Plain values: what policies and pods are, free of any kind's spelling.

mod port;

pub use port::{PortRange, PortRangeError, Protocol};
