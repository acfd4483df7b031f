//! `matrix`: who reaches whom, as JSON and as a table.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod world;

use ms_acl_core::verdict::matrix::{Matrix, live_pods};
use ms_acl_core::verdict::{Endpoint, FlowPort, NoAddress, Nodes, Verdict, matrix};
use serde_json::json;
use world::{World, two_teams};

fn of(world: &World, from: &[Endpoint], to: &[Endpoint], port: &str) -> Result<Matrix, NoAddress> {
    let port: FlowPort = port.parse().unwrap();
    matrix(&mut Nodes::new(&world.cluster, &world.settings), (from, to), port, &|_| Vec::new())
}

fn all(world: &World, port: &str) -> Matrix {
    let pods = live_pods(&world.cluster);
    of(world, &pods, &pods, port).unwrap()
}

/// `a/web` takes 80 from `a` only; `b` sends nothing.
fn teams() -> World {
    let mut world = two_teams();
    world.policy(
        "a/in",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"from": [{"podSelector": {}}], "ports": [{"port": 80}]}]}),
    );
    world.policy("b/out", json!({"podSelector": {}, "policyTypes": ["Egress"]}));
    world
}

#[test]
fn all_live_pods_as_table_and_json() {
    let mut world = teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "pending"}, "spec": {}}));
    world.pod_with("b/six", json!({"app": "six"}), &["fd00:2::6"], json!({}));
    let matrix = all(&world, "80");
    insta::assert_snapshot!("table", matrix.to_string());
    insta::assert_snapshot!("json", serde_json::to_string(&matrix).unwrap());
}

#[test]
fn many_pods_are_a_narrow_table() {
    let mut world = teams();
    for number in 3..20 {
        world.pod(&format!("b/pod-{number}"), json!({}), &format!("10.0.2.{number}"));
    }
    insta::assert_snapshot!("narrow_table", all(&world, "81").to_string());
}

#[test]
fn the_caller_marks_cells_that_changed() {
    let mut world = teams();
    let before = all(&world, "80");
    world.delete("NetworkPolicy", "b/out");
    let after = all(&world, "80");
    let changes = after.changes(&before);
    let named: Vec<String> =
        changes.iter().map(|change| format!("{} -> {}", change.from, change.to)).collect();
    assert_eq!(named, ["b/db -> a/db", "b/db -> b/web", "b/web -> a/db", "b/web -> b/db"]);
    assert_eq!((changes[0].was, changes[0].is), (Some(Verdict::Reject), Some(Verdict::Allow)));
    let marked = after.table(|cell, text| {
        let changed = changes.iter().any(|change| change.from == *cell.from && change.to == *cell.to);
        if changed { text.to_uppercase() } else { text.to_owned() }
    });
    insta::assert_snapshot!("marked_table", marked);
}

#[test]
fn rows_and_columns_may_differ_and_be_anything() {
    let world = teams();
    let end = |text: &str| text.parse::<Endpoint>().unwrap();
    let (from, to) = ([end("203.0.113.7"), end("b/db")], [end("a/web"), end("203.0.113.8")]);
    let matrix = of(&world, &from, &to, "80").unwrap();
    assert_eq!(matrix.verdict[0], [Some(Verdict::Reject), Some(Verdict::Allow)]);
    assert_eq!(matrix.verdict(&end("b/db"), &end("203.0.113.8")), Some(Verdict::Reject));
    assert_eq!(matrix.verdict(&end("b/db"), &end("b/db")), None);
    assert!(of(&world, &[end("a/nobody")], &to, "80").is_err());
}

#[test]
fn a_disagreement_of_the_families_is_told() {
    let mut world = teams();
    world.pod_with("b/both", json!({"app": "both"}), &["10.0.2.9", "fd00:2::9"], json!({}));
    world.policy(
        "b/out",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    world.delete("NetworkPolicy", "a/in");
    let matrix = all(&world, "80");
    let end = |text: &str| text.parse::<Endpoint>().unwrap();
    assert_eq!(matrix.verdict(&end("b/both"), &end("a/web")), Some(Verdict::Allow));
    assert_eq!(matrix.disagreements.len(), 1);
    assert_eq!(matrix.disagreements[0].verdict, Verdict::Reject);
    assert!(matrix.to_string().contains("in ipv6: b/both -> a/web reject"));
}
