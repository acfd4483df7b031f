//! Objects of every policy kind, lowered into the model. One file a kind.

pub mod acl;
pub(crate) mod cidr;
mod name;
pub mod network_policy;
mod selector;
mod tree;
pub mod workload;

pub use selector::selector;
pub use tree::{Tree, TreeNumber};
