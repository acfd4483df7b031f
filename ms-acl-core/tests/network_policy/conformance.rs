//! The cases of Kubernetes' own end-to-end tests of NetworkPolicy and of Cyclonus: namespaces x, y and z with
//! pods a, b and c each, and after each step who reaches whom, every pair of them.

use serde_json::{Value, json};

use crate::OUTSIDE;
use crate::world::World;

const NAMES: [&str; 3] = ["x", "y", "z"];
const PODS: [&str; 3] = ["a", "b", "c"];

fn grid() -> World {
    let mut world = World::new();
    for (row, namespace) in NAMES.into_iter().enumerate() {
        world.namespace(namespace, json!({"ns": namespace}));
        for (column, pod) in PODS.into_iter().enumerate() {
            labelled(&mut world, (row, column), json!({"pod": pod}));
        }
    }
    world
}

/// The pod of this row and column: a and b live on node n1, c on n2.
fn labelled(world: &mut World, (row, column): (usize, usize), labels: Value) {
    let port = |number: u16, protocol: &str| json!({"name": format!("serve-{number}-{}", protocol.to_lowercase()), "containerPort": number, "protocol": protocol});
    let ports: Vec<Value> =
        ["TCP", "UDP", "SCTP"].iter().flat_map(|protocol| [port(80, protocol), port(81, protocol)]).collect();
    let subnet = if column < 2 { 1 } else { 2 };
    let name = format!("{}/{}", NAMES[row], PODS[column]);
    let address = format!("10.0.{subnet}.{}", 10 * (row + 1) + column);
    world.pod_with(&name, labels, &[&address], json!({"containers": [{"ports": ports}]}));
}

/// Checks every pair of pods, and each pod with the outside, in both directions. A pod is named `x/a`, the
/// outside is empty. Whatever is expected of them, pods reach themselves.
#[track_caller]
fn reach(world: &World, port: &str, expected: impl Fn(&str, &str) -> bool) {
    let mut ends: Vec<String> =
        NAMES.iter().flat_map(|ns| PODS.iter().map(move |pod| format!("{ns}/{pod}"))).collect();
    ends.push(String::new());
    let shown = |end: &str| if end.is_empty() { OUTSIDE.to_owned() } else { end.to_owned() };
    for from in &ends {
        for to in ends.iter().filter(|to| !(from.is_empty() && to.is_empty())) {
            if from == to || expected(from, to) {
                world.allows(&shown(from), &shown(to), port);
            } else {
                world.rejects(&shown(from), &shown(to), port);
            }
        }
    }
}

fn namespace(end: &str) -> &str {
    end.split('/').next().unwrap_or_default()
}

fn pod(end: &str) -> &str {
    end.split('/').nth(1).unwrap_or_default()
}

fn selector(key: &str, value: &str) -> Value {
    json!({"matchLabels": {key: value}})
}

#[test]
fn default_deny_ingress_and_default_deny_all() {
    let mut world = grid();
    world.policy("x/deny", json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}));
    reach(&world, "80", |_, to| namespace(to) != "x");
    world.policy(
        "x/deny",
        json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"], "ingress": [],
        "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}]}),
    );
    reach(&world, "80", |from, to| namespace(to) != "x" && namespace(from) != "x");
    reach(&world, "53/udp", |_, to| namespace(to) != "x");
}

#[test]
fn pods_by_labels_within_the_namespace() {
    let mut world = grid();
    world.policy("x/p", json!({"podSelector": selector("pod", "a"), "ingress": [{"from": [{"podSelector": selector("pod", "b")}]}]}));
    reach(&world, "80", |from, to| to != "x/a" || from == "x/b");
    world.policy(
        "x/p",
        json!({"podSelector": selector("pod", "a"), "ingress": [{"from": [{"podSelector": {}}]}]}),
    );
    reach(&world, "80", |from, to| to != "x/a" || namespace(from) == "x");
}

