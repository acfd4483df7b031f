//! NetworkPolicy, item by item of the list that the semantics fix (design 2).

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod world;

use serde_json::json;
use world::two_teams;

const OUTSIDE: &str = "203.0.113.7";

#[test]
fn item_1_a_pod_that_no_policy_selects_is_open() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "web"}}}));
    world.allows("b/web", "a/db", "80");
    world.allows(OUTSIDE, "a/db", "icmp");
}

#[test]
fn item_2_absent_null_and_empty_ingress_deny_all_and_an_empty_rule_allows_all() {
    for spec in [
        json!({"podSelector": {}}),
        json!({"podSelector": {}, "ingress": null}),
        json!({"podSelector": {}, "ingress": []}),
    ] {
        let mut world = two_teams();
        world.policy("a/p", spec);
        world.rejects("b/web", "a/db", "80");
        world.rejects("a/web", "a/db", "80");
        world.rejects(OUTSIDE, "a/db", "icmp");
    }
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{}]}));
    world.allows(OUTSIDE, "a/db", "icmp");
}

#[test]
fn item_3_types_default_to_ingress_and_to_egress_only_with_egress_rules() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}}));
    world.allows("a/web", "b/web", "80");
    world.policy("a/p", json!({"podSelector": {}, "egress": [{"ports": [{"port": 1}]}]}));
    world.rejects("a/web", "b/web", "80");
    world.rejects("b/web", "a/web", "80");
    world.policy("a/p", json!({"podSelector": {}, "egress": []}));
    world.allows("a/web", "b/web", "80");
}

#[test]
fn item_4_rules_of_an_unlisted_type_are_ignored() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{"ports": [{"port": 1}]}]}),
    );
    world.allows("b/web", "a/web", "80");
    world.rejects("a/web", "b/web", "80");
}

#[test]
fn item_5_an_empty_pod_selector_is_all_pods_of_the_namespace() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}}));
    world.rejects("b/web", "a/web", "80");
    world.rejects("b/web", "a/db", "80");
    world.allows("a/web", "b/web", "80");
}

#[test]
fn item_6_policies_add_up_and_their_order_does_not_matter() {
    let one = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]});
    let two = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 81}]}]});
    for (first, second) in [("a/p", "a/q"), ("a/q", "a/p")] {
        let mut world = two_teams();
        world.policy(first, one.clone()).policy(second, two.clone());
        world.allows("b/web", "a/web", "80");
        world.allows("b/web", "a/web", "81");
        world.rejects("b/web", "a/web", "82");
    }
}

#[test]
fn item_7_both_directions_are_judged_separately_on_one_node_and_across_nodes() {
    // kube-router's defect: egress let through because ingress had accepted.
    for (from, to) in [("a/web", "a/db"), ("a/web", "b/db")] {
        let mut world = two_teams();
        let namespace = to.split_once('/').unwrap().0;
        world.policy(
            &format!("{namespace}/in"),
            json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], "ingress": [{}]}),
        );
        world.policy(
            "a/both",
            json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}],
                "egress": [{"ports": [{"port": 81}]}]}),
        );
        world.rejects(from, to, "80");
        world.allows(from, to, "81");
        world.policy(
            &format!("{namespace}/in"),
            json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 80}]}]}),
        );
        world.rejects(from, to, "81");
    }
}

#[test]
fn item_8_updates_and_deletes_take_effect() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    world.rejects("a/web", "b/web", "80");
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}));
    world.allows("a/web", "b/web", "80");
    world.allows("b/web", "a/web", "80");
    world.policy("a/p", json!({"podSelector": {}}));
    world.rejects("b/web", "a/web", "80");
    world.delete("NetworkPolicy", "a/p");
    world.allows("b/web", "a/web", "80");
}

