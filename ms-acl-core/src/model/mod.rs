//! Plain values: what pods and policies are, free of any kind's spelling.
//!
//! Every policy kind is lowered into a [`Policy`] of gates, tiers and rules; compile,
//! explain and lint know only these.

mod diagnostic;
mod pod;
mod policy;
mod port;
mod selector;
mod settings;

pub use diagnostic::{Diagnostic, Severity};
pub use pod::{NamedPort, PodFacts, PodOwner};
pub use policy::{
    Action, Block, NamespaceScope, Peer, Peers, PodScope, Policy, PolicyRule, PortMatch, PortSpec, Ports,
    Section, Subject,
};
pub use port::{PortRange, PortRangeError, Protocol};
pub use selector::{Labels, Requirement, Selector};
pub use settings::{MarkError, Marks, NodeTraffic, RefuseWith, Settings};