#[test]
fn pods_of_all_or_some_namespaces() {
    let mut world = grid();
    let with = |peers: Value| json!({"podSelector": selector("pod", "a"), "ingress": [{"from": peers}]});
    world.policy("x/p", with(json!([{"namespaceSelector": {}}])));
    reach(&world, "80", |from, to| to != "x/a" || !from.is_empty());
    world.policy("x/p", with(json!([{"namespaceSelector": selector("ns", "y")}])));
    reach(&world, "80", |from, to| to != "x/a" || namespace(from) == "y");
    let y_or_z = json!({"matchExpressions": [{"key": "ns", "operator": "In", "values": ["y", "z"]}]});
    world.policy("x/p", with(json!([{"namespaceSelector": y_or_z}])));
    reach(&world, "80", |from, to| to != "x/a" || ["y", "z"].contains(&namespace(from)));
}

#[test]
fn pods_or_namespaces_and_pods_in_namespaces() {
    let mut world = grid();
    let with = |peers: Value| json!({"podSelector": selector("pod", "a"), "ingress": [{"from": peers}]});
    world.policy(
        "x/p",
        with(json!([{"namespaceSelector": selector("ns", "y")}, {"podSelector": selector("pod", "b")}])),
    );
    reach(&world, "80", |from, to| to != "x/a" || namespace(from) == "y" || from == "x/b");
    world.policy(
        "x/p",
        with(json!([{"namespaceSelector": selector("ns", "y"), "podSelector": selector("pod", "b")}])),
    );
    reach(&world, "80", |from, to| to != "x/a" || from == "y/b");
    let not_x = json!({"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["x"]}]});
    let b_or_c = json!({"matchExpressions": [{"key": "pod", "operator": "In", "values": ["b", "c"]}]});
    world.policy("x/p", with(json!([{"namespaceSelector": not_x, "podSelector": b_or_c}])));
    reach(&world, "80", |from, to| {
        to != "x/a" || ["y", "z"].contains(&namespace(from)) && ["b", "c"].contains(&pod(from))
    });
    world.policy(
        "x/p",
        with(json!([{"namespaceSelector": not_x, "podSelector": b_or_c}, {"podSelector": {}}])),
    );
    reach(&world, "80", |from, to| {
        to != "x/a" || namespace(from) == "x" || !from.is_empty() && ["b", "c"].contains(&pod(from))
    });
}

#[test]
fn stacked_policies_add_up_port_by_port() {
    let mut world = grid();
    let from_y = |port: u16| {
        json!({"podSelector": selector("pod", "a"),
            "ingress": [{"from": [{"namespaceSelector": selector("ns", "y")}], "ports": [{"protocol": "TCP", "port": port}]}]})
    };
    world.policy("x/p-81", from_y(81));
    reach(&world, "81", |from, to| to != "x/a" || namespace(from) == "y");
    reach(&world, "80", |_, to| to != "x/a");
    world.policy("x/p-80", from_y(80));
    reach(&world, "81", |from, to| to != "x/a" || namespace(from) == "y");
    reach(&world, "80", |from, to| to != "x/a" || namespace(from) == "y");
    world.policy("x/all", json!({"podSelector": {"matchLabels": {}}, "ingress": [{}]}));
    for port in ["80", "81", "80/udp", "80/sctp", "icmp"] {
        reach(&world, port, |_, _| true);
    }
}

#[test]
fn one_named_port_in_ingress_from_all_or_from_a_namespace() {
    let mut world = grid();
    world.policy("x/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "serve-81-tcp"}]}]}));
    reach(&world, "81", |_, _| true);
    for port in ["80", "81/udp", "81/sctp", "icmp"] {
        reach(&world, port, |_, to| namespace(to) != "x");
    }
    world.policy("x/p", json!({"podSelector": {}, "ingress": [
        {"from": [{"namespaceSelector": selector("ns", "y")}], "ports": [{"protocol": "UDP", "port": "serve-80-udp"}]}]}));
    reach(&world, "80/udp", |from, to| namespace(to) != "x" || namespace(from) == "y");
    reach(&world, "80", |_, to| namespace(to) != "x");
}

#[test]
fn one_named_port_in_egress() {
    let mut world = grid();
    world.policy("x/p", json!({"podSelector": selector("pod", "a"), "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "serve-80-tcp"}]}]}));
    reach(&world, "80", |from, to| from != "x/a" || !to.is_empty());
    reach(&world, "81", |from, _| from != "x/a");
    reach(&world, "80/udp", |from, _| from != "x/a");
}

#[test]
fn every_pair_of_protocol_and_port() {
    // As Cyclonus crosses them: protocol absent or each, port absent, number or name.
    for protocol in [None, Some("TCP"), Some("UDP"), Some("SCTP")] {
        for port in [json!(null), json!(81), json!("serve-81-tcp")] {
            let spec = json!([{"protocol": protocol, "port": port}]);
            let spoken = protocol.unwrap_or("TCP").to_lowercase();
            for number in ["80", "81"] {
                for other in ["tcp", "udp", "sctp"] {
                    let named = port.is_string();
                    let open =
                        other == spoken && (port.is_null() || number == "81") && (!named || spoken == "tcp");
                    let mut world = grid();
                    world.policy(
                        "x/p",
                        json!({"podSelector": selector("pod", "a"), "ingress": [{"ports": spec}]}),
                    );
                    reach(&world, &format!("{number}/{other}"), |_, to| to != "x/a" || open);
                    let mut world = grid();
                    world.policy("x/p", json!({"podSelector": selector("pod", "a"), "policyTypes": ["Egress"], "egress": [{"ports": spec}]}));
                    reach(&world, &format!("{number}/{other}"), |from, to| {
                        from != "x/a" || open && (!named || !to.is_empty())
                    });
                }
            }
        }
    }
}

#[test]
fn an_updated_policy_takes_effect_and_a_deleted_one_ends() {
    let mut world = grid();
    world.policy("x/p", json!({"podSelector": {}, "ingress": [{}]}));
    reach(&world, "80", |_, _| true);
    world.policy("x/p", json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}));
    reach(&world, "80", |_, to| namespace(to) != "x");
    world.policy(
        "x/p",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}),
    );
    reach(&world, "80", |from, to| namespace(to) != "x" && namespace(from) != "x");
    world.delete("NetworkPolicy", "x/p");
    reach(&world, "80", |_, _| true);
}

#[test]
fn updated_labels_of_namespaces_and_pods_take_effect() {
    let mut world = grid();
    world.policy("x/p", json!({"podSelector": selector("pod", "a"), "ingress": [{"from": [{"namespaceSelector": selector("ns2", "updated")}]}]}));
    reach(&world, "80", |_, to| to != "x/a");
    world.namespace("y", json!({"ns": "y", "ns2": "updated"}));
    reach(&world, "80", |from, to| to != "x/a" || namespace(from) == "y");
    world.delete("NetworkPolicy", "x/p");
    let both = json!({"matchLabels": {"pod": "b", "pod2": "updated"}});
    world.policy(
        "x/p",
        json!({"podSelector": selector("pod", "a"), "ingress": [{"from": [{"podSelector": both}]}]}),
    );
    reach(&world, "80", |_, to| to != "x/a");
    labelled(&mut world, (0, 1), json!({"pod": "b", "pod2": "updated"}));
    reach(&world, "80", |from, to| to != "x/a" || from == "x/b");
    world.policy("x/p", json!({"podSelector": selector("target", "isolated")}));
    reach(&world, "80", |_, _| true);
    labelled(&mut world, (0, 0), json!({"target": "isolated"}));
    reach(&world, "80", |_, to| to != "x/a");
}

#[test]
fn ingress_and_egress_together_and_independently() {
    let mut world = grid();
    world.policy(
        "x/p",
        json!({"podSelector": selector("pod", "a"), "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": selector("pod", "b")}]}],
        "egress": [{"ports": [{"port": 80}, {"protocol": "UDP", "port": 53}]}]}),
    );
    reach(&world, "80", |from, to| to != "x/a" || from == "x/b");
    reach(&world, "81", |from, to| (to != "x/a" || from == "x/b") && from != "x/a");
    let mut world = grid();
    world.policy("x/in", json!({"podSelector": selector("pod", "a"), "ingress": [{"from": [{"podSelector": selector("pod", "b")}]}]}));
    world.policy("x/out", json!({"podSelector": selector("pod", "a"), "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": selector("pod", "b")}]}]}));
    reach(&world, "80", |from, to| (to != "x/a" || from == "x/b") && (from != "x/a" || to == "x/b"));
    world.delete("NetworkPolicy", "x/in");
    reach(&world, "80", |from, to| from != "x/a" || to == "x/b");
}

