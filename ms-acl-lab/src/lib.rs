//! For tests and the demo: clusters of network namespaces, a connection prober, builders and an oracle.
#![forbid(unsafe_code)]

#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(feature = "oracle")]
pub mod random;
