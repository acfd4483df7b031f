//! What others got wrong, each by its name (design 1).

use serde_json::json;

use crate::OUTSIDE;
use crate::world::two_teams;

#[test]
fn a_policy_with_both_types_does_not_let_egress_through_because_ingress_accepted() {
    for to in ["a/db", "b/db"] {
        let mut world = two_teams();
        // The policy accepts whatever comes in, and lets out nothing but port 81.
        for namespace in ["a", "b"] {
            world.policy(
                &format!("{namespace}/both"),
                json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{"ports": [{"port": 81}]}]}),
            );
        }
        world.allows(OUTSIDE, "a/web", "80");
        world.rejects("a/web", to, "80");
        world.allows("a/web", to, "81");
    }
}

#[test]
fn a_policy_with_both_types_does_not_let_ingress_through_because_egress_accepted() {
    for to in ["a/db", "b/db"] {
        let mut world = two_teams();
        for namespace in ["a", "b"] {
            world.policy(
                &format!("{namespace}/both"),
                json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"ports": [{"port": 81}]}], "egress": [{}]}),
            );
        }
        world.allows("a/web", OUTSIDE, "80");
        world.rejects("a/web", to, "80");
        world.allows("a/web", to, "81");
    }
}

#[test]
fn an_unresolved_named_port_opens_no_port() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "nope"}]}], "egress": [{"ports": [{"port": "nope"}]}]}),
    );
    for port in ["1", "80", "8080", "65535", "8080/udp", "9/sctp", "icmp"] {
        world.rejects("b/web", "a/web", port);
        world.rejects("a/web", "b/web", port);
        world.rejects("a/web", OUTSIDE, port);
    }
}

#[test]
fn an_except_in_one_peer_does_not_cut_another_peers_addresses() {
    let holed = json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.2.0/24"]}});
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [
            {"from": [holed, {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]},
            {"from": [{"ipBlock": {"cidr": "10.0.2.2/32"}}], "ports": [{"port": 80}]}]}),
    );
    world.allows("b/web", "a/db", "81");
    world.allows("b/db", "a/db", "80");
    world.rejects("b/db", "a/db", "81");
    world.policy(
        "a/q",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.2.0/24"}}]}]}),
    );
    world.allows("b/db", "a/db", "81");
}

#[test]
fn sets_of_two_policies_never_collide() {
    // Namespace and name run together into the same text, and so do keys and values of selectors.
    let mut world = two_teams();
    for (namespace, pod) in [("web", "10.0.1.20"), ("weba", "10.0.1.21")] {
        world.pod(&format!("{namespace}/x"), json!({}), pod);
    }
    world.pod("web/ab-c", json!({"ab": "c"}), "10.0.2.30").pod("weba/a-bc", json!({"a": "bc"}), "10.0.2.31");
    let from = |key: &str, value: &str| json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {key: value}}}]}]});
    world.policy("web/app-x", from("ab", "c")).policy("weba/pp-x", from("a", "bc"));
    world.allows("web/ab-c", "web/x", "80");
    world.rejects("weba/a-bc", "web/x", "80");
    world.allows("weba/a-bc", "weba/x", "80");
    world.rejects("web/ab-c", "weba/x", "80");
}

#[test]
fn overlapping_cidrs_do_not_fail_the_sync() {
    let mut world = two_teams();
    let blocks = ["10.0.0.0/8", "10.0.0.0/16", "10.0.2.0/24", "10.0.2.1/32", "10.0.0.0/8", "10.128.0.0/9"];
    let from: Vec<_> = blocks.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": from}]}));
    world.allows("b/web", "a/web", "80");
    world.rejects("11.0.0.1", "a/web", "80");
    assert!(world.faults().is_empty());
    // Nothing in a set overlaps: a hash of networks would take it, but answer by the most special one.
    let compiled = ms_acl_core::compile::compile(&world.cluster, &world.settings);
    let networks = compiled.rulesets.v4.sets.values().flat_map(|set| &set.members);
    assert_eq!(networks.count(), 0, "one network needs no set");
}

#[test]
fn one_bad_policy_does_not_stop_the_others() {
    let mut world = two_teams();
    world.policy(
        "a/a-bad",
        json!({"podSelector": {"matchLabels": {"app": "none"}}, "ingress": [{"from": [{}]}]}),
    );
    world.policy("a/good", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    world.policy(
        "a/z-bad",
        json!({"podSelector": {"matchLabels": {"app": "none"}}, "policyTypes": "Ingress"}),
    );
    world.allows("b/web", "a/web", "80");
    world.rejects("b/web", "a/web", "81");
    assert_eq!(world.faults().len(), 2);
}

#[test]
fn an_ipv6_block_of_everything_is_not_narrowed() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::/0"}}]}]}));
    for address in ["::2", "2001:db8::1", "7fff::1", "8000::1", "fd00:2::9", "feff::1", "fec0::1", "fbff::1"]
    {
        world.allows(address, "fd00:1::1", "80");
    }
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::/0", "except": ["8000::/1"]}}]}]}));
    world.allows("7fff:ffff::1", "fd00:1::1", "80");
    world.rejects("8000::1", "fd00:1::1", "80");
}

#[test]
fn an_egress_named_port_without_peers_is_not_anywhere_on_that_number() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
    );
    world.allows("a/web", "b/web", "7070");
    world.rejects("a/web", "b/db", "7070");
    world.rejects("a/web", OUTSIDE, "7070");
    world.rejects("a/web", OUTSIDE, "8080");
}
