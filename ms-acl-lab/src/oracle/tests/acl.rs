//! The Deployment ACL.

use super::Protocol::{Icmp, Sctp, Tcp, Udp};
use super::*;
use crate::oracle::acl::read;

/// Web of namespace a belongs to Deployment a/web, and this is its entry.
fn governed(entry: Value) -> World {
    let mut world = world(&[]);
    own(&mut world, 0, "web-7d4b9");
    world.replica_sets = serde_json::from_value(json!([{"metadata": {"namespace": "a", "name": "web-7d4b9",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true}]}}]))
    .unwrap();
    let mut whole = json!({"namespace": "a", "name": "web"});
    whole.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
    world.acl = json!({"deployments": [whole]});
    assert!(read(&world.acl).is_ok(), "{:?}", read(&world.acl));
    world
}

fn own(world: &mut World, pod: usize, replica_set: &str) {
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "controller": true}]);
    world.pods[pod].metadata.owner_references = serde_json::from_value(owner).unwrap();
}

fn verdict(world: &World, from: &str, to: &str) -> (Verdict, bool) {
    let answer = judge(world, &flow(from, to, Tcp, 80));
    (answer.verdict, answer.accepted)
}

#[test]
fn the_first_rule_that_matches_decides() {
    let world = governed(json!({"rules": [
        {"action": "ALLOW", "srcCIDR": "203.0.113.0/24", "protocol": "tcp", "port": 80},
        {"action": "DENY", "srcCIDR": "0.0.0.0/0"}, {"action": "REJECT"}]}));
    assert_eq!(verdict(&world, OUTSIDE, WEB), (Verdict::Allow, true));
    assert_eq!(judge(&world, &flow(OUTSIDE, WEB, Tcp, 81)).verdict, Verdict::Drop);
    assert_eq!(judge(&world, &flow("2001:db8::1", "fd00::1", Tcp, 81)).ingress, None);
    assert_eq!(verdict(&world, WEB, OUTSIDE), (Verdict::Allow, false), "egress isn't governed");
    assert_eq!(verdict(&world, OUTSIDE, API), (Verdict::Allow, false), "api isn't listed");
}

#[test]
fn actions_are_written_in_any_case_and_have_two_names() {
    for (action, expected) in [
        ("allow", (Verdict::Allow, true)),
        ("Accept", (Verdict::Allow, true)),
        ("RETURN", (Verdict::Allow, false)),
        ("deny", (Verdict::Drop, false)),
        ("Drop", (Verdict::Drop, false)),
        ("reject", (Verdict::Reject, false)),
    ] {
        assert_eq!(verdict(&governed(json!({"rules": [{"action": action}]})), OUTSIDE, WEB), expected);
        assert_eq!(verdict(&governed(json!({"defaultAction": action})), OUTSIDE, WEB), expected);
    }
}

#[test]
fn without_a_match_the_entrys_default_action_decides_then_the_documents_then_allow() {
    let rules = json!([{"action": "REJECT", "srcCIDR": "10.0.0.0/8"}]);
    let mut world = governed(json!({"rules": rules}));
    assert_eq!(verdict(&world, OUTSIDE, WEB), (Verdict::Allow, true));
    world.acl["defaultAction"] = json!("RETURN");
    assert_eq!(verdict(&world, OUTSIDE, WEB), (Verdict::Allow, false));
    world.acl["deployments"][0]["defaultAction"] = json!("DROP");
    assert_eq!(verdict(&world, OUTSIDE, WEB), (Verdict::Drop, false));
}

#[test]
fn a_direction_is_governed_if_it_has_a_rule_and_an_entry_without_rules_governs_ingress() {
    let egress = governed(json!({"defaultAction": "DENY", "rules": [
        {"action": "ALLOW", "direction": "egress", "dstCIDR": "203.0.113.0/24"}]}));
    assert_eq!(verdict(&egress, WEB, OUTSIDE), (Verdict::Allow, true));
    assert_eq!(verdict(&egress, WEB, API), (Verdict::Drop, false));
    assert_eq!(verdict(&egress, OUTSIDE, WEB), (Verdict::Allow, false), "no rule for ingress");
    let empty = governed(json!({"defaultAction": "DENY", "rules": []}));
    assert_eq!(verdict(&empty, OUTSIDE, WEB), (Verdict::Drop, false));
    assert_eq!(verdict(&empty, WEB, OUTSIDE), (Verdict::Allow, false));
}

