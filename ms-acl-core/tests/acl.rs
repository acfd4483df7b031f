//! Deployment ACLs: what a pushed document means for packets.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod world;

use ms_acl_core::model::NodeTraffic;
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
