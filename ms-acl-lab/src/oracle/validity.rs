//! Which NetworkPolicies the API server would take: `ValidateNetworkPolicy` of `k8s.io/kubernetes`.

use ms_acl_core::object::{IntOrString, IpBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};

use super::block;
use super::selector;

/// Whether the API server would take the policy.
pub fn is_valid_policy(policy: &NetworkPolicy) -> bool {
    let spec = &policy.spec;
    selector::is_subdomain(&policy.metadata.name)
        && selector::is_label(&policy.metadata.namespace)
        && selector::is_valid(&spec.pod_selector)
        && are_types(&spec.policy_types)
        && spec.ingress.iter().all(|rule| rule.ports.iter().all(is_port) && rule.from.iter().all(is_peer))
        && spec.egress.iter().all(|rule| rule.ports.iter().all(is_port) && rule.to.iter().all(is_peer))
}

/// At most two, each a known one; the same one twice is allowed.
fn are_types(types: &[String]) -> bool {
    types.len() <= 2 && types.iter().all(|name| name == "Ingress" || name == "Egress")
}

/// 23: an endPort needs a number to start from, and may not be smaller than it.
fn is_port(port: &NetworkPolicyPort) -> bool {
    let known = match port.protocol.as_deref() {
        None | Some("TCP" | "UDP" | "SCTP") => true,
        Some(_) => false,
    };
    let fits = match (&port.port, port.end_port) {
        (None, None) => true,
        (Some(IntOrString::Int(first)), None) => is_port_number(*first),
        (Some(IntOrString::Int(first)), Some(last)) => {
            is_port_number(*first) && is_port_number(last) && *first <= last
        }
        (Some(IntOrString::String(name)), None) => is_port_name(name),
        (None | Some(IntOrString::String(_)), Some(_)) => false,
    };
    known && fits
}

fn is_port_number(number: i64) -> bool {
    (1..=65535).contains(&number)
}

/// Up to 15 of a-z, 0-9 and `-`; at least one letter; no `-` at an end or beside another.
fn is_port_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=15).contains(&name.len())
        && name.bytes().all(allowed)
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// A block alone, or selectors; not nothing.
fn is_peer(peer: &NetworkPolicyPeer) -> bool {
    let selectors = [&peer.pod_selector, &peer.namespace_selector];
    if selectors.iter().any(|part| part.as_ref().is_some_and(|part| !selector::is_valid(part))) {
        return false;
    }
    let selects = selectors.iter().any(|part| part.is_some());
    match &peer.ip_block {
        Some(block) => !selects && is_block(block),
        None => selects,
    }
}

