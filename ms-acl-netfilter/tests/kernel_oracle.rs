//! Random worlds, programmed for real: what becomes of packets is what the oracle says.
//!
//! `MS_ACL_WORLDS` sets the number of worlds for each wiring (a long run: 1000), `MS_ACL_SEED` the first.
#![allow(clippy::unwrap_used, reason = "tests read better so")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ms_acl_core::cluster::Cluster as Objects;
use ms_acl_core::compile::compile;
use ms_acl_core::diff::diff;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::{self, Settings};
use ms_acl_core::ruleset::Rulesets;
use ms_acl_lab::net::{
    Cluster, Endpoint, Families, OUTSIDE, Outcome, PodSpec, Ports, Probe, Protocol, Wiring,
};
use ms_acl_lab::oracle::{self, Flow, NodeTraffic, RefuseWith, Verdict, World, judge};
use ms_acl_lab::random::{Dice, GivenNode, GivenPod, Shape, some_flows, world_from_seed};
use ms_acl_netfilter::{Dataplane, Options};

/// The ports that random policies speak of, and their neighbours.
const PORTS: [u16; 24] = [
    1, 2, 52, 53, 54, 79, 80, 81, 82, 442, 443, 444, 7999, 8000, 8001, 8002, 8079, 8080, 8081, 9089, 9090,
    9091, 65534, 65535,
];
/// Flows for each world.
const FLOWS: usize = 80;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Nine pods on two nodes, in three namespaces, of both families and of one.
fn lab(wiring: Wiring) -> Cluster {
    let mut builder = Cluster::builder().nodes(2).wiring(wiring);
    for index in 0..9 {
        let namespace = ["default", "shop", "ops"][index % 3];
        let node = ["node1", "node2"][index % 2];
        let families = [Families::Dual, Families::Dual, Families::V4, Families::V6][index % 4];
        builder = builder.pod(PodSpec::new(format!("{namespace}/pod-{index}"), node).families(families));
    }
    let cluster = builder.build().unwrap();
    let hosts: Vec<String> = ["node1", "node2", OUTSIDE].map(str::to_owned).into();
    for host in cluster.pods().map(|pod| pod.name.clone()).chain(hosts) {
        cluster.serve(&host, &Ports::all(&PORTS)).unwrap();
    }
    cluster
}

fn shape(cluster: &Cluster) -> Shape {
    let nodes = cluster.nodes().iter().map(|node| GivenNode {
        name: node.name.clone(),
        addresses: node.addresses.to_vec(),
        local_addresses: cluster.addresses(&node.name).unwrap(),
    });
    let pods = cluster.pods().map(|pod| {
        let (namespace, name) = pod.name.split_once('/').unwrap();
        GivenPod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: pod.node.clone(),
            addresses: pod.addresses().collect(),
        }
    });
    Shape {
        valid_only: true,
        running_only: true,
        nodes: nodes.collect(),
        pods: pods.collect(),
        externals: cluster.addresses(OUTSIDE).unwrap(),
        ..Shape::default()
    }
}

fn settings(world: &World, node: &str) -> Settings {
    Settings {
        pod_ip_range: world.settings.pod_ip_range.clone(),
        node_traffic: match world.settings.node_traffic {
            NodeTraffic::Allow => model::NodeTraffic::Allow,
            NodeTraffic::Enforce => model::NodeTraffic::Enforce,
        },
        refuse_with: match world.settings.refuse_with {
            RefuseWith::Reject => model::RefuseWith::Reject,
            RefuseWith::Drop => model::RefuseWith::Drop,
        },
        ..Settings::new(node)
    }
}

/// What both nodes shall hold in a world.
fn desired(world: &World, node: &str) -> Rulesets {
    let mut objects = Objects::new();
    for object in world.objects() {
        objects.apply(object);
    }
    if !world.acl.is_null() {
        let document = AclDocument::parse(serde_json::from_value(world.acl.clone()).unwrap()).unwrap();
        objects.set_acl(Arc::new(document));
    }
    compile(&objects, &settings(world, node)).rulesets
}

