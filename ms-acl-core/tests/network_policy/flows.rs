//! Flows outside of what policy judges.

use ms_acl_core::compile::compile;
use ms_acl_core::model::{NodeTraffic, Protocol, RefuseWith};
use ms_acl_core::ruleset::{Family, Hook, RejectWith, States};
use ms_acl_core::verdict::{Outcome, Packet, walk};
use serde_json::json;

use crate::OUTSIDE;
use crate::world::{World, two_teams};

#[test]
fn a_host_network_pod_is_never_a_subject_nor_a_member() {
    let mut world = two_teams();
    world.pod_with("b/host", json!({"app": "host"}), &["192.168.0.2"], json!({"hostNetwork": true}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}));
    world.rejects("192.168.0.2", "a/web", "80");
    world.policy("b/p", json!({"podSelector": {}}));
    world.allows(OUTSIDE, "192.168.0.2", "80");
}

#[test]
fn a_remote_node_is_an_ordinary_peer_and_the_own_node_always_passes() {
    let mut world = two_teams();
    for (name, address) in [("n1", "192.168.0.1"), ("n2", "192.168.0.2")] {
        world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}}));
    }
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    world.allows("192.168.0.1", "a/web", "80");
    world.allows("a/web", "192.168.0.1", "80");
    world.rejects("192.168.0.2", "a/web", "80");
    world.rejects("a/web", "192.168.0.2", "80");
}

#[test]
fn kubernetes_policy_judges_only_its_range() {
    let mut world = two_teams();
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    world.allows(OUTSIDE, "a/web", "80");
    world.allows("a/web", OUTSIDE, "80");
    world.rejects("b/web", "a/web", "80");
    world.rejects("fd00:2::9", "fd00:1::1", "80");
    world.settings.pod_ip_range =
        vec!["10.0.0.0/8".parse().unwrap(), "172.16.0.0/12".parse().unwrap(), "::/0".parse().unwrap()];
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("172.16.0.1", "a/web", "80");
    world.rejects("b/web", "a/web", "80");
}

#[test]
fn two_halves_of_the_range_are_all_of_it() {
    let mut world = two_teams();
    world.settings.pod_ip_range =
        ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(|net| net.parse().unwrap()).into();
    world.policy("a/p", json!({"podSelector": {}}));
    world.rejects(OUTSIDE, "a/web", "80");
    world.rejects("b/web", "a/web", "80");
    world.rejects("2001:db8::1", "fd00:1::1", "80");
    world.rejects("fd00:2::9", "fd00:1::1", "80");
}

#[test]
fn the_acl_is_not_subject_to_the_range() {
    let mut world = two_teams();
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}}),
    );
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    world.acl(json!({"deployments": [{"namespace": "a", "name": "web", "rules": [{"action": "DENY"}]}]}));
    world.drops(OUTSIDE, "a/web", "80");
    world.allows(OUTSIDE, "a/db", "80");
}

#[test]
fn a_pod_always_reaches_itself_at_each_of_its_addresses() {
    let mut world = two_teams();
    world.pod_with("a/x", json!({"app": "x"}), &["10.0.1.40", "10.0.1.41", "fd00:1::40"], json!({}));
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    for (from, to) in [
        ("10.0.1.40", "10.0.1.40"),
        ("10.0.1.40", "10.0.1.41"),
        ("10.0.1.41", "10.0.1.40"),
        ("fd00:1::40", "fd00:1::40"),
    ] {
        world.allows(from, to, "80");
    }
    world.rejects("10.0.1.40", "10.0.1.1", "80");
    world.rejects("10.0.1.1", "10.0.1.41", "80");
}

#[test]
fn own_node_traffic_is_judged_if_the_operator_says_so() {
    let mut world = two_teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]}}));
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"ports": [{"port": 81}]}]}));
    world.allows("192.168.0.1", "a/web", "80");
    world.allows("a/web", "192.168.0.1", "80");
    world.settings.node_traffic = NodeTraffic::Enforce;
    world.rejects("192.168.0.1", "a/web", "80");
    world.allows("192.168.0.1", "a/web", "81");
    world.rejects("a/web", "192.168.0.1", "80");
}

#[test]
fn a_pod_of_the_host_network_looks_like_its_node() {
    let mut world = two_teams();
    for (name, address) in [("n1", "192.168.0.1"), ("n2", "192.168.0.2")] {
        world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}}));
    }
    world.pod_with("b/host", json!({"app": "host"}), &["192.168.0.2"], json!({"hostNetwork": true}));
    world.policy("b/p", json!({"podSelector": {}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "192.168.0.2/32"}}], "ports": [{"port": 81}]}]}));
    world.allows("192.168.0.2", "b/web", "80");
    world.allows("192.168.0.2", "a/web", "81");
    world.rejects("192.168.0.2", "a/web", "80");
}

