//! Policies of every kind in one form.
//!
//! A direction of a pod passes through its gates ([`GateKind`]); each gate must let the flow pass. A gate
//! is a list of tiers; a tier holds policies and what happens otherwise. A policy's rules are tried
//! in order and the first match decides.

use ipnet::IpNet;

use super::{PortRange, Protocol, Selector};
use crate::ruleset::{Direction, GateKind, ObjectRef};

/// What a rule, or a tier's `otherwise`, decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The gate lets the flow pass.
    Allow,
    /// The gate lets the flow pass, and if every other gate does too, the packets are accepted: later
    /// rules of the base chain don't see them.
    Accept,
    /// The packets are dropped.
    Deny,
    /// The packets are refused with an answer.
    Reject,
}

impl Action {
    /// Whether the gate lets the flow pass.
    pub fn passes(self) -> bool {
        matches!(self, Action::Allow | Action::Accept)
    }
}

/// A policy: whom it is for, and what it says in each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The object it comes from.
    pub object: ObjectRef,
    /// The pods it is for.
    pub subject: Subject,
    /// What it says about traffic from them; `None` = nothing.
    pub egress: Option<Section>,
    /// What it says about traffic to them; `None` = nothing.
    pub ingress: Option<Section>,
}

impl Policy {
    /// What it says in one direction.
    pub fn section(&self, direction: Direction) -> Option<&Section> {
        match direction {
            Direction::Egress => self.egress.as_ref(),
            Direction::Ingress => self.ingress.as_ref(),
        }
    }
}

/// Whom a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Pods by namespace and labels.
    Pods(PodScope),
    /// The pods of a Deployment.
    Deployment {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What a policy says in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The gate it belongs to.
    pub gate: GateKind,
    /// The rules, in order.
    pub rules: Vec<PolicyRule>,
    /// What happens in this policy's tier when no rule of any of the tier's policies matches.
    pub otherwise: Action,
}

/// A rule of a policy: for flows with one of these peers and one of these ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// Its index in the list that its author wrote, from 0.
    pub index: usize,
    /// Its name, where its author gave one.
    pub label: Option<String>,
    /// The other end.
    pub peers: Peers,
    /// The destination port.
    pub ports: Ports,
    /// What it decides.
    pub action: Action,
    /// The prefix of a log entry that each deciding packet writes.
    pub log: Option<String>,
}

/// The other end of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Anybody, inside and outside of the cluster.
    Any,
    /// Any of these; an empty list is nobody.
    Of(Vec<Peer>),
}

/// One kind of other end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Pods.
    Pods(PodScope),
    /// Addresses, whoever has them.
    Block(Block),
}

/// A network with holes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The network, without host bits.
    pub net: IpNet,
    /// Holes in it: in this block, not in any other.
    pub except: Vec<IpNet>,
}

/// Pods by namespace and labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodScope {
    /// In which namespaces.
    pub namespaces: NamespaceScope,
    /// With which labels.
    pub pods: Selector,
}

/// Namespaces, one by name or many by labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamespaceScope {
    /// This one.
    Named(String),
    /// All with matching labels.
    Selected(Selector),
}

impl std::fmt::Display for PodScope {
    /// `pods app=web in namespace default`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pods.is_everything() {
            f.write_str("all pods")?;
        } else {
            write!(f, "pods {}", self.pods)?;
        }
        match &self.namespaces {
            NamespaceScope::Named(name) => write!(f, " in namespace {name}"),
            NamespaceScope::Selected(selector) if selector.is_everything() => {
                f.write_str(" in all namespaces")
            }
            NamespaceScope::Selected(selector) => write!(f, " in namespaces {selector}"),
        }
    }
}

/// Destination ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Every protocol and port, ICMP too.
    Any,
    /// Any of these; an empty list is none.
    Of(Vec<PortMatch>),
}

/// Ports of one protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMatch {
    /// The protocol.
    pub protocol: Protocol,
    /// Which of its ports.
    pub port: PortSpec,
}

/// Which ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortSpec {
    /// All of them.
    Any,
    /// These.
    Range(PortRange),
    /// Those that the destination pod's containers give this name.
    Named(String),
}