/// A CIDR, and holes that are strict subsets of it.
fn is_block(written: &IpBlock) -> bool {
    let Some(outer) = block::block(&written.cidr) else { return false };
    written.except.iter().all(|hole| {
        block::block(hole)
            .is_some_and(|hole| block::holds(outer, hole.addr()) && outer.prefix_len() < hole.prefix_len())
    })
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tests write values where they are used")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn takes(spec: Value) -> bool {
        let policy = json!({"metadata": {"name": "p", "namespace": "a"}, "spec": spec});
        is_valid_policy(&serde_json::from_value(policy).unwrap())
    }

    fn takes_port(port: Value) -> bool {
        let ingress = takes(json!({"ingress": [{"ports": [port]}]}));
        assert_eq!(ingress, takes(json!({"egress": [{"ports": [port]}]})));
        ingress
    }

    fn takes_peer(peer: Value) -> bool {
        let ingress = takes(json!({"ingress": [{"from": [peer]}]}));
        assert_eq!(ingress, takes(json!({"egress": [{"to": [peer]}]})));
        ingress
    }

    #[test]
    fn types_are_known_ones_and_no_more_than_two() {
        assert!(takes(json!({})) && takes(json!({"policyTypes": ["Egress", "Egress"]})));
        assert!(!takes(json!({"policyTypes": ["ingress"]})));
        assert!(!takes(json!({"policyTypes": ["Ingress", "Egress", "Ingress"]})));
    }

    #[test]
    fn an_end_port_needs_a_number_that_is_not_greater() {
        assert!(takes_port(json!({"port": 80, "endPort": 80})));
        assert!(takes_port(json!({"port": 1, "endPort": 65535})));
        assert!(!takes_port(json!({"port": 80, "endPort": 79})));
        assert!(!takes_port(json!({"port": 80, "endPort": 65536})));
        assert!(!takes_port(json!({"port": "http", "endPort": 80})));
        assert!(!takes_port(json!({"endPort": 80})));
    }

    #[test]
    fn ports_are_numbers_from_1_to_65535_or_well_written_names() {
        for good in
            [json!(1), json!(65535), json!("http"), json!("a-1"), json!("1a"), json!("a23456789012345")]
        {
            assert!(takes_port(json!({"port": good})), "{good}");
        }
        for bad in ["", "80", "HTTP", "-a", "a-", "a--b", "a_b", "a234567890123456"] {
            assert!(!takes_port(json!({"port": bad})), "{bad}");
        }
        assert!(!takes_port(json!({"port": 0})) && !takes_port(json!({"port": 65536})));
        assert!(!takes_port(json!({"port": -1})));
    }

    #[test]
    fn protocols_are_written_in_capitals() {
        assert!(takes_port(json!({"protocol": "SCTP"})));
        assert!(!takes_port(json!({"protocol": "tcp"})) && !takes_port(json!({"protocol": "ICMP"})));
        assert!(!takes_port(json!({"protocol": ""})));
    }

    #[test]
    fn a_peer_is_a_block_or_selectors() {
        let block = json!({"cidr": "10.0.0.0/8"});
        assert!(takes_peer(json!({"ipBlock": block})) && takes_peer(json!({"podSelector": {}})));
        assert!(takes_peer(json!({"podSelector": {}, "namespaceSelector": {}})));
        assert!(!takes_peer(json!({})));
        assert!(!takes_peer(json!({"ipBlock": block, "podSelector": {}})));
        assert!(!takes_peer(json!({"ipBlock": block, "namespaceSelector": {}})));
        let broken = json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]});
        assert!(!takes_peer(json!({"podSelector": broken})));
        assert!(!takes_peer(json!({"namespaceSelector": broken})));
    }

    #[test]
    fn holes_are_strict_subsets_of_their_block() {
        let takes_hole =
            |cidr: &str, hole: &str| takes_peer(json!({"ipBlock": {"cidr": cidr, "except": [hole]}}));
        assert!(takes_hole("10.0.0.0/8", "10.1.0.0/16") && takes_hole("10.9.9.9/8", "10.1.2.3/9"));
        assert!(takes_hole("::/0", "fe80::/10"));
        assert!(!takes_hole("10.0.0.0/8", "10.0.0.0/8") && !takes_hole("10.0.0.0/8", "10.0.0.0/7"));
        assert!(!takes_hole("10.0.0.0/8", "11.0.0.0/16") && !takes_hole("0.0.0.0/0", "fd00::/8"));
        assert!(!takes_hole("10.0.0.0/8", "10.0.0.1"));
    }

    #[test]
    fn blocks_are_cidrs() {
        assert!(takes_peer(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})));
        for bad in
            ["", "10.0.0.1", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "web", "10.0.0.0/+8", "10.0.0.0/"]
        {
            assert!(!takes_peer(json!({"ipBlock": {"cidr": bad}})), "{bad}");
        }
    }

    #[test]
    fn a_policy_has_a_name_and_lives_in_a_namespace() {
        let takes = |namespace: &str, name: &str| {
            let policy = json!({"metadata": {"name": name, "namespace": namespace}});
            is_valid_policy(&serde_json::from_value(policy).unwrap())
        };
        assert!(takes("a", "b.c-d") && takes(&"a".repeat(63), &"b".repeat(253)));
        for (namespace, name) in [("a", ""), ("a", "B"), ("a", "b_c"), ("", "b"), ("a.b", "c"), ("-a", "b")] {
            assert!(!takes(namespace, name), "{namespace}/{name}");
        }
        assert!(!takes(&"a".repeat(64), "b") && !takes("a", &"b".repeat(254)));
    }

    #[test]
    fn a_broken_selector_makes_a_broken_policy() {
        assert!(!takes(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})));
    }
}
