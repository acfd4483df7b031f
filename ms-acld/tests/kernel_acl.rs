//! Folder → kernel → `PUT /policy`, on real packets.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use common::Request;
use common::cluster::{Manifests, NodeDaemon, PORT, acl, expect};
use ms_acl_lab::net::Outcome::{Allowed, Dropped, Rejected};
use ms_acl_lab::net::{Cluster, Family, OUTSIDE, PodSpec, Ports, Probe, Protocol, Wiring};
use serde_json::json;

fn build(wiring: Wiring) -> Cluster {
    let cluster = Cluster::builder()
        .nodes(2)
        .wiring(wiring)
        .pod(PodSpec::new("default/web-0", "node1"))
        .pod(PodSpec::new("default/client-0", "node1"))
        .pod(PodSpec::new("default/far-0", "node2"))
        .pod(PodSpec::new("other/db-0", "node1"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    cluster
}

const ALL_PEERS: [&str; 3] = ["default/client-0", "default/far-0", OUTSIDE];

#[test]
fn the_four_actions_do_what_they_say() {
    for wiring in [Wiring::Routed, Wiring::Bridged] {
        let cluster = build(wiring);
        let manifests = Manifests::of(&cluster);
        let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
        for peer in ALL_PEERS {
            expect(&cluster, peer, "default/web-0", Protocol::Tcp, Allowed);
        }
        for (action, outcome) in [
            ("DENY", Dropped),
            ("REJECT", Rejected),
            ("ALLOW", Allowed),
            ("RETURN", Allowed),
            ("drop", Dropped),
        ] {
            node.put(&acl("default/web", "ALLOW", &json!([{"action": action}])));
            for peer in ALL_PEERS {
                expect(&cluster, peer, "default/web-0", Protocol::Tcp, outcome);
            }
            expect(&cluster, "default/client-0", "default/web-0", Protocol::Udp, outcome);
            // Own node, and Deployments that aren't listed, are untouched.
            expect(&cluster, "node1", "default/web-0", Protocol::Tcp, Allowed);
            expect(&cluster, "default/client-0", "other/db-0", Protocol::Tcp, Allowed);
        }
        for (default, outcome) in [("DENY", Dropped), ("REJECT", Rejected), ("ALLOW", Allowed)] {
            node.put(&acl("default/web", default, &json!([])));
            expect(&cluster, "default/far-0", "default/web-0", Protocol::Tcp, outcome);
        }
        assert_eq!(node.send(Request::new("DELETE", "/policy")).status, 200);
        for peer in ALL_PEERS {
            expect(&cluster, peer, "default/web-0", Protocol::Tcp, Allowed);
        }
    }
}

#[test]
fn the_first_match_decides() {
    let cluster = build(Wiring::Routed);
    let manifests = Manifests::of(&cluster);
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    let address = |family| cluster.address("default/client-0", family).unwrap();
    let client = json!([address(Family::V4), address(Family::V6)]);
    node.put(&acl(
        "default/web",
        "ALLOW",
        &json!([
            {"action": "ALLOW", "srcCIDRs": client, "protocol": "tcp", "port": PORT},
            {"action": "REJECT", "srcCIDRs": client, "protocol": "tcp"},
            {"action": "DENY"},
        ]),
    ));
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Udp, Dropped);
    expect(&cluster, "default/far-0", "default/web-0", Protocol::Tcp, Dropped);
    let closed = Family::BOTH.map(|family| {
        let from = cluster.endpoint("default/client-0", family).unwrap();
        Probe::new(from, cluster.address("default/web-0", family).unwrap(), Protocol::Tcp, PORT + 1)
    });
    assert_eq!(cluster.probe(&closed).unwrap(), [Rejected; 2]);
}

#[test]
fn accept_keeps_a_flow_from_later_rules_and_return_does_not() {
    let cluster = build(Wiring::Routed);
    let manifests = Manifests::of(&cluster);
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    for family in Family::BOTH {
        let web = cluster.address("default/web-0", family).unwrap();
        for way in ["-s", "-d"] {
            cluster.iptables("node1", family, &format!("-A FORWARD {way} {web} -j DROP")).unwrap();
        }
    }
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    node.put(&acl("default/web", "DENY", &json!([{"action": "RETURN"}])));
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    node.put(&acl("default/web", "DENY", &json!([{"action": "ALLOW"}])));
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
    expect(&cluster, "default/far-0", "default/web-0", Protocol::Udp, Allowed);
}

#[test]
fn pods_that_come_and_go_are_followed() {
    let mut cluster = build(Wiring::Routed);
    let manifests = Manifests::of(&cluster);
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]}});
    manifests.write("policy.json", &policy);
    cluster.add_pod(PodSpec::new("default/client-1", "node2")).unwrap();
    cluster.add_pod(PodSpec::new("default/web-1", "node1")).unwrap();
    for pod in ["default/client-1", "default/web-1"] {
        cluster.serve(pod, &Ports::all(&[PORT])).unwrap();
    }
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    let before = node.status();
    // Neither is known yet.
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
    expect(&cluster, "default/client-1", "default/web-0", Protocol::Tcp, Rejected);
    expect(&cluster, "default/far-0", "default/web-1", Protocol::Tcp, Allowed);
    manifests.add_pod(cluster.pod("default/client-1").unwrap());
    manifests.add_pod(cluster.pod("default/web-1").unwrap());
    node.wait_inputs(&before, 2);
    expect(&cluster, "default/client-1", "default/web-0", Protocol::Tcp, Allowed);
    expect(&cluster, "default/far-0", "default/web-1", Protocol::Tcp, Rejected);
    let before = node.status();
    manifests.remove("pod-default-client-1.json");
    node.wait_inputs(&before, 1);
    expect(&cluster, "default/client-1", "default/web-0", Protocol::Tcp, Rejected);
    let before = node.status();
    manifests.remove("policy.json");
    node.wait_inputs(&before, 1);
    expect(&cluster, "default/far-0", "default/web-1", Protocol::Tcp, Allowed);
}
