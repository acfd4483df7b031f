//! Other programs write into the same tables all the time: nothing of theirs is lost, nothing of either side fails,
//! and our jump stands where it was asked for, without a fight.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::cluster::{Manifests, NodeDaemon, PORT, without_counters};
use ms_acl_lab::net::{Cluster, Family, Outcome, PodSpec, Ports, Probe, Protocol};
use serde_json::{Value, json};

/// How long the neighbours write.
const WHILE: Duration = Duration::from_secs(5);
/// How often each of them does.
const EVERY: Duration = Duration::from_millis(100);

fn build() -> (Cluster, Manifests) {
    let cluster = Cluster::builder()
        .nodes(1)
        .pod(PodSpec::new("default/web-0", "node1"))
        .pod(PodSpec::new("default/client-0", "node1"))
        .pod(PodSpec::new("default/other-0", "node1"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    let manifests = Manifests::of(&cluster);
    // The client reaches web; other doesn't, and client doesn't reach other.
    for (name, app, from) in [("web", "web", "client"), ("other", "other", "web")] {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "default", "name": name},
            "spec": {"podSelector": {"matchLabels": {"app": app}},
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": from}}}]}]}});
        manifests.write(&format!("{name}.json"), &policy);
    }
    (cluster, manifests)
}

/// As kube-proxy: chains of its own in two tables, written whole each time, some of them new and some gone.
fn kube_proxy(family: Family, round: usize) -> String {
    let net = if family == Family::V4 { "10.96.0." } else { "fd00:96::" };
    let services: Vec<String> = (0..40)
        .map(|n| format!("-A KUBE-SERVICES -d {net}{n} -p tcp -m tcp --dport 80 -j KUBE-SVC-{}\n", n % 4))
        .collect();
    let services = services.concat();
    let backends: Vec<String> = (0..4)
        .map(|n| {
            format!(
                ":KUBE-SVC-{n} - [0:0]\n-A KUBE-SVC-{n} -m comment --comment \"round {round}\" -j RETURN\n"
            )
        })
        .collect();
    let backends = backends.concat();
    format!(
        "*filter\n:KUBE-FORWARD - [0:0]\n:KUBE-PASSING-{round} - [0:0]\n\
         -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n\
         -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n\
         -X KUBE-PASSING-{round}\nCOMMIT\n\
         *nat\n:KUBE-SERVICES - [0:0]\n{backends}{services}COMMIT\n"
    )
}

/// As Calico: chains of its own, rewritten.
fn calico(round: usize) -> String {
    let workloads: Vec<String> = (0..20)
        .map(|n| {
            format!(
                ":cali-tw-{n} - [0:0]\n-A cali-tw-{n} -m comment --comment \"cali:{round}\" -j MARK --set-xmark 0x0/0x10000\n"
            )
        })
        .collect();
    let workloads = workloads.concat();
    format!(
        "*filter\n:cali-FORWARD - [0:0]\n{workloads}\
         -A cali-FORWARD -m comment --comment \"cali:vjrMJCRpqwy5oRoX\" -j MARK --set-xmark 0x0/0xe0000\n\
         -A cali-FORWARD -o cali+ -j cali-tw-{}\nCOMMIT\n",
        round % 20
    )
}

const CALICO_JUMP: &str = "-m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD";

fn forward(cluster: &Cluster, family: Family) -> Vec<String> {
    let text = cluster.iptables_save("node1", family).unwrap();
    text.lines().filter(|line| line.starts_with("-A FORWARD")).map(str::to_owned).collect()
}

/// Everything that isn't ours, as a set of lines.
fn theirs(cluster: &Cluster) -> BTreeSet<String> {
    let texts = Family::BOTH.map(|family| without_counters(&cluster.iptables_save("node1", family).unwrap()));
    texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.contains("MS-"))
        .map(str::to_owned)
        .collect()
}

/// A neighbour: what it does in each round.
type Neighbour<'t> = &'t (dyn Fn(usize) + Sync);

/// Lets neighbours write while changes are made and packets flow: each of the flows must be judged as it should at
/// every moment. Returns what the daemon said meanwhile.
fn live_beside(
    cluster: &Cluster,
    manifests: &Manifests,
    node: &NodeDaemon<'_>,
    neighbours: &[Neighbour<'_>],
) -> Vec<Value> {
    let stop = AtomicBool::new(false);
    let mut said = Vec::new();
    std::thread::scope(|scope| {
        for neighbour in neighbours {
            scope.spawn(|| {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    neighbour(rounds);
                    rounds += 1;
                    std::thread::sleep(EVERY.saturating_sub(start.elapsed()));
                }
                println!("a neighbour wrote {rounds} times in {WHILE:?}");
                assert!(rounds > 5);
            });
        }
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "metadata": {"namespace": "default", "name": "changing"},
                    "spec": {"podSelector": {"matchLabels": {"app": "web"}},
                        "ingress": [{"ports": [{"port": 1000 + round % 50}]}]}});
                manifests.write("changing.json", &policy);
                round += 1;
                std::thread::sleep(Duration::from_millis(25));
            }
        });
        let _end = OnDrop(|| stop.store(true, Ordering::Relaxed));
        let start = Instant::now();
        while start.elapsed() < WHILE {
            let flows = [
                ("default/client-0", "default/web-0", Outcome::Allowed),
                ("default/other-0", "default/web-0", Outcome::Rejected),
                ("default/client-0", "default/other-0", Outcome::Rejected),
            ];
            let probes: Vec<Probe> = Family::BOTH
                .into_iter()
                .flat_map(|family| {
                    flows.map(|(from, to, _)| {
                        let from = cluster.endpoint(from, family).unwrap();
                        Probe::new(from, cluster.address(to, family).unwrap(), Protocol::Tcp, PORT)
                    })
                })
                .collect();
            let outcomes = cluster.probe(&probes).unwrap();
            let expected: Vec<Outcome> = flows.iter().chain(&flows).map(|(_, _, outcome)| *outcome).collect();
            assert_eq!(outcomes, expected, "{:?} after the start", start.elapsed());
            said.push(node.status());
        }
    });
    said
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn no_failures(node: &NodeDaemon<'_>, said: &[Value]) {
    let log = node.daemon.log();
    for word in ["refused", "tried again", "can't"] {
        assert!(!log.contains(word), "{log}");
    }
    assert!(said.iter().all(|status| status["lastError"].is_null()), "{said:#?}");
}

