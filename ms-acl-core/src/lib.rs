//! Network access control for Kubernetes nodes, as a pure function.
#![forbid(unsafe_code)]

pub mod diff;
pub mod model;
pub mod object;
pub mod ruleset;
