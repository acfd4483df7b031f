//! What a port is (items 19 to 30).

use serde_json::json;

use crate::OUTSIDE;
use crate::world::two_teams;

#[test]
fn empty_ports_are_all_protocols_and_ports() {
    let mut world = two_teams();
    world
        .policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": []}]}));
    for port in ["1", "65535/udp", "9/sctp", "icmp"] {
        world.allows("a/web", "a/db", port);
    }
}

#[test]
fn an_absent_protocol_is_tcp() {
    let mut world = two_teams();
    for port in [json!({"port": 80}), json!({"port": 80, "protocol": null})] {
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [port]}]}));
        world.allows("b/web", "a/web", "80");
        world.rejects("b/web", "a/web", "81");
        world.rejects("b/web", "a/web", "80/udp");
        world.rejects("b/web", "a/web", "80/sctp");
        world.rejects("b/web", "a/web", "icmp");
    }
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{}]}]}));
    world.allows("b/web", "a/web", "9");
    world.rejects("b/web", "a/web", "9/udp");
}

#[test]
fn a_protocol_alone_is_all_its_ports() {
    let mut world = two_teams();
    for protocol in ["tcp", "udp", "sctp"] {
        let port = json!({"protocol": protocol.to_uppercase(), "port": null});
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [port]}]}));
        for other in ["tcp", "udp", "sctp"] {
            for number in ["1", "80", "65535"] {
                let port = format!("{number}/{other}");
                if other == protocol {
                    world.allows("b/web", "a/web", &port);
                } else {
                    world.rejects("b/web", "a/web", &port);
                }
            }
        }
        world.rejects("b/web", "a/web", "icmp");
    }
}

#[test]
fn a_udp_rule_opens_no_tcp_and_a_rule_about_sctp_alone_isolates_tcp() {
    let mut world = two_teams();
    for (rule, other) in [("UDP", "80/sctp"), ("SCTP", "80/udp")] {
        let ports = json!([{"protocol": rule, "port": 80}]);
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": ports}]}));
        world.allows("b/web", "a/web", &format!("80/{}", rule.to_lowercase()));
        world.rejects("b/web", "a/web", "80");
        world.rejects("b/web", "a/web", "81");
        world.rejects("b/web", "a/web", other);
    }
}

#[test]
fn the_port_after_translation_counts() {
    // A Service of port 80 leads to 8080: rules stand where the kernel has translated already, and no rule
    // asks for what was there before.
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 8080}]}]}));
    world.allows("b/web", "a/web", "8080");
    world.rejects("b/web", "a/web", "80");
    let compiled = ms_acl_core::compile::compile(&world.cluster, &world.settings);
    let hooks: Vec<&str> = compiled.rulesets.v4.hooks.keys().map(|hook| hook.chain()).collect();
    assert_eq!(hooks, ["FORWARD", "OUTPUT"], "chains of the filter table, behind nat PREROUTING and OUTPUT");
}

#[test]
fn end_port_is_inclusive_and_a_smaller_one_or_one_with_a_name_is_invalid() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 90}, {"port": 100, "endPort": 100}]}]}));
    for (port, open) in [
        ("79", false),
        ("80", true),
        ("90", true),
        ("91", false),
        ("99", false),
        ("100", true),
        ("101", false),
    ] {
        if open { world.allows("b/web", "a/web", port) } else { world.rejects("b/web", "a/web", port) }
    }
    assert!(world.faults().is_empty());
    for port in
        [json!({"port": 80, "endPort": 79}), json!({"port": "http", "endPort": 9000}), json!({"endPort": 80})]
    {
        let mut world = two_teams();
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [port, {"port": 81}]}]}));
        assert_eq!(world.faults().len(), 1);
        world.rejects("b/web", "a/web", "81");
    }
}

#[test]
fn a_named_ingress_port_resolves_on_each_target_pod() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}));
    world.allows("b/web", "a/web", "8080");
    world.rejects("b/web", "a/web", "9090");
    world.allows("b/web", "a/db", "9090");
    world.rejects("b/web", "a/db", "8080");
}

#[test]
fn a_named_egress_port_resolves_on_each_destination_pod_in_any_namespace() {
    let mut world = two_teams();
    // Without peers: the pods that have the name, never "anywhere on that number".
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
    );
    world.allows("a/web", "b/web", "7070");
    world.allows("a/web", "b/db", "6060");
    world.rejects("a/web", "b/db", "7070");
    world.rejects("a/web", OUTSIDE, "7070");
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "http"}]}]}));
    world.allows("a/web", "b/db", "6060");
    world.rejects("a/web", "b/web", "7070");
    // With an ipBlock it matches only pods.
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"ipBlock": {"cidr": "10.0.2.0/31", "except": []}}, {"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": "http"}]}]}));
    world.allows("a/web", "b/web", "7070");
    world.rejects("a/web", "b/db", "6060");
    world.rejects("a/web", OUTSIDE, "7070");
}

#[test]
fn a_wrong_protocol_or_an_unknown_name_is_nothing() {
    // A peer's defect: an unresolved named port opened every port.
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": "http", "protocol": "UDP"}, {"port": "nope"}]}], "egress": [{"ports": [{"port": "nope"}]}]}));
    world.rejects("b/web", "a/web", "8080");
    world.rejects("b/web", "a/web", "8080/udp");
    world.rejects("a/web", "b/web", "7070");
}

