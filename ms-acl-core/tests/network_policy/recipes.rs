//! The cases of the well-known collection of NetworkPolicy recipes (kubernetes-network-policy-recipes), by
//! their numbers and titles.

use serde_json::{Value, json};

use crate::OUTSIDE;
use crate::world::World;

/// Namespaces `default`, `prod` (purpose=production) and `dev` (purpose=testing), and in each the pods of a
/// bookstore; `default` besides has pods of another application.
fn bookstore() -> World {
    let mut world = World::new();
    world.namespace("default", json!({})).namespace("other", json!({"team": "operations"}));
    world.namespace("prod", json!({"purpose": "production"})).namespace("dev", json!({"purpose": "testing"}));
    for (number, (name, labels)) in [
        ("default/web", json!({"app": "web"})),
        ("default/foo", json!({"app": "foo"})),
        ("default/api", json!({"app": "bookstore", "role": "api"})),
        ("default/search", json!({"app": "bookstore", "role": "search"})),
        ("default/db", json!({"app": "bookstore", "role": "db"})),
        ("default/catalog", json!({"app": "inventory", "role": "web"})),
        ("prod/client", json!({"app": "client"})),
        ("dev/client", json!({"app": "client"})),
        ("other/plain", json!({"app": "plain"})),
        ("other/monitor", json!({"type": "monitoring"})),
    ]
    .into_iter()
    .enumerate()
    {
        world.pod(name, labels, &format!("10.0.{}.{}", 1 + number % 2, 10 + number));
    }
    world
}

fn policy(spec: Value) -> World {
    let mut world = bookstore();
    world.policy("default/recipe", spec);
    assert_eq!(world.faults(), Vec::<String>::new());
    world
}

#[track_caller]
fn check(world: &World, to: &str, port: &str, open: &[&str], shut: &[&str]) {
    for from in open {
        world.allows(from, to, port);
    }
    for from in shut {
        world.rejects(from, to, port);
    }
}

#[test]
fn recipe_01_deny_all_traffic_to_an_application() {
    let world = policy(json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": []}));
    check(&world, "default/web", "80", &[], &["default/foo", "prod/client", OUTSIDE]);
    check(&world, "default/db", "6379", &["default/foo", "prod/client", OUTSIDE], &[]);
    world.allows("default/web", OUTSIDE, "443");
}

#[test]
fn recipe_02_limit_traffic_to_an_application() {
    let world = policy(json!({"podSelector": {"matchLabels": {"app": "bookstore", "role": "api"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "bookstore"}}}]}]}));
    let shut = ["default/foo", "default/catalog", "prod/client", OUTSIDE];
    check(&world, "default/api", "80", &["default/search", "default/db"], &shut);
}