/// The flows of a world that the lab can send: between its own addresses, to served ports.
fn flows(world: &World, places: &BTreeMap<IpAddr, String>, seed: u64) -> Vec<Flow> {
    let mut dice = Dice::from_seed(seed);
    let known = |flow: &Flow| {
        places.contains_key(&flow.from)
            && places.contains_key(&flow.to)
            && (flow.protocol == oracle::Protocol::Icmp || PORTS.contains(&flow.port))
            // A raw sender isn't told of a REJECT in its own OUTPUT.
            && !(flow.protocol == oracle::Protocol::Sctp && places[&flow.from].starts_with("node"))
    };
    let flows: BTreeSet<Flow> = some_flows(world, &mut dice, 40 * FLOWS).into_iter().filter(known).collect();
    let mut flows: Vec<Flow> = flows.into_iter().collect();
    dice.shuffle(&mut flows);
    flows.truncate(FLOWS);
    flows
}

fn probe(flow: &Flow, places: &BTreeMap<IpAddr, String>) -> Probe {
    let protocol = match flow.protocol {
        oracle::Protocol::Tcp => Protocol::Tcp,
        oracle::Protocol::Udp => Protocol::Udp,
        oracle::Protocol::Sctp => Protocol::Sctp,
        oracle::Protocol::Icmp => Protocol::Icmp,
    };
    let from = Endpoint { host: places[&flow.from].clone(), address: flow.from };
    Probe::new(from, flow.to, protocol, flow.port)
}

fn agree(wiring: Wiring) {
    let cluster = lab(wiring);
    let shape = shape(&cluster);
    let mut places = BTreeMap::new();
    for host in cluster.pods().map(|pod| pod.name.as_str()).chain(["node1", "node2", OUTSIDE]) {
        places.extend(cluster.addresses(host).unwrap().into_iter().map(|address| (address, host.to_owned())));
    }
    let mut nodes: Vec<(&str, Dataplane, Rulesets)> = Vec::new();
    for node in ["node1", "node2"] {
        let mut dataplane = cluster.run_in(node, || Dataplane::open(Options::default())).unwrap().unwrap();
        let held = dataplane.observe().unwrap().rulesets;
        nodes.push((node, dataplane, held));
    }
    let first = number("MS_ACL_SEED", 1);
    let mut seen = BTreeMap::new();
    for seed in first..first + number("MS_ACL_WORLDS", 12) {
        let world = world_from_seed(seed, &shape);
        for (node, dataplane, held) in &mut nodes {
            let wanted = desired(&world, node);
            dataplane.commit(&diff(held, &wanted)).unwrap();
            let observed = dataplane.observe().unwrap().rulesets;
            let rest = diff(&observed, &wanted);
            assert!(rest.is_empty(), "seed {seed}, {node}: the kernel differs: {rest:?}");
            *held = wanted;
        }
        let flows = flows(&world, &places, seed);
        let probes: Vec<Probe> = flows.iter().map(|flow| probe(flow, &places)).collect();
        let outcomes = cluster.probe(&probes).unwrap();
        for (flow, outcome) in flows.iter().zip(outcomes) {
            let answer = judge(&world, flow);
            let expected = match answer.verdict {
                Verdict::Allow => Outcome::Allowed,
                Verdict::Drop => Outcome::Dropped,
                Verdict::Reject => Outcome::Rejected,
            };
            assert_eq!(
                outcome, expected,
                "MS_ACL_SEED={seed} {wiring:?}: {flow:?}: the oracle says {answer:?}"
            );
            *seen.entry(format!("{outcome:?}")).or_insert(0) += 1;
        }
    }
    println!("{wiring:?}: {seen:?}");
}

#[test]
fn routed_pods_are_judged_as_the_oracle_says() {
    agree(Wiring::Routed);
}

#[test]
fn bridged_pods_are_judged_as_the_oracle_says() {
    agree(Wiring::Bridged);
}