#[test]
fn allow_does_not_overrule_another_gate_or_the_other_end() {
    let mut world = governed(json!({"rules": [{"action": "ALLOW"}]}));
    world.network_policies = vec![serde_json::from_value(policy("a/p", json!({}))).unwrap()];
    assert_eq!(verdict(&world, OUTSIDE, WEB), (Verdict::Reject, false));
    let mut world = governed(json!({"rules": [{"action": "ALLOW", "direction": "egress"}]}));
    assert_eq!(verdict(&world, WEB, API), (Verdict::Allow, true), "ALLOW on either side is enough");
    world.network_policies = vec![serde_json::from_value(policy("a/p", json!({}))).unwrap()];
    assert_eq!(verdict(&world, WEB, API), (Verdict::Reject, false));
}

#[test]
fn a_rule_is_about_its_protocol_and_ports() {
    let open = |rule: Value| {
        let world = governed(json!({"defaultAction": "DENY", "rules": [rule]}));
        [(Tcp, 80), (Tcp, 8050), (Udp, 80), (Sctp, 80), (Icmp, 80)]
            .map(|(protocol, port)| reaches_port(&world, OUTSIDE, WEB, protocol, port))
    };
    assert_eq!(open(json!({"action": "ALLOW"})), [true; 5]);
    assert_eq!(open(json!({"action": "ALLOW", "protocol": "any", "port": 0})), [true; 5]);
    assert_eq!(open(json!({"action": "ALLOW", "protocol": "icmp"})), [false, false, false, false, true]);
    assert_eq!(open(json!({"action": "ALLOW", "protocol": "tcp"})), [true, true, false, false, false]);
    assert_eq!(
        open(json!({"action": "ALLOW", "protocol": "tcp", "port": 80})),
        [true, false, false, false, false]
    );
    assert_eq!(
        open(json!({"action": "ALLOW", "protocol": "tcp", "ports": [80, "8000-8100"]})),
        [true, true, false, false, false]
    );
    assert_eq!(
        open(json!({"action": "ALLOW", "protocol": "udp", "port": 80})),
        [false, false, true, false, false]
    );
}

#[test]
fn a_rule_names_the_other_end_by_any_of_its_blocks() {
    let world = governed(json!({"defaultAction": "DENY", "rules": [
        {"action": "ALLOW", "srcCIDRs": ["203.0.113.9", "10.1.2.3/8", "fd00::/8"]}]}));
    assert!(
        reaches(&world, API, WEB) && reaches(&world, "203.0.113.9", WEB) && !reaches(&world, OUTSIDE, WEB)
    );
}

#[test]
fn a_pod_belongs_to_the_deployment_above_its_replica_set() {
    let mut world = governed(json!({"defaultAction": "DENY"}));
    assert!(!reaches(&world, OUTSIDE, WEB));
    world.replica_sets[0].metadata.owner_references[0].name = "other".to_owned();
    assert!(reaches(&world, OUTSIDE, WEB));
    world.replica_sets[0].metadata.owner_references[0].name = "web".to_owned();
    world.replica_sets[0].metadata.owner_references[0].kind = "Rollout".to_owned();
    assert!(reaches(&world, OUTSIDE, WEB));
    world.replica_sets[0].metadata.owner_references.clear();
    assert!(reaches(&world, OUTSIDE, WEB));
}

