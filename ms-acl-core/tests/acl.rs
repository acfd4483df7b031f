//! Deployment ACLs: what a pushed document means for packets.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod world;

use ms_acl_core::compile::compile;
use ms_acl_core::model::NodeTraffic;
use ms_acl_core::ruleset::Target;
use ms_acl_core::verdict::Verdict;
use serde_json::{Value, json};
use world::{World, two_teams};

const OUTSIDE: &str = "203.0.113.7";

/// The two teams, each pod owned by the Deployment of its own name, through a ReplicaSet.
fn deployed() -> World {
    let mut world = two_teams();
    for (namespace, name, address) in
        [("a", "web", "10.0.1.1"), ("a", "db", "10.0.1.2"), ("b", "web", "10.0.2.1"), ("b", "db", "10.0.2.2")]
    {
        world.apply(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}}}));
        let set = format!("{name}-7d");
        world.apply(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": namespace, "name": set,
            "ownerReferences": [{"kind": "Deployment", "name": name, "controller": true}]}}));
        owned(&mut world, &format!("{namespace}/{name}"), &set, address);
    }
    world
}

fn owned(world: &mut World, name: &str, set: &str, address: &str) {
    let (namespace, name) = name.split_once('/').unwrap();
    let node = if address.starts_with("10.0.1.") { "n1" } else { "n2" };
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name,
        "labels": {"app": name, "pod-template-hash": "7d"}, "ownerReferences": [{"kind": "ReplicaSet", "name": set, "controller": true}]},
        "spec": {"nodeName": node}, "status": {"phase": "Running", "podIP": address}}));
}

fn entry(rules: Value) -> Value {
    json!({"deployments": [{"namespace": "a", "name": "web", "rules": rules}]})
}

#[test]
fn the_first_match_decides() {
    let mut world = deployed();
    world.acl(entry(json!([
        {"action": "ALLOW", "srcCIDR": "203.0.113.0/24", "protocol": "tcp", "port": 80},
        {"action": "REJECT", "srcCIDR": "203.0.113.0/25"},
        {"action": "RETURN", "srcCIDR": "203.0.113.128/25"},
        {"action": "DENY", "srcCIDR": "0.0.0.0/0"}
    ])));
    assert!(world.ask(OUTSIDE, "a/web", "80").accepted);
    world.rejects(OUTSIDE, "a/web", "81");
    let answer = world.ask("203.0.113.200", "a/web", "81");
    assert_eq!((answer.verdict, answer.accepted), (Verdict::Allow, false));
    assert!(world.ask("203.0.113.200", "a/web", "80").accepted);
    world.drops("b/web", "a/web", "80");
}

#[test]
fn no_match_is_the_default_action_of_the_entry_or_of_the_document() {
    let rules = json!([{"action": "DENY", "srcCIDR": "192.0.2.0/24"}]);
    let document = |document: Option<&str>, entry: Option<&str>| json!({"defaultAction": document, "deployments": [{"namespace": "a", "name": "web", "defaultAction": entry, "rules": rules}]});
    let mut world = deployed();
    for (of_document, of_entry, verdict, accepted) in [
        (None, None, Verdict::Allow, true),
        (Some("ALLOW"), None, Verdict::Allow, true),
        (Some("RETURN"), None, Verdict::Allow, false),
        (Some("DENY"), None, Verdict::Drop, false),
        (Some("REJECT"), None, Verdict::Reject, false),
        (Some("DENY"), Some("RETURN"), Verdict::Allow, false),
        (None, Some("DROP"), Verdict::Drop, false),
    ] {
        world.acl(document(of_document, of_entry));
        let answer = world.ask(OUTSIDE, "a/web", "80");
        assert_eq!((answer.verdict, answer.accepted), (verdict, accepted), "{of_document:?} {of_entry:?}");
    }
}

#[test]
fn deployments_that_are_not_listed_are_untouched() {
    let mut world = deployed();
    world.acl(
        json!({"defaultAction": "DENY", "deployments": [{"namespace": "a", "name": "web", "rules": []}]}),
    );
    world.drops(OUTSIDE, "a/web", "80");
    world.allows(OUTSIDE, "a/db", "80");
    world.allows(OUTSIDE, "b/web", "80");
}

#[test]
fn a_listed_deployment_without_rules_is_governed_in_ingress_only() {
    let mut world = deployed();
    world.acl(json!({"defaultAction": "DENY", "deployments": [{"namespace": "a", "name": "web"}]}));
    world.drops(OUTSIDE, "a/web", "80");
    world.allows("a/web", OUTSIDE, "80");
}

