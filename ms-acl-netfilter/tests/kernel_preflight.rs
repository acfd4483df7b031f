//! What keeps rules from governing pods is found, in real namespaces, and only where it is so.

#![allow(clippy::unwrap_used, reason = "tests")]

use ms_acl_core::ruleset::Family;
use ms_acl_lab::net::{Cluster, PodSpec, Wiring};
use ms_acl_netfilter::preflight::{Ask, Facts, Place, PodAt, Preflight, judge};

/// Two nodes with two pods each, without anything wrong on node1 but what the test does.
fn build(wiring: Wiring) -> Cluster {
    let mut builder = Cluster::builder().nodes(2).wiring(wiring);
    for (name, node) in [("default/a", "node1"), ("default/b", "node1"), ("default/c", "node2")] {
        builder = builder.pod(PodSpec::new(name, node));
    }
    let cluster = builder.build().unwrap();
    if wiring == Wiring::Routed {
        set(&cluster, "net.ipv4.conf.all.rp_filter", "1");
        run(&cluster, "ip6tables -t raw -A PREROUTING -m rpfilter --invert -j DROP");
    }
    cluster
}

fn run(cluster: &Cluster, script: &str) {
    cluster.output_in("node1", "sh", &["-ec", script]).unwrap();
}

fn set(cluster: &Cluster, name: &str, value: &str) {
    run(cluster, &format!("sysctl -q -w {name}={value}"));
}

fn ask(cluster: &Cluster) -> Ask {
    let of = |here: bool| {
        let pods = cluster.pods().filter(move |pod| (pod.node == "node1") == here);
        pods.flat_map(|pod| pod.addresses().map(|address| PodAt { name: pod.name.clone(), address }))
            .collect()
    };
    Ask { pods: of(true), others: of(false), mark_mask: 0x3800, connmark_mask: 0x1000 }
}

fn facts(cluster: &Cluster) -> Facts {
    let ask = ask(cluster);
    let look = || {
        let mut preflight = Preflight::open().unwrap();
        preflight.read_rules().unwrap();
        preflight.look(&ask).unwrap()
    };
    cluster.run_in("node1", look).unwrap()
}

fn findings(cluster: &Cluster) -> Vec<String> {
    judge(&facts(cluster))
}

/// The one finding, which must say all of this.
fn only(cluster: &Cluster, parts: &[&str]) {
    let findings = findings(cluster);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    println!("{}", findings[0]);
    for part in parts {
        assert!(findings[0].contains(part), "{part}: {}", findings[0]);
    }
}

fn none(cluster: &Cluster) {
    assert_eq!(findings(cluster), Vec::<String>::new());
}

fn address(cluster: &Cluster, pod: &str, family: Family) -> String {
    cluster.address(pod, family).unwrap().to_string()
}

#[test]
fn a_node_on_which_nothing_is_wrong_has_no_findings() {
    none(&build(Wiring::Routed));
    // What kube-proxy, flannel and Docker have where all is well, and what is nobody's business.
    let cluster = build(Wiring::Routed);
    let kube = "iptables-restore --noflush <<E
*nat
:KUBE-POSTROUTING - [0:0]
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment kube -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A POSTROUTING -m comment --comment flanneld -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.0.0/16 -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
*raw
-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -j CT --notrack
-A OUTPUT -s 169.254.20.10/32 -j CT --notrack
COMMIT
*mangle
-A FORWARD -j MARK --set-xmark 0x0/0xe0000
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffff0000 --ctmask 0xffff0000
COMMIT
*filter
-A FORWARD -m comment --comment ms-acl -j MS-FORWARD
-A FORWARD -j ACCEPT
COMMIT
E";
    run(&cluster, "iptables -N MS-FORWARD; iptables -A MS-FORWARD -j MARK --set-xmark 0x0/0x3800");
    run(&cluster, kube);
    none(&cluster);
    assert!(facts(&cluster).pods.iter().all(|(_, place)| matches!(place, Place::Interface(_))));
}

#[test]
fn a_bridge_that_skips_the_rules_is_told_in_each_family() {
    let cluster = build(Wiring::Bridged);
    // A bridge's pods can always forge each other's addresses.
    only(&cluster, &["a pod on the bridge cni0 can send from the address of another", "NET_RAW"]);
    assert!(facts(&cluster).pods.iter().all(|(_, place)| *place == Place::Bridge("cni0".to_owned())));
    for (setting, family) in [("iptables", "ipv4"), ("ip6tables", "ipv6")] {
        set(&cluster, &format!("net.bridge.bridge-nf-call-{setting}"), "0");
        let told = findings(&cluster);
        let wanted = format!("{family} packets between pods on the bridge cni0 skip all rules");
        assert!(told.len() == 2 && told[0].starts_with(&wanted), "{told:#?}");
        assert!(told[0].ends_with(&format!("Set net.bridge.bridge-nf-call-{setting} to 1")), "{told:#?}");
        // The bridge's own setting is enough.
        run(&cluster, &format!("ip link set cni0 type bridge nf_call_{setting} 1"));
        assert_eq!(findings(&cluster).len(), 1);
        run(&cluster, &format!("ip link set cni0 type bridge nf_call_{setting} 0"));
        set(&cluster, &format!("net.bridge.bridge-nf-call-{setting}"), "1");
    }
}