#[test]
fn egress_is_refused_at_the_client_even_if_the_server_lets_it_in() {
    let mut world = grid();
    let y_a = json!([{"namespaceSelector": selector("ns", "y"), "podSelector": selector("pod", "a")}]);
    let x_a = json!([{"namespaceSelector": selector("ns", "x"), "podSelector": selector("pod", "a")}]);
    world.policy("x/out", json!({"podSelector": selector("pod", "a"), "policyTypes": ["Egress"], "egress": [{"to": y_a}, {"ports": [{"protocol": "UDP", "port": 53}]}]}));
    world.policy("y/in-a", json!({"podSelector": selector("pod", "a"), "ingress": [{"from": x_a}]}));
    world.policy("y/in-b", json!({"podSelector": selector("pod", "b"), "ingress": [{"from": x_a}]}));
    reach(&world, "80", |from, to| {
        (from != "x/a" || to == "y/a") && (!["y/a", "y/b"].contains(&to) || from == "x/a")
    });
}

#[test]
fn egress_to_a_block_and_to_what_its_except_leaves() {
    let mut world = grid();
    let to = |peers: Value| json!({"podSelector": selector("pod", "a"), "policyTypes": ["Egress"], "egress": [{"to": peers}]});
    // y/b is 10.0.1.21, y/c is 10.0.2.22.
    world.policy("x/p", to(json!([{"ipBlock": {"cidr": "10.0.1.21/32"}}])));
    reach(&world, "80", |from, to| from != "x/a" || to == "y/b");
    world.policy("x/p", to(json!([{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.1.21/32"]}}])));
    reach(&world, "80", |from, to| from != "x/a" || !to.is_empty() && to != "y/b");
    // An address in the hole of one block is let out by another policy.
    world.policy("x/q", to(json!([{"ipBlock": {"cidr": "10.0.1.21/32"}}])));
    reach(&world, "80", |from, to| from != "x/a" || !to.is_empty());
    world.delete("NetworkPolicy", "x/p");
    reach(&world, "80", |from, to| from != "x/a" || to == "y/b");
}

#[test]
fn ingress_by_blocks_with_and_without_holes() {
    let mut world = grid();
    let from = |peers: Value| json!({"podSelector": selector("pod", "a"), "ingress": [{"from": peers}]});
    world.policy("x/p", from(json!([{"ipBlock": {"cidr": "10.0.1.77/24"}}])));
    reach(&world, "80", |from, to| to != "x/a" || !from.is_empty() && pod(from) != "c");
    world.policy("x/p", from(json!([{"ipBlock": {"cidr": "10.0.1.77/24", "except": ["10.0.1.20/30"]}}])));
    reach(&world, "80", |from, to| {
        to != "x/a" || namespace(from) != "y" && !from.is_empty() && pod(from) != "c"
    });
    world.policy("x/p", from(json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}])));
    reach(&world, "80", |_, _| true);
    world.policy("x/p", from(json!([{"ipBlock": {"cidr": "0.0.0.0/31"}}])));
    reach(&world, "80", |_, to| to != "x/a");
}

#[test]
fn an_allow_all_policy_takes_precedence_over_any_other() {
    let mut world = grid();
    world.policy(
        "x/b-only",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": selector("pod", "b")}]}]}),
    );
    reach(&world, "80", |from, to| namespace(to) != "x" || from == "x/b");
    world.policy("x/all", json!({"podSelector": {}, "ingress": [{}]}));
    reach(&world, "80", |_, _| true);
    let mut world = grid();
    world.policy(
        "x/80-only",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 80}]}]}),
    );
    reach(&world, "81", |from, _| namespace(from) != "x");
    world.policy("x/all", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}));
    reach(&world, "81", |_, _| true);
}

