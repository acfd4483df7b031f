//! `ms-acld cleanup` and `--on-exit remove` leave nothing of ours behind, whatever came before.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::time::Duration;

use common::cluster::{Manifests, NodeDaemon, acl};
use common::{LIMIT, PROGRAM};
use ms_acl_lab::net::{Cluster, Family, PodSpec, Process, Signal};
use serde_json::json;

fn build() -> (Cluster, Manifests) {
    let cluster = Cluster::builder()
        .nodes(1)
        .pod(PodSpec::new("default/web-0", "node1"))
        .pod(PodSpec::new("default/client-0", "node1"))
        .build()
        .unwrap();
    let manifests = Manifests::of(&cluster);
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": "all"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}});
    manifests.write("policy.json", &policy);
    (cluster, manifests)
}

/// Every table, chain, rule and set of the node.
fn world(cluster: &Cluster) -> String {
    cluster.nft_ruleset("node1").unwrap() + &cluster.ipset_save("node1").unwrap()
}

/// Runs `cleanup` to its end and returns what it printed.
fn cleanup(cluster: &Cluster) -> String {
    let mut command = cluster.command_in("node1", PROGRAM).unwrap();
    command.arg("cleanup");
    let mut process = Process::spawn(command).unwrap();
    let status = process.wait(LIMIT).unwrap();
    let output = process.output().unwrap();
    assert!(status.success(), "{output}");
    output
}

#[test]
fn nothing_is_left_where_nothing_was() {
    let (cluster, manifests) = build();
    assert_eq!(world(&cluster), "");
    let document = acl("default/web", "DENY", &json!([{"action": "ALLOW", "protocol": "tcp", "port": 1}]));
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--on-exit", "remove"]);
    node.put(&document);
    let log = node.daemon.log();
    assert_ne!(world(&cluster), "");
    assert_eq!(node.daemon.terminate().0, Some(0), "{log}");
    assert_eq!(world(&cluster), "");

    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    node.put(&document);
    assert_eq!(node.daemon.terminate().0, Some(0));
    assert_ne!(world(&cluster), "");
    let told = cleanup(&cluster);
    assert!(told.starts_with("removed 4 jumps, ") && told.contains("2 tables"), "{told}");
    assert_eq!(world(&cluster), "");
    assert_eq!(cleanup(&cluster), "removed 0 jumps, 0 chains and 0 sets\n");
}

#[test]
fn what_the_operator_wrote_stays_and_goes_when_it_is_empty() {
    let (cluster, manifests) = build();
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--on-exit", "remove"]);
    cluster.iptables("node1", Family::V4, "-A MS-ADMIN -s 192.0.2.9 -j ACCEPT").unwrap();
    assert_eq!(node.daemon.terminate().0, Some(0));
    assert_eq!(cluster.ipset_save("node1").unwrap(), "");
    let left = cluster.nft_ruleset("node1").unwrap();
    assert_eq!(left.matches("chain ").count(), 1, "{left}");
    assert!(left.contains("chain MS-ADMIN") && !left.contains("table ip6"), "{left}");
    let told = cleanup(&cluster);
    assert!(told.contains("kept chain MS-ADMIN of ipv4: it has rules of the operator"), "{told}");
    cluster.iptables("node1", Family::V4, "-F MS-ADMIN").unwrap();
    cleanup(&cluster);
    assert_eq!(world(&cluster), "");
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_what_cleanup_can_remove() {
    let (cluster, manifests) = build();
    for round in 0..12 {
        let node = NodeDaemon::started(&cluster, "node1", &manifests, &[]);
        // From before the first rule to amid changes of policy.
        std::thread::sleep(Duration::from_millis(round * 3));
        if round % 2 == 0 {
            let other = acl("default/client", "DENY", &json!([]));
            let body = other.to_string();
            node.send(common::Request::new("PUT", "/policy").body(&body));
        }
        let mut process = node.daemon.process;
        process.signal(Signal::SIGKILL).unwrap();
        process.wait(LIMIT).unwrap();
        cleanup(&cluster);
        assert_eq!(world(&cluster), "", "round {round}");
    }
}