#[test]
fn a_missing_bridge_filter_is_told() {
    // The module can't be taken out of this kernel: the facts are made up.
    let facts = Facts {
        bridges: [("cni0".to_owned(), [true, true])].into(),
        bridge_filter: None,
        ..Facts::default()
    };
    assert!(judge(&facts)[0].contains("br_netfilter isn't loaded. Load it (modprobe br_netfilter)"));
}

#[test]
fn masquerading_between_pods_is_told() {
    // The bridge plugin's ipMasq, as it is made for each pod: it knows of this node's pods only.
    let cluster = build(Wiring::Routed);
    let a = address(&cluster, "default/a", Family::V4);
    run(&cluster, "iptables -t nat -N CNI-x; iptables -t nat -A CNI-x -d 10.244.1.0/24 -j ACCEPT");
    run(&cluster, "iptables -t nat -A CNI-x ! -d 224.0.0.0/4 -j MASQUERADE");
    run(&cluster, &format!("iptables -t nat -A POSTROUTING -s {a}/32 -j CNI-x"));
    only(
        &cluster,
        &[
            "packets of default/a (",
            "to other pods, default/c (",
            "ipv4 chain POSTROUTING of the table nat",
            "ipMasq",
        ],
    );
    // Native rules, another table, IPv6.
    let cluster = build(Wiring::Routed);
    let range = cluster.node("node1").unwrap().pod_ranges[1];
    run(
        &cluster,
        "nft add table ip6 my; nft 'add chain ip6 my post { type nat hook postrouting priority srcnat; }'",
    );
    run(&cluster, &format!("nft add rule ip6 my post ip6 saddr {range} oifname eth0 masquerade"));
    only(&cluster, &["default/a (", "default/b (", "ipv6 chain post of the table my"]);
    // A SNAT to the world that spares the pods is none.
    let cluster = build(Wiring::Routed);
    run(
        &cluster,
        "iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j SNAT --to-source 192.0.2.1",
    );
    none(&cluster);
}

#[test]
fn untracked_pods_are_told() {
    let cluster = build(Wiring::Routed);
    run(&cluster, "ip6tables -t raw -A PREROUTING -p tcp -j CT --notrack");
    only(&cluster, &["connections of default/a (", "ipv6 chain PREROUTING of the table raw", "NOTRACK"]);
    let cluster = build(Wiring::Routed);
    let b = address(&cluster, "default/b", Family::V4);
    // As Calico: chains of its own, some of which nobody can tell from the rule alone.
    run(
        &cluster,
        "iptables -t raw -N cali-x; iptables -t raw -A cali-x -m mark --mark 0x40000/0x40000 -j RETURN",
    );
    run(&cluster, "iptables -t raw -A cali-x -j CT --notrack");
    run(&cluster, &format!("iptables -t raw -A PREROUTING -d {b} -j cali-x"));
    // Those of both: one of the two sends to the other.
    only(&cluster, &["connections of default/a (", "default/b ("]);
    let cluster = build(Wiring::Routed);
    run(
        &cluster,
        "nft add table inet my; nft 'add chain inet my pre { type filter hook prerouting priority raw; }'",
    );
    run(&cluster, "nft add rule inet my pre udp dport 53 notrack");
    assert_eq!(findings(&cluster).len(), 2, "both families");
}

