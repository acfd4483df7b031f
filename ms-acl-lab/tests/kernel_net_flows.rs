//! Connections that stay open, Services, and source ports.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::net::IpAddr;
use std::time::Duration;

use ms_acl_lab::net::{Cluster, Family, Outcome, Patience, PodSpec, Ports, Probe, Protocol, Service, Wiring};

const STREAM: u16 = 7000;

fn cluster(wiring: Wiring) -> Cluster {
    let cluster = Cluster::builder()
        .wiring(wiring)
        .pod(PodSpec::new("a", "node1"))
        .pod(PodSpec::new("b", "node1"))
        .pod(PodSpec::new("c", "node2"))
        .build()
        .unwrap();
    let ports = Ports { streams: vec![STREAM], ..Ports::all(&[80, 8080]) };
    cluster.serve_pods(&ports).unwrap();
    cluster
}

fn probe(cluster: &Cluster, from: &str, to: IpAddr, protocol: Protocol, port: u16) -> Probe {
    Probe::new(cluster.endpoint(from, Family::of(to)).unwrap(), to, protocol, port)
}

#[test]
fn an_open_connection_tells_whether_it_still_works() {
    let cluster = cluster(Wiring::Routed);
    for family in Family::BOTH {
        let c = cluster.address("c", family).unwrap();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut connection = cluster.connect(&probe(&cluster, "a", c, protocol, 80)).unwrap();
            assert!(connection.works());
            cluster.iptables("node2", family, &format!("-A FORWARD -d {c} -j DROP")).unwrap();
            assert!(!connection.works(), "{protocol} through a DROP");
            assert!(cluster.connect(&probe(&cluster, "a", c, protocol, 80)).is_err());
            cluster.iptables("node2", family, "-F FORWARD").unwrap();
            // TCP sends again after a pause that doubles.
            assert!((0..5).any(|_| connection.works()), "{protocol} works again");
        }
    }
}

#[test]
fn a_stream_keeps_sending() {
    let cluster = cluster(Wiring::Bridged);
    for family in Family::BOTH {
        let b = cluster.address("b", family).unwrap();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut connection = cluster.connect(&probe(&cluster, "a", b, protocol, STREAM)).unwrap();
            assert!(connection.receive_for(Duration::from_millis(300)) > 3, "{protocol} streams");
            cluster.iptables("node1", family, &format!("-A FORWARD -s {b} -j DROP")).unwrap();
            connection.receive_for(Duration::from_millis(20));
            assert_eq!(connection.receive_for(Duration::from_millis(300)), 0, "{protocol} through a DROP");
            cluster.iptables("node1", family, "-F FORWARD").unwrap();
        }
    }
}

#[test]
fn a_service_leads_to_its_pod_even_from_that_pod() {
    for wiring in [Wiring::Routed, Wiring::Bridged] {
        let cluster = cluster(wiring);
        for (family, address) in [(Family::V4, "10.96.0.10"), (Family::V6, "fd00:10:96::10")] {
            let address: IpAddr = address.parse().unwrap();
            let backend = cluster.address("b", family).unwrap();
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                let service = Service { address, port: 443, protocol, backend, backend_port: 8080 };
                let probes = ["a", "b", "c", "node1", "node2"]
                    .map(|from| probe(&cluster, from, address, protocol, 443));
                cluster.add_service_everywhere(&service).unwrap();
                let outcomes = cluster.probe(&probes).unwrap();
                for (probe, outcome) in probes.iter().zip(outcomes) {
                    assert_eq!(outcome, Outcome::Allowed, "{wiring:?} {service}: {probe}");
                }
                // Behind the Service only its pod answers.
                cluster.iptables("node1", family, &format!("-A FORWARD -d {backend} -j REJECT")).unwrap();
                let refused = cluster.probe(&probes[..1]).unwrap();
                assert_eq!(refused, [Outcome::Rejected], "{wiring:?} {service}");
                cluster.iptables("node1", family, "-F FORWARD").unwrap();
                for node in cluster.nodes() {
                    cluster.remove_service(&node.name, &service).unwrap();
                }
                let patience = Patience { wait: Duration::from_millis(100), attempts: 1 };
                let gone = cluster.probe_with(&probes[..1], patience).unwrap();
                assert_eq!(gone, [Outcome::Dropped], "{wiring:?} {service}");
            }
        }
    }
}

