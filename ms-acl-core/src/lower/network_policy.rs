//! NetworkPolicy, `networking.k8s.io/v1`: the rules of its API text and of the API server's validation.

use ipnet::IpNet;

use super::selector::selector;
use super::{cidr, name};
use crate::model::{
    Action, Block, Diagnostic, NamespaceScope, Peer, Peers, PodScope, Policy, PolicyRule, PortMatch,
    PortRange, PortSpec, Ports, Protocol, Section, Selector, Severity, Subject,
};
use crate::object::{
    IntOrString, IpBlock, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort,
};
use crate::ruleset::{GateKind, ObjectRef};

/// The kind's name.
pub const KIND: &str = "NetworkPolicy";

/// A policy that can't be in force as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Everything that is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// What stands in for it where no valid version is known: it refuses everything in the
    /// directions that the object declares, for the pods that it selects.
    pub refusal: Policy,
}

/// Lowers a NetworkPolicy.
pub fn lower(object: &NetworkPolicy) -> Result<Policy, Box<Invalid>> {
    let meta = &object.metadata;
    let mut reader =
        Reader { object: ObjectRef::new(KIND, &meta.namespace, &meta.name), diagnostics: Vec::new() };
    let spec = &object.spec;
    reader.name("/metadata/namespace", &meta.namespace, |text| text.is_empty() || name::is_label(text));
    reader.name("/metadata/name", &meta.name, name::is_subdomain);
    let pods = reader.selector("/spec/podSelector", &spec.pod_selector);
    let (isolates_ingress, isolates_egress) = reader.types(&spec.policy_types, !spec.egress.is_empty());
    let ingress = spec.ingress.iter().enumerate().map(|(index, rule)| {
        let at = |field: &str| format!("/spec/ingress/{index}/{field}");
        (
            index,
            reader.peers(&at("from"), &rule.from, &meta.namespace),
            reader.ports(&at("ports"), &rule.ports),
        )
    });
    let ingress: Vec<PolicyRule> = ingress.map(allow).collect();
    let egress = spec.egress.iter().enumerate().map(|(index, rule)| {
        let at = |field: &str| format!("/spec/egress/{index}/{field}");
        (index, reader.peers(&at("to"), &rule.to, &meta.namespace), reader.ports(&at("ports"), &rule.ports))
    });
    let egress: Vec<PolicyRule> = egress.map(allow).collect();

    let valid = reader.diagnostics.is_empty();
    let section = |isolates: bool, rules: Vec<PolicyRule>| {
        let rules = if valid { rules } else { Vec::new() };
        isolates.then_some(Section { gate: GateKind::Kubernetes, rules, otherwise: Action::Reject })
    };
    let policy = Policy {
        object: reader.object,
        subject: Subject::Pods(PodScope { namespaces: NamespaceScope::Named(meta.namespace.clone()), pods }),
        egress: section(isolates_egress, egress),
        ingress: section(isolates_ingress, ingress),
    };
    if valid {
        Ok(policy)
    } else {
        Err(Box::new(Invalid { diagnostics: reader.diagnostics, refusal: policy }))
    }
}

fn allow((index, peers, ports): (usize, Peers, Ports)) -> PolicyRule {
    PolicyRule { index, label: None, peers, ports, action: Action::Allow, log: None }
}

struct Reader {
    object: ObjectRef,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn fault(&mut self, path: &str, detail: impl Into<String>) {
        self.diagnostics.push(Diagnostic {
            object: self.object.clone(),
            path: path.to_owned(),
            severity: Severity::Error,
            detail: detail.into(),
        });
    }

    fn name(&mut self, path: &str, text: &str, fits: impl Fn(&str) -> bool) {
        if !fits(text) {
            self.fault(path, format!("{text:?} can't be a name"));
        }
    }

    /// A selector; what is wrong in it is left out, so that it selects more and refuses more.
    fn selector(&mut self, path: &str, written: &LabelSelector) -> Selector {
        match selector(written) {
            Ok(selector) => selector,
            Err(faults) => {
                for (below, detail) in faults {
                    self.fault(&format!("{path}{below}"), detail);
                }
                let mut rest = Vec::new();
                for (key, value) in &written.match_labels {
                    let match_labels = [(key.clone(), value.clone())].into();
                    rest.extend(super::selector(&LabelSelector { match_labels, ..Default::default() }).ok());
                }
                for expression in &written.match_expressions {
                    let match_expressions = vec![expression.clone()];
                    rest.extend(
                        super::selector(&LabelSelector { match_expressions, ..Default::default() }).ok(),
                    );
                }
                Selector::new(rest.iter().flat_map(Selector::requirements).cloned())
            }
        }
    }

    /// Whether the policy isolates in ingress, and in egress.
    fn types(&mut self, types: &[String], has_egress: bool) -> (bool, bool) {
        if types.is_empty() {
            return (true, has_egress);
        }
        if types.len() > 2 {
            self.fault("/spec/policyTypes", "at most two policy types may be listed");
        }
        let has = |name: &str| types.iter().any(|written| written == name);
        let mut unknown = false;
        for (index, name) in types.iter().enumerate() {
            if name != "Ingress" && name != "Egress" {
                unknown = true;
                self.fault(
                    &format!("/spec/policyTypes/{index}"),
                    format!("{name:?} is not a policy type: Ingress and Egress are"),
                );
            }
        }
        // A type that can't be read may have been either: both are refused.
        (has("Ingress") || unknown, has("Egress") || unknown)
    }