#[test]
fn item_9_empty_and_absent_from_is_everything() {
    for rule in [json!({"ports": [{"port": 80}]}), json!({"from": [], "ports": [{"port": 80}]})] {
        let mut world = two_teams();
        world.policy("a/p", json!({"podSelector": {}, "ingress": [rule]}));
        world.allows(OUTSIDE, "a/web", "80");
        world.allows("b/db", "a/web", "80");
        world.rejects("b/db", "a/web", "81");
    }
}

#[test]
fn item_10_a_pod_selector_alone_is_of_the_policys_namespace() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}),
    );
    world.allows("a/web", "a/db", "80");
    world.rejects("b/web", "a/db", "80");
}

#[test]
fn item_11_a_namespace_selector_alone_is_all_pods_there() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]}));
    world.allows("b/db", "a/db", "80");
    world.rejects("a/web", "a/db", "80");
}

#[test]
fn item_12_both_selectors_in_one_item_are_and_and_two_items_are_or() {
    let mut world = two_teams();
    let blue = json!({"matchLabels": {"team": "blue"}});
    let web = json!({"matchLabels": {"app": "web"}});
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": blue, "podSelector": web}]}]}),
    );
    world.allows("b/web", "a/db", "80");
    world.rejects("b/db", "a/db", "80");
    world.rejects("a/web", "a/db", "80");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": blue}, {"podSelector": web}]}]}));
    world.allows("b/db", "a/db", "80");
    world.allows("a/web", "a/db", "80");
}

#[test]
fn item_13_empty_and_absent_selectors_differ() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    world.allows("a/web", "a/db", "80");
    world.rejects("b/web", "a/db", "80");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}));
    world.allows("b/web", "a/db", "80");
    world.rejects(OUTSIDE, "a/db", "80");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}]}]}));
    world.allows("b/db", "a/web", "80");
    world.rejects("b/web", "a/web", "80");
}

#[test]
fn item_14_every_operator_and_not_in_matches_without_the_key() {
    for (expression, web, db) in [
        (json!({"key": "tier", "operator": "In", "values": ["front", "x"]}), true, false),
        (json!({"key": "tier", "operator": "NotIn", "values": ["front"]}), false, true),
        (json!({"key": "tier", "operator": "Exists"}), true, false),
        (json!({"key": "tier", "operator": "DoesNotExist"}), false, true),
    ] {
        let mut world = two_teams();
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [
            {"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchExpressions": [expression]}}]}]}));
        let check = |pod: &str, open| {
            if open { world.allows(pod, "a/web", "80") } else { world.rejects(pod, "a/web", "80") }
        };
        check("b/web", web);
        check("b/db", db);
    }
}

#[test]
fn item_15_a_selector_that_matches_nothing_denies() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"no": "body"}}}]}]}),
    );
    world.rejects("a/web", "a/db", "80");
    world.rejects(OUTSIDE, "a/db", "80");
}

#[test]
fn item_16_an_external_address_never_matches_a_selector() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}));
    world.rejects(OUTSIDE, "a/web", "80");
}

#[test]
fn item_17_all_addresses_count_each_in_its_family() {
    let mut world = two_teams();
    world.pod_with("b/two", json!({"app": "two"}), &["10.0.2.9", "fd00:2::9"], json!({}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "two"}}}]}]}),
    );
    world.allows("10.0.2.9", "10.0.1.1", "80");
    world.allows("fd00:2::9", "fd00:1::1", "80");
    world.rejects("fd00:2::8", "fd00:1::1", "80");
}

#[test]
fn item_18_relabelled_pods_and_namespaces_and_any_order_of_arrival() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "db"}}}]}]}));
    world.allows("b/db", "a/web", "80");
    world.pod("b/db", json!({"app": "other"}), "10.0.2.2");
    world.rejects("b/db", "a/web", "80");
    world.pod("b/db", json!({"app": "db"}), "10.0.2.2");
    world.namespace("b", json!({"team": "green"}));
    world.rejects("b/db", "a/web", "80");
    world.delete("Namespace", "b");
    world.rejects("b/db", "a/web", "80");
    world.namespace("b", json!({"team": "blue"}));
    world.allows("b/db", "a/web", "80");
    world.pod_with("a/web", json!({"app": "free"}), &["10.0.1.1"], json!({}));
    world.allows(OUTSIDE, "a/web", "80");
}