#[test]
fn recipe_02a_allow_all_traffic_to_an_application() {
    for ingress in [
        json!([{}]),
        json!([{"from": []}]),
        json!([{"from": [{"podSelector": {}, "namespaceSelector": {}}]}]),
    ] {
        let external = ingress[0]["from"][0].is_null();
        let mut world = policy(json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": ingress}));
        world.policy(
            "default/web-deny-all",
            json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": []}),
        );
        check(&world, "default/web", "80", &["default/foo", "prod/client"], &[]);
        if external {
            world.allows(OUTSIDE, "default/web", "80");
        } else {
            world.rejects(OUTSIDE, "default/web", "80");
        }
    }
}

#[test]
fn recipe_03_deny_all_non_whitelisted_traffic_to_a_namespace() {
    let world = policy(json!({"podSelector": {}, "ingress": []}));
    for to in ["default/web", "default/db", "default/catalog"] {
        check(&world, to, "80", &[], &["default/foo", "prod/client", OUTSIDE]);
    }
    world.allows("default/web", "prod/client", "80");
}

#[test]
fn recipe_04_deny_traffic_from_other_namespaces() {
    let world =
        policy(json!({"podSelector": {"matchLabels": {}}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    check(
        &world,
        "default/web",
        "80",
        &["default/foo", "default/db"],
        &["prod/client", "other/plain", OUTSIDE],
    );
}

#[test]
fn recipe_05_allow_traffic_from_all_namespaces() {
    let world = policy(
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}),
    );
    check(&world, "default/web", "80", &["default/foo", "prod/client", "other/plain"], &[OUTSIDE]);
}

#[test]
fn recipe_06_allow_traffic_from_a_namespace() {
    let world = policy(json!({"podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"purpose": "production"}}}]}]}));
    check(
        &world,
        "default/web",
        "80",
        &["prod/client"],
        &["dev/client", "default/foo", "other/plain", OUTSIDE],
    );
}

#[test]
fn recipe_07_allow_traffic_from_some_pods_in_another_namespace() {
    let mut world = policy(json!({"podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "operations"}}, "podSelector": {"matchLabels": {"type": "monitoring"}}}]}]}));
    let shut = ["other/plain", "default/foo", "prod/client", OUTSIDE];
    check(&world, "default/web", "80", &["other/monitor"], &shut);
    // The same labels in a namespace that isn't theirs, and no labels in theirs.
    world.pod("default/monitor", json!({"type": "monitoring"}), "10.0.1.99");
    world.rejects("default/monitor", "default/web", "80");
}

#[test]
fn recipe_08_allow_external_traffic() {
    let mut world =
        policy(json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": []}]}));
    world.policy("default/deny-all", json!({"podSelector": {}}));
    check(&world, "default/web", "80", &[OUTSIDE, "prod/client", "default/foo"], &[]);
    check(&world, "default/db", "80", &[], &[OUTSIDE, "default/foo"]);
}

#[test]
fn recipe_09_allow_traffic_only_to_a_port_of_an_application() {
    let world = policy(json!({"podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"ports": [{"port": 5000}], "from": [{"podSelector": {"matchLabels": {"role": "db"}}}]}]}));
    check(&world, "default/web", "5000", &["default/db"], &["default/foo", OUTSIDE]);
    check(&world, "default/web", "8000", &[], &["default/db", "default/foo"]);
}

#[test]
fn recipe_10_allow_traffic_with_multiple_selectors() {
    let peer = |app: &str, role: &str| json!({"podSelector": {"matchLabels": {"app": app, "role": role}}});
    let world = policy(json!({"podSelector": {"matchLabels": {"app": "bookstore", "role": "db"}},
        "ingress": [{"from": [peer("bookstore", "search"), peer("bookstore", "api"), peer("inventory", "web")]}]}));
    let open = ["default/search", "default/api", "default/catalog"];
    check(&world, "default/db", "6379", &open, &["default/foo", "default/web", "prod/client", OUTSIDE]);
}

#[test]
fn recipe_11_deny_egress_traffic_from_an_application() {
    let foo = json!({"matchLabels": {"app": "foo"}});
    let mut world = policy(json!({"podSelector": foo, "policyTypes": ["Egress"], "egress": []}));
    world.rejects("default/foo", "default/web", "80");
    world.rejects("default/foo", OUTSIDE, "53/udp");
    world.rejects("default/foo", OUTSIDE, "icmp");
    world.allows("default/web", OUTSIDE, "443");
    world.allows("default/web", "default/foo", "80");
    world.policy(
        "default/recipe",
        json!({"podSelector": foo, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]}),
    );
    world.allows("default/foo", OUTSIDE, "53/udp");
    world.allows("default/foo", "other/plain", "53");
    world.rejects("default/foo", "default/web", "80");
    world.rejects("default/foo", OUTSIDE, "icmp");
}

#[test]
fn recipe_12_deny_all_non_whitelisted_traffic_from_a_namespace() {
    let world = policy(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": []}));
    world.rejects("default/foo", "default/web", "80");
    world.rejects("default/web", OUTSIDE, "443");
    world.allows("prod/client", "default/web", "80");
    world.allows("prod/client", OUTSIDE, "443");
}

#[test]
fn recipe_14_deny_external_egress_traffic() {
    let world = policy(
        json!({"podSelector": {"matchLabels": {"app": "foo"}}, "policyTypes": ["Egress"], "egress": [
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}, {"to": [{"namespaceSelector": {}}]}]}),
    );
    world.allows("default/foo", "default/web", "80");
    world.allows("default/foo", "prod/client", "8080/udp");
    world.allows("default/foo", OUTSIDE, "53/udp");
    world.rejects("default/foo", OUTSIDE, "443");
    world.rejects("default/foo", OUTSIDE, "53/sctp");
}
