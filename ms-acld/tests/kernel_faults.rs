//! Faults while the daemon runs: each stops what it concerns and nothing else, and all of them heal.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::cluster::{Manifests, NodeDaemon, PORT, acl};
use ms_acl_core::ruleset::{ChainName, Rulesets, SetName};
use ms_acl_lab::net::Outcome::{Allowed, Dropped, Rejected};
use ms_acl_lab::net::{Cluster, Family, Outcome, PodSpec, Ports, Probe, Protocol, Signal};
use ms_acl_netfilter::{Dataplane, Options};
use serde_json::{Value, json};

fn build() -> (Cluster, Manifests) {
    let pod = |name| PodSpec::new(name, "node1");
    let cluster = Cluster::builder()
        .nodes(1)
        .pod(pod("default/web-0"))
        .pod(pod("default/client-0"))
        .pod(pod("default/other-0"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    let manifests = Manifests::of(&cluster);
    (cluster, manifests)
}

fn policy(name: &str, app: &str, from: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"podSelector": {"matchLabels": {"app": app}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": from}}}]}]}})
}

fn reached(cluster: &Cluster, from: &str, to: &str, family: Family) -> Outcome {
    let from = cluster.endpoint(from, family).unwrap();
    let probe = Probe::new(from, cluster.address(to, family).unwrap(), Protocol::Tcp, PORT);
    cluster.probe(&[probe]).unwrap()[0]
}

fn held(cluster: &Cluster) -> Rulesets {
    let observe = || Dataplane::open(Options::default()).unwrap().observe().unwrap().rulesets;
    cluster.run_in("node1", observe).unwrap()
}

#[test]
fn chains_that_somebody_nests_too_deeply_close_the_pods_that_need_more_and_no_others() {
    let (cluster, manifests) = build();
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--resync", "1h"]);
    // Somebody enters our chain at the end of many of theirs: there is no room for ours under it.
    let names = (0..12).map(|n| format!(":deep{n} - [0:0]\n"));
    let jumps = (1..12).map(|n| format!("-A deep{} -j deep{n}\n", n - 1));
    let lines: Vec<String> = names.chain(jumps).collect();
    let text = format!("*filter\n{}-A deep11 -j MS-FORWARD\n-A FORWARD -j deep0\nCOMMIT\n", lines.concat());
    cluster.iptables_restore("node1", Family::V4, &text).unwrap();

    manifests.write("web.json", &policy("web", "web", "client"));
    let status =
        node.wait("a refusal", |status| status["faults"].to_string().contains("NetworkPolicy default/web"));
    assert_eq!(status["synced"], false);
    let error = status["lastError"].as_str().unwrap();
    assert!(error.contains("EMLINK, a loop, or chains nested too deeply"), "{error}");
    assert_eq!(reached(&cluster, "default/client-0", "default/web-0", Family::V4), Dropped);
    assert_eq!(reached(&cluster, "default/client-0", "default/other-0", Family::V4), Allowed);
    // The other family has room.
    assert_eq!(reached(&cluster, "default/client-0", "default/web-0", Family::V6), Allowed);
    assert_eq!(reached(&cluster, "default/other-0", "default/web-0", Family::V6), Rejected);

    cluster.iptables("node1", Family::V4, "-F deep11").unwrap();
    node.wait("no refusal", |status| status["synced"] == true && status["lastError"].is_null());
    for family in Family::BOTH {
        assert_eq!(reached(&cluster, "default/client-0", "default/web-0", family), Allowed);
        assert_eq!(reached(&cluster, "default/other-0", "default/web-0", family), Rejected);
    }
}

/// Plain numbers: the same ones in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

/// A shell command of somebody who breaks something of ours. It may fail: others break things as well.
fn damage(dice: &mut Dice, rulesets: &Rulesets) -> String {
    let tool = *dice.pick(&["iptables", "ip6tables"]);
    let table = if tool == "iptables" { "ip filter" } else { "ip6 filter" };
    let graph = if tool == "iptables" { &rulesets.v4 } else { &rulesets.v6 };
    let chains: Vec<&str> = graph.chains.keys().map(ChainName::as_str).collect();
    let sets: Vec<&str> = graph.sets.keys().map(SetName::as_str).collect();
    let chain = *dice.pick(&chains);
    let set = *dice.pick(&sets);
    match dice.below(16) {
        0 => format!("{tool} -F {chain}"),
        1 => format!("{tool} -D {chain} 1"),
        2 => format!("{tool} -I {chain} -j ACCEPT"),
        3 => format!("{tool} -F FORWARD"),
        4 => format!("{tool} -I FORWARD -j ACCEPT; {tool} -D FORWARD -j ACCEPT"),
        5 => format!("{tool} -A FORWARD -m comment --comment ms-acl -j MS-FORWARD"),
        6 => format!("{tool} -F; {tool} -X"),
        7 => format!("nft delete table {table}"),
        8 => "nft flush ruleset".to_owned(),
        9 => format!("nft rename chain {table} {chain} theirs{}", dice.below(1000)),
        10 => format!("nft 'add table {table} {{ flags dormant; }}'"),
        11 => format!("ipset flush {set}"),
        12 => format!("ipset flush {set}; ipset destroy {set}"),
        13 => format!("{tool}-save -t filter | {tool}-restore"),
        14 => format!("nft flush chain {table} {chain}; nft delete chain {table} {chain}"),
        _ => format!("{tool} -R {chain} 1 -j RETURN"),
    }
}

#[test]
fn whatever_others_break_heals_also_amid_changes_and_kills() {
    let (cluster, manifests) = build();
    manifests.write("web.json", &policy("web", "web", "client"));
    manifests.write("other.json", &policy("other", "other", "web"));
    let document = acl("default/client", "ALLOW", &json!([{"action": "DENY", "protocol": "tcp", "port": 9}]));
    let resync = ["--resync", "2s"];
    let mut node = NodeDaemon::start(&cluster, "node1", &manifests, &resync);
    node.put(&document);
    let whole = held(&cluster);
    for seed in 0..3 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut dice = Dice(seed);
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    let command = damage(&mut dice, &whole);
                    let _ = cluster.output_in("node1", "sh", &["-c", &command]);
                    done += 1;
                    std::thread::sleep(Duration::from_millis(u64::try_from(dice.below(60)).unwrap()));
                }
                println!("seed {seed}: {done} things broken");
            });
            scope.spawn(|| {
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    manifests
                        .write("changing.json", &policy("changing", "web", &format!("app{}", round % 9)));
                    round += 1;
                    std::thread::sleep(Duration::from_millis(30));
                }
            });
            let start = Instant::now();
            let mut kills = 0;
            while start.elapsed() < Duration::from_secs(3) {
                std::thread::sleep(Duration::from_millis(400));
                // The second time nobody kills it.
                if seed != 1 {
                    node.daemon.process.signal(Signal::SIGKILL).unwrap();
                    node.daemon.process.wait(common::LIMIT).unwrap();
                    node = NodeDaemon::started(&cluster, "node1", &manifests, &resync);
                    kills += 1;
                }
            }
            stop.store(true, Ordering::Relaxed);
            println!("seed {seed}: {kills} kills");
        });
        manifests.remove("changing.json");
        let start = Instant::now();
        common::wait_for("everything to be whole", || {
            let status = node.status();
            (status["synced"] == true && held(&cluster) == whole).then_some(())
        });
        println!("seed {seed}: whole after {:?}, {} repairs", start.elapsed(), node.status()["driftRepairs"]);
        assert_eq!(reached(&cluster, "default/client-0", "default/web-0", Family::V4), Allowed);
        assert_eq!(reached(&cluster, "default/client-0", "default/other-0", Family::V6), Rejected);
        assert!(!node.daemon.log().contains("panicked"), "{}", node.daemon.log());
    }
}