#[test]
fn egress_rules_govern_egress() {
    let mut world = deployed();
    world.acl(json!({"defaultAction": "DENY", "deployments": [{"namespace": "a", "name": "web", "rules": [
        {"action": "ALLOW", "direction": "egress", "dstCIDR": "203.0.113.0/24", "protocol": "udp", "ports": ["50-60"]}]}]}));
    assert!(world.ask("a/web", OUTSIDE, "53/udp").accepted);
    world.drops("a/web", OUTSIDE, "53");
    world.drops("a/web", "b/web", "53/udp");
    world.allows(OUTSIDE, "a/web", "80");
}

#[test]
fn both_families_and_icmp_by_the_family_of_the_cidrs() {
    let mut world = deployed();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web", "labels": {"app": "web"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d", "controller": true}]},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.1.1"}, {"ip": "fd00:1::1"}]}}));
    world.acl(entry(json!([
        {"action": "DENY", "srcCIDR": "0.0.0.0/0", "protocol": "icmp"},
        {"action": "DENY", "srcCIDRs": ["2001:db8::/32"], "protocol": "tcp"},
        {"action": "REJECT", "protocol": "udp"}
    ])));
    world.drops(OUTSIDE, "10.0.1.1", "icmp");
    world.allows("2001:db8::1", "fd00:1::1", "icmp");
    world.drops("2001:db8::1", "fd00:1::1", "80");
    world.allows(OUTSIDE, "10.0.1.1", "80");
    world.rejects("2001:db8::1", "fd00:1::1", "80/udp");
    world.rejects(OUTSIDE, "10.0.1.1", "80/udp");
}

#[test]
fn acl_and_network_policy_must_both_let_pass_and_allow_on_either_side_accepts() {
    let mut world = deployed();
    world.acl(entry(json!([{"action": "ALLOW", "srcCIDR": "10.0.0.0/8"}, {"action": "DENY"}])));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    assert!(world.ask("b/web", "a/web", "80").accepted);
    world.rejects("b/web", "a/web", "81");
    world.drops(OUTSIDE, "a/web", "80");
    world.acl(entry(json!([{"action": "ALLOW", "direction": "egress"}])));
    assert!(world.ask("a/web", "b/web", "80").accepted);
}

#[test]
fn a_refusal_by_one_side_is_not_overruled_by_an_allow_of_the_other() {
    let mut world = deployed();
    world.acl(json!({"deployments": [
        {"namespace": "a", "name": "web", "rules": [{"action": "ALLOW", "direction": "egress"}]},
        {"namespace": "a", "name": "db", "rules": [{"action": "DENY"}]},
        {"namespace": "b", "name": "db", "rules": [{"action": "REJECT"}]}]}));
    world.drops("a/web", "a/db", "80");
    world.rejects("a/web", "b/db", "80");
}

#[test]
fn a_pod_belongs_to_the_deployment_that_controls_its_replica_set() {
    let deny = entry(json!([{"action": "DENY"}]));
    let mut world = deployed();
    world.acl(deny.clone());
    world.drops(OUTSIDE, "a/web", "80");
    // Known only by the ReplicaSet's name, in a name that itself looks like one with a hash.
    world.delete("ReplicaSet", "a/web-7d");
    world.drops(OUTSIDE, "a/web", "80");
    owned(&mut world, "a/x", "web-6c-7d", "10.0.1.9");
    world.allows(OUTSIDE, "a/x", "80");
    // A ReplicaSet that no Deployment controls.
    world.apply(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "a", "name": "web-7d"}}));
    world.allows(OUTSIDE, "a/web", "80");
}

#[test]
fn a_pod_without_owner_belongs_to_the_only_deployment_that_selects_it() {
    let mut world = deployed();
    world.pod("a/bare", json!({"app": "web"}), "10.0.1.9");
    world.acl(entry(json!([{"action": "DENY"}])));
    world.drops(OUTSIDE, "a/bare", "80");
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "too"},
        "spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}}),
    );
    world.allows(OUTSIDE, "a/bare", "80");
    assert!(
        world.faults().iter().any(|fault| fault.contains("Pod a/bare") && fault.contains("too and web")),
        "{:?}",
        world.faults()
    );
    world.drops(OUTSIDE, "a/web", "80");
}

#[test]
fn a_listed_deployment_that_does_not_exist_is_a_warning_and_takes_effect_when_it_appears() {
    let mut world = deployed();
    world.acl(json!({"deployments": [{"namespace": "a", "name": "later", "rules": [{"action": "DENY"}]}]}));
    assert!(world.faults().iter().any(|fault| fault.starts_with("warning: Acl a/later")));
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "later"},
        "spec": {"selector": {"matchLabels": {"app": "later"}}}}),
    );
    world.pod("a/l", json!({"app": "later"}), "10.0.1.9");
    assert!(world.faults().is_empty());
    world.drops(OUTSIDE, "a/l", "80");
}

