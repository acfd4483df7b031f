//! An independent reading of what the policies mean: [`judge()`] tells what becomes of a [`Flow`] in a
//! [`World`].
//!
//! It is written from the project's semantics and the text of the Kubernetes API, and shares no code
//! with the core but the plain types of objects. It is as slow as it is plain: every answer is found
//! by walking through all objects, so that each function can be read beside the sentence that it
//! stands for. Numbers in comments are the items of the list "NetworkPolicy: the list to be right
//! about".
//!
//! Not modelled, because they aren't properties of a flow: established connections, INVALID packets,
//! neighbour discovery, and what was valid before.

pub mod acl;
mod answer;
pub(crate) mod block;
mod judge;
mod kubernetes;
mod member;
mod owner;
mod selector;
mod validity;
mod world;

pub use answer::{Answer, DirectionAnswer, Gate, Verdict};
pub use judge::{governs_egress, governs_ingress, judge, node_of, pod_name_at};
pub use member::is_address_of_node;
pub use validity::is_valid_policy;
pub use world::{Flow, NodeTraffic, Protocol, RefuseWith, Settings, World};

#[cfg(test)]
mod tests;
