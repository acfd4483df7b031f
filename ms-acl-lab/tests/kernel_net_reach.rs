//! A fresh cluster lets everything through: every wiring, family and protocol.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::time::Instant;

use ms_acl_lab::net::{Cluster, Families, Family, OUTSIDE, Outcome, PodSpec, Ports, Probe, Protocol, Wiring};

const PORT: u16 = 80;
const PROTOCOLS: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];

/// Every probe between two hosts that have addresses in its family, both protocols with ports on `PORT`.
fn all_probes(cluster: &Cluster) -> Vec<Probe> {
    let mut hosts: Vec<String> = cluster.pods().map(|pod| pod.name.clone()).collect();
    hosts.extend(cluster.nodes().iter().map(|node| node.name.clone()));
    hosts.push(OUTSIDE.to_owned());
    let mut probes = Vec::new();
    for from in &hosts {
        for to in &hosts {
            for family in Family::BOTH {
                let (Ok(from), Ok(to)) = (cluster.endpoint(from, family), cluster.address(to, family)) else {
                    continue;
                };
                probes.extend(PROTOCOLS.map(|protocol| Probe::new(from.clone(), to, protocol, PORT)));
            }
        }
    }
    probes
}

fn serve_everywhere(cluster: &Cluster) {
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    for node in cluster.nodes() {
        cluster.serve(&node.name, &Ports::all(&[PORT])).unwrap();
    }
    cluster.serve(OUTSIDE, &Ports::all(&[PORT])).unwrap();
}

fn expect_all(cluster: &Cluster, probes: &[Probe], expected: Outcome) {
    let started = Instant::now();
    let outcomes = cluster.probe(probes).unwrap();
    println!("{} probes in {:?}", probes.len(), started.elapsed());
    let wrong: Vec<String> = probes
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome != expected)
        .map(|(probe, outcome)| format!("{probe}: {outcome:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} not {expected:?}:\n{}", wrong.len(), probes.len(), wrong.join("\n"));
}

fn everything_is_reachable(wiring: Wiring) {
    let started = Instant::now();
    let mut builder = Cluster::builder().nodes(2).wiring(wiring).outside_address([203, 0, 113, 5]);
    for n in 0..8 {
        builder = builder.pod(PodSpec::new(format!("pod-{n}"), format!("node{}", n % 2 + 1)));
    }
    let cluster = builder
        .pod(PodSpec::new("four", "node1").families(Families::V4))
        .pod(PodSpec::new("six", "node2").families(Families::V6))
        .build()
        .unwrap();
    println!("{wiring:?}: cluster in {:?}", started.elapsed());
    serve_everywhere(&cluster);
    println!("{wiring:?}: served after {:?}", started.elapsed());
    let probes = all_probes(&cluster);
    assert!(probes.len() > 600);
    expect_all(&cluster, &probes, Outcome::Allowed);
}

#[test]
fn everything_is_reachable_over_routes() {
    everything_is_reachable(Wiring::Routed);
}

#[test]
fn everything_is_reachable_over_bridges() {
    everything_is_reachable(Wiring::Bridged);
}
