//! Where a rule comes from: the object and the rule of it that a person wrote.

use std::fmt;

/// A direction of traffic, as the pod sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the pod.
    Egress,
    /// To the pod.
    Ingress,
}

impl Direction {
    /// Both directions, in the order in which a packet meets them.
    pub const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Egress => "egress",
            Direction::Ingress => "ingress",
        })
    }
}

/// A gate: one independent judge of a direction. All gates must let a flow pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateKind {
    /// Deployment ACLs.
    Acl,
    /// Egress firewalls.
    EgressFirewall,
    /// Kubernetes policies.
    Kubernetes,
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GateKind::Acl => "acl",
            GateKind::EgressFirewall => "egress-firewall",
            GateKind::Kubernetes => "kubernetes",
        })
    }
}

/// The name of an object: its kind, its namespace (empty for cluster-scoped kinds) and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The kind as Kubernetes writes it, or `Acl` for an entry of a policy document.
    pub kind: &'static str,
    /// The namespace; empty where the kind has none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// Names an object.
    pub fn new(kind: &'static str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        ObjectRef { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    /// `NetworkPolicy default/web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// The object, and the rule of it, that caused a rule of the graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Provenance {
    /// The object; `None` where a gate's `otherwise` follows from several.
    pub object: Option<ObjectRef>,
    /// The direction it judges.
    pub direction: Direction,
    /// The gate it belongs to.
    pub gate: GateKind,
    /// The rule's index in its object's list for the direction (ACL: in the entry's list of rules),
    /// from 0; `None` = no rule of it, but its default.
    pub rule: Option<usize>,
    /// The rule's own name, where its author gave one.
    pub label: Option<String>,
}
