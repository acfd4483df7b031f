//! The entry points of the fuzz targets, with any bytes and with mangled worlds, on the stable toolchain; and
//! large inputs of every nasty form, of which no part may grow out of proportion.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a library to the fuzz targets")]
mod entry;

use std::collections::BTreeMap;

use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::{Compiled, compile};
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Settings;
use ms_acl_core::object::Object;
use ms_acl_lab::random::{Dice, Shape, mangle, world};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is written in manifests, in pieces.
const PIECES: &[&str] = &[
    "apiVersion: v1\n",
    "kind: Pod\n",
    "kind: NetworkPolicy\n",
    "apiVersion: networking.k8s.io/v1\n",
    "metadata:\n",
    "  name: a\n",
    "  namespace: b\n",
    "spec:\n",
    "  podSelector: {}\n",
    "  ingress:\n",
    "  - from:\n",
    "  - {}\n",
    "    - podSelector:\n",
    "        matchLabels: {a: b}\n",
    "    - ipBlock: {cidr: 10.0.0.0/8}\n",
    "    ports:\n",
    "    - port: 80\n",
    "    - {port: http, protocol: UDP}\n",
    "  policyTypes: [Egress]\n",
    "status: {podIP: 10.0.0.1}\n",
    "---\n",
    "&a ",
    "*a\n",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "  ",
    "!!str ",
    "null",
    "~",
    "\"",
    "'",
    "|\n",
    "<<: *a\n",
    "deployments: ",
    "rules: ",
    "action: ALLOW",
    "srcCIDR: ::/0",
    "port: 0",
    ",",
    "\u{0}",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        entry::manifests(&bytes);
        entry::document(&bytes);
    }

    #[test]
    fn any_pieces_are_taken_without_panic(places in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = places.into_iter().map(|place| PIECES[place]).collect();
        entry::manifests(text.as_bytes());
        entry::document(text.as_bytes());
    }
}

#[test]
fn mangled_worlds_and_documents_are_taken_without_panic() {
    for seed in 0..3_000 {
        let mut dice = Dice::from_seed(seed);
        let world = world(&mut dice, &Shape { max_pods: 5, max_policies: 3, ..Shape::default() });
        let (mut manifests, mut document) = (world.manifests(), world.acl);
        for _ in 0..dice.between(1, 6) {
            if dice.chance(70) && !manifests.is_empty() {
                let place = dice.below(manifests.len());
                mangle(&mut dice, &mut manifests[place]);
            } else {
                mangle(&mut dice, &mut document);
            }
        }
        entry::objects(manifests);
        if let Ok(tree) = serde_json::from_value(document) {
            entry::acl(tree);
        }
    }
}

/// So many things that differ.
const MANY: usize = 20_000;

fn many<T>(thing: impl Fn(usize) -> T) -> Vec<T> {
    (0..MANY).map(thing).collect()
}

/// An address of a /8, every other one.
fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number >> 15, number >> 7 & 255, number << 1 & 255)
}

fn pod() -> Value {
    let ports: Vec<Value> =
        (0..500).map(|n| json!({"name": format!("p-{n}"), "containerPort": 2 * n + 1})).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": "n0", "containers": [{"ports": ports}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.250.0.1"}, {"ip": "fd00::1"}]}})
}

fn compiled(direction: &str, rules: Value) -> Compiled {
    let mut cluster = Cluster::new();
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "large", "namespace": "default"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], direction: rules}});
    for value in [pod(), policy] {
        cluster.apply(Object::decode(value).unwrap().unwrap());
    }
    assert!(cluster.diagnostics().is_empty(), "{:?}", cluster.diagnostics().first());
    compile(&cluster, &Settings::new("n0"))
}

/// Rules, sets and members of both families.
fn sizes(compiled: &Compiled) -> (usize, usize, usize) {
    let graphs = [&compiled.rulesets.v4, &compiled.rulesets.v6];
    (
        graphs.iter().map(|graph| graph.rule_count()).sum(),
        graphs.iter().map(|graph| graph.sets.len()).sum(),
        graphs.iter().map(|graph| graph.member_count()).sum(),
    )
}