#[test]
fn the_same_name_on_tcp_and_udp() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "dns"}]}]}));
    world.allows("b/web", "a/web", "8081");
    world.rejects("b/web", "a/web", "8082/udp");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": "dns", "protocol": "UDP"}]}]}),
    );
    world.allows("b/web", "a/web", "8082/udp");
    world.rejects("b/web", "a/web", "8081");
}

#[test]
fn ports_of_init_and_sidecar_containers_count() {
    let mut world = two_teams();
    world.pod_with("a/x", json!({"app": "x"}), &["10.0.1.9"],
        json!({"initContainers": [{"ports": [{"name": "side", "containerPort": 5}]}], "containers": [{}, {"ports": [{"name": "main", "containerPort": 6}]}]}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": "side"}, {"port": "main"}]}]}),
    );
    world.allows("b/web", "a/x", "5");
    world.allows("b/web", "a/x", "6");
    world.rejects("b/web", "a/x", "7");
}

#[test]
fn more_than_15_ports_in_a_rule() {
    let mut world = two_teams();
    let ports: Vec<_> = (0..40).map(|n| json!({"port": 1000 + n * 2})).collect();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": ports}]}));
    for n in 0..40 {
        world.allows("b/web", "a/web", &(1000 + n * 2).to_string());
        world.rejects("b/web", "a/web", &(1001 + n * 2).to_string());
    }
}

#[test]
fn init_containers_count_whether_they_go_on_as_sidecars_or_not() {
    let mut world = two_teams();
    let init = |policy: Option<&str>, name: &str, number: u16| json!({"restartPolicy": policy, "ports": [{"name": name, "containerPort": number}]});
    world.pod_with(
        "a/x",
        json!({"app": "x"}),
        &["10.0.1.9"],
        json!({"initContainers": [init(None, "once", 5), init(Some("Always"), "side", 6)], "containers": [{}]}),
    );
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": "once"}, {"port": "side"}]}]}),
    );
    world.allows("b/web", "a/x", "5");
    world.allows("b/web", "a/x", "6");
    world.rejects("b/web", "a/x", "7");
}

#[test]
fn a_name_that_several_containers_use_is_all_their_ports() {
    let mut world = two_teams();
    let container = |number: u16| json!({"ports": [{"name": "http", "containerPort": number}]});
    world.pod_with(
        "b/x",
        json!({"app": "x"}),
        &["10.0.2.9"],
        json!({"containers": [container(5), container(6)]}),
    );
    world.policy("b/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
    );
    for (port, open) in [("5", true), ("6", true), ("7", false)] {
        if open { world.allows("a/web", "b/x", port) } else { world.rejects("a/web", "b/x", port) }
    }
}

#[test]
fn a_port_of_a_container_that_is_none_names_nothing_and_the_pod_is_governed_all_the_same() {
    let mut world = two_teams();
    let ports = json!([{"name": "low", "containerPort": 0}, {"name": "high", "containerPort": 65536},
        {"name": "odd", "containerPort": 5, "protocol": "tcp"}, {"name": "good", "containerPort": 6}]);
    world.pod_with("a/x", json!({"app": "x"}), &["10.0.1.9"], json!({"containers": [{"ports": ports}]}));
    assert_eq!(world.faults().len(), 3, "{:?}", world.faults());
    let names = json!([{"port": "low"}, {"port": "high"}, {"port": "odd"}, {"port": "good"}]);
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": names}]}));
    world.allows("b/web", "a/x", "6");
    for port in ["5", "65535", "1"] {
        world.rejects("b/web", "a/x", port);
    }
}

#[test]
fn a_named_egress_port_means_no_pod_of_the_host_network_and_none_that_has_ended() {
    let mut world = two_teams();
    let http =
        json!({"hostNetwork": true, "containers": [{"ports": [{"name": "http", "containerPort": 7070}]}]});
    world.pod_with("b/host", json!({}), &["192.168.0.2"], http);
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
    );
    world.rejects("a/web", "192.168.0.2", "7070");
    world.allows("a/web", "10.0.2.1", "7070");
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "b", "name": "web"},
        "spec": {"nodeName": "n2", "containers": [{"ports": [{"name": "http", "containerPort": 7070}]}]},
        "status": {"phase": "Succeeded", "podIP": "10.0.2.1"}}));
    world.rejects("a/web", "10.0.2.1", "7070");
}

#[test]
fn many_names_in_a_rule_mean_each_pods_own_ports() {
    let mut world = two_teams();
    let named = |first: u16| {
        let ports: Vec<_> =
            (0..12).map(|n| json!({"name": format!("p{n}"), "containerPort": first + n})).collect();
        json!({"containers": [{"ports": ports}]})
    };
    world.pod_with("b/x", json!({"app": "x"}), &["10.0.2.9"], named(100));
    world.pod_with("b/y", json!({"app": "y"}), &["10.0.2.10"], named(200));
    let ports: Vec<_> = (0..11).map(|n| json!({"port": format!("p{n}")})).collect();
    let to = json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}}, {"ipBlock": {"cidr": "10.0.2.10/32"}}]);
    world.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to, "ports": ports}]}),
    );
    for (pod, open, shut) in [("b/x", [100, 110], [99, 111]), ("b/y", [200, 210], [199, 211])] {
        for port in open {
            world.allows("a/web", pod, &port.to_string());
            world.rejects("a/web", pod, &format!("{port}/udp"));
        }
        for port in shut {
            world.rejects("a/web", pod, &port.to_string());
        }
    }
    world.rejects("a/web", "b/x", "200");
}
