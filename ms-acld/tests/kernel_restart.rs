//! Restarts, strangers and cleanup.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use common::cluster::{
    Manifests, NodeDaemon, PORT, acl, expect, expect_same, handles, rules, without_counters,
};
use common::{LIMIT, PROGRAM, Request, wait_for};
use ms_acl_lab::net::Outcome::{Allowed, Dropped, Rejected};
use ms_acl_lab::net::{Cluster, Family, PodSpec, Ports, Process, Protocol, Signal};
use serde_json::json;

fn build() -> Cluster {
    let cluster = Cluster::builder()
        .nodes(1)
        .pod(PodSpec::new("default/web-0", "node1"))
        .pod(PodSpec::new("default/client-0", "node1"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    cluster
}

fn policy() -> serde_json::Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": "client"},
        "spec": {"podSelector": {"matchLabels": {"app": "client"}}}})
}

/// Chains, sets and rules of somebody else.
fn strangers(cluster: &Cluster) {
    cluster
        .ipset_restore("node1", "create KUBE-X hash:ip\nadd KUBE-X 192.0.2.1\ncreate MS-mine hash:net\n")
        .unwrap();
    for family in Family::BOTH {
        for line in [
            "-N KUBE-FORWARD",
            "-A FORWARD -m comment --comment kube -j KUBE-FORWARD",
            "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            "-N MS-CUSTOM",
            "-A INPUT -j MS-CUSTOM",
            "-A OUTPUT -p tcp --dport 9 -j REJECT",
        ] {
            cluster.iptables("node1", family, line).unwrap();
        }
    }
}

fn everything(cluster: &Cluster) -> Vec<String> {
    let mut all: Vec<String> = Family::BOTH
        .map(|family| without_counters(&cluster.iptables_save("node1", family).unwrap()))
        .to_vec();
    all.push(cluster.ipset_save("node1").unwrap());
    all
}

#[test]
fn a_restart_adopts_what_is_there() {
    let cluster = build();
    let manifests = Manifests::of(&cluster);
    manifests.write("policy.json", &policy());
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    node.put(&acl("default/web", "DENY", &json!([])));
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Rejected);
    let (before, counters) = (handles(&cluster, "node1"), rules(&cluster, "node1"));
    assert!(
        counters.iter().any(|line| !line.starts_with("[0:0]") && line.contains("-j DROP")),
        "{counters:?}"
    );
    let mut process = node.daemon.process;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        process.signal(signal).unwrap();
        process.wait(LIMIT).unwrap();
        expect_same(&before, &handles(&cluster, "node1"), "the rules stay, with their handles and counters");
        process = NodeDaemon::start(&cluster, "node1", &manifests, &[]).daemon.process;
        expect_same(&before, &handles(&cluster, "node1"), "also under their next owner");
    }
}

#[test]
fn after_a_kill_only_what_changed_meanwhile_is_written() {
    let cluster = build();
    let manifests = Manifests::of(&cluster);
    manifests.write("policy.json", &policy());
    let mut node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    node.put(&acl("default/web", "DENY", &json!([])));
    node.daemon.process.signal(Signal::SIGKILL).unwrap();
    node.daemon.process.wait(LIMIT).unwrap();
    drop(node);
    // Enforced while nobody is there, and the pushed document is the file's.
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    let before = rules(&cluster, "node1");
    manifests.remove("policy.json");
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Allowed);
    let after = rules(&cluster, "node1");
    let dropped = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.ends_with("-j DROP") && line.contains("MS-G-"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(!dropped(&before).is_empty());
    assert_eq!(node.status()["driftRepairs"], 0);
    assert_eq!(dropped(&after).len(), dropped(&before).len(), "{before:#?} {after:#?}");
}

