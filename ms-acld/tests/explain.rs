//! `ms-acld explain`, offline.
#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod common;

use common::run;
use common::world::World;
use serde_json::{Value, json};

const OUTSIDE: &str = "203.0.113.7";

/// What decides a direction: verdict, gate, object and rule.
#[track_caller]
fn decided(side: &Value, verdict: &str, gate: Value, object: Value, rule: Value) {
    let fields = ["verdict", "gate", "object", "rule"].map(|field| &side[field]);
    assert_eq!(fields, [&json!(verdict), &gate, &object, &rule], "{side}");
}

/// The rules that failed in exactly one match: object, rule, and which match.
fn nearest(side: &Value) -> Vec<(&str, u64, &str)> {
    let near = side["nearest"].as_array().unwrap().iter();
    near.map(|near| {
        (near["object"].as_str().unwrap(), near["rule"].as_u64().unwrap(), near["failed"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn the_json_has_the_shape_of_the_documents() {
    let world = World::new();
    world.policy("shop/in", &json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    let (_, answer) = world.explain("data/db-1 -> shop/web-1 81", &[]);
    assert_eq!(answer["verdict"], "reject");
    for side in ["egress", "ingress"] {
        for field in ["verdict", "gate", "tier", "object", "rule", "chain", "nearest"] {
            assert!(answer[side].get(field).is_some(), "{side}.{field}: {answer}");
        }
    }
    decided(&answer["ingress"], "reject", json!("kubernetes"), json!("NetworkPolicy shop/in"), Value::Null);
    assert_eq!(answer["ingress"]["tier"], "network-policy");
    assert!(answer["ingress"]["chain"].as_str().unwrap().starts_with("MS-G-"), "{answer}");
    let (_, answer) = world.explain(&format!("{OUTSIDE} -> {OUTSIDE} 80"), &[]);
    assert_eq!((&answer["egress"], &answer["ingress"]), (&Value::Null, &Value::Null));
    assert_eq!(answer["verdict"], "allow");
}

#[test]
fn the_text_says_the_verdict_then_what_decided_then_what_nearly_did() {
    let world = World::new();
    world.policy(
        "shop/in",
        &json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "api"}}}], "ports": [{"port": "http"}]}]}),
    );
    let (text, _) = world.explain("data/db-1 -> shop/web-1 8080", &[]);
    let places = [
        "reject: data/db-1 -> shop/web-1 8080/tcp\n",
        "because in ingress of shop/web-1: no rule of NetworkPolicy shop/in matches",
        "  egress of data/db-1 on node node2: allow\n    no policy selects pod data/db-1 in egress\n",
        "  ingress of shop/web-1 on node node1: reject\n",
        "      kernel: chain MS-G-",
        "      nearly: NetworkPolicy shop/in spec.ingress[0], but source 10.2.0.5 (pod data/db-1) is none of: \
         pods app=api in namespace shop",
    ]
    .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}")));
    assert!(places.is_sorted() && places[0] == 0, "{text}");
}

#[test]
fn of_two_policies_the_one_that_allows_is_named() {
    let world = World::new();
    world.policy("shop/closed", &json!({"podSelector": {}})).policy(
        "shop/open",
        &json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"ports": [{"port": 1}]}, {"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]}),
    );
    let (text, answer) = world.explain("data/db-1 -> shop/web-1 80", &[]);
    decided(&answer["ingress"], "allow", json!("kubernetes"), json!("NetworkPolicy shop/open"), json!(1));
    assert!(answer["ingress"]["chain"].as_str().unwrap().starts_with("MS-P-"), "{answer}");
    assert!(text.contains("NetworkPolicy shop/open spec.ingress[1] lets it pass"), "{text}");
    // Where neither allows, both are to blame.
    let (_, answer) = world.explain(&format!("{OUTSIDE} -> shop/web-1 80"), &[]);
    let both = "NetworkPolicy shop/closed, NetworkPolicy shop/open";
    decided(&answer["ingress"], "reject", json!("kubernetes"), json!(both), Value::Null);
    assert_eq!(
        nearest(&answer["ingress"]),
        [("NetworkPolicy shop/open", 0, "port"), ("NetworkPolicy shop/open", 1, "source")]
    );
}

