//! What the API server refuses, and only that: `ValidateNetworkPolicy` of Kubernetes. An object that it
//! would refuse is reported with the place, and refuses the pods that it selects (item 42).

use serde_json::{Value, json};

use crate::world::two_teams;

/// The faults of a policy that isolates a/web in ingress and lets everything in besides.
fn faults(spec: Value) -> Vec<String> {
    let mut world = two_teams();
    let mut whole = json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    world.policy("a/p", whole);
    let faults = world.faults();
    if faults.is_empty() {
        return faults;
    }
    world.rejects("b/web", "a/web", "80");
    assert!(faults.iter().all(|fault| fault.starts_with("error: NetworkPolicy a/p")), "{faults:?}");
    faults
}

#[track_caller]
fn refused_at(place: &str, spec: Value) {
    let faults = faults(spec.clone());
    assert!(faults.iter().any(|fault| fault.contains(&format!("a/p: {place}: "))), "{spec}: {faults:?}");
}

#[track_caller]
fn taken(spec: Value) {
    assert_eq!(faults(spec.clone()), Vec::<String>::new(), "{spec}");
}

fn with_port(port: Value) -> Value {
    json!({"ingress": [{}, {"ports": [port]}]})
}

fn with_peer(peer: Value) -> Value {
    json!({"ingress": [{}, {"from": [peer]}]})
}

#[test]
fn selectors_have_known_operators_with_the_values_they_need() {
    let one = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]});
    for good in
        [one("In", &["v"]), one("NotIn", &["v", "v", ""]), one("Exists", &[]), one("DoesNotExist", &[])]
    {
        taken(with_peer(json!({"podSelector": good})));
        taken(with_peer(json!({"namespaceSelector": good})));
    }
    for (bad, place) in [
        (one("In", &[]), "values"),
        (one("NotIn", &[]), "values"),
        (one("Exists", &["v"]), "values"),
        (one("DoesNotExist", &["v"]), "values"),
        (one("in", &["v"]), "operator"),
        (one("", &[]), "operator"),
        (one("Gt", &["1"]), "operator"),
    ] {
        let place = format!("/matchExpressions/0/{place}");
        refused_at(&format!("/spec/podSelector{place}"), json!({"podSelector": bad}));
        refused_at(
            &format!("/spec/ingress/1/from/0/podSelector{place}"),
            with_peer(json!({"podSelector": bad})),
        );
        refused_at(
            &format!("/spec/ingress/1/from/0/namespaceSelector{place}"),
            with_peer(json!({"namespaceSelector": bad})),
        );
    }
}

#[test]
fn keys_and_values_of_labels_keep_to_their_length_and_letters() {
    let key = |key: &str| with_peer(json!({"podSelector": {"matchLabels": {key: "v"}}}));
    let value = |value: &str| with_peer(json!({"podSelector": {"matchLabels": {"k": value}}}));
    let long = |n: usize| "x".repeat(n);
    for good in ["k", "K.k_k-k", "a.b-c/k", &long(63), &format!("{}/{}", long(253), long(63)), "0"] {
        taken(key(good));
    }
    for good in ["", "v", "V.v_v-v", &long(63), "0"] {
        taken(value(good));
    }
    for bad in
        ["", "-k", "k-", "k k", "/k", "k/", "a/b/k", "A/k", "a_b/k", &long(64), &format!("{}/k", long(254))]
    {
        let faults = faults(key(bad));
        assert!(faults[0].contains("/spec/ingress/1/from/0/podSelector/matchLabels/"), "{bad}: {faults:?}");
    }
    for bad in ["-v", "v-", "v v", "v/v", &long(64)] {
        refused_at("/spec/ingress/1/from/0/podSelector/matchLabels/k", value(bad));
    }
}

#[test]
fn a_peer_is_a_block_or_selectors_and_not_nothing() {
    let block = json!({"cidr": "10.0.0.0/8"});
    taken(with_peer(json!({"ipBlock": block})));
    taken(with_peer(json!({"podSelector": {}, "namespaceSelector": {}})));
    for bad in [
        json!({}),
        json!({"podSelector": null}),
        json!({"ipBlock": block, "podSelector": {}}),
        json!({"ipBlock": block, "namespaceSelector": {}}),
    ] {
        refused_at("/spec/ingress/1/from/0", with_peer(bad));
    }
}

#[test]
fn a_block_is_a_cidr() {
    for good in [
        "10.0.0.0/8",
        "0.0.0.0/0",
        "10.1.2.3/8",
        "10.0.0.1/32",
        "::/0",
        "fd00::1/8",
        "fe80::/10",
        "::ffff:10.0.0.0/104",
        "010.0.0.0/08",
    ] {
        taken(with_peer(json!({"ipBlock": {"cidr": good}})));
    }
    for bad in [
        "",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/255.0.0.0",
        "10.0.0/8",
        "10.0.0.256/8",
        "fd00::",
        "fd00::/129",
        "web",
        "0.0.0.0/0 ",
        "10.0.0.0/8,11.0.0.0/8",
        "fe80::1%eth0/64",
    ] {
        refused_at("/spec/ingress/1/from/0/ipBlock/cidr", with_peer(json!({"ipBlock": {"cidr": bad}})));
    }
}