/// What becomes of a packet on node n1 that is forwarded.
fn forwarded(world: &World, change: impl FnOnce(&mut Packet), from: &str, to: &str) -> Outcome {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let mut packet = Packet::first(from, to, Protocol::Tcp, 80);
    change(&mut packet);
    let compiled = compile(&world.cluster, &world.settings);
    walk(compiled.rulesets.family(Family::of(from)), Hook::Forward, &packet).outcome
}

#[test]
fn replies_and_related_icmp_pass_and_invalid_packets_of_governed_pods_do_not() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"]}),
    );
    let state = |state: States| move |packet: &mut Packet| packet.state = state;
    for (from, to) in [("203.0.113.7", "10.0.1.1"), ("10.0.1.1", "203.0.113.7")] {
        assert_eq!(forwarded(&world, state(States::ESTABLISHED), from, to), Outcome::Pass);
        assert_eq!(forwarded(&world, state(States::RELATED), from, to), Outcome::Pass);
        assert_eq!(forwarded(&world, state(States::INVALID), from, to), Outcome::Drop);
        assert!(matches!(forwarded(&world, state(States::NEW), from, to), Outcome::Reject(_)));
    }
    assert_eq!(
        forwarded(&world, state(States::INVALID), "203.0.113.7", "10.0.1.2"),
        Outcome::Pass,
        "ungoverned"
    );
}

#[test]
fn neighbour_discovery_always_passes_and_link_local_traffic_is_no_way_around() {
    let mut world = two_teams();
    let icmp = |kind: u8| {
        move |packet: &mut Packet| {
            packet.protocol = Some(Protocol::Icmp);
            packet.icmp_type = kind;
            packet.state = States::from_bits(0);
        }
    };
    let echo = |packet: &mut Packet| packet.protocol = Some(Protocol::Icmp);
    assert_eq!(forwarded(&world, echo, "fe80::9", "fd00:1::1"), Outcome::Pass, "nobody is governed");
    world.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "web"}}}));
    for kind in [130, 131, 132, 133, 134, 135, 136, 143] {
        assert_eq!(forwarded(&world, icmp(kind), "fe80::9", "fd00:1::1"), Outcome::Pass, "{kind}");
        assert_eq!(forwarded(&world, icmp(kind), "fd00:2::9", "fd00:1::1"), Outcome::Pass, "{kind}");
    }
    for (from, to) in
        [("fe80::9", "fd00:1::1"), ("fd00:1::1", "fe80::9"), ("fe80::9", "fe80::8"), ("febf::1", "fd00:9::9")]
    {
        assert_eq!(forwarded(&world, |_| {}, from, to), Outcome::Drop, "{from} {to}");
    }
    assert_eq!(forwarded(&world, |_| {}, "fec0::1", "fd00:9::9"), Outcome::Pass);
    for kind in [128, 129, 137, 142] {
        assert_ne!(forwarded(&world, icmp(kind), "fe80::9", "fd00:1::1"), Outcome::Pass, "{kind}");
    }
}

#[test]
fn a_protocol_that_no_policy_can_name_passes_rules_without_ports_only() {
    let mut world = two_teams();
    let unnamed = |packet: &mut Packet| packet.protocol = None;
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "SCTP"}]}]}));
    assert!(matches!(forwarded(&world, unnamed, OUTSIDE, "10.0.1.1"), Outcome::Reject(_)));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}),
    );
    assert_eq!(forwarded(&world, unnamed, OUTSIDE, "10.0.1.1"), Outcome::Pass);
}

#[test]
fn a_refusal_is_a_reset_for_tcp_an_icmp_error_else_or_silence() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}}));
    let protocol = |protocol| move |packet: &mut Packet| packet.protocol = Some(protocol);
    let outcome = |world: &World, named| forwarded(world, protocol(named), OUTSIDE, "10.0.1.1");
    assert_eq!(outcome(&world, Protocol::Tcp), Outcome::Reject(RejectWith::TcpReset));
    for other in [Protocol::Udp, Protocol::Sctp, Protocol::Icmp] {
        assert_eq!(outcome(&world, other), Outcome::Reject(RejectWith::PortUnreachable));
    }
    world.settings.refuse_with = RefuseWith::Drop;
    for any in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp] {
        assert_eq!(outcome(&world, any), Outcome::Drop);
    }
}