#[test]
fn every_namespace_carries_its_name_as_a_label_even_one_that_is_not_known() {
    let mut world = two_teams();
    world.pod("ghost/x", json!({}), "10.0.2.8");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ghost"}}}]}]}),
    );
    world.allows("ghost/x", "a/web", "80");
    world.rejects("b/web", "a/web", "80");
}

#[test]
fn item_19_empty_ports_are_all_protocols_and_ports() {
    let mut world = two_teams();
    world
        .policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": []}]}));
    for port in ["1", "65535/udp", "9/sctp", "icmp"] {
        world.allows("a/web", "a/db", port);
    }
}

#[test]
fn items_20_to_22_an_absent_protocol_is_tcp_and_a_protocol_alone_is_all_its_ports() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}, {"protocol": "UDP"}]}]}),
    );
    world.allows("b/web", "a/web", "80");
    world.rejects("b/web", "a/web", "81");
    world.rejects("b/web", "a/web", "80/sctp");
    world.rejects("b/web", "a/web", "icmp");
    world.allows("b/web", "a/web", "9/udp");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"protocol": "SCTP", "port": 80}]}]}),
    );
    world.allows("b/web", "a/web", "80/sctp");
    world.rejects("b/web", "a/web", "80");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": null}]}]}));
    world.allows("b/web", "a/web", "80");
    world.rejects("b/web", "a/web", "80/udp");
}

#[test]
fn item_23_end_port_is_inclusive_and_a_smaller_one_or_one_with_a_name_is_invalid() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 90}, {"port": 100, "endPort": 100}]}]}));
    for (port, open) in [
        ("79", false),
        ("80", true),
        ("90", true),
        ("91", false),
        ("99", false),
        ("100", true),
        ("101", false),
    ] {
        if open { world.allows("b/web", "a/web", port) } else { world.rejects("b/web", "a/web", port) }
    }
    assert!(world.faults().is_empty());
    for port in
        [json!({"port": 80, "endPort": 79}), json!({"port": "http", "endPort": 9000}), json!({"endPort": 80})]
    {
        let mut world = two_teams();
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [port, {"port": 81}]}]}));
        assert_eq!(world.faults().len(), 1);
        world.rejects("b/web", "a/web", "81");
    }
}

#[test]
fn item_25_a_named_ingress_port_resolves_on_each_target_pod() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}));
    world.allows("b/web", "a/web", "8080");
    world.rejects("b/web", "a/web", "9090");
    world.allows("b/web", "a/db", "9090");
    world.rejects("b/web", "a/db", "8080");
}

#[test]
fn item_26_a_named_egress_port_resolves_on_each_destination_pod_in_any_namespace() {
    let mut world = two_teams();
    // Without peers: the pods that have the name, never "anywhere on that number".
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
    );
    world.allows("a/web", "b/web", "7070");
    world.allows("a/web", "b/db", "6060");
    world.rejects("a/web", "b/db", "7070");
    world.rejects("a/web", OUTSIDE, "7070");
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "http"}]}]}));
    world.allows("a/web", "b/db", "6060");
    world.rejects("a/web", "b/web", "7070");
    // With an ipBlock it matches only pods.
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.0.2.0/31", "except": []}}, {"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": "http"}]}]}));
    world.allows("a/web", "b/web", "7070");
    world.rejects("a/web", "b/db", "6060");
    world.rejects("a/web", OUTSIDE, "7070");
}

#[test]
fn item_27_a_wrong_protocol_or_an_unknown_name_is_nothing() {
    // A peer's defect: an unresolved named port opened every port.
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": "http", "protocol": "UDP"}, {"port": "nope"}]}], "egress": [{"ports": [{"port": "nope"}]}]}));
    world.rejects("b/web", "a/web", "8080");
    world.rejects("b/web", "a/web", "8080/udp");
    world.rejects("a/web", "b/web", "7070");
}

