//! Items 37 to 42, and who owns an address.

use super::*;

fn from_web() -> World {
    let spec = json!({"podSelector": {"matchLabels": {"app": "db"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]});
    world(&[policy("a/p", spec)])
}

#[test]
fn a_pending_pod_without_an_address_breaks_nothing() {
    let mut world = from_web();
    world.pods[1].status = serde_json::from_value(json!({"phase": "Pending"})).unwrap();
    assert!(reaches(&world, WEB, DB) && !reaches(&world, API, DB));
}

#[test]
fn a_finished_pod_is_no_peer_and_no_subject() {
    for phase in ["Succeeded", "Failed"] {
        let mut world = from_web();
        world.pods[0].status.phase = phase.to_owned();
        assert!(!reaches(&world, WEB, DB));
        world.pods[2].status.phase = phase.to_owned();
        assert!(judge(&world, &flow(WEB, DB, Protocol::Tcp, 80)).ingress.is_none());
    }
}

#[test]
fn an_address_belongs_to_the_pod_that_was_created_last_and_inherits_nothing() {
    let mut world = from_web();
    world.pods[1].status = world.pods[0].status.clone();
    world.pods[0].metadata.creation_timestamp = "2026-01-02T00:00:00Z".to_owned();
    world.pods[1].metadata.creation_timestamp = "2026-01-01T00:00:00Z".to_owned();
    assert!(reaches(&world, WEB, DB), "web was created last");
    world.pods[1].metadata.creation_timestamp = "2026-01-03T00:00:00Z".to_owned();
    assert!(!reaches(&world, WEB, DB), "api was created last");
    world.pods[1].status.phase = "Failed".to_owned();
    assert!(reaches(&world, WEB, DB), "api is finished");
}

#[test]
fn of_two_pods_of_one_age_the_greatest_name_has_the_address() {
    let mut world = from_web();
    world.pods[1].status = world.pods[0].status.clone();
    assert!(reaches(&world, WEB, DB), "web > api");
    world.pods[1].metadata.namespace = "b".to_owned();
    assert!(!reaches(&world, WEB, DB), "b/api > a/web");
}

#[test]
fn a_pod_of_the_hosts_network_is_neither_subject_nor_member() {
    let mut world = from_web();
    world.pods[0].spec.host_network = true;
    world.pods[0].status.pod_ips[0].ip = "192.168.0.2".to_owned();
    assert!(!reaches(&world, "192.168.0.2", DB));
    world.pods[2].spec.host_network = true;
    assert!(judge(&world, &flow(API, DB, Protocol::Tcp, 80)).ingress.is_none());
}

#[test]
fn names_of_one_length_share_nothing() {
    let mut world = world(&[policy("weba/pp-x", json!({"ingress": [{}]})), policy("web/app-x", json!({}))]);
    world.pods[0].metadata.namespace = "web".to_owned();
    world.pods[1].metadata.namespace = "weba".to_owned();
    assert!(!reaches(&world, OUTSIDE, WEB) && reaches(&world, OUTSIDE, API));
}

#[test]
fn an_invalid_policy_denies_what_it_declares_to_whom_it_selects_and_stops_nothing_else() {
    let broken = json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 80, "endPort": 79}]}]});
    let mut policies = vec![policy("a/broken", broken)];
    let alone = world(&policies);
    assert!(!reaches(&alone, WEB, DB) && reaches(&alone, DB, WEB) && reaches(&alone, DB, API));
    let open = json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]});
    policies.push(policy("a/open", open));
    let beside = world(&policies);
    assert!(reaches(&beside, WEB, DB) && !reaches(&beside, API, DB), "policies add up");
}

#[test]
fn an_invalid_policy_whose_selector_or_type_can_not_be_understood_denies_more_rather_than_less() {
    let broken = json!({"key": "app", "operator": "Is", "values": ["db"]});
    let world_of = |spec: Value| world(&[policy("a/p", spec)]);
    let alone = world_of(json!({"podSelector": {"matchExpressions": [broken]}}));
    assert!(!reaches(&alone, OUTSIDE, WEB) && reaches(&alone, WEB, OUTSIDE));
    let beside =
        world_of(json!({"podSelector": {"matchLabels": {"app": "db"}, "matchExpressions": [broken]}}));
    assert!(reaches(&beside, OUTSIDE, WEB) && !reaches(&beside, OUTSIDE, DB));
    let broken = world_of(json!({"policyTypes": ["egress"]}));
    assert!(!reaches(&broken, OUTSIDE, WEB) && !reaches(&broken, WEB, OUTSIDE));
}