#[test]
fn an_except_lies_inside_of_its_block_and_is_smaller() {
    let peer = |cidr: &str, except: &str| with_peer(json!({"ipBlock": {"cidr": cidr, "except": [except]}}));
    for (cidr, good) in [
        ("10.0.0.0/8", "10.1.0.0/16"),
        ("10.9.9.9/8", "10.1.2.3/9"),
        ("0.0.0.0/0", "0.0.0.0/1"),
        ("::/0", "fe80::/10"),
    ] {
        taken(peer(cidr, good));
    }
    for (cidr, bad) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/8", "10.0.0.0/7"),
        ("10.0.0.0/8", "11.0.0.0/16"),
        ("0.0.0.0/0", "fd00::/8"),
        ("::/0", "10.0.0.0/8"),
        ("10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.0/8", ""),
    ] {
        refused_at("/spec/ingress/1/from/0/ipBlock/except/0", peer(cidr, bad));
    }
}

#[test]
fn a_port_is_a_number_from_1_to_65535_or_a_service_name() {
    for good in [json!(1), json!(65535), json!("http"), json!("a-1"), json!("1a"), json!("abcdefghij-12-4")] {
        taken(with_port(json!({"port": good})));
    }
    for bad in [
        json!(0),
        json!(-1),
        json!(65536),
        json!(70000),
        json!(4_294_967_376_i64),
        json!(""),
        json!("80"),
        json!("HTTP"),
        json!("-a"),
        json!("a-"),
        json!("a--b"),
        json!("a_b"),
        json!("abcdefghijklmnop"),
    ] {
        refused_at("/spec/ingress/1/ports/0/port", with_port(json!({"port": bad})));
    }
    for undecodable in [json!(80.5), json!(true), json!([80]), json!(1e30)] {
        assert_eq!(faults(with_port(json!({"port": undecodable}))).len(), 1);
    }
}

#[test]
fn an_end_port_follows_a_number_and_is_not_smaller() {
    for good in [json!({"port": 80, "endPort": 80}), json!({"port": 1, "endPort": 65535})] {
        taken(with_port(good));
    }
    for bad in [
        json!({"port": 80, "endPort": 79}),
        json!({"port": 80, "endPort": 65536}),
        json!({"port": 80, "endPort": 0}),
        json!({"port": "http", "endPort": 80}),
        json!({"endPort": 80}),
    ] {
        refused_at("/spec/ingress/1/ports/0/endPort", with_port(bad));
    }
}

#[test]
fn a_protocol_is_tcp_udp_or_sctp_in_capitals() {
    for good in [json!("TCP"), json!("UDP"), json!("SCTP"), json!(null)] {
        taken(with_port(json!({"protocol": good})));
    }
    for bad in ["", "tcp", "Udp", "ICMP", "DCCP", "6"] {
        refused_at("/spec/ingress/1/ports/0/protocol", with_port(json!({"protocol": bad})));
    }
}

#[test]
fn types_are_known_ones_and_no_more_than_two() {
    for good in [
        json!([]),
        json!(null),
        json!(["Ingress"]),
        json!(["Egress", "Ingress"]),
        json!(["Ingress", "Ingress"]),
    ] {
        taken(json!({"policyTypes": good}));
    }
    refused_at("/spec/policyTypes", json!({"policyTypes": ["Ingress", "Egress", "Ingress"]}));
    for bad in ["ingress", "Both", ""] {
        refused_at("/spec/policyTypes/0", json!({"policyTypes": [bad]}));
    }
}

#[test]
fn a_policy_has_a_name_that_the_api_server_takes() {
    for (name, good) in
        [("p", true), ("a.b-c", true), ("Bad", false), ("a_b", false), ("-a", false), ("a..b", false)]
    {
        let mut world = two_teams();
        world.policy(&format!("a/{name}"), json!({"podSelector": {}, "ingress": [{}]}));
        assert_eq!(world.faults().is_empty(), good, "{name}");
        if !good {
            assert!(world.faults()[0].contains("/metadata/name"), "{:?}", world.faults());
            world.rejects("b/web", "a/web", "80");
        }
    }
}

#[test]
fn rules_of_a_type_that_is_not_listed_must_be_valid_too() {
    refused_at(
        "/spec/egress/0/ports/0/port",
        json!({"policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 0}]}]}),
    );
}

#[test]
fn a_list_is_no_object() {
    // A rule, a peer and a port that say nothing would allow everything.
    for bad in [
        json!({"ingress": [[]]}),
        json!({"ingress": [{"from": [[]]}]}),
        json!({"ingress": [{"from": [{"podSelector": []}]}]}),
        json!({"ingress": [{"from": [{"namespaceSelector": []}]}]}),
        json!({"ingress": [{"from": [{"ipBlock": ["0.0.0.0/0"]}]}]}),
        json!({"ingress": [{"ports": [[]]}]}),
        json!({"ingress": [null]}),
        json!({"ingress": [{"ports": [null]}]}),
        json!({"podSelector": [{"app": "db"}]}),
    ] {
        let faults = faults(bad.clone());
        assert!(faults.len() == 1 && faults[0].contains("can't be decoded"), "{bad}: {faults:?}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {"matchExpressions": [{"key": "", "operator": "Is"}]}, "policyTypes": ["X"],
            "ingress": [{"from": [{}, {"ipBlock": {"cidr": "x", "except": ["y"]}}], "ports": [{"port": 0, "protocol": "x"}]}],
            "egress": [{"to": [{}], "ports": [{"endPort": 1}]}]}),
    );
    assert_eq!(world.faults().len(), 10, "{:#?}", world.faults());
}
