//! Whom a policy isolates (items 1 to 8).

use serde_json::json;

use crate::OUTSIDE;
use crate::world::two_teams;

#[test]
fn a_pod_that_no_policy_selects_is_open() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "web"}}}));
    world.allows("b/web", "a/db", "80");
    world.allows(OUTSIDE, "a/db", "icmp");
}

#[test]
fn absent_null_and_empty_ingress_deny_all_and_an_empty_rule_allows_all() {
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
fn types_default_to_ingress_and_to_egress_only_with_egress_rules() {
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
fn rules_of_an_unlisted_type_are_ignored() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{"ports": [{"port": 1}]}]}),
    );
    world.allows("b/web", "a/web", "80");
    world.rejects("a/web", "b/web", "80");
}

#[test]
fn an_empty_pod_selector_is_all_pods_of_the_namespace() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}}));
    world.rejects("b/web", "a/web", "80");
    world.rejects("b/web", "a/db", "80");
    world.allows("a/web", "b/web", "80");
}

#[test]
fn policies_add_up_and_their_order_does_not_matter() {
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
fn both_directions_are_judged_separately_on_one_node_and_across_nodes() {
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
fn updates_and_deletes_take_effect() {
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