#[test]
fn large_policies_stay_in_proportion() {
    let ports = || many(|n| json!({"port": 3 * n + 1}));
    let names = || many(|n| json!({"port": format!("p-{n}")}));
    let pods = || many(|n| json!({"podSelector": {"matchLabels": {"app": n.to_string()}}}));
    let blocks = || many(|n| json!({"ipBlock": {"cidr": format!("{}/32", address(n))}}));
    let holes = |cidr: &str, hole: &dyn Fn(usize) -> String| json!([{"ipBlock": {"cidr": cidr, "except": many(hole)}}]);
    let values = json!([{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": many(|n| n.to_string())}]}}]);
    for (what, peers, ports) in [
        ("ports", json!([]), json!(ports())),
        ("names", json!([]), json!(names())),
        ("pods", json!(pods()), json!([])),
        ("pods and ports", json!(pods()), json!(ports())),
        ("pods and names", json!(pods()), json!(names())),
        ("blocks", json!(blocks()), json!([])),
        ("blocks and ports", json!(blocks()), json!(ports())),
        ("blocks and names", json!(blocks()), json!(names())),
        ("holes", holes("10.0.0.0/8", &|n| format!("{}/32", address(n))), json!([])),
        ("values", values, json!([])),
    ] {
        for (direction, field) in [("ingress", "from"), ("egress", "to")] {
            let (rules, sets, members) = sizes(&compiled(direction, json!([{field: peers, "ports": ports}])));
            let least = format!("{what} in {direction}: {rules} rules, {sets} sets, {members} members");
            assert!(rules < MANY && sets < 100 && members < 20 * MANY, "{least}");
        }
    }
    // Each hole of an address in IPv6 leaves up to 128 networks: that is what exactness takes.
    let holes = holes("fd00::/16", &|n| format!("fd00:{n:x}::{n:x}/128"));
    let (_, _, members) = sizes(&compiled("ingress", json!([{"from": holes}])));
    assert!(members < 128 * MANY, "{members}");
}

#[test]
fn many_rules_and_many_policies_stay_in_proportion() {
    let each = many(
        |n| json!({"from": [{"podSelector": {"matchLabels": {"app": n.to_string()}}}], "ports": [{"port": n % 65535 + 1}]}),
    );
    let (rules, sets, _) = sizes(&compiled("ingress", json!(each)));
    assert!(rules < 2 * MANY + 200 && sets <= 2 * MANY, "{rules} {sets}");

    let mut cluster = Cluster::new();
    cluster.apply(Object::decode(pod()).unwrap().unwrap());
    for number in 0..2_000 {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("p-{number}"), "namespace": "default"},
            "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": number + 1}]}]}});
        cluster.apply(Object::decode(policy).unwrap().unwrap());
    }
    let (rules, ..) = sizes(&compile(&cluster, &Settings::new("n0")));
    assert!(rules < 2 * (3 * 2_000 + 100), "{rules}");
}

#[test]
fn large_documents_stay_in_proportion() {
    let rule =
        |n: usize| json!({"action": "DENY", "srcCIDR": address(n), "protocol": "tcp", "port": n % 65535 + 1});
    let lists = json!({"action": "ALLOW", "srcCIDRs": many(address), "protocol": "tcp", "ports": many(|n| 3 * n + 1)});
    let entry = |name: &str, rules: Value| json!({"namespace": "default", "name": name, "rules": rules});
    let entries = many(|n| entry(&format!("d-{n}"), json!([rule(n)])));
    for (what, document) in [
        ("rules", json!([entry("web", json!(many(rule)))])),
        ("lists", json!([entry("web", json!([lists]))])),
        ("entries", json!(entries)),
        ("faults", json!([entry("web", json!(many(|_| json!({"acton": 1}))))])),
    ] {
        let tree = serde_json::from_value(json!({"deployments": document})).unwrap();
        match AclDocument::parse(tree) {
            Ok(document) => {
                let mut cluster = Cluster::new();
                let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": "web"},
                    "spec": {"selector": {"matchLabels": {"app": "web"}}}});
                for value in [deployment, pod()] {
                    cluster.apply(Object::decode(value).unwrap().unwrap());
                }
                cluster.set_acl(document.into());
                let (rules, sets, members) = sizes(&compile(&cluster, &Settings::new("n0")));
                assert!(
                    rules < 2 * MANY + 200 && sets < 10 && members <= 2 * MANY,
                    "{what}: {rules} {sets} {members}"
                );
                assert!(cluster.diagnostics().len() <= MANY);
            }
            Err(faults) => assert_eq!(faults.len(), 2 * MANY, "{what}"),
        }
    }
}

/// Values nest as deep as a parser lets them; looking for fields goes no deeper than the fields do.
#[test]
fn deep_values_are_taken_without_panic() {
    for wrap in [
        |inner: Value| json!([inner]),
        |inner: Value| json!({"spec": inner}),
        |inner: Value| json!({"deployments": [inner]}),
    ] {
        let deep = (0..1_000).fold(json!("x"), |inner, _| wrap(inner));
        for field in ["metadata", "spec", "status"] {
            let mut policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "a"}});
            policy[field] = deep.clone();
            entry::objects(vec![policy]);
        }
        if let Ok(tree) = serde_json::from_value(deep) {
            entry::acl(tree);
        }
    }
}

#[test]
fn a_document_may_list_a_deployment_many_times() {
    let twin = json!({"namespace": "default", "name": "web"});
    let tree = serde_json::from_value(json!({"deployments": vec![twin; MANY]})).unwrap();
    let faults = AclDocument::parse(tree).unwrap_err();
    assert_eq!(faults.len(), MANY - 1);
    let places: BTreeMap<&str, usize> = faults.iter().map(|fault| (fault.path.as_str(), 1)).collect();
    assert_eq!(places.len(), MANY - 1);
}
