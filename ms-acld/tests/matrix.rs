//! `ms-acld matrix`.

mod common;

use common::world::World;
use serde_json::{Value, json};

#[test]
fn who_reaches_whom_as_a_table_and_as_json() {
    let world = World::new();
    world
        .policy("data/in", &json!({"podSelector": {}, "ingress": [{"from": [
            {"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {"matchLabels": {"app": "api"}}}]}]}))
        .acl(&json!([{"action": "DENY", "srcCIDR": "10.2.0.0/16"}]));
    let table = world.run("matrix", &["--port", "80"]).fine();
    assert_eq!(
        table,
        "who reaches whom on 80/tcp\n\
         from \\ to   data/db-1  shop/api-1  shop/web-1\n\
         data/db-1   allow      allow       drop\n\
         shop/api-1  allow      allow       allow\n\
         shop/web-1  reject     allow       allow\n"
    );
    let text = world.run("matrix", &["--port", "53/udp", "--json"]).fine();
    let matrix: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(matrix["port"], "53/udp");
    assert_eq!(matrix["from"], json!(["data/db-1", "shop/api-1", "shop/web-1"]));
    assert_eq!(matrix["to"], matrix["from"]);
    assert_eq!(
        matrix["verdict"],
        json!([["allow", "allow", "drop"], ["allow", "allow", "allow"], ["reject", "allow", "allow"]])
    );
    let dropped = world.run("matrix", &["--port", "80", "--refuse-with", "drop"]).fine();
    assert!(dropped.contains("shop/web-1  drop "), "{dropped}");
}

#[test]
fn a_disagreement_of_the_families_is_told() {
    let world = World::new();
    world.policy(
        "shop/in",
        &json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    let table = world.run("matrix", &["--port", "80"]).fine();
    assert!(table.ends_with("in ipv6: shop/api-1 -> shop/web-1 reject\n"), "{table}");
    let matrix: Value =
        serde_json::from_str(&world.run("matrix", &["--port", "80", "--json"]).fine()).unwrap();
    assert_eq!(
        matrix["disagreements"],
        json!([{"from": "shop/api-1", "to": "shop/web-1", "family": "ipv6", "verdict": "reject"}])
    );
}

#[test]
fn faults_and_bad_usage_have_their_exit_codes() {
    let world = World::new();
    let done = world.run("matrix", &["--port", "http"]);
    assert!(done.code == Some(2) && done.output.is_empty(), "{done:?}");
    let done = world.run("matrix", &[]);
    assert!(done.code == Some(2) && done.errors.contains("--port"), "{done:?}");
    world.write("more.yaml", "{{{");
    let done = world.run("matrix", &["--port", "80"]);
    assert!(
        done.code == Some(1) && done.output.contains("allow") && done.errors.contains("more.yaml"),
        "{done:?}"
    );
    world.write("more.yaml", "").write("cluster.yaml", "");
    let done = world.run("matrix", &["--port", "80", "--json"]);
    assert_eq!((done.code, &*done.errors), (Some(0), "note: no pod has an address of its own\n"));
    assert_eq!(
        done.output,
        "{\"port\":\"80/tcp\",\"from\":[],\"to\":[],\"verdict\":[],\"disagreements\":[]}\n"
    );
}