#[test]
fn beside_kube_proxy_nothing_fails_and_nothing_is_lost() {
    let (cluster, manifests) = build();
    for family in Family::BOTH {
        cluster.iptables_restore("node1", family, &kube_proxy(family, 0)).unwrap();
        cluster.iptables("node1", family, "-I FORWARD -m comment --comment kube -j KUBE-FORWARD").unwrap();
        cluster.iptables("node1", family, "-t nat -A PREROUTING -j KUBE-SERVICES").unwrap();
    }
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    let before = theirs(&cluster);
    let jumps = Family::BOTH.map(|family| forward(&cluster, family));
    let kube = |family: Family| {
        let cluster = &cluster;
        move |round: usize| cluster.iptables_restore("node1", family, &kube_proxy(family, round)).unwrap()
    };
    let said = live_beside(&cluster, &manifests, &node, &[&kube(Family::V4), &kube(Family::V6)]);
    no_failures(&node, &said);
    // Their writes are no drift, and their jump behind ours no contest.
    let last = node.wait("the end of the changes", |status| status["synced"] == true);
    assert_eq!(last["driftRepairs"], 0, "{}", node.daemon.log());
    assert_eq!(Family::BOTH.map(|family| forward(&cluster, family)), jumps);
    for family in Family::BOTH {
        cluster.iptables_restore("node1", family, &kube_proxy(family, 0)).unwrap();
    }
    assert_eq!(theirs(&cluster), before);
}