#[test]
fn a_chosen_source_port_is_used_and_can_be_used_again() {
    let cluster = cluster(Wiring::Routed);
    for family in Family::BOTH {
        let c = cluster.address("c", family).unwrap();
        // The filter sees the port: only from it nothing passes.
        for protocol in ["tcp", "udp", "sctp"] {
            let rule = format!("-A FORWARD -p {protocol} --sport 4242 -d {c} -j DROP");
            cluster.iptables("node2", family, &rule).unwrap();
        }
        let probes = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|p| probe(&cluster, "a", c, p, 80));
        let chosen = probes.clone().map(|probe| probe.from_port(4242));
        let other = probes.clone().map(|probe| probe.from_port(4243));
        for _ in 0..3 {
            assert_eq!(cluster.probe(&probes).unwrap(), [Outcome::Allowed; 3]);
            assert_eq!(cluster.probe(&chosen).unwrap(), [Outcome::Dropped; 3]);
            assert_eq!(cluster.probe(&other).unwrap(), [Outcome::Allowed; 3]);
        }
    }
}

#[test]
fn patience_is_the_callers_choice() {
    let cluster = cluster(Wiring::Routed);
    let probes = [probe(&cluster, "a", [192, 0, 2, 1].into(), Protocol::Udp, 80)];
    let started = std::time::Instant::now();
    let patience = Patience { wait: Duration::from_millis(20), attempts: 1 };
    assert_eq!(cluster.probe_with(&probes, patience).unwrap(), [Outcome::Dropped]);
    println!("one impatient probe: {:?}", started.elapsed());
    assert_eq!(cluster.probe(&[]).unwrap(), []);
    let mixed =
        Probe::new(cluster.endpoint("a", Family::V4).unwrap(), "fd00::1".parse().unwrap(), Protocol::Udp, 80);
    assert!(cluster.probe(&[mixed]).is_err());
}

#[test]
fn tools_speak_for_a_namespace() {
    let cluster = cluster(Wiring::Routed);
    for family in Family::BOTH {
        cluster
            .iptables_restore("node1", family, "*filter\n:LAB - [0:0]\n-A FORWARD -j LAB\nCOMMIT\n")
            .unwrap();
        assert!(cluster.iptables_save("node1", family).unwrap().contains("-A FORWARD -j LAB"));
        assert!(!cluster.iptables_save("node2", family).unwrap().contains("LAB"));
    }
    assert!(cluster.nft_ruleset("node1").unwrap().contains("chain LAB"));
    cluster.ipset_restore("node1", "create lab hash:ip\nadd lab 10.0.0.1\n").unwrap();
    assert!(cluster.ipset_save("node1").unwrap().contains("add lab 10.0.0.1"));
    assert_eq!(cluster.ipset_save("node2").unwrap(), "");

    cluster.iptables("node1", Family::V4, "-A FORWARD -m conntrack --ctstate INVALID -j DROP").unwrap();
    let c = cluster.address("c", Family::V4).unwrap();
    let flow = probe(&cluster, "a", c, Protocol::Udp, 80).from_port(4242);
    assert_eq!(cluster.probe(&[flow]).unwrap(), [Outcome::Allowed]);
    assert!(cluster.conntrack("node1", Family::V4).unwrap().contains("sport=4242"));
    let error = cluster.iptables("node1", Family::V4, "-A NOWHERE -j DROP").unwrap_err();
    assert!(format!("{error:?}").contains("NOWHERE"), "{error:?}");
}
