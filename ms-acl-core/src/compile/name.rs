//! Names of chains and sets: a kind and a hash of what makes the thing itself.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Action, NamespaceScope, PodScope, Protocol, Requirement, Selector};
use crate::resolve::NamedPorts;
use crate::ruleset::{ChainName, Direction, Family, GateKind, ObjectRef, Set, SetKind, SetName, SetRole};

/// Collects the fields of an identity. Every field is written with its length, so that no two lists
/// of fields read alike: `web` + `app-x` never meets `weba` + `pp-x`.
pub(crate) struct Identity(blake3::Hasher);

impl Identity {
    pub(crate) fn new(kind: &str) -> Self {
        let mut identity = Identity(blake3::Hasher::new());
        identity.text(kind);
        identity
    }

    pub(super) fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    pub(super) fn object(&mut self, object: &ObjectRef) {
        self.text(object.kind);
        self.text(&object.namespace);
        self.text(&object.name);
    }

    pub(crate) fn direction(&mut self, direction: Direction) {
        self.number(direction as usize);
    }

    pub(super) fn gate(&mut self, gate: GateKind) {
        self.text(&gate.to_string());
    }

    pub(super) fn action(&mut self, action: Action) {
        self.text(match action {
            Action::Allow => "allow",
            Action::Accept => "accept",
            Action::Deny => "deny",
            Action::Reject => "reject",
        });
    }

    pub(crate) fn chain(&mut self, chain: &ChainName) {
        self.text(chain.as_str());
    }

    pub(super) fn protocol(&mut self, protocol: Protocol) {
        self.text(match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
            Protocol::Icmp => "icmp",
        });
    }

    pub(super) fn nets(&mut self, nets: &[IpNet]) {
        self.number(nets.len());
        for net in nets {
            match net.addr() {
                IpAddr::V4(address) => self.0.update(&address.octets()),
                IpAddr::V6(address) => self.0.update(&address.octets()),
            };
            self.number(usize::from(net.prefix_len()));
        }
    }

    pub(super) fn named_ports(&mut self, ports: &NamedPorts) {
        self.number(ports.len());
        for ((name, protocol), ranges) in ports {
            self.text(name);
            self.protocol(*protocol);
            self.number(ranges.len());
            for range in ranges {
                self.number(range.first().into());
                self.number(range.last().into());
            }
        }
    }

    pub(super) fn selector(&mut self, selector: &Selector) {
        self.number(selector.requirements().count());
        for requirement in selector.requirements() {
            let (operator, key, values) = match requirement {
                Requirement::In(key, values) => ("in", key, Some(values)),
                Requirement::NotIn(key, values) => ("notin", key, Some(values)),
                Requirement::Exists(key) => ("exists", key, None),
                Requirement::DoesNotExist(key) => ("absent", key, None),
            };
            self.text(operator);
            self.text(key);
            self.number(values.map_or(0, std::collections::BTreeSet::len));
            for value in values.into_iter().flatten() {
                self.text(value);
            }
        }
    }

    pub(super) fn scope(&mut self, scope: &PodScope) {
        match &scope.namespaces {
            NamespaceScope::Named(name) => {
                self.text("named");
                self.text(name);
            }
            NamespaceScope::Selected(selector) => {
                self.text("selected");
                self.selector(selector);
            }
        }
        self.selector(&scope.pods);
    }

    /// 100 bits of the hash in 20 characters of base 32.
    fn digest(&self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let hash = self.0.finalize();
        let mut bits = 0_u128;
        for byte in &hash.as_bytes()[..16] {
            bits = bits << 8 | u128::from(*byte);
        }
        (0..20).map(|place| char::from(ALPHABET[(bits >> (123 - 5 * place) & 31) as usize])).collect()
    }

    /// The name of a chain of this kind, one upper case letter.
    pub(crate) fn chain_name(&self, kind: char) -> ChainName {
        ChainName::new(&format!("MS-{kind}-{}", self.digest())).expect("the scheme keeps to the limit")
    }

    /// The name of a set. Its type belongs to the name, so that one name never has two types.
    pub(super) fn set_name(&self, role: SetRole, kind: SetKind, family: Family) -> SetName {
        let role = match role {
            SetRole::Permit => 'p',
            SetRole::Refuse => 'r',
        };
        let kind = match kind {
            SetKind::Addresses => 'a',
            SetKind::Networks => 'n',
            SetKind::AddressPorts => 'p',
        };
        let family = match family {
            Family::V4 => '4',
            Family::V6 => '6',
        };
        SetName::new(&format!("MS-{role}{kind}{family}-{}", self.digest()))
            .expect("the scheme keeps to the limit")
    }
}

/// The name of a set that stands in for another one while that one changes.
pub(crate) fn stand_in(name: &SetName, set: &Set, number: usize) -> SetName {
    let mut identity = Identity::new("stand-in");
    identity.text(name.as_str());
    identity.number(number);
    identity.set_name(set.role, set.kind, set.family)
}

/// A name of ours that is written in full.
pub(crate) fn fixed(name: &'static str) -> ChainName {
    ChainName::new(name).expect("our own names keep to the scheme")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_never_run_together() {
        let name = |a: &str, b: &str| {
            let mut identity = Identity::new("p");
            identity.object(&ObjectRef::new("NetworkPolicy", a, b));
            identity.chain_name('P')
        };
        assert_ne!(name("web", "app-x"), name("weba", "pp-x"));
        assert_eq!(name("web", "app-x").as_str().len(), 25);
        let long = "x".repeat(253);
        assert_eq!(name(&long, &long).as_str().len(), 25);
    }
}
