//! Pods come and go; addresses are chosen, given back and used again.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::net::IpAddr;

use ms_acl_lab::net::{
    Cluster, Families, Family, NodeSpec, OUTSIDE, Outcome, PodSpec, Ports, Probe, Protocol, Wiring,
};

const PROTOCOLS: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];

fn expect(cluster: &Cluster, from: &[&str], to: &[IpAddr], expected: Outcome) {
    let mut probes = Vec::new();
    for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, *to))) {
        let from = cluster.endpoint(from, Family::of(to)).unwrap();
        probes.extend(PROTOCOLS.map(|protocol| Probe::new(from.clone(), to, protocol, 80)));
    }
    for (probe, outcome) in probes.iter().zip(cluster.probe(&probes).unwrap()) {
        assert_eq!(outcome, expected, "{probe}");
    }
}

fn add(cluster: &mut Cluster, pod: PodSpec) -> Vec<IpAddr> {
    let pod = cluster.add_pod(pod).unwrap().clone();
    cluster.serve(&pod.name, &Ports::all(&[80])).unwrap();
    pod.addresses().collect()
}

#[test]
fn a_removed_pod_is_gone_and_its_addresses_serve_the_next() {
    for wiring in [Wiring::Routed, Wiring::Bridged] {
        let mut cluster = Cluster::builder()
            .wiring(wiring)
            .pod(PodSpec::new("near", "node1"))
            .pod(PodSpec::new("far", "node2"))
            .build()
            .unwrap();
        let askers = ["near", "far", "node1", "node2", OUTSIDE];
        let addresses = add(&mut cluster, PodSpec::new("default/web-0", "node1"));
        expect(&cluster, &askers, &addresses, Outcome::Allowed);

        let name = cluster.namespace_name("default/web-0").unwrap().to_owned();
        cluster.remove_pod("default/web-0").unwrap();
        assert!(!std::fs::exists(format!("/run/netns/{name}")).unwrap());
        assert!(cluster.pod("default/web-0").is_err());
        expect(&cluster, &askers, &addresses, Outcome::Dropped);

        let [v4, v6] = addresses[..] else { panic!("a dual-stack pod has two addresses") };
        assert_eq!(
            add(&mut cluster, PodSpec::new("default/web-0", "node1")),
            addresses,
            "the first free ones"
        );
        cluster.remove_pod("default/web-0").unwrap();
        // One address each: whoever has only the IPv6 one has another Ethernet address than before.
        add(&mut cluster, PodSpec::new("six", "node1").families(Families::V6).address(v6));
        add(&mut cluster, PodSpec::new("four", "node1").families(Families::V4).address(v4));
        expect(&cluster, &askers, &addresses, Outcome::Allowed);
        assert_eq!(cluster.addresses("six").unwrap(), [v6]);

        let taken = PodSpec::new("other", "node1").address(v4);
        assert!(cluster.add_pod(taken).is_err());
        assert!(cluster.add_pod(PodSpec::new("six", "node2")).is_err(), "the name is taken");
        assert!(cluster.add_pod(PodSpec::new("other", "node3")).is_err(), "no such node");
        assert!(cluster.pod("other").is_err());
    }
}

#[test]
fn addresses_of_nodes_and_pods_can_be_chosen() {
    for wiring in [Wiring::Routed, Wiring::Bridged] {
        let mut cluster = Cluster::builder()
            .wiring(wiring)
            .node(
                NodeSpec::new("blue")
                    .address([192, 168, 7, 1])
                    .address("2001:db8:7::1".parse::<IpAddr>().unwrap())
                    .pod_range("10.1.0.0/20".parse().unwrap())
                    .pod_range("fd01::/80".parse().unwrap()),
            )
            .node("green")
            .pod(PodSpec::new("far", "green"))
            .outside_address([203, 0, 113, 5])
            .outside_address("2001:db8:99::5".parse::<IpAddr>().unwrap())
            .build()
            .unwrap();
        let mut served: Vec<IpAddr> = Vec::new();
        for host in ["blue", "green", OUTSIDE] {
            cluster.serve(host, &Ports::all(&[80])).unwrap();
            served.extend(cluster.addresses(host).unwrap());
        }
        assert!(served.contains(&[192, 168, 7, 1].into()) && served.contains(&[203, 0, 113, 5].into()));
        let near = add(&mut cluster, PodSpec::new("near", "blue"));
        assert_eq!(near[0].to_string(), "10.1.0.2");
        served.extend(near);
        // Outside of its node's range: everybody gets a route.
        let stray = PodSpec::new("stray", "blue")
            .address([100, 64, 1, 2])
            .address("fd64::1:2".parse::<IpAddr>().unwrap());
        let stray_addresses = add(&mut cluster, stray.clone());
        served.extend(&stray_addresses);
        expect(&cluster, &["near", "far", "stray", "blue", "green", OUTSIDE], &served, Outcome::Allowed);

        // The same addresses on another node.
        cluster.remove_pod("stray").unwrap();
        expect(&cluster, &["near", "far", "blue", "green", OUTSIDE], &stray_addresses, Outcome::Dropped);
        let mut moved = PodSpec::new("stray", "green");
        for address in &stray_addresses {
            moved = moved.address(*address);
        }
        add(&mut cluster, moved);
        expect(&cluster, &["near", "far", "stray", "blue", "green", OUTSIDE], &served, Outcome::Allowed);
    }
}

#[test]
fn pods_on_a_bridge_reach_link_local_addresses() {
    let cluster = Cluster::builder()
        .wiring(Wiring::Bridged)
        .pod(PodSpec::new("a", "node1"))
        .pod(PodSpec::new("b", "node1"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[80])).unwrap();
    let b = IpAddr::from(cluster.pod("b").unwrap().link_local());
    expect(&cluster, &["a"], &[b], Outcome::Allowed);
    cluster.iptables("node1", Family::V6, &format!("-A FORWARD -d {b} -j DROP")).unwrap();
    expect(&cluster, &["a"], &[b], Outcome::Dropped);
}

#[test]
fn a_pod_comes_and_goes_quickly() {
    let mut cluster = Cluster::builder().build().unwrap();
    let started = std::time::Instant::now();
    for _ in 0..20 {
        cluster.add_pod(PodSpec::new("p", "node1")).unwrap();
        cluster.remove_pod("p").unwrap();
    }
    println!("a pod comes and goes in {:?}", started.elapsed() / 20);
}