#[test]
fn policies_about_one_protocol_refuse_the_others() {
    for protocol in ["TCP", "UDP", "SCTP"] {
        let mut world = grid();
        world.policy("x/p", json!({"podSelector": selector("pod", "a"), "ingress": [{"ports": [{"protocol": protocol, "port": 81}]}]}));
        for other in ["TCP", "UDP", "SCTP"] {
            for number in ["80", "81"] {
                let port = format!("{number}/{}", other.to_lowercase());
                reach(&world, &port, |_, to| to != "x/a" || protocol == other && number == "81");
            }
        }
        world.policy(
            "x/p",
            json!({"podSelector": selector("pod", "a"), "ingress": [{"ports": [{"protocol": protocol}]}]}),
        );
        reach(&world, &format!("8000/{}", protocol.to_lowercase()), |_, _| true);
    }
}

/// Whatever of two policies denies, what the other allows is allowed; and what one end refuses stays
/// refused, whatever the other end allows.
#[test]
fn conflicts_of_allowing_and_denying() {
    let all = json!([{}]);
    let none = json!([]);
    let by_pod = json!([{"peers": [{"namespaceSelector": {}}]}]);
    let by_block = json!([{"peers": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]);
    let no_block = json!([{"peers": [{"ipBlock": {"cidr": "0.0.0.0/31"}}]}]);
    let no_pod = json!([{"peers": [{"namespaceSelector": selector("this-will-never-happen", "qrs123")}]}]);
    let rules = |field: &str, rules: &Value| -> Value {
        rules
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| if rule["peers"].is_null() { json!({}) } else { json!({field: rule["peers"]}) })
            .collect()
    };
    let egress = |with: &Value| json!({"podSelector": selector("pod", "b"), "policyTypes": ["Egress"], "egress": rules("to", with)});
    let ingress = |with: &Value| json!({"podSelector": selector("pod", "c"), "policyTypes": ["Ingress"], "ingress": rules("from", with)});

    // Two ends.
    let mut world = grid();
    world.policy("x/out", egress(&none)).policy("y/in", ingress(&all));
    reach(&world, "80", |from, _| from != "x/b");
    let mut world = grid();
    world.policy("x/out", egress(&all)).policy("y/in", ingress(&none));
    reach(&world, "80", |_, to| to != "y/c");
    // Two policies of one end.
    for (deny, allow, outside) in [
        (&none, &all, true),
        (&none, &by_pod, false),
        (&none, &by_block, true),
        (&no_block, &by_pod, false),
        (&no_pod, &by_block, true),
    ] {
        let mut world = grid();
        world.policy("x/deny", egress(deny)).policy("x/allow", egress(allow));
        reach(&world, "80", |from, to| from != "x/b" || outside || !to.is_empty());
        let mut world = grid();
        world.policy("y/deny", ingress(deny)).policy("y/allow", ingress(allow));
        reach(&world, "80", |from, to| to != "y/c" || outside || !from.is_empty());
    }
    // Denied by allowing something that isn't there.
    for deny in [&no_block, &no_pod] {
        let mut world = grid();
        world.policy("x/out", egress(deny));
        reach(&world, "80", |from, _| from != "x/b");
        let mut world = grid();
        world.policy("y/in", ingress(deny));
        reach(&world, "80", |_, to| to != "y/c");
    }
}
