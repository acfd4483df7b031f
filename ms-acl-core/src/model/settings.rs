//! What a node's operator decides.

use ipnet::IpNet;

use crate::ruleset::Family;

/// Settings of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The node whose pods are governed.
    pub node: String,
    /// The ranges whose flows Kubernetes policy judges. A family without an entry is judged whole.
    pub pod_ip_range: Vec<IpNet>,
    /// Whether traffic between a pod and its own node is judged.
    pub node_traffic: NodeTraffic,
    /// How Kubernetes policy refuses.
    pub refuse_with: RefuseWith,
    /// The mark bits that the rules use.
    pub marks: Marks,
}

impl Settings {
    /// The defaults for a node.
    pub fn new(node: impl Into<String>) -> Self {
        Settings {
            node: node.into(),
            pod_ip_range: Vec::new(),
            node_traffic: NodeTraffic::default(),
            refuse_with: RefuseWith::default(),
            marks: Marks::default(),
        }
    }

    /// The ranges that Kubernetes policy judges in one family; empty = all addresses.
    pub fn pod_ip_range(&self, family: Family) -> Vec<IpNet> {
        let nets: Vec<IpNet> =
            self.pod_ip_range.iter().copied().filter(|net| Family::of(net.addr()) == family).collect();
        if nets.iter().any(|net| net.prefix_len() == 0) { Vec::new() } else { nets }
    }
}

/// Traffic between a pod and the node it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NodeTraffic {
    /// It always passes the ACL and the Kubernetes gate.
    #[default]
    Allow,
    /// It is judged like any other.
    Enforce,
}

/// How Kubernetes policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RefuseWith {
    /// With a TCP reset or an ICMP error.
    #[default]
    Reject,
    /// In silence.
    Drop,
}

/// Why a mask can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// Too few bits in the packet mark's mask.
    #[error("the mark mask {0:#x} has fewer than three bits")]
    TooFewBits(u32),
    /// No bit in the connection mark's mask.
    #[error("the connection mark mask is 0: it needs one bit")]
    NoConnmarkBit,
}

/// The bits of the packet mark and the connection mark that the rules use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Marks {
    /// The gate in progress lets the flow pass.
    pub pass: u32,
    /// Some gate wants the flow accepted.
    pub accept: u32,
    /// The tier in progress leaves the decision to the next one.
    pub next: u32,
    /// In the connection mark: the connection was accepted by us.
    pub seen: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Marks { pass: 0x800, accept: 0x1000, next: 0x2000, seen: 0x1000 }
    }
}

impl Marks {
    /// Takes the lowest three bits of the packet mark's mask and the lowest of the connection mark's.
    pub fn from_masks(mark_mask: u32, connmark_mask: u32) -> Result<Self, MarkError> {
        let bits: Vec<u32> =
            (0..32).map(|shift| 1 << shift).filter(|bit| mark_mask & bit != 0).take(3).collect();
        let [pass, accept, next] = bits[..] else { return Err(MarkError::TooFewBits(mark_mask)) };
        if connmark_mask == 0 {
            return Err(MarkError::NoConnmarkBit);
        }
        Ok(Marks { pass, accept, next, seen: 1 << connmark_mask.trailing_zeros() })
    }

    /// All bits of the packet mark that the rules use.
    pub fn all(self) -> u32 {
        self.pass | self.accept | self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_masks_give_the_default_marks() {
        assert_eq!(Marks::from_masks(0x3800, 0x1000), Ok(Marks::default()));
        assert_eq!(Marks::from_masks(0x3000, 0x1000), Err(MarkError::TooFewBits(0x3000)));
        assert_eq!(Marks::from_masks(0x3800, 0), Err(MarkError::NoConnmarkBit));
    }

    #[test]
    fn a_range_of_one_family_leaves_the_other_whole() {
        let settings = Settings { pod_ip_range: vec!["10.0.0.0/8".parse().unwrap()], ..Settings::new("n") };
        assert_eq!(settings.pod_ip_range(Family::V4).len(), 1);
        assert!(settings.pod_ip_range(Family::V6).is_empty());
    }
}
