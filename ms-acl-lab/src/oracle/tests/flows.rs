//! Flows outside of policy: a pod itself, its node, the pod range, link-local addresses.

use super::*;

const NODE: &str = "192.168.0.1";

fn isolated() -> World {
    world(&[policy("a/p", json!({"policyTypes": ["Ingress", "Egress"]}))])
}

#[test]
fn a_pod_always_reaches_itself() {
    let answer = judge(&isolated(), &flow(WEB, WEB, Protocol::Tcp, 80));
    assert_eq!((answer.verdict, answer.accepted), (Verdict::Allow, false));
    assert!(answer.egress.is_some() && answer.ingress.is_some());
}

#[test]
fn a_pod_and_its_own_node_reach_each_other() {
    let mut world = isolated();
    assert!(reaches(&world, NODE, WEB) && reaches(&world, WEB, NODE));
    world.settings.node_traffic = NodeTraffic::Enforce;
    assert!(!reaches(&world, NODE, WEB) && !reaches(&world, WEB, NODE));
}

#[test]
fn the_acl_leaves_a_pods_own_node_alone_too() {
    let mut world = world(&[]);
    world.acl = json!({"deployments": [{"namespace": "a", "name": "d", "defaultAction": "DENY"}]});
    world.deployments = vec![deployment_of_all("d")];
    assert!(reaches(&world, NODE, WEB) && !reaches(&world, OUTSIDE, WEB));
}

#[test]
fn another_node_is_an_ordinary_peer() {
    let mut world = isolated();
    world.pods[0].spec.node_name = "n2".to_owned();
    assert!(!reaches(&world, NODE, WEB) && !reaches(&world, WEB, NODE));
}

#[test]
fn all_local_addresses_of_the_kernel_are_the_node() {
    let mut world = isolated();
    assert!(!reaches(&world, "10.0.0.254", WEB));
    world.local_addresses.insert("n1".to_owned(), vec!["10.0.0.254".parse().unwrap()]);
    assert!(reaches(&world, "10.0.0.254", WEB) && reaches(&world, WEB, "10.0.0.254"));
}

#[test]
fn kubernetes_policy_looks_only_at_other_ends_in_the_pod_range() {
    let mut world = isolated();
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    assert!(reaches(&world, OUTSIDE, WEB) && reaches(&world, WEB, OUTSIDE) && !reaches(&world, WEB, API));
    world.pods[0].status.pod_ips.push(ms_acl_core::object::PodIp { ip: "fd00::1".to_owned() });
    assert!(!reaches(&world, "2001:db8::1", "fd00::1"), "a family that isn't named is whole");
}

#[test]
fn the_acl_is_not_subject_to_the_pod_range() {
    let mut world = world(&[]);
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    world.acl = json!({"deployments": [{"namespace": "a", "name": "d", "defaultAction": "DENY"}]});
    world.deployments = vec![deployment_of_all("d")];
    assert!(!reaches(&world, OUTSIDE, WEB));
}

#[test]
fn link_local_addresses_are_no_way_around() {
    let open = json!({"ingress": [{"from": [{"ipBlock": {"cidr": "fe80::/10"}}]}]});
    let mut world = world(&[policy("a/p", open)]);
    for (pod, address) in [(0, "fd00::1"), (3, "fd00::4")] {
        world.pods[pod].status.pod_ips.push(ms_acl_core::object::PodIp { ip: address.to_owned() });
    }
    let refused = judge(&world, &flow("fe80::9", "fd00::1", Protocol::Tcp, 80));
    assert_eq!(refused.verdict, Verdict::Drop);
    assert_eq!(refused.ingress.unwrap().gate, Some(Gate::LinkLocal));
    assert!(!reaches(&world, "fd00::4", "fe80::9"), "a neighbour of a governed pod");
    world.network_policies.clear();
    assert!(reaches(&world, "fd00::4", "fe80::9") && reaches(&world, "fe80::9", "fd00::1"));
}

#[test]
fn link_local_addresses_of_a_pods_own_node_are_its_node() {
    let mut world = isolated();
    world.pods[0].status.pod_ips.push(ms_acl_core::object::PodIp { ip: "fd00::1".to_owned() });
    world.local_addresses.insert("n1".to_owned(), vec!["fe80::1".parse().unwrap()]);
    assert!(reaches(&world, "fe80::1", "fd00::1") && !reaches(&world, "fe80::2", "fd00::1"));
}
