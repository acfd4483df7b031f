//! Network access control for Kubernetes nodes, as a pure function.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod compile;
pub mod diff;
pub mod lower;
pub mod model;
pub mod object;
pub mod program;
pub mod render;
pub mod resolve;
pub mod ruleset;
pub mod verdict;