#[test]
fn item_28_the_same_name_on_tcp_and_udp() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "dns"}]}]}));
    world.allows("b/web", "a/web", "8081");
    world.rejects("b/web", "a/web", "8082/udp");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": "dns", "protocol": "UDP"}]}]}),
    );
    world.allows("b/web", "a/web", "8082/udp");
    world.rejects("b/web", "a/web", "8081");
}

#[test]
fn item_29_ports_of_init_and_sidecar_containers_count() {
    let mut world = two_teams();
    world.pod_with("a/x", json!({"app": "x"}), &["10.0.1.9"],
        json!({"initContainers": [{"ports": [{"name": "side", "containerPort": 5}]}], "containers": [{}, {"ports": [{"name": "main", "containerPort": 6}]}]}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": "side"}, {"port": "main"}]}]}),
    );
    world.allows("b/web", "a/x", "5");
    world.allows("b/web", "a/x", "6");
    world.rejects("b/web", "a/x", "7");
}

#[test]
fn item_30_more_than_15_ports_in_a_rule() {
    let mut world = two_teams();
    let ports: Vec<_> = (0..40).map(|n| json!({"port": 1000 + n * 2})).collect();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": ports}]}));
    for n in 0..40 {
        world.allows("b/web", "a/web", &(1000 + n * 2).to_string());
        world.rejects("b/web", "a/web", &(1001 + n * 2).to_string());
    }
}

#[test]
fn item_31_except_is_a_hole_in_its_own_block_only() {
    let holed = json!({"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]}});
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [holed]}]}));
    world.rejects(OUTSIDE, "a/web", "80");
    world.allows("203.0.113.16", "a/web", "80");
    for from in [
        json!([holed, {"ipBlock": {"cidr": "203.0.113.7/32"}}]),
        json!([{"ipBlock": {"cidr": "203.0.113.7/32"}}, holed]),
    ] {
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": from}]}));
        world.allows(OUTSIDE, "a/web", "80");
        world.rejects("203.0.113.8", "a/web", "80");
    }
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [holed]}, {"from": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}]}));
    world.allows(OUTSIDE, "a/web", "80");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [holed]}]}));
    world.policy(
        "a/q",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "203.0.0.0/16"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
}

#[test]
fn item_32_nested_duplicate_overlapping_and_equal_blocks() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [
        {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.0/25", "198.51.100.0/26", "198.51.100.0/25"]}},
        {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.64/26"]}},
        {"ipBlock": {"cidr": "198.51.100.128/25"}}]}]}));
    assert!(world.faults().is_empty());
    world.allows("198.51.100.1", "a/web", "80");
    world.rejects("198.51.100.64", "a/web", "80");
    world.allows("198.51.100.200", "a/web", "80");
}

#[test]
fn item_33_whole_families_and_special_ranges() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::/0", "except": ["fc00::/7"]}}]}]}));
    world.allows("2001:db8::1", "fd00:1::1", "80");
    world.rejects("fd00:9::1", "fd00:1::1", "80");
    world.rejects(OUTSIDE, "a/web", "80");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("2001:db8::1", "fd00:1::1", "80");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "fc00::/7"}}]}]}),
    );
    world.allows("fd00:9::1", "fd00:1::1", "80");
    world.drops("fe80::1", "fd00:1::1", "80");
}

#[test]
fn item_34_a_block_with_host_bits() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "203.1.2.3/8"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("204.0.0.1", "a/web", "80");
}

#[test]
fn item_35_a_block_of_one_family_isolates_the_other_too() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    world.rejects("fd00:2::9", "fd00:1::1", "80");
}

#[test]
fn item_36_a_pods_address_inside_a_block_matches() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.2.0/24", "except": ["10.0.2.2/32"]}}]}]}));
    world.allows("b/web", "a/web", "80");
    world.rejects("b/db", "a/web", "80");
}

