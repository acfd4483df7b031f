//! NetworkPolicy, sentence by sentence. docs/semantics.md says which test stands for which sentence.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

#[path = "../world/mod.rs"]
mod world;

mod blocks;
mod conformance;
mod defects;
mod flows;
mod isolation;
mod lifecycle;
mod peers;
mod ports;
mod recipes;
mod validity;

/// An address that is nobody's.
const OUTSIDE: &str = "203.0.113.7";
