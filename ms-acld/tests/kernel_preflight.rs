//! `/status` tells what keeps the rules from governing pods, and no longer once it is gone.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use common::cluster::{Manifests, NodeDaemon};
use ms_acl_lab::net::{Cluster, Family, PodSpec, Wiring};
use serde_json::Value;

fn build(wiring: Wiring) -> (Cluster, Manifests) {
    let cluster = Cluster::builder()
        .nodes(2)
        .wiring(wiring)
        .pod(PodSpec::new("default/web-0", "node1"))
        .pod(PodSpec::new("default/web-1", "node2"))
        .build()
        .unwrap();
    let manifests = Manifests::of(&cluster);
    (cluster, manifests)
}

fn told<'s>(status: &'s Value, part: &str) -> Option<&'s str> {
    status["preflight"].as_array().unwrap().iter().filter_map(Value::as_str).find(|line| line.contains(part))
}

#[test]
fn findings_come_and_go() {
    let (cluster, manifests) = build(Wiring::Routed);
    let run = |script: &str| cluster.output_in("node1", "sh", &["-ec", script]).unwrap();
    cluster.iptables("node1", Family::V4, "-t nat -A POSTROUTING -s 10.244.1.0/24 -j MASQUERADE").unwrap();
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--resync", "1s", "--mark-mask", "0xe000"]);
    let status = node.wait("findings", |status| told(status, "can't see who sends").is_some());
    assert!(told(&status, "can't see who sends").unwrap().contains("default/web-0 (10.244.1.2)"), "{status}");
    assert!(told(&status, "which kube-proxy uses").is_some(), "what was known at the start stays: {status}");
    let status = node.wait("more", |status| told(status, "rp_filter").is_some());
    assert!(status["faults"].as_array().unwrap().is_empty(), "findings are no faults: {status}");
    assert_eq!(node.wait("synced", |status| status["synced"] == true)["lastError"], Value::Null);
    // What changes on the node is found by the next resync, whoever changed it.
    run(
        "iptables -t nat -F; sysctl -q -w net.ipv4.conf.all.rp_filter=1; iptables-legacy -A FORWARD -j ACCEPT",
    );
    node.wait("others", |status| {
        told(status, "can't see who sends").is_none()
            && told(status, "rp_filter").is_none()
            && told(status, "the legacy iptables").is_some()
    });
    let log = node.daemon.log();
    assert!(log.contains("no longer so: packets of default/web-0"), "{log}");
    // Each is logged when it is new, not at every look.
    assert_eq!(log.matches("the legacy iptables").count(), 1, "{log}");
}

#[test]
fn a_pod_that_comes_is_looked_at_before_the_resync() {
    let (mut cluster, manifests) = build(Wiring::Bridged);
    cluster.output_in("node1", "sysctl", &["-q", "-w", "net.bridge.bridge-nf-call-iptables=0"]).unwrap();
    manifests.remove("pod-default-web-0.json");
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--resync", "1h"]);
    assert!(told(&node.status(), "skip all rules").is_none(), "no pod is on the bridge");
    drop(node);
    cluster.add_pod(PodSpec::new("default/new-0", "node1")).unwrap();
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--resync", "1h"]);
    manifests.add_pod(cluster.pod("default/new-0").unwrap());
    let status = node
        .wait("the bridge", |status| told(status, "ipv4 packets between pods on the bridge cni0").is_some());
    assert!(told(&status, "ipv6 packets between pods").is_none(), "{status}");
}

#[test]
fn with_append_the_rules_before_our_jump_are_told() {
    let (cluster, manifests) = build(Wiring::Routed);
    cluster.iptables("node1", Family::V6, "-A FORWARD -j ACCEPT").unwrap();
    let more = ["--forward-jump-position", "append", "--resync", "1h"];
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &more);
    node.wait("rules before ours", |status| {
        told(status, "1 rules stand before our jump in the ipv6 chain FORWARD").is_some()
    });
    let node_2 = NodeDaemon::start(&cluster, "node2", &manifests, &more);
    assert!(told(&node_2.status(), "stand before our jump").is_none());
}
