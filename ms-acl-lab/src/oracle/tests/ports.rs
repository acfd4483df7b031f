//! Items 19 to 30.

use super::Protocol::{Icmp, Sctp, Tcp, Udp};
use super::*;

fn ingress(ports: Value) -> World {
    world(&[policy("a/p", json!({"ingress": [{"ports": ports}]}))])
}

fn with_ports(mut world: World, pod: usize, ports: Value) -> World {
    let container = json!({"ports": ports});
    world.pods[pod].spec.containers.push(serde_json::from_value(container).unwrap());
    world
}

#[test]
fn no_ports_mean_all_protocols_and_ports() {
    for ports in [json!([]), json!(null)] {
        let world = ingress(ports);
        for protocol in [Tcp, Udp, Sctp, Icmp] {
            assert!(reaches_port(&world, OUTSIDE, WEB, protocol, 7));
        }
    }
}

#[test]
fn an_absent_protocol_is_tcp() {
    let world = ingress(json!([{"port": 80}]));
    assert!(reaches_port(&world, OUTSIDE, WEB, Tcp, 80));
    for (protocol, port) in [(Udp, 80), (Sctp, 80), (Icmp, 80), (Tcp, 79), (Tcp, 81)] {
        assert!(!reaches_port(&world, OUTSIDE, WEB, protocol, port));
    }
}

#[test]
fn a_protocol_alone_means_all_its_ports() {
    let world = ingress(json!([{"protocol": "UDP"}]));
    assert!(reaches_port(&world, OUTSIDE, WEB, Udp, 1) && reaches_port(&world, OUTSIDE, WEB, Udp, 65535));
    assert!(!reaches_port(&world, OUTSIDE, WEB, Tcp, 1) && !reaches_port(&world, OUTSIDE, WEB, Icmp, 1));
    let world = ingress(json!([{}]));
    assert!(reaches_port(&world, OUTSIDE, WEB, Tcp, 1) && !reaches_port(&world, OUTSIDE, WEB, Udp, 1));
}

#[test]
fn a_policy_about_sctp_isolates_tcp() {
    let world = ingress(json!([{"protocol": "SCTP", "port": 9}]));
    assert!(reaches_port(&world, OUTSIDE, WEB, Sctp, 9) && !reaches_port(&world, OUTSIDE, WEB, Tcp, 9));
}

#[test]
fn a_range_includes_both_ends() {
    let world = ingress(json!([{"port": 8000, "endPort": 8002}, {"port": 9, "endPort": 9}]));
    let open = [7999, 8000, 8002, 8003, 8, 9, 10].map(|port| reaches_port(&world, OUTSIDE, WEB, Tcp, port));
    assert_eq!(open, [false, true, true, false, false, true, false]);
}

#[test]
fn a_named_ingress_port_means_each_target_pods_own() {
    let world =
        with_ports(ingress(json!([{"port": "http"}])), 0, json!([{"name": "http", "containerPort": 8080}]));
    let world = with_ports(world, 1, json!([{"name": "http", "containerPort": 9090}]));
    assert!(reaches_port(&world, OUTSIDE, WEB, Tcp, 8080) && !reaches_port(&world, OUTSIDE, WEB, Tcp, 9090));
    assert!(reaches_port(&world, OUTSIDE, API, Tcp, 9090) && !reaches_port(&world, OUTSIDE, API, Tcp, 8080));
    assert!(!reaches_port(&world, OUTSIDE, DB, Tcp, 8080), "a pod without the name opens nothing");
}

#[test]
fn a_named_egress_port_means_the_reached_pods_own_in_any_namespace() {
    let spec = json!({"policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]});
    let world =
        with_ports(world(&[policy("a/p", spec)]), 3, json!([{"name": "http", "containerPort": 8080}]));
    let world = with_ports(world, 0, json!([{"name": "http", "containerPort": 1}]));
    assert!(reaches_port(&world, WEB, OTHER_WEB, Tcp, 8080) && !reaches_port(&world, WEB, OTHER_WEB, Tcp, 1));
    assert!(!reaches_port(&world, WEB, OUTSIDE, Tcp, 8080), "never a number for everybody");
}

#[test]
fn a_named_egress_port_with_a_block_matches_only_pods() {
    let spec = json!({"policyTypes": ["Egress"],
        "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": "http"}]}]});
    let world =
        with_ports(world(&[policy("a/p", spec)]), 1, json!([{"name": "http", "containerPort": 8080}]));
    assert!(reaches_port(&world, WEB, API, Tcp, 8080) && !reaches_port(&world, WEB, OUTSIDE, Tcp, 8080));
}

#[test]
fn a_name_of_another_protocol_or_an_unknown_name_opens_nothing() {
    let ports = json!([{"name": "dns", "containerPort": 53, "protocol": "UDP"}]);
    let world = with_ports(ingress(json!([{"port": "dns"}, {"port": "nope", "protocol": "UDP"}])), 0, ports);
    assert!(!reaches_port(&world, OUTSIDE, WEB, Tcp, 53) && !reaches_port(&world, OUTSIDE, WEB, Udp, 53));
}

#[test]
fn one_name_may_stand_for_tcp_and_udp() {
    let ports = json!([{"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"name": "dns", "containerPort": 54, "protocol": "TCP"}]);
    let world = with_ports(ingress(json!([{"port": "dns", "protocol": "UDP"}])), 0, ports);
    assert!(reaches_port(&world, OUTSIDE, WEB, Udp, 53));
    assert!(!reaches_port(&world, OUTSIDE, WEB, Udp, 54) && !reaches_port(&world, OUTSIDE, WEB, Tcp, 54));
}

#[test]
fn ports_of_init_containers_count() {
    let mut world = ingress(json!([{"port": "probe"}]));
    let container = json!({"ports": [{"name": "probe", "containerPort": 9}]});
    world.pods[0].spec.init_containers.push(serde_json::from_value(container).unwrap());
    assert!(reaches_port(&world, OUTSIDE, WEB, Tcp, 9));
}

#[test]
fn a_rule_may_have_more_than_fifteen_ports() {
    let ports: Vec<Value> = (1..=40).map(|port| json!({"port": port * 10})).collect();
    let world = ingress(json!(ports));
    assert!(reaches_port(&world, OUTSIDE, WEB, Tcp, 400) && !reaches_port(&world, OUTSIDE, WEB, Tcp, 401));
}