#[test]
fn own_node_traffic_passes_the_acl_unless_it_is_judged() {
    let mut world = deployed();
    world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]}}));
    world.acl(entry(json!([{"action": "DENY"}, {"action": "DENY", "direction": "egress"}])));
    world.allows("192.168.0.1", "a/web", "80");
    world.allows("a/web", "192.168.0.1", "80");
    world.settings.node_traffic = NodeTraffic::Enforce;
    world.drops("192.168.0.1", "a/web", "80");
    world.drops("a/web", "192.168.0.1", "80");
}

#[test]
fn a_pod_always_reaches_itself() {
    let mut world = deployed();
    world.acl(json!({"defaultAction": "DENY", "deployments": [{"namespace": "a", "name": "web", "rules": [
        {"action": "DENY"}, {"action": "DENY", "direction": "egress"}]}]}));
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    world.allows("a/web", "a/web", "80");
}

#[test]
fn every_action_does_what_it_says() {
    for (action, verdict, accepted) in [
        ("ALLOW", Verdict::Allow, true),
        ("ACCEPT", Verdict::Allow, true),
        ("RETURN", Verdict::Allow, false),
        ("DENY", Verdict::Drop, false),
        ("DROP", Verdict::Drop, false),
        ("REJECT", Verdict::Reject, false),
        ("reject", Verdict::Reject, false),
    ] {
        for (direction, from, to) in [("ingress", OUTSIDE, "a/web"), ("egress", "a/web", OUTSIDE)] {
            let mut world = deployed();
            world.acl(entry(json!([{"action": action, "direction": direction}])));
            for port in ["80", "53/udp", "9/sctp", "icmp"] {
                let answer = world.ask(from, to, port);
                assert_eq!(
                    (answer.verdict, answer.accepted),
                    (verdict, accepted),
                    "{action} {direction} {port}"
                );
            }
        }
    }
}

#[test]
fn an_allow_on_either_side_is_enough_to_accept() {
    for (a, b, accepted) in [
        ("ALLOW", "RETURN", true),
        ("RETURN", "ALLOW", true),
        ("ALLOW", "ALLOW", true),
        ("RETURN", "RETURN", false),
    ] {
        let mut world = deployed();
        world.acl(json!({"deployments": [
            {"namespace": "a", "name": "web", "rules": [{"action": a, "direction": "egress"}]},
            {"namespace": "a", "name": "db", "rules": [{"action": b}]},
            {"namespace": "b", "name": "db", "rules": [{"action": b}]}]}));
        assert_eq!(world.ask("a/web", "a/db", "80").accepted, accepted, "on one node: {a} {b}");
        assert_eq!(world.ask("a/web", "b/db", "80").accepted, accepted, "across nodes: {a} {b}");
    }
}

#[test]
fn an_absent_cidr_means_everything_in_both_families() {
    let mut world = deployed();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web", "labels": {"app": "web"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d", "controller": true}]},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.1.1"}, {"ip": "fd00:1::1"}]}}));
    world.acl(entry(
        json!([{"action": "ALLOW", "srcCIDR": "0.0.0.0/0", "protocol": "udp"}, {"action": "DENY"}]),
    ));
    world.allows(OUTSIDE, "10.0.1.1", "53/udp");
    world.drops(OUTSIDE, "10.0.1.1", "80");
    world.drops("2001:db8::1", "fd00:1::1", "53/udp");
    world.drops("b/web", "10.0.1.1", "icmp");
}

#[test]
fn rules_list_ports_ranges_and_blocks_of_both_families() {
    let mut world = deployed();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web", "labels": {"app": "web"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d", "controller": true}]},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.1.1"}, {"ip": "fd00:1::1"}]}}));
    let sources = ["198.51.100.7", "203.0.113.77/24", "2001:db8::/32", "::ffff:192.0.2.0/120"];
    world.acl(entry(json!([
        {"action": "ALLOW", "srcCIDRs": sources, "protocol": "TCP", "ports": [80, "8000-8100", "443"]}, {"action": "DENY"}])));
    for from in ["198.51.100.7", OUTSIDE, "192.0.2.255"] {
        for (port, open) in [
            ("80", true),
            ("443", true),
            ("8000", true),
            ("8100", true),
            ("7999", false),
            ("8101", false),
            ("80/udp", false),
        ] {
            if open { world.allows(from, "10.0.1.1", port) } else { world.drops(from, "10.0.1.1", port) }
        }
    }
    world.allows("2001:db8:ffff::1", "fd00:1::1", "8050");
    world.drops("2001:db9::1", "fd00:1::1", "8050");
    world.drops("198.51.100.8", "10.0.1.1", "80");
    world.drops("192.0.3.0", "10.0.1.1", "80");
}