    fn peers(&mut self, path: &str, peers: &[NetworkPolicyPeer], namespace: &str) -> Peers {
        if peers.is_empty() {
            return Peers::Any;
        }
        let peers = peers.iter().enumerate();
        Peers::Of(
            peers
                .filter_map(|(index, peer)| self.peer(&format!("{path}/{index}"), peer, namespace))
                .collect(),
        )
    }

    fn peer(&mut self, path: &str, peer: &NetworkPolicyPeer, namespace: &str) -> Option<Peer> {
        if let Some(block) = &peer.ip_block {
            if peer.pod_selector.is_some() || peer.namespace_selector.is_some() {
                self.fault(path, "ipBlock can't stand beside podSelector or namespaceSelector");
            }
            return self.block(&format!("{path}/ipBlock"), block).map(Peer::Block);
        }
        let pods = peer.pod_selector.as_ref().map(|s| self.selector(&format!("{path}/podSelector"), s));
        let namespaces =
            peer.namespace_selector.as_ref().map(|s| self.selector(&format!("{path}/namespaceSelector"), s));
        if pods.is_none() && namespaces.is_none() {
            self.fault(path, "names no peer: podSelector, namespaceSelector or ipBlock is needed");
            return None;
        }
        Some(Peer::Pods(PodScope {
            namespaces: namespaces
                .map_or_else(|| NamespaceScope::Named(namespace.to_owned()), NamespaceScope::Selected),
            pods: pods.unwrap_or_default(),
        }))
    }

    fn block(&mut self, path: &str, block: &IpBlock) -> Option<Block> {
        let net = self.cidr(&format!("{path}/cidr"), &block.cidr);
        let mut except = Vec::new();
        for (index, hole) in block.except.iter().enumerate() {
            let path = format!("{path}/except/{index}");
            let (Some(hole), Some(net)) = (self.cidr(&path, hole), net) else { continue };
            if net.contains(&hole) && hole != net {
                except.push(hole);
            } else {
                self.fault(&path, format!("{hole} is not a smaller part of {net}"));
            }
        }
        Some(Block { net: net?, except })
    }

    fn cidr(&mut self, path: &str, text: &str) -> Option<IpNet> {
        if let Some(net) = cidr::network(text) {
            return Some(net.trunc());
        }
        let hint = if cidr::address(text).is_some() { ": it has no prefix length" } else { "" };
        self.fault(path, format!("{text:?} is not a CIDR{hint}"));
        None
    }

    fn ports(&mut self, path: &str, ports: &[NetworkPolicyPort]) -> Ports {
        if ports.is_empty() {
            return Ports::Any;
        }
        let ports = ports.iter().enumerate();
        Ports::Of(ports.filter_map(|(index, port)| self.port(&format!("{path}/{index}"), port)).collect())
    }

    fn port(&mut self, path: &str, port: &NetworkPolicyPort) -> Option<PortMatch> {
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some("SCTP") => Some(Protocol::Sctp),
            Some(other) => {
                let detail = format!("{other:?} is not a protocol: TCP, UDP and SCTP are");
                self.fault(&format!("{path}/protocol"), detail);
                None
            }
        };
        let spec = self.port_spec(path, port);
        Some(PortMatch { protocol: protocol?, port: spec? })
    }

    fn port_spec(&mut self, path: &str, port: &NetworkPolicyPort) -> Option<PortSpec> {
        let end = port.end_port;
        match &port.port {
            None | Some(IntOrString::String(_)) if end.is_some() => {
                self.fault(&format!("{path}/endPort"), "endPort needs a numeric port");
                None
            }
            None => Some(PortSpec::Any),
            Some(IntOrString::String(name)) if is_port_name(name) => Some(PortSpec::Named(name.clone())),
            Some(IntOrString::String(name)) => {
                self.fault(&format!("{path}/port"), format!("{name:?} can't be the name of a port"));
                None
            }
            Some(IntOrString::Int(first)) => {
                let first = self.number(&format!("{path}/port"), *first);
                let last = match end {
                    Some(last) => self.number(&format!("{path}/endPort"), last),
                    None => first,
                };
                match PortRange::new(first?, last?) {
                    Ok(range) => Some(PortSpec::Range(range)),
                    Err(error) => {
                        self.fault(&format!("{path}/endPort"), error.to_string());
                        None
                    }
                }
            }
        }
    }

    fn number(&mut self, path: &str, number: i64) -> Option<u16> {
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        if port.is_none() {
            self.fault(path, format!("{number} is not a port: 1 to 65535 are"));
        }
        port
    }
}

/// A container port's name (IANA service name): at most 15 lower case letters, digits and single
/// hyphens, at least one letter, no hyphen at the ends.
fn is_port_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
