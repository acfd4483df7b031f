//! `ms-acld lint`.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use common::world::World;
use serde_json::{Value, json};

fn findings(world: &World) -> (Option<i32>, Vec<Value>) {
    let done = world.run("lint", &["--json"]);
    let answer: Value = serde_json::from_str(&done.output).unwrap();
    (done.code, answer["findings"].as_array().unwrap().clone())
}

/// The checks that found something in an object.
fn checks(world: &World, object: &str) -> Vec<String> {
    let (_, findings) = findings(world);
    let of = findings.iter().filter(|finding| finding["object"] == object);
    of.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cluster_without_traps_passes() {
    let world = World::new();
    world.policy("shop/in", &json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    assert_eq!(world.run("lint", &[]).fine(), "no finding\n");
    assert_eq!(world.run("lint", &["--json"]).fine(), "{\"findings\":[]}\n");
}

#[test]
fn each_trap_is_told_with_its_place_and_a_remedy() {
    let world = World::new();
    world
        .policy("shop/port", &json!({"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [{"ports": [{"port": "nope"}]}]}))
        .policy("shop/nobody", &json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "ghost"}}}]}]}))
        .policy("shop/out", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}))
        .policy("data/bits", &json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}], "ingress": [
            {"from": [{"ipBlock": {"cidr": "10.1.2.3/8"}}]}]}))
        .acl(&json!([{"action": "ALLOW", "srcCIDR": "10.0.0.0/8"}, {"action": "DENY", "srcCIDR": "10.1.0.0/16"},
            {"action": "DENY", "srcCIDR": "0.0.0.0/0"}]));
    assert!(checks(&world, "NetworkPolicy shop/port").contains(&"unresolved-named-port".to_owned()));
    assert!(checks(&world, "NetworkPolicy shop/nobody").contains(&"selector-matches-nothing".to_owned()));
    assert!(checks(&world, "NetworkPolicy shop/out").contains(&"missing-dns".to_owned()));
    let bits = checks(&world, "NetworkPolicy data/bits");
    for check in ["host-bits", "ignored-rules", "block-over-pods"] {
        assert!(bits.contains(&check.to_owned()), "{check}: {bits:?}");
    }
    let acl = checks(&world, "Acl shop/web");
    assert!(
        acl.contains(&"unreachable-rule".to_owned()) && acl.contains(&"family-left-open".to_owned()),
        "{acl:?}"
    );
    let (code, findings) = findings(&world);
    assert_eq!(code, Some(1));
    for finding in &findings {
        for field in ["check", "severity", "object", "path", "detail", "remedy"] {
            assert!(finding[field].is_string(), "{field}: {finding}");
        }
    }
    let objects: Vec<&str> = findings.iter().map(|finding| finding["object"].as_str().unwrap()).collect();
    assert!(objects.is_sorted(), "{objects:?}");
    let done = world.run("lint", &[]);
    assert!(done.output.contains(" [missing-dns]\n    remedy: "), "{done:?}");
    assert!(done.output.lines().last().unwrap().contains("warnings"), "{done:?}");
}

#[test]
fn notes_alone_do_not_fail() {
    let world = World::new();
    // Two rules of which one allows everything: one needn't be there.
    world.policy("shop/in", &json!({"podSelector": {}, "ingress": [{}, {"ports": [{"port": 80}]}]}));
    let (code, found) = findings(&world);
    assert_eq!((code, found.len(), &found[0]["severity"]), (Some(0), 1, &json!("note")), "{found:?}");
}

#[test]
fn invalid_objects_and_files_fail() {
    let world = World::new();
    world
        .policy("shop/in", &json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 1}]}]}));
    let done = world.run("lint", &[]);
    assert!(done.code == Some(1) && done.errors.is_empty(), "what a finding says is said once: {done:?}");
    assert!(
        done.output.starts_with("error: NetworkPolicy shop/in: ") && done.output.ends_with("\n1 error\n"),
        "{done:?}"
    );
    let world = World::new();
    world.write("more.yaml", "{{{");
    let done = world.run("lint", &[]);
    assert_eq!((done.code, &*done.output), (Some(1), "no finding\n"));
    assert!(done.errors.contains("more.yaml"), "{done:?}");
}
