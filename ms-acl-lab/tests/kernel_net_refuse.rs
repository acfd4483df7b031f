//! Refused and lost packets are told apart, for every way in which iptables refuses.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::net::IpAddr;
use std::time::Instant;

use ms_acl_lab::net::{Cluster, Family, OUTSIDE, Outcome, PodSpec, Ports, Probe, Protocol, Wiring};

const PROTOCOLS: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];
const PORT: u16 = 80;

/// What iptables can refuse with.
const KINDS_V4: &[&str] = &[
    "icmp-net-unreachable",
    "icmp-host-unreachable",
    "icmp-port-unreachable",
    "icmp-proto-unreachable",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "icmp-admin-prohibited",
];
const KINDS_V6: &[&str] = &[
    "icmp6-no-route",
    "icmp6-adm-prohibited",
    "icmp6-addr-unreachable",
    "icmp6-port-unreachable",
    "icmp6-policy-fail",
    "icmp6-reject-route",
];

fn cluster(wiring: Wiring) -> Cluster {
    let cluster = Cluster::builder()
        .wiring(wiring)
        .pod(PodSpec::new("target", "node1"))
        .pod(PodSpec::new("near", "node1"))
        .pod(PodSpec::new("far", "node2"))
        .build()
        .unwrap();
    for host in ["target", "near", "far", OUTSIDE] {
        cluster.serve(host, &Ports::all(&[PORT])).unwrap();
    }
    cluster
}

fn probes(cluster: &Cluster, family: Family, from: &str, to: &str, protocols: &[Protocol]) -> Vec<Probe> {
    let to = cluster.address(to, family).unwrap();
    let from = cluster.endpoint(from, family).unwrap();
    protocols.iter().map(|protocol| Probe::new(from.clone(), to, *protocol, PORT)).collect()
}

fn expect(cluster: &Cluster, probes: &[Probe], expected: Outcome, why: &str) {
    let outcomes = cluster.probe(probes).unwrap();
    for (probe, outcome) in probes.iter().zip(outcomes) {
        assert_eq!(outcome, expected, "{probe} {why}");
    }
}

/// Whoever asks, `rule` (which names the target's address) gives `expected`; without it all is allowed again.
fn with_rule(
    cluster: &Cluster,
    family: Family,
    rule: impl Fn(IpAddr) -> String,
    protocols: &[Protocol],
    expected: Outcome,
) {
    let rule = rule(cluster.address("target", family).unwrap());
    let asked: Vec<Probe> = ["near", "far", OUTSIDE, "node2"]
        .iter()
        .flat_map(|from| probes(cluster, family, from, "target", protocols))
        .collect();
    cluster.iptables("node1", family, &format!("-I FORWARD {rule}")).unwrap();
    expect(cluster, &asked, expected, &rule);
    let elsewhere = probes(cluster, family, "near", "far", &PROTOCOLS);
    expect(cluster, &elsewhere, Outcome::Allowed, &rule);
    cluster.iptables("node1", family, &format!("-D FORWARD {rule}")).unwrap();
    expect(cluster, &asked, Outcome::Allowed, "without rules");
}

fn refusals_are_told_apart(wiring: Wiring) {
    let cluster = cluster(wiring);
    for (family, kinds) in [(Family::V4, KINDS_V4), (Family::V6, KINDS_V6)] {
        let drop = |to| format!("-d {to} -j DROP");
        with_rule(&cluster, family, drop, &PROTOCOLS, Outcome::Dropped);
        for kind in kinds {
            let reject = |to| format!("-d {to} -j REJECT --reject-with {kind}");
            with_rule(&cluster, family, reject, &PROTOCOLS, Outcome::Rejected);
        }
        let reset = |to| format!("-p tcp -d {to} -j REJECT --reject-with tcp-reset");
        with_rule(&cluster, family, reset, &[Protocol::Tcp], Outcome::Rejected);
    }
}

#[test]
fn refusals_are_told_apart_over_routes() {
    refusals_are_told_apart(Wiring::Routed);
}

#[test]
fn refusals_are_told_apart_over_bridges() {
    refusals_are_told_apart(Wiring::Bridged);
}

