//! What the oracle answers.

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It vanishes.
    Drop,
    /// It is refused with an ICMP error, or a TCP reset for TCP.
    Reject,
}

/// One independent judge of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Deployment ACLs.
    Acl,
    /// Kubernetes policy.
    Kubernetes,
    /// No policy: forwarded link-local traffic, on a node that governs a pod in IPv6.
    LinkLocal,
}

/// What becomes of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of it on the whole: the first refusal in the packet's order, egress before ingress.
    pub verdict: Verdict,
    /// What its source's node says; `None` where the source is no pod on a node.
    pub egress: Option<DirectionAnswer>,
    /// What its destination's node says; `None` where the destination is no pod on a node.
    pub ingress: Option<DirectionAnswer>,
    /// The flow passes and an ACL said ALLOW at one of its ends: strangers' later rules don't see it there.
    pub accepted: bool,
}

/// What one direction says, and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectionAnswer {
    /// What it says.
    pub verdict: Verdict,
    /// An ACL said ALLOW, and the direction lets the flow pass.
    pub accepts: bool,
    /// The gate that refuses, or else the last one that had something to say.
    pub gate: Option<Gate>,
    /// The object that decided there: `NetworkPolicy a/b`, `Acl a/b`. Where several policies refuse
    /// together, the first of them by name.
    pub object: Option<String>,
    /// The number of the deciding rule in its object's list; `None` where no rule matched.
    pub rule: Option<usize>,
}

impl DirectionAnswer {
    /// Nobody has anything to say.
    pub(super) fn open() -> Self {
        DirectionAnswer { verdict: Verdict::Allow, accepts: false, gate: None, object: None, rule: None }
    }
}