#[test]
fn what_cannot_be_read_after_a_restart_stays_in_force_and_the_rest_goes_on() {
    let cluster = build();
    let manifests = Manifests::of(&cluster);
    manifests.write("policy.json", &policy());
    let mut node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Rejected);
    node.daemon.process.signal(Signal::SIGKILL).unwrap();
    node.daemon.process.wait(LIMIT).unwrap();
    drop(node);
    let before = handles(&cluster, "node1");

    // The policy can't be read any more, nor the pod that it is for.
    manifests.write_text("policy.json", "{");
    manifests.write_text("pod-default-client-0.json", "{\"kind\":");
    let node = NodeDaemon::started(&cluster, "node1", &manifests, &[]);
    node.wait("the start", |status| status["applied"].as_u64() >= Some(1));
    expect_same(&before, &handles(&cluster, "node1"), "nothing is touched");
    let ready = node.send(Request::new("GET", "/readyz"));
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("policy.json"), "{ready:?}");

    // What can be read is enforced all the same.
    node.put(&acl("default/web", "DENY", &json!([])));
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Rejected);
    // What others break of the former rules is repaired.
    cluster.iptables("node1", Family::V4, "-F MS-INGRESS").unwrap();
    node.wait("a repair", |status| status["driftRepairs"].as_u64() >= Some(1));
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Rejected);

    // Once it can be read it is as it says.
    manifests.write("policy.json", &json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": "client"}, "spec": {"podSelector": {"matchLabels": {"app": "x"}}}}));
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Rejected);
    for pod in cluster.pods() {
        manifests.add_pod(pod);
    }
    node.wait("the end of the hold", |status| status["synced"] == true);
    assert_eq!(node.send(Request::new("GET", "/readyz")).status, 200);
    expect(&cluster, "default/web-0", "default/client-0", Protocol::Tcp, Allowed);
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
}

#[test]
fn what_a_stranger_breaks_is_repaired() {
    let cluster = build();
    let manifests = Manifests::of(&cluster);
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    node.put(&acl("default/web", "DENY", &json!([])));
    let repaired = |count: u64| {
        node.wait("a repair", |status| {
            status["driftRepairs"].as_u64() >= Some(count) && status["synced"] == true
        });
        expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Dropped);
    };
    cluster.iptables("node1", Family::V4, "-F FORWARD").unwrap();
    cluster.iptables("node1", Family::V6, "-F FORWARD").unwrap();
    repaired(1);
    let count = |status: &serde_json::Value| status["driftRepairs"].as_u64().unwrap();
    let seen = count(&node.status());
    cluster.iptables("node1", Family::V4, "-F MS-INGRESS").unwrap();
    repaired(seen + 1);
    let seen = count(&node.status());
    cluster.iptables("node1", Family::V6, "-I FORWARD -j ACCEPT").unwrap();
    repaired(seen + 1);
    let text = cluster.iptables_save("node1", Family::V6).unwrap();
    let first = text.lines().find(|line| line.starts_with("-A FORWARD")).unwrap();
    assert!(first.ends_with("-j MS-FORWARD"), "{text}");
    let seen = count(&node.status());
    cluster.output_in("node1", "nft", &["flush", "ruleset"]).unwrap();
    repaired(seen + 1);
}

#[test]
fn members_that_a_stranger_changes_are_put_back() {
    let cluster = build();
    let manifests = Manifests::of(&cluster);
    let allow = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}});
    manifests.write("policy.json", &allow);
    let _node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
    let sets = cluster.output_in("node1", "ipset", &["list", "-n"]).unwrap();
    for set in sets.lines().filter(|set| set.starts_with("MS-")) {
        cluster.output_in("node1", "ipset", &["flush", set]).unwrap();
    }
    wait_for("members", || {
        let members =
            cluster.ipset_save("node1").unwrap().lines().filter(|line| line.starts_with("add")).count();
        (members == 4).then_some(())
    });
    expect(&cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
}