#[test]
fn an_entry_with_egress_rules_only_leaves_ingress_alone() {
    let mut world = deployed();
    world.acl(json!({"defaultAction": "DENY", "deployments": [{"namespace": "a", "name": "web", "rules": [
        {"action": "RETURN", "direction": "egress", "dstCIDR": "10.0.0.0/8"}]}]}));
    world.allows(OUTSIDE, "a/web", "80");
    world.drops("a/web", OUTSIDE, "80");
    world.allows("a/web", "b/web", "80");
}

#[test]
fn where_a_replica_set_is_not_known_its_name_without_the_hash_tells() {
    let mut world = two_teams();
    world.acl(entry(json!([{"action": "DENY"}])));
    owned(&mut world, "a/web", "web-7d", "10.0.1.1");
    world.drops(OUTSIDE, "a/web", "80");
    // The hash is the pod's own label; a name that ends otherwise is no name of that Deployment's.
    for set in ["web-7e", "web7d", "x-web-7d", "web-7d-7e", "-7d", "7d"] {
        owned(&mut world, "a/web", set, "10.0.1.1");
        world.allows(OUTSIDE, "a/web", "80");
    }
    owned(&mut world, "a/web", "web-7d-7d", "10.0.1.1");
    world.acl(json!({"deployments": [{"namespace": "a", "name": "web-7d", "rules": [{"action": "DENY"}]}]}));
    world.drops(OUTSIDE, "a/web", "80");
}

#[test]
fn what_something_else_controls_belongs_to_no_deployment() {
    for (version, kind, denied) in [
        ("apps/v1", "ReplicaSet", true),
        ("extensions/v1beta1", "ReplicaSet", true),
        ("example.com/v1", "ReplicaSet", false),
        ("apps/v1", "StatefulSet", false),
        ("batch/v1", "Job", false),
    ] {
        let mut world = deployed();
        world.acl(entry(json!([{"action": "DENY"}])));
        world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web",
            "labels": {"app": "web", "pod-template-hash": "7d"},
            "ownerReferences": [{"apiVersion": version, "kind": kind, "name": "web-7d", "controller": true}]},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.0.1.1"}}));
        if denied { world.drops(OUTSIDE, "a/web", "80") } else { world.allows(OUTSIDE, "a/web", "80") }
    }
    // A ReplicaSet may be something else's too.
    let mut world = deployed();
    world.acl(entry(json!([{"action": "DENY"}])));
    world.apply(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "a", "name": "web-7d",
        "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "controller": true}]}}));
    world.allows(OUTSIDE, "a/web", "80");
}

#[test]
fn pods_of_the_host_network_are_under_no_acl() {
    let mut world = deployed();
    world.acl(entry(json!([{"action": "DENY"}])));
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web", "labels": {"app": "web"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d", "controller": true}]},
        "spec": {"nodeName": "n1", "hostNetwork": true}, "status": {"phase": "Running", "podIP": "192.168.0.1"}}));
    world.allows(OUTSIDE, "192.168.0.1", "80");
}

#[test]
fn a_logged_rule_writes_its_place_cut_at_63_bytes() {
    let mut world = deployed();
    let long = "n".repeat(80);
    for name in ["web", &long] {
        world.acl(json!({"deployments": [{"namespace": "a", "name": name, "rules": [
            {"action": "ALLOW", "direction": "egress"}, {"action": "DENY", "log": true}]}]}));
        owned(&mut world, "a/web", &format!("{name}-7d"), "10.0.1.1");
        world.delete("ReplicaSet", "a/web-7d");
        let compiled = compile(&world.cluster, &world.settings);
        let rules = compiled.rulesets.v4.chains.values().flat_map(|chain| &chain.rules);
        let prefixes: Vec<&str> = rules
            .filter_map(|rule| match &rule.target {
                Target::Nflog { group: 100, prefix } => Some(prefix.as_str()),
                _ => None,
            })
            .collect();
        let whole = format!("MS a/{name}#1 ");
        assert_eq!(prefixes, [&whole[..whole.len().min(63)]]);
        world.drops(OUTSIDE, "a/web", "80");
    }
}