#[test]
fn refusals_of_the_senders_own_node_are_told_apart() {
    for wiring in [Wiring::Routed, Wiring::Bridged] {
        let cluster = cluster(wiring);
        for family in Family::BOTH {
            let to = cluster.address("far", family).unwrap();
            let asked = probes(&cluster, family, "near", "far", &PROTOCOLS);
            let own = probes(&cluster, family, "node1", "far", &PROTOCOLS);
            for (target, expected) in [("DROP", Outcome::Dropped), ("REJECT", Outcome::Rejected)] {
                let rule = format!("-d {to} -j {target}");
                for (chain, probes) in [("FORWARD", &asked), ("OUTPUT", &own)] {
                    cluster.iptables("node1", family, &format!("-I {chain} {rule}")).unwrap();
                    expect(&cluster, probes, expected, &format!("{wiring:?} {chain} {rule}"));
                    cluster.iptables("node1", family, &format!("-D {chain} {rule}")).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_connection_without_its_data_is_dropped() {
    let cluster = cluster(Wiring::Routed);
    let far = cluster.address("far", Family::V4).unwrap();
    // The handshake passes, what follows doesn't.
    let rule = format!("-I FORWARD -s {far} -p tcp --tcp-flags SYN,PSH PSH -j DROP");
    cluster.iptables("node1", Family::V4, &rule).unwrap();
    let asked = probes(&cluster, Family::V4, "near", "far", &[Protocol::Tcp]);
    expect(&cluster, &asked, Outcome::Dropped, &rule);
}

#[test]
fn addresses_that_nobody_has_drop() {
    for wiring in [Wiring::Routed, Wiring::Bridged] {
        let cluster = cluster(wiring);
        let mut asked = Vec::new();
        for (family, nobody) in [
            (Family::V4, ["10.244.1.99", "10.244.2.99", "192.0.2.1"]),
            (Family::V6, ["fd00:10:244:1::99", "fd00:10:244:2::99", "2001:db8::1"]),
        ] {
            for from in ["near", "far", "node1"] {
                let from = cluster.endpoint(from, family).unwrap();
                for to in nobody {
                    let to: IpAddr = to.parse().unwrap();
                    asked.extend(PROTOCOLS.map(|protocol| Probe::new(from.clone(), to, protocol, PORT)));
                }
            }
        }
        // Again and again: no search for a neighbour ends in an error meanwhile.
        for _ in 0..6 {
            expect(&cluster, &asked, Outcome::Dropped, "to nobody");
        }
    }
}

#[test]
fn three_hundred_mixed_probes_are_quick() {
    let mut builder = Cluster::builder().wiring(Wiring::Bridged);
    for n in 0..10 {
        builder = builder.pod(PodSpec::new(format!("pod{n}"), format!("node{}", n % 2 + 1)));
    }
    let cluster = builder.build().unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    let pods: Vec<String> = cluster.pods().map(|pod| pod.name.clone()).collect();
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for family in Family::BOTH {
        // Pods 0 and 1 are refused, 2 and 3 don't answer.
        for (n, verdict) in [(0, "REJECT"), (1, "REJECT"), (2, "DROP"), (3, "DROP")] {
            let to = cluster.address(&format!("pod{n}"), family).unwrap();
            let node = format!("node{}", n % 2 + 1);
            cluster.iptables(&node, family, &format!("-A FORWARD -d {to} -j {verdict}")).unwrap();
        }
        for from in 4..8 {
            for (to, name) in pods.iter().enumerate() {
                asked.extend(probes(&cluster, family, &pods[from], name, &PROTOCOLS));
                expected.extend(
                    [match to {
                        0 | 1 => Outcome::Rejected,
                        2 | 3 => Outcome::Dropped,
                        _ => Outcome::Allowed,
                    }; 4],
                );
            }
        }
    }
    for _ in 0..3 {
        let started = Instant::now();
        let outcomes = cluster.probe(&asked).unwrap();
        println!("{} mixed probes, a fifth each dropped and rejected: {:?}", asked.len(), started.elapsed());
        assert_eq!(outcomes, expected);
    }
}