#[test]
fn pods_that_are_wired_past_this_node_are_told() {
    let cluster = build(Wiring::Routed);
    // A pod on macvlan has an address of the underlay's network: the node reaches it by its uplink.
    let stray = PodAt { name: "default/macvlan".to_owned(), address: "172.31.0.77".parse().unwrap() };
    let mut ask = ask(&cluster);
    let uplink = cluster.node("node1").unwrap().addresses[0];
    let stray = PodAt { address: next(uplink), ..stray };
    ask.pods.push(stray.clone());
    // And one of a range that is routed to somewhere else.
    let far = PodAt { name: "default/far".to_owned(), address: "203.0.113.9".parse().unwrap() };
    ask.pods.push(far);
    let look = || {
        run_here("ip link add pod link eth0 type macvlan mode bridge");
        Preflight::open().unwrap().look(&ask).unwrap()
    };
    let facts = cluster.run_in("node1", look).unwrap();
    let told = judge(&Facts {
        reverse_path: facts.reverse_path.keys().map(|name| (name.clone(), 1)).collect(),
        ..facts
    });
    let told: Vec<&String> = told.iter().filter(|line| !line.contains("IPv6")).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    for part in ["default/macvlan (", "default/far (", "reached through eth0", "macvlan", "SR-IOV"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
}

fn next(address: std::net::IpAddr) -> std::net::IpAddr {
    match address {
        std::net::IpAddr::V4(address) => std::net::Ipv4Addr::from(u32::from(address) + 40).into(),
        std::net::IpAddr::V6(address) => address.into(),
    }
}

fn run_here(command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    assert!(std::process::Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{command}");
}

#[test]
fn pods_that_can_forge_addresses_are_told() {
    let cluster = build(Wiring::Routed);
    for (all, own) in [("0", "0"), ("2", "0"), ("0", "2"), ("1", "2")] {
        set(&cluster, "net.ipv4.conf.all.rp_filter", all);
        let interface = cluster.pod("default/a").unwrap().interface.clone();
        for pod in ["default/a", "default/b"] {
            let name = &cluster.pod(pod).unwrap().interface;
            // Strict on the other.
            set(
                &cluster,
                &format!("net/ipv4/conf/{name}/rp_filter"),
                if pod == "default/a" { own } else { "1" },
            );
        }
        let told = findings(&cluster);
        let loose = all == "2";
        assert_eq!(told.len(), 1, "{all} {own}: {told:#?}");
        assert!(told[0].contains(&interface) && told[0].contains("rp_filter to 1"), "{all} {own}: {told:#?}");
        assert_eq!(told[0].contains(&cluster.pod("default/b").unwrap().interface), loose, "{told:#?}");
    }
    // A rule that looks does as well as the setting.
    run(&cluster, "iptables -t raw -A PREROUTING -m rpfilter --invert -j DROP");
    none(&cluster);
    run(&cluster, "ip6tables -t raw -F");
    only(&cluster, &["IPv6 packets from addresses that aren't its own", "ip6tables -t raw"]);
}

#[test]
fn rules_before_our_jump_are_told() {
    let cluster = build(Wiring::Routed);
    run(&cluster, "iptables -N MS-FORWARD");
    run(&cluster, "iptables -A FORWARD -s 192.0.2.1 -j MARK --set-mark 1");
    run(&cluster, "iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT");
    run(&cluster, "iptables -A FORWARD -s 10.0.0.0/8 -j DROP");
    none(&cluster);
    run(&cluster, "iptables -A FORWARD -m comment --comment ms-acl -j MS-FORWARD");
    only(
        &cluster,
        &["2 rules stand before our jump in the ipv4 chain FORWARD", "--forward-jump-position insert"],
    );
}

#[test]
fn marks_that_others_use_are_told() {
    // Each with the bits that it uses, and whether they are ours.
    let rules = [
        ("iptables -t mangle -A FORWARD -j MARK --set-xmark 0x800/0x800", Some("0x800 of the packet mark")),
        ("iptables -t mangle -A FORWARD -m mark --mark 0x1000/0x1000", Some("0x1000 of the packet mark")),
        ("iptables -t mangle -A FORWARD -j MARK --set-mark 0x2001", Some("0x2000 of the packet mark")),
        ("iptables -t mangle -A FORWARD -j MARK --set-mark 1", None),
        ("iptables -t mangle -A FORWARD -j CONNMARK --save-mark", Some("0x1000 of the connection mark")),
        ("iptables -t mangle -A FORWARD -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff", None),
        (
            "iptables -t mangle -A FORWARD -m connmark --mark 0x1000/0x1000",
            Some("0x1000 of the connection mark"),
        ),
        ("iptables -A INPUT -m mark --mark 0x4000/0x4000 -j ACCEPT", None),
        (
            "nft add rule ip filter INPUT meta mark \\& 0x2000 == 0x2000 accept",
            Some("0x2000 of the packet mark"),
        ),
    ];
    let cluster = build(Wiring::Routed);
    run(&cluster, "iptables -A INPUT -s 192.0.2.1");
    for (rule, told) in rules {
        run(&cluster, rule);
        match told {
            None => none(&cluster),
            Some(bits) => only(&cluster, &[bits, "which are ours", "Give us others by --"]),
        }
        run(&cluster, "iptables -t mangle -F; iptables -F INPUT");
    }
}

#[test]
fn legacy_rules_are_told_and_empty_legacy_tables_are_not() {
    let cluster = build(Wiring::Routed);
    run(&cluster, "iptables-legacy -S; iptables-legacy -t nat -S; ip6tables-legacy -t mangle -S");
    none(&cluster);
    run(&cluster, "iptables-legacy -A FORWARD -j ACCEPT");
    only(
        &cluster,
        &["the legacy iptables of this node has rules in its tables filter", "iptables-legacy-save"],
    );
    run(&cluster, "iptables-legacy -F; ip6tables-legacy -t mangle -A FORWARD -j MARK --set-mark 1");
    only(&cluster, &["the legacy ip6tables of this node has rules in its tables mangle"]);
}