#[test]
fn of_two_gates_the_one_that_refuses_decides() {
    let world = World::new();
    world
        .acl(&json!([{"action": "ALLOW", "srcCIDR": "10.0.0.0/8", "name": "cluster"}, {"action": "DENY"}]))
        .policy("shop/in", &json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    let (text, answer) = world.explain("data/db-1 -> shop/web-1 81", &[]);
    decided(&answer["ingress"], "reject", json!("kubernetes"), json!("NetworkPolicy shop/in"), Value::Null);
    assert!(text.contains("gate acl: allow, Acl shop/web rules[0] (cluster) lets it pass"), "{text}");
    let (text, answer) = world.explain(&format!("{OUTSIDE} -> shop/web-1 80"), &[]);
    decided(&answer["ingress"], "drop", json!("acl"), json!("Acl shop/web"), json!(1));
    assert_eq!(answer["verdict"], "drop");
    assert!(
        text.contains("gate kubernetes: allow, NetworkPolicy shop/in spec.ingress[0] lets it pass"),
        "{text}"
    );
    assert_eq!(nearest(&answer["ingress"]), [("Acl shop/web", 0, "source")]);
}

#[test]
fn of_two_directions_both_are_judged_on_their_own_nodes() {
    let world = World::new();
    world.policy("data/out", &json!({"podSelector": {}, "policyTypes": ["Egress"]}));
    let (_, answer) = world.explain("data/db-1 -> shop/web-1 80", &[]);
    decided(&answer["egress"], "reject", json!("kubernetes"), json!("NetworkPolicy data/out"), Value::Null);
    decided(&answer["ingress"], "allow", Value::Null, Value::Null, Value::Null);
    assert_eq!((&answer["egress"]["node"], &answer["ingress"]["node"]), (&json!("node2"), &json!("node1")));
    assert_eq!(answer["verdict"], "reject");
    // The other way round: egress allows, ingress refuses; in the end both refuse.
    world
        .policy("data/out", &json!({"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}))
        .acl(&json!([{"action": "DENY", "srcCIDR": "10.2.0.0/16"}]));
    let (_, answer) = world.explain("data/db-1 -> shop/web-1 80", &[]);
    decided(&answer["egress"], "allow", json!("kubernetes"), json!("NetworkPolicy data/out"), json!(0));
    decided(&answer["ingress"], "drop", json!("acl"), json!("Acl shop/web"), json!(0));
    assert_eq!(answer["verdict"], "drop");
    world.policy("data/out", &json!({"podSelector": {}, "policyTypes": ["Egress"]}));
    let (text, answer) = world.explain("data/db-1 -> shop/web-1 80", &[]);
    assert_eq!(
        (&answer["verdict"], &answer["egress"]["verdict"], &answer["ingress"]["verdict"]),
        (&json!("reject"), &json!("reject"), &json!("drop"))
    );
    assert!(text.contains("\nbecause in egress of data/db-1: "), "{text}");
    assert!(text.contains("\nand also in ingress of shop/web-1: Acl shop/web rules[0] drops it"), "{text}");
}

#[test]
fn a_named_port_that_decides_is_named_with_its_number() {
    let world = World::new();
    world.policy("shop/in", &json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]})).policy(
        "shop/out",
        &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {}}], "ports": [{"port": "sql"}]}]}),
    );
    let (_, answer) = world.explain("data/db-1 -> shop/web-1 8080", &[]);
    decided(&answer["ingress"], "allow", json!("kubernetes"), json!("NetworkPolicy shop/in"), json!(0));
    let (text, answer) = world.explain("data/db-1 -> shop/web-1 80", &[]);
    assert_eq!(nearest(&answer["ingress"]), [("NetworkPolicy shop/in", 0, "port")]);
    assert!(text.contains("port http of pod shop/web-1 is 8080/tcp"), "{text}");
    let (text, _) = world.explain("data/db-1 -> shop/api-1 8080", &[]);
    assert!(text.contains("no container of pod shop/api-1 has a port named http"), "{text}");
    let (_, answer) = world.explain("shop/api-1 -> data/db-1 5432", &[]);
    decided(&answer["egress"], "allow", json!("kubernetes"), json!("NetworkPolicy shop/out"), json!(0));
    let (text, answer) = world.explain("shop/api-1 -> data/db-1 5433", &[]);
    assert_eq!(nearest(&answer["egress"]), [("NetworkPolicy shop/out", 0, "port")]);
    assert!(text.contains("port sql of pod data/db-1 is 5432/tcp"), "{text}");
}