#[test]
fn cleanup_takes_all_of_ours_and_nothing_of_others() {
    let cluster = build();
    strangers(&cluster);
    let before = everything(&cluster);
    let manifests = Manifests::of(&cluster);
    manifests.write("policy.json", &policy());
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    node.put(&acl("default/web", "DENY", &json!([{"action": "ALLOW", "protocol": "tcp", "port": 1}])));
    assert_ne!(everything(&cluster), before);
    let faults = node.status()["faults"].to_string();
    assert!(faults.contains("MS-CUSTOM") && faults.contains("MS-mine"), "{faults}");
    assert_eq!(node.daemon.terminate().0, Some(0));

    let mut cleanup = cluster.command_in("node1", PROGRAM).unwrap();
    cleanup.arg("cleanup");
    let mut process = Process::spawn(cleanup).unwrap();
    assert!(process.wait(LIMIT).unwrap().success());
    assert!(process.output().unwrap().starts_with("removed "), "{}", process.output().unwrap());
    assert_eq!(everything(&cluster), before);

    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--on-exit", "remove"]);
    cluster.iptables("node1", Family::V4, "-A MS-ADMIN -s 192.0.2.9 -j ACCEPT").unwrap();
    assert_eq!(node.daemon.terminate().0, Some(0));
    let after = cluster.iptables_save("node1", Family::V4).unwrap();
    assert!(after.contains("-A MS-ADMIN -s 192.0.2.9/32 -j ACCEPT"), "the operator's rules stay: {after}");
    assert!(!after.contains("MS-FORWARD"));
    cluster.iptables("node1", Family::V4, "-F MS-ADMIN").unwrap();
    cluster.iptables("node1", Family::V4, "-X MS-ADMIN").unwrap();
    assert_eq!(everything(&cluster), before);
}

#[test]
fn the_jump_can_stand_last() {
    let cluster = build();
    strangers(&cluster);
    let manifests = Manifests::of(&cluster);
    let last = |cluster: &Cluster| {
        let text = cluster.iptables_save("node1", Family::V4).unwrap();
        text.lines().rfind(|line| line.starts_with("-A FORWARD")).unwrap().to_owned()
    };
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--forward-jump-position", "append"]);
    assert!(last(&cluster).ends_with("-j MS-FORWARD"));
    drop(node);
    let _node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    assert!(last(&cluster).ends_with("-j KUBE-FORWARD"), "a restart with another position moves it");
}

#[test]
fn a_set_of_a_stranger_stops_one_policy_and_no_other() {
    let cluster = build();
    let manifests = Manifests::of(&cluster);
    let policy = |name: &str, app: &str, from: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "default", "name": name},
            "spec": {"podSelector": {"matchLabels": {"app": app}},
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": from}}}]}]}})
    };
    // The set's name is found out first, then a stranger has it, of another type.
    manifests.write("web.json", &policy("web", "web", "client"));
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--on-exit", "remove"]);
    let sets = cluster.output_in("node1", "ipset", &["list", "-n"]).unwrap();
    let set = sets.lines().find(|set| set.starts_with("MS-pa4-")).unwrap().to_owned();
    assert_eq!(node.daemon.terminate().0, Some(0));
    cluster.ipset_restore("node1", &format!("create {set} hash:net\n")).unwrap();

    manifests.write("client.json", &policy("client", "client", "nobody"));
    let node = NodeDaemon::started(&cluster, "node1", &manifests, &[]);
    let status = node.wait("a refusal", |status| status["lastError"].is_string());
    assert_eq!(status["synced"], false);
    let faults = status["faults"].to_string();
    assert!(faults.contains("NetworkPolicy default/web"), "{status}");
    let reached = |from: &str, to: &str| {
        let probe = |family| {
            let from = cluster.endpoint(from, family).unwrap();
            ms_acl_lab::net::Probe::new(from, cluster.address(to, family).unwrap(), Protocol::Tcp, PORT)
        };
        cluster.probe(&Family::BOTH.map(probe)).unwrap()
    };
    // The other policy is in force; the refused one's pod is closed where it had no rules before.
    assert_eq!(reached("default/web-0", "default/client-0"), [Rejected, Rejected]);
    assert_eq!(reached("default/client-0", "default/web-0"), [Dropped, Allowed]);
    cluster.output_in("node1", "ipset", &["destroy", &set]).unwrap();
    node.wait("no refusal", |status| status["synced"] == true && status["lastError"].is_null());
    assert_eq!(reached("default/client-0", "default/web-0"), [Allowed, Allowed]);
}
