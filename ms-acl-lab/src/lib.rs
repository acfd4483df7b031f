//! For tests and the demo: clusters of network namespaces, a connection prober, an API server, an oracle.
#![forbid(unsafe_code)]

#[cfg(feature = "apiserver")]
pub mod apiserver;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(feature = "oracle")]
pub mod random;
