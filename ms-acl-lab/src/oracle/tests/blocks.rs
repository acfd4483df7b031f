//! Items 31 to 36.

use super::*;

fn from(peers: Value) -> World {
    world(&[policy("a/p", json!({"ingress": [{"from": peers}]}))])
}

#[test]
fn a_hole_is_one_in_its_own_block_only() {
    let holed = json!({"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]}});
    let alone = from(json!([holed]));
    assert!(!reaches(&alone, OUTSIDE, WEB) && reaches(&alone, "203.0.113.16", WEB));
    let beside = from(json!([holed, {"ipBlock": {"cidr": "203.0.113.7/32"}}]));
    assert!(reaches(&beside, OUTSIDE, WEB) && !reaches(&beside, "203.0.113.8", WEB));
    let open = policy("a/q", json!({"ingress": [{"ports": [{"port": 80}]}]}));
    let other_policy = world(&[policy("a/p", json!({"ingress": [{"from": [holed]}]})), open]);
    assert!(reaches(&other_policy, OUTSIDE, WEB));
}

#[test]
fn everything_of_one_family_is_nothing_of_the_other() {
    let mut world = from(json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}]));
    world.pods[0].status.pod_ips.push(ms_acl_core::object::PodIp { ip: "fd00::1".to_owned() });
    assert!(reaches(&world, OUTSIDE, WEB));
    assert!(!reaches(&world, "2001:db8::1", "fd00::1"), "both families stay isolated");
}

#[test]
fn a_pods_address_in_a_block_matches() {
    let world = from(json!([{"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.0.0.2/32"]}}]));
    assert!(reaches(&world, DB, WEB) && !reaches(&world, API, WEB) && reaches(&world, OTHER_WEB, WEB));
}

#[test]
fn an_address_of_no_pod_never_matches_a_selector() {
    assert!(!reaches(&from(json!([{"podSelector": {}}, {"namespaceSelector": {}}])), OUTSIDE, WEB));
}