/// A neighbour that rewrites its chains and puts its jump first whenever it isn't.
fn insisting(cluster: &Cluster, family: Family, round: usize) {
    let first = forward(cluster, family).first().is_some_and(|line| line.ends_with("-j cali-FORWARD"));
    let jump =
        if first { String::new() } else { format!("-D FORWARD {CALICO_JUMP}\n-I FORWARD 1 {CALICO_JUMP}\n") };
    cluster
        .iptables_restore("node1", family, &calico(round).replace("COMMIT\n", &format!("{jump}COMMIT\n")))
        .unwrap();
}

#[test]
fn a_neighbour_that_insists_on_the_first_place_is_answered_once_a_second_and_told() {
    let (cluster, manifests) = build();
    for family in Family::BOTH {
        cluster.iptables_restore("node1", family, &calico(0)).unwrap();
        cluster.iptables("node1", family, &format!("-I FORWARD {CALICO_JUMP}")).unwrap();
    }
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &[]);
    let before = theirs(&cluster);
    assert!(forward(&cluster, Family::V4)[0].ends_with("-j MS-FORWARD"));
    let start = Instant::now();
    let calico = |family| {
        let cluster = &cluster;
        move |round: usize| insisting(cluster, family, round)
    };
    let said = live_beside(&cluster, &manifests, &node, &[&calico(Family::V4), &calico(Family::V6)]);
    let time = start.elapsed();
    no_failures(&node, &said);
    let told = said.iter().filter(|status| status["synced"] == false && is_told(status)).count();
    println!("{told} of {} looks at /status tell of the contest", said.len());
    assert!(told * 2 > said.len(), "{said:#?}");
    // At the end our jump is first again, and that is told for a while longer.
    let last = node.wait("our jump to be first", |_| {
        Family::BOTH.iter().all(|family| forward(&cluster, *family)[0].ends_with("-j MS-FORWARD"))
    });
    let moves = last["driftRepairs"].as_u64().unwrap();
    println!("{moves} repairs in {time:?}");
    assert!(moves >= 2 && moves <= 2 * (time.as_secs() + 2), "two families, once a second each: {moves}");
    for family in Family::BOTH {
        let ours = forward(&cluster, family).iter().filter(|line| line.ends_with("-j MS-FORWARD")).count();
        assert_eq!(ours, 1);
        cluster.iptables_restore("node1", family, &self::calico(0)).unwrap();
    }
    assert_eq!(theirs(&cluster), before);
    node.wait("peace", |status| status["synced"] == true && !is_told(status));
}

fn is_told(status: &Value) -> bool {
    status["faults"].to_string().contains("somebody else keeps putting rules before our jump")
}

#[test]
fn with_append_nobody_is_answered() {
    let (cluster, manifests) = build();
    for family in Family::BOTH {
        cluster.iptables_restore("node1", family, &calico(0)).unwrap();
        cluster.iptables("node1", family, &format!("-I FORWARD {CALICO_JUMP}")).unwrap();
    }
    let node = NodeDaemon::start(&cluster, "node1", &manifests, &["--forward-jump-position", "append"]);
    // Theirs is away now and then, and first again.
    let away = |family: Family| {
        let cluster = &cluster;
        move |_: usize| {
            cluster.iptables("node1", family, &format!("-D FORWARD {CALICO_JUMP}")).unwrap();
            cluster.iptables("node1", family, &format!("-I FORWARD {CALICO_JUMP}")).unwrap();
        }
    };
    let said = live_beside(&cluster, &manifests, &node, &[&away(Family::V4), &away(Family::V6)]);
    no_failures(&node, &said);
    let last = node.wait("the end of the changes", |status| status["synced"] == true);
    assert_eq!(last["driftRepairs"], 0, "{}", node.daemon.log());
    assert!(!is_told(&last));
    for family in Family::BOTH {
        assert!(forward(&cluster, family).last().unwrap().ends_with("-j MS-FORWARD"));
    }
}
