//! Clusters of network namespaces on this machine, and a prober that tells allowed, rejected and dropped apart.
//!
//! ```text
//!   fabric (bridge fab0) ── node1 ── pods        Routed: a veth, a /32 and a /128 each
//!      │        │                                Bridged: veths on a bridge cni0
//!      │        └───────── node2 ── pods
//!      └ outside
//! ```
//!
//! Every box is a network namespace. Nothing is sent outside of them. Everything needs root.
//!
//! ```no_run
//! use ms_acl_lab::net::{Cluster, Family, Outcome, PodSpec, Ports, Probe, Protocol};
//!
//! # fn main() -> ms_acl_lab::net::Result<()> {
//! let cluster = Cluster::builder()
//!     .nodes(2)
//!     .pod(PodSpec::new("default/client", "node1"))
//!     .pod(PodSpec::new("default/web", "node2"))
//!     .build()?;
//! cluster.serve_pods(&Ports::all(&[80]))?;
//! let web = cluster.address("default/web", Family::V4)?;
//! let probe = Probe::new(cluster.endpoint("default/client", Family::V4)?, web, Protocol::Tcp, 80);
//! assert_eq!(cluster.probe(&[probe.clone()])?, [Outcome::Allowed]);
//!
//! cluster.iptables("node2", Family::V4, &format!("-A FORWARD -d {web} -j REJECT"))?;
//! assert_eq!(cluster.probe(&[probe])?, [Outcome::Rejected]);
//! # Ok(())
//! # }
//! ```

mod address;
mod cluster;
mod connection;
mod error;
mod limit;
mod namespace;
mod plan;
mod pods;
mod probe;
mod process;
mod ready;
mod run;
mod sctp;
mod serve;
mod service;
mod socket;
mod spec;
mod sweep;
mod sysctl;
mod tool;
mod wire;

pub use cluster::{Cluster, Node, OUTSIDE, Pod};
pub use connection::Connection;
pub use error::{Cause, LabError, Result};
pub use ms_acl_core::ruleset::Family;
pub use nix::sys::signal::Signal;
pub use probe::{Endpoint, Outcome, Patience, Probe, Protocol};
pub use process::Process;
pub use serve::Ports;
pub use service::Service;
pub use spec::{ClusterBuilder, Families, NodeSpec, PodSpec, Wiring};