#[test]
fn without_the_replica_set_its_name_and_the_pods_hash_tell_the_deployment() {
    let mut world = governed(json!({"defaultAction": "DENY"}));
    world.replica_sets.clear();
    assert!(reaches(&world, OUTSIDE, WEB), "no hash");
    world.pods[0].metadata.labels.insert("pod-template-hash".to_owned(), "7d4b9".to_owned());
    assert!(!reaches(&world, OUTSIDE, WEB));
    world.pods[0].metadata.labels.insert("pod-template-hash".to_owned(), "4b9".to_owned());
    assert!(reaches(&world, OUTSIDE, WEB), "another hash");
}

#[test]
fn without_an_owner_the_only_deployment_that_selects_the_pod_has_it() {
    let mut world = governed(json!({"defaultAction": "DENY"}));
    world.pods[0].metadata.owner_references.clear();
    assert!(reaches(&world, OUTSIDE, WEB));
    let deployment = |name: &str| {
        let spec = json!({"selector": {"matchLabels": {"app": "web"}}});
        serde_json::from_value(json!({"metadata": {"namespace": "a", "name": name}, "spec": spec})).unwrap()
    };
    world.deployments = vec![deployment("web")];
    assert!(!reaches(&world, OUTSIDE, WEB) && reaches(&world, OUTSIDE, OTHER_WEB));
    world.deployments.push(deployment("twin"));
    assert!(reaches(&world, OUTSIDE, WEB), "two: neither");
    world.deployments.pop();
    world.deployments[0].spec.selector.match_labels.clear();
    assert!(reaches(&world, OUTSIDE, WEB), "an empty selector selects nobody");
}

#[test]
fn a_pod_of_another_controller_belongs_to_no_deployment() {
    let mut world = governed(json!({"defaultAction": "DENY"}));
    world.pods[0].metadata.owner_references[0].kind = "StatefulSet".to_owned();
    world.deployments = vec![deployment_of_all("web")];
    assert!(reaches(&world, OUTSIDE, WEB));
}

#[test]
fn a_document_with_a_fault_was_never_taken() {
    let mut world = governed(json!({"defaultAction": "DENY"}));
    world.acl["deployments"][0]["rules"] = json!([{"action": "DENY", "color": "red"}]);
    assert!(reaches(&world, OUTSIDE, WEB));
}

#[test]
fn all_faults_are_found_each_with_its_place() {
    let document = json!({"defaultAction": "MAYBE", "x": 1, "deployments": [
        {"namespace": "a", "name": "web", "rules": [
            {"srcCIDR": "10.0.0.0/33"},
            {"action": "ALLOW", "port": 80},
            {"action": "ALLOW", "protocol": "icmp", "ports": [80]},
            {"action": "ALLOW", "protocol": "tcp", "port": 80, "ports": [81]},
            {"action": "ALLOW", "protocol": "tcp", "ports": []},
            {"action": "ALLOW", "protocol": "tcp", "ports": [80, "90-80", 65536]},
            {"action": "ALLOW", "dstCIDR": "10.0.0.0/8"},
            {"action": "ALLOW", "direction": "egress", "srcCIDRs": ["10.0.0.0/8"]},
            {"action": "ALLOW", "direction": "sideways"},
            {"action": "ALLOW", "a/b~c": 1},
        ]},
        {"namespace": "a", "name": "web"},
        {"namespace": "a"},
        3,
    ]});
    let rule = |rest: &str| format!("/deployments/0/rules/{rest}");
    let mut expected = vec![
        "/defaultAction".to_owned(),
        "/x".to_owned(),
        rule("0/srcCIDR"),
        rule("0/action"),
        rule("1/port"),
        rule("2/ports"),
        rule("3/ports"),
        rule("4/ports"),
        rule("5/ports/1"),
        rule("5/ports/2"),
        rule("6/dstCIDR"),
        rule("7/srcCIDRs"),
        rule("8/direction"),
        rule("9/a~1b~0c"),
        "/deployments/1".to_owned(),
        "/deployments/2/name".to_owned(),
        "/deployments/3".to_owned(),
        "/deployments/3/name".to_owned(),
        "/deployments/3/namespace".to_owned(),
    ];
    expected.sort();
    assert_eq!(read(&document).unwrap_err().into_iter().collect::<Vec<_>>(), expected);
}
