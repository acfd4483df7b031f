//! Who a peer is (items 9 to 18).

use serde_json::json;

use crate::OUTSIDE;
use crate::world::two_teams;

#[test]
fn empty_and_absent_from_is_everything() {
    for rule in [json!({"ports": [{"port": 80}]}), json!({"from": [], "ports": [{"port": 80}]})] {
        let mut world = two_teams();
        world.policy("a/p", json!({"podSelector": {}, "ingress": [rule]}));
        world.allows(OUTSIDE, "a/web", "80");
        world.allows("b/db", "a/web", "80");
        world.rejects("b/db", "a/web", "81");
    }
}

#[test]
fn a_pod_selector_alone_is_of_the_policys_namespace() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}),
    );
    world.allows("a/web", "a/db", "80");
    world.rejects("b/web", "a/db", "80");
}

#[test]
fn a_namespace_selector_alone_is_all_pods_there() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]}));
    world.allows("b/db", "a/db", "80");
    world.rejects("a/web", "a/db", "80");
}

#[test]
fn both_selectors_in_one_item_are_and_and_two_items_are_or() {
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
fn empty_and_absent_selectors_differ() {
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
fn every_operator_and_not_in_matches_without_the_key() {
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
fn a_selector_that_matches_nothing_denies() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"no": "body"}}}]}]}),
    );
    world.rejects("a/web", "a/db", "80");
    world.rejects(OUTSIDE, "a/db", "80");
}

#[test]
fn an_external_address_never_matches_a_selector() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}));
    world.rejects(OUTSIDE, "a/web", "80");
}

#[test]
fn all_addresses_count_each_in_its_family() {
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
fn relabelled_pods_and_namespaces_and_any_order_of_arrival() {
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
fn a_namespace_that_is_deleted_and_made_again_is_what_its_new_labels_say() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]}));
    world.allows("b/web", "a/web", "80");
    world.delete("Namespace", "b");
    world.rejects("b/web", "a/web", "80");
    world.namespace("b", json!({"team": "red"}));
    world.rejects("b/web", "a/web", "80");
    world.namespace("b", json!({"team": "blue"}));
    world.allows("b/web", "a/web", "80");
}

#[test]
fn more_selectors_than_a_set_each_is_spent_on_mean_any_of_them() {
    let mut world = two_teams();
    let mut from: Vec<_> =
        (0..12).map(|n| json!({"podSelector": {"matchLabels": {"app": format!("app-{n}")}}})).collect();
    from.push(json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "db"}}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": from, "ports": [{"port": 80}, {"port": 90, "endPort": 91}]}]}));
    let compiled = ms_acl_core::compile::compile(&world.cluster, &world.settings);
    assert_eq!(compiled.rulesets.v4.sets.len(), 1, "one set, and a line for each kind of port");
    world.pod("a/x", json!({"app": "app-7"}), "10.0.1.9").pod("b/x", json!({"app": "app-7"}), "10.0.2.9");
    world.allows("a/x", "a/web", "80");
    world.allows("a/x", "a/web", "91");
    world.rejects("a/x", "a/web", "92");
    world.rejects("b/x", "a/web", "80");
    world.allows("b/db", "a/web", "80");
    world.namespace("b", json!({"team": "red"}));
    world.rejects("b/db", "a/web", "80");
}

#[test]
fn an_address_may_be_written_as_a_mapped_one_of_ipv6() {
    let mut world = two_teams();
    world.pod("b/mapped", json!({"app": "db"}), "::ffff:10.0.2.50");
    world.pod("b/zeros", json!({"app": "db"}), "010.000.002.051");
    assert_eq!(world.faults(), Vec::<String>::new());
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}]}]}));
    world.allows("10.0.2.50", "a/web", "80");
    world.allows("10.0.2.51", "a/web", "80");
    world.rejects("10.0.2.52", "a/web", "80");
}
