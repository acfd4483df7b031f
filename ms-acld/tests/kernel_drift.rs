//! What others do to our chains and sets while the daemon runs: found, put right, counted, told. Times are printed
//! and not judged.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::time::{Duration, Instant};

use common::cluster::{Manifests, NodeDaemon, PORT, acl, expect};
use common::wait_for;
use ms_acl_core::ruleset::Rulesets;
use ms_acl_lab::net::Outcome::{Allowed, Dropped};
use ms_acl_lab::net::{Cluster, Family, PodSpec, Ports, Protocol};
use ms_acl_netfilter::{Dataplane, Options};
use serde_json::{Value, json};

struct Node {
    cluster: Cluster,
    manifests: Manifests,
}

fn build() -> Node {
    let cluster = Cluster::builder()
        .nodes(1)
        .pod(PodSpec::new("default/web-0", "node1"))
        .pod(PodSpec::new("default/client-0", "node1"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    let manifests = Manifests::of(&cluster);
    manifests.write("policy.json", &policy("web", "web", "client"));
    Node { cluster, manifests }
}

fn policy(name: &str, app: &str, from: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"podSelector": {"matchLabels": {"app": app}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": from}}}]}]}})
}

impl Node {
    /// What of the node's kernel is ours.
    fn held(&self) -> Rulesets {
        let observe = || Dataplane::open(Options::default()).unwrap().observe().unwrap().rulesets;
        self.cluster.run_in("node1", observe).unwrap()
    }

    /// Runs a shell script of somebody else and waits until everything of ours is as it was. Returns how
    /// long that took since the first command began.
    fn heals(&self, what: &str, commands: &str) -> Duration {
        let before = self.held();
        let work = || {
            let mut dataplane = Dataplane::open(Options::default()).unwrap();
            let start = Instant::now();
            let output = std::process::Command::new("sh").args(["-ec", commands]).output().unwrap();
            assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
            let done = start.elapsed();
            wait_for(what, || (dataplane.observe().unwrap().rulesets == before).then_some(()));
            (done, start.elapsed())
        };
        let (done, healed) = self.cluster.run_in("node1", work).unwrap();
        println!("{what}: whole {healed:?} after the start of what took {done:?}");
        healed
    }

    fn chain(&self, prefix: &str) -> String {
        let held = self.held();
        let found = held.v4.chains.keys().find(|name| name.as_str().starts_with(prefix));
        found.unwrap().to_string()
    }

    fn set(&self) -> String {
        let sets = self.cluster.output_in("node1", "ipset", &["list", "-n"]).unwrap();
        sets.lines().find(|set| set.starts_with("MS-pa4-")).unwrap().to_owned()
    }
}

fn repairs(daemon: &NodeDaemon<'_>) -> u64 {
    daemon.status()["driftRepairs"].as_u64().unwrap()
}

#[test]
fn chains_jumps_and_rules_are_whole_again_at_once() {
    let node = build();
    let daemon = NodeDaemon::start(&node.cluster, "node1", &node.manifests, &["--resync", "1h"]);
    daemon.put(&acl("default/client", "DENY", &json!([])));
    let (policy, gate, group) = (node.chain("MS-P-"), node.chain("MS-G-"), node.chain("MS-I-"));
    let damages = [
        ("a chain flushed", format!("iptables -F {policy}")),
        ("a rule deleted", format!("iptables -D {gate} 1")),
        ("a rule added", format!("iptables -I {group} 1 -j ACCEPT")),
        ("a rule replaced", "ip6tables -R MS-INGRESS 1 -j RETURN".to_owned()),
        ("the jump deleted", "iptables -D FORWARD 1".to_owned()),
        ("the jump twice", "iptables -A FORWARD -m comment --comment ms-acl -j MS-FORWARD".to_owned()),
        ("a chain renamed", format!("nft rename chain ip filter {group} theirs")),
        ("a chain renamed by iptables", format!("iptables -E {policy} theirs")),
        ("the operator's chain renamed", "nft rename chain ip filter MS-ADMIN theirs".to_owned()),
        ("base chains gone", "iptables -F FORWARD\nnft delete chain ip filter FORWARD".to_owned()),
        ("a rule before our jump", "ip6tables -I FORWARD -j ACCEPT".to_owned()),
        (
            "a chain deleted",
            format!(
                "printf 'flush chain ip filter MS-INGRESS\nflush chain ip filter {group}\n\
                 delete chain ip filter {group}\n' | nft -f -"
            ),
        ),
        ("a table deleted", "nft delete table ip6 filter".to_owned()),
        ("everything deleted", "nft flush ruleset".to_owned()),
        ("a dormant table", "nft 'add table ip filter { flags dormant; }'".to_owned()),
    ];
    for (what, commands) in damages {
        // Not amid what the former repair left to do.
        daemon.wait("quiet", |status| status["synced"] == true);
        let before = repairs(&daemon);
        node.heals(what, &commands);
        daemon
            .wait(what, |status| status["driftRepairs"].as_u64() > Some(before) && status["synced"] == true);
        expect(&node.cluster, "default/web-0", "default/client-0", Protocol::Tcp, Dropped);
        expect(&node.cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
    }
    let log = daemon.daemon.log();
    for told in [
        format!("rules of the ipv4 chain {policy}"),
        "the jump in ipv4 FORWARD".to_owned(),
        format!("the ipv4 chain {group} had been renamed to theirs"),
        "the ipv4 table filter was dormant".to_owned(),
    ] {
        assert!(log.contains(&told), "{told}: {log}");
    }
    assert!(daemon.status()["faults"].as_array().unwrap().is_empty(), "{}", daemon.status());
}

#[test]
fn what_is_not_ours_to_put_right_is_told_while_it_lasts() {
    let node = build();
    let daemon = NodeDaemon::start(&node.cluster, "node1", &node.manifests, &["--resync", "1h"]);
    // A policy of the base chain is its owner's, and what comes after our rules with it.
    node.cluster.iptables("node1", Family::V4, "-P FORWARD DROP").unwrap();
    node.cluster.iptables("node1", Family::V4, "-A FORWARD -j ACCEPT").unwrap();
    let sleep =
        || node.cluster.output_in("node1", "nft", &["add table ip filter { flags dormant; }"]).unwrap();
    sleep();
    let told = |status: &Value| status["faults"].to_string().contains("the ipv4 table filter is dormant");
    let status = daemon.wait("a dormant table", told);
    assert_eq!(status["synced"], false);
    assert_eq!(daemon.status()["driftRepairs"], 0);
    node.cluster.output_in("node1", "nft", &["add table ip filter"]).unwrap();
    let status = daemon.wait("it to be awake", |status| status["synced"] == true);
    assert!(status["faults"].as_array().unwrap().is_empty(), "{status}");
    let text = node.cluster.iptables_save("node1", Family::V4).unwrap();
    assert!(text.contains(":FORWARD DROP"), "{text}");
    expect(&node.cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
}

#[test]
fn members_that_others_change_are_found_by_their_number_within_a_second() {
    let node = build();
    let daemon = NodeDaemon::start(&node.cluster, "node1", &node.manifests, &["--resync", "1h"]);
    let set = node.set();
    let damages = [
        ("a set flushed", format!("ipset flush {set}")),
        ("a member added", format!("ipset add {set} 192.0.2.1")),
        ("a swapped set", format!("ipset create theirs hash:ip maxelem 4294967295\nipset swap {set} theirs")),
    ];
    for (what, commands) in damages {
        let before = repairs(&daemon);
        node.heals(what, &commands);
        daemon
            .wait(what, |status| status["driftRepairs"].as_u64() > Some(before) && status["synced"] == true);
        expect(&node.cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
    }
    // A set that rules name can't be renamed or destroyed.
    for command in [vec!["rename", &set, "theirs-2"], vec!["destroy", &set]] {
        node.cluster.output_in("node1", "ipset", &command).unwrap_err();
    }
}

#[test]
fn members_that_are_as_many_as_before_are_found_at_the_resync() {
    let node = build();
    let daemon = NodeDaemon::start(&node.cluster, "node1", &node.manifests, &["--resync", "2s"]);
    let set = node.set();
    let client = node.cluster.address("default/client-0", Family::V4).unwrap();
    let before = repairs(&daemon);
    node.heals("another member", &format!("ipset add {set} 192.0.2.1\nipset del {set} {client}"));
    node.heals(
        "a swap with as many",
        &format!(
            "ipset create theirs hash:ip maxelem 4294967295\nipset add theirs 192.0.2.1\nipset swap {set} theirs"
        ),
    );
    daemon.wait("two repairs", |status| status["driftRepairs"].as_u64() >= Some(before + 2));
    expect(&node.cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
}

#[test]
fn a_set_that_somebody_made_of_another_type_stops_its_policy_only() {
    let node = build();
    let daemon = NodeDaemon::start(&node.cluster, "node1", &node.manifests, &["--resync", "1h"]);
    node.manifests.write("client.json", &policy("client", "client", "nobody"));
    daemon.wait("two policies", |status| status["policies"] == 2 && status["synced"] == true);
    let set = node.set();
    // In one go, so that the set is free: all rules, the set, another in its place.
    let script = format!("iptables -F && iptables -X; ipset destroy {set} && ipset create {set} hash:net");
    let taken = || node.cluster.output_in("node1", "sh", &["-c", &script]).is_ok();
    wait_for("somebody to be faster", || taken().then_some(()));
    let status = daemon.wait("a refusal", |status| status["lastError"].is_string());
    assert!(
        status["synced"] == false && status["faults"].to_string().contains("NetworkPolicy default/web"),
        "{status}"
    );
    // The other policy is in force, also after further damage.
    for _ in 0..3 {
        let start = Instant::now();
        node.cluster.iptables("node1", Family::V4, "-F MS-INGRESS").unwrap();
        wait_for("dispatch", || {
            let text = node.cluster.iptables_save("node1", Family::V4).unwrap();
            text.contains("-A MS-INGRESS").then_some(())
        });
        println!("dispatch is back {:?} after its flush, while a policy is refused", start.elapsed());
    }
    node.cluster.output_in("node1", "ipset", &["destroy", &set]).unwrap();
    daemon.wait("no refusal", |status| status["synced"] == true && status["lastError"].is_null());
    expect(&node.cluster, "default/client-0", "default/web-0", Protocol::Tcp, Allowed);
}

#[test]
fn drift_is_repaired_amid_a_stream_of_changes() {
    let node = build();
    let daemon = NodeDaemon::start(&node.cluster, "node1", &node.manifests, &["--resync", "1h"]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                node.manifests.write("other.json", &policy("other", &format!("app{round}"), "client"));
                round += 1;
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        for _ in 0..5 {
            let start = Instant::now();
            node.cluster.iptables("node1", Family::V4, "-F MS-INGRESS").unwrap();
            wait_for("dispatch", || {
                let text = node.cluster.iptables_save("node1", Family::V4).unwrap();
                text.contains("-A MS-INGRESS").then_some(())
            });
            println!("dispatch is back {:?} after its flush, amid changes", start.elapsed());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    daemon.wait("the end of it", |status| status["synced"] == true);
    assert!(repairs(&daemon) >= 5);
}