#[test]
fn an_except_that_decides_is_named() {
    let world = World::new();
    world.policy(
        "shop/in",
        &json!({"podSelector": {}, "ingress": [{"from": [
        {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]}}]}]}),
    );
    let (text, answer) = world.explain(&format!("{OUTSIDE} -> shop/web-1 80"), &[]);
    assert_eq!(nearest(&answer["ingress"]), [("NetworkPolicy shop/in", 0, "source")]);
    assert!(text.contains("it lies in the except 203.0.113.0/28 of 203.0.113.0/24"), "{text}");
    let (_, answer) = world.explain("203.0.113.16 -> shop/web-1 80", &[]);
    decided(&answer["ingress"], "allow", json!("kubernetes"), json!("NetworkPolicy shop/in"), json!(0));
}

#[test]
fn that_no_policy_selects_the_pod_is_an_answer() {
    let (text, answer) = World::new().explain(&format!("{OUTSIDE} -> shop/web-1 80"), &[]);
    decided(&answer["ingress"], "allow", Value::Null, Value::Null, Value::Null);
    assert_eq!((&answer["ingress"]["reason"], &answer["egress"]), (&json!("no-policy"), &Value::Null));
    assert!(text.contains("no policy selects pod shop/web-1 in ingress"), "{text}");
    assert!(text.contains("note: 203.0.113.7 is the address of no pod and no node"), "{text}");
}

#[test]
fn refusals_with_and_without_an_answer_are_told_apart() {
    let world = World::new();
    world
        .acl(&json!([{"action": "REJECT", "protocol": "tcp", "port": 1}, {"action": "DENY", "protocol": "tcp", "port": 2}]))
        .policy("data/in", &json!({"podSelector": {}}));
    let verdict = |flow: &str, more: &[&str]| world.explain(flow, more).1["verdict"].clone();
    assert_eq!(verdict("data/db-1 -> shop/web-1 1", &[]), "reject");
    assert_eq!(verdict("data/db-1 -> shop/web-1 2", &[]), "drop");
    assert_eq!(verdict("data/db-1 -> shop/web-1 3/udp", &[]), "allow");
    assert_eq!(verdict("shop/web-1 -> data/db-1 1", &[]), "reject");
    assert_eq!(verdict("shop/web-1 -> data/db-1 1", &["--refuse-with", "drop"]), "drop");
    assert_eq!(verdict("shop/web-1 -> data/db-1 icmp", &[]), "reject");
}

#[test]
fn each_common_family_is_judged_and_both_are_told_where_they_differ() {
    let world = World::new();
    world.policy(
        "shop/in",
        &json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    let (text, answer) = world.explain("shop/api-1 -> shop/web-1 80", &[]);
    assert_eq!((&answer["verdict"], &answer["family"]), (&json!("allow"), &json!("ipv4")));
    assert_eq!(answer["otherFamily"]["verdict"], "reject");
    assert_eq!(answer["otherFamily"]["family"], "ipv6");
    assert!(
        text.starts_with("allow in ipv4, reject in ipv6: shop/api-1 -> shop/web-1 80/tcp\nbecause in ipv6, "),
        "{text}"
    );
    let (_, answer) = world.explain("fd00:1::6 -> shop/web-1 80", &[]);
    assert_eq!((&answer["verdict"], &answer["otherFamily"]), (&json!("reject"), &Value::Null));
    assert_eq!(answer["source"]["pod"], "shop/api-1", "an address is its pod's");
    let (_, answer) = world.explain("2001:db8::1 -> shop/web-1 80", &[]);
    assert_eq!((&answer["verdict"], &answer["family"]), (&json!("reject"), &json!("ipv6")));
    let (_, answer) = world.explain("data/db-1 -> shop/web-1 80", &[]);
    assert_eq!((&answer["verdict"], &answer["otherFamily"]), (&json!("allow"), &Value::Null));
}

#[test]
fn nodes_and_pods_on_the_host_network_are_ends_too() {
    let world = World::new();
    world.policy(
        "shop/in",
        &json!({"podSelector": {}, "ingress": [
        {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "proxy"}}}]}]}),
    );
    let (text, answer) = world.explain("node:node1 -> shop/web-1 80", &[]);
    decided(&answer["ingress"], "allow", Value::Null, Value::Null, Value::Null);
    assert!(text.contains("traffic between a pod and its own node isn't judged"), "{text}");
    let (_, answer) = world.explain("node:node1 -> shop/web-1 80", &["--node-traffic", "enforce"]);
    assert_eq!(answer["verdict"], "reject");
    let (_, answer) = world.explain("node:node2 -> shop/web-1 80", &[]);
    assert_eq!(answer["verdict"], "reject", "a remote node is an ordinary peer");
    let (text, answer) = world.explain("kube-system/proxy -> shop/web-1 80", &[]);
    assert_eq!((&answer["verdict"], &answer["egress"]), (&json!("reject"), &Value::Null));
    assert!(text.contains("a selector matches only pods, never those on the host network"), "{text}");
    assert!(
        text.contains("note: kube-system/proxy lives on the host network: it looks like node node2"),
        "{text}"
    );
    let (_, answer) =
        world.explain(&format!("{OUTSIDE} -> shop/web-1 80"), &["--pod-ip-range", "10.0.0.0/8"]);
    assert_eq!(
        (&answer["verdict"], &answer["ingress"]["reason"]),
        (&json!("allow"), &json!("outside-pod-ip-range"))
    );
}

