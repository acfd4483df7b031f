//! The node daemon of ms-acl: from manifests and the HTTP API to rules in the kernel.
#![forbid(unsafe_code)]
#![allow(dead_code)]
mod args;
mod source;
mod text;
fn main() {}