#[test]
fn item_37_a_pending_pod_without_address_breaks_nothing() {
    let mut world = two_teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "soon", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Pending"}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    world.allows("a/web", "a/db", "80");
    assert!(world.faults().is_empty());
}

#[test]
fn item_38_a_terminating_pod_is_enforced_while_it_runs() {
    let mut world = two_teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web", "labels": {"app": "web"},
        "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.0.1.1"}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    world.rejects("b/web", "10.0.1.1", "80");
    world.allows("10.0.1.1", "a/db", "80");
}

#[test]
fn item_39_an_ended_pod_leaves_every_set_and_a_reused_address_inherits_nothing() {
    let pod = |name: &str, app: &str, phase: &str, created: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "b", "name": name, "labels": {"app": app}, "creationTimestamp": created},
            "spec": {"nodeName": "n2"}, "status": {"phase": phase, "podIP": "10.0.2.7"}})
    };
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "job"}}}]}]}));
    world.apply(pod("z-old", "job", "Running", "2026-01-01T00:00:00Z"));
    world.allows("10.0.2.7", "a/web", "80");
    world.apply(pod("z-old", "job", "Succeeded", "2026-01-01T00:00:00Z"));
    world.rejects("10.0.2.7", "a/web", "80");
    // The newest running pod has the address, even while the former one still says that it runs.
    world.apply(pod("z-old", "job", "Running", "2026-01-01T00:00:00Z"));
    world.apply(pod("a-new", "web", "Running", "2026-01-02T00:00:00Z"));
    world.rejects("10.0.2.7", "a/web", "80");
    world.apply(pod("a-new", "web", "Failed", "2026-01-02T00:00:00Z"));
    world.allows("10.0.2.7", "a/web", "80");
}

#[test]
fn item_40_the_same_name_with_a_new_address() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}]}]}));
    world.pod("b/db", json!({"app": "db"}), "10.0.2.77");
    world.allows("10.0.2.77", "a/web", "80");
    world.rejects("10.0.2.2", "a/web", "80");
}

#[test]
fn item_41_names_at_their_longest_and_names_that_run_together() {
    let mut world = two_teams();
    let long = "x".repeat(253);
    world.policy(&format!("a/{long}"), json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    world.allows("b/web", "a/web", "80");
    world.rejects("b/web", "a/web", "81");
    for (namespace, pod) in [("web", "10.0.1.20"), ("weba", "10.0.1.21")] {
        world.pod(&format!("{namespace}/x"), json!({}), pod);
    }
    world.policy("web/app-x", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    world.policy("weba/pp-x", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 81}]}]}));
    world.allows("b/web", "web/x", "80");
    world.rejects("b/web", "web/x", "81");
    world.allows("b/web", "weba/x", "81");
    world.rejects("b/web", "weba/x", "80");
}

#[test]
fn item_42_one_invalid_object_never_stops_the_others() {
    let mut world = two_teams();
    let good = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 80}]}]});
    world.policy("a/good", good);
    // Without a last valid version: the pods that it selects are refused in the types that it declares.
    let bad = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 0}]}]});
    world.policy("a/bad", bad.clone());
    assert_eq!(world.faults().len(), 1, "{:?}", world.faults());
    assert!(
        world.faults()[0].contains("NetworkPolicy a/bad: /spec/ingress/0/ports/0/port"),
        "{:?}",
        world.faults()
    );
    world.rejects("b/web", "a/web", "80");
    world.allows("a/web", "b/web", "80");
    world.allows("b/web", "a/db", "80");
    // With one: it stays in force.
    world.policy(
        "a/bad",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 82}]}]}),
    );
    world.policy("a/bad", bad);
    assert_eq!(world.faults().len(), 1);
    world.allows("b/web", "a/web", "82");
    world.rejects("b/web", "a/web", "80");
    // One that doesn't even decode.
    world.policy("a/broken", json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": 7}));
    world.rejects("b/web", "a/db", "81");
    assert_eq!(world.faults().len(), 2);
}

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