#[test]
fn what_has_no_answer_fails_and_says_why() {
    let world = World::new();
    let ask = |from: &str, to: &str, port: &str| {
        let done = world.run("explain", &["--from", from, "--to", to, "--port", port]);
        assert_eq!(done.output, "", "{done:?}");
        (done.code, done.errors)
    };
    let (code, errors) = ask("shop/web", "data/db-1", "80");
    assert_eq!((code, &*errors), (Some(1), "ms-acld: there is no pod shop/web; did you mean shop/web-1?\n"));
    let (code, errors) = ask("node:node3", "data/db-1", "80");
    assert!(
        code == Some(1) && errors.contains("there is no node node3; did you mean node1 or node2?"),
        "{errors}"
    );
    let (code, errors) = ask("fd00:1::5", "data/db-1", "80");
    assert!(code == Some(1) && errors.contains("only ipv6") && errors.contains("only ipv4"), "{errors}");
    for (from, to, port, why) in [
        ("shop/web-1", "data/db-1", "http", "a name means another one on every pod"),
        ("shop/web-1", "data/db-1", "0", "a number from 1 to 65535"),
        ("shop/web-1", "data/db-1", "80/dccp", "tcp, udp or sctp"),
        ("web-1", "data/db-1", "80", "a pod is namespace/name"),
        ("shop/web-1", "10.0.0.0/8", "80", "a single address"),
    ] {
        let (code, errors) = ask(from, to, port);
        assert!(code == Some(2) && errors.contains(why), "{port}: {errors}");
    }
    let (code, _, errors) = run(&["explain", "--from", "a/b", "--to", "a/c", "--port", "80"]);
    assert!(code == Some(2) && errors.contains("FILES"), "{errors}");
    let (code, _, errors) =
        run(&["explain", "/no/such/file", "--from", "a/b", "--to", "a/c", "--port", "80"]);
    assert!(code == Some(1) && errors.contains("/no/such/file"), "{errors}");
    let done =
        world.run("explain", &["--from", OUTSIDE, "--to", "data/db-1", "--port", "80", "--mark-mask", "0x3"]);
    assert!(done.code == Some(2) && done.errors.contains("fewer than three bits"), "{done:?}");
}

#[test]
fn faults_of_the_files_are_told_and_the_rest_is_answered() {
    let world = World::new();
    let ask = || world.run("explain", &["--from", OUTSIDE, "--to", "shop/web-1", "--port", "80"]);
    // An invalid object has a meaning: it refuses the pods that it selects.
    world
        .policy("shop/in", &json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 1}]}]}));
    let done = ask();
    assert!(done.code == Some(0) && done.output.starts_with("reject: "), "{done:?}");
    assert!(
        done.errors.starts_with("error: NetworkPolicy shop/in: /spec/ingress/0/ports/0/endPort"),
        "{done:?}"
    );
    // A file that can't be used has none: the answer may not be the one that was asked for.
    world.write("more.yaml", "{{{");
    let done = ask();
    assert!(done.code == Some(1) && done.output.starts_with("reject: "), "{done:?}");
    assert!(done.errors.contains("more.yaml: the file does not parse"), "{done:?}");
    world.write("more.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
    let done = ask();
    assert!(
        done.code == Some(0) && done.errors.contains("note: ") && done.errors.contains("ConfigMap"),
        "{done:?}"
    );
    std::fs::write(world.beside("acl.json"), r#"{"deployments": [{"namespace": "shop", "rules": []}]}"#)
        .unwrap();
    let done = ask();
    assert!(done.code == Some(1) && done.errors.contains("acl.json: /deployments/0"), "{done:?}");
}
