//! `explain`: which gate, tier, object and rule decides, what nearly did, and the reasons that are no rule.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod world;

use std::sync::Arc;

use ms_acl_core::model::NodeTraffic;
use ms_acl_core::ruleset::{Chain, Rule, Ruleset, Target};
use ms_acl_core::verdict::explain::{Explanation, Failed, NoAnswer, Question, Reason, Side};
use ms_acl_core::verdict::{Nodes, Verdict, explain};
use serde_json::json;
use world::{World, two_teams};

const OUTSIDE: &str = "203.0.113.7";

trait Ask {
    fn try_explain(&self, from: &str, to: &str, port: &str) -> Result<Explanation, NoAnswer>;
    fn explain(&self, from: &str, to: &str, port: &str) -> Explanation;
}

impl Ask for World {
    fn try_explain(&self, from: &str, to: &str, port: &str) -> Result<Explanation, NoAnswer> {
        let question =
            Question { from: from.parse().unwrap(), to: to.parse().unwrap(), port: port.parse().unwrap() };
        explain(&mut Nodes::new(&self.cluster, &self.settings), &question, &|_| Vec::new())
    }

    fn explain(&self, from: &str, to: &str, port: &str) -> Explanation {
        self.try_explain(from, to, port).unwrap()
    }
}

/// Two teams whose `a/web` belongs to a Deployment `web`, with nodes.
fn teams() -> World {
    let mut world = two_teams();
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}}),
    );
    for (name, address) in [("n1", "192.168.0.1"), ("n2", "192.168.0.2")] {
        world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]}}));
    }
    world
}

/// The deciding gate, object and rule of a direction.
fn decided(side: &Side) -> (Verdict, String, Option<&str>, Option<usize>) {
    let decision = side.decision().unwrap();
    (side.verdict, decision.gate.to_string(), decision.object.as_deref(), decision.rule)
}

#[test]
fn the_whole_answer_as_text_and_json() {
    let mut world = teams();
    world.acl(json!({"deployments": [{"namespace": "a", "name": "web", "rules": [
        {"action": "ALLOW", "srcCIDR": "10.0.0.0/8", "protocol": "tcp", "ports": [80, "8000-8100"], "name": "cluster"},
        {"action": "DENY", "srcCIDR": "10.0.2.0/24", "name": "blue"}, {"action": "RETURN"}]}]}));
    world.policy(
        "a/in",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "http"}]},
            {"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}], "ports": [{"port": 443}]},
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.2.0/25"]}}]}]}),
    );
    world.policy(
        "b/out",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {}}]}]}),
    );
    let explanation = world.explain("b/db", "a/web", "8080/tcp");
    insta::assert_snapshot!("text", explanation.to_string());
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&explanation).unwrap());
}

#[test]
fn of_two_policies_the_one_that_allows_is_named() {
    let mut world = teams();
    world.policy("a/closed", json!({"podSelector": {}}));
    world.policy(
        "a/open",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"ports": [{"port": 1}]}, {"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]}),
    );
    let ingress = world.explain("a/db", "a/web", "80").trail.ingress.unwrap();
    assert_eq!(
        decided(&ingress),
        (Verdict::Allow, "kubernetes".into(), Some("NetworkPolicy a/open"), Some(1))
    );
    assert_eq!(ingress.decision().unwrap().tier, "network-policy");
    assert_eq!(ingress.decision().unwrap().policies, ["NetworkPolicy a/closed", "NetworkPolicy a/open"]);
}

#[test]
fn where_no_rule_matches_every_policy_of_the_tier_is_named() {
    let mut world = teams();
    world.policy("a/closed", json!({"podSelector": {}}));
    let ingress = world.explain("b/db", "a/web", "80").trail.ingress.unwrap();
    assert_eq!(
        decided(&ingress),
        (Verdict::Reject, "kubernetes".into(), Some("NetworkPolicy a/closed"), None)
    );
    world.policy("a/also", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 81}]}]}));
    let ingress = world.explain("b/db", "a/web", "80").trail.ingress.unwrap();
    let both = "NetworkPolicy a/also, NetworkPolicy a/closed";
    assert_eq!(decided(&ingress), (Verdict::Reject, "kubernetes".into(), Some(both), None));
    assert_eq!(ingress.reason, Reason::NoRule);
}

#[test]
fn of_two_gates_the_one_that_refuses_decides_and_the_other_is_told() {
    let mut world = teams();
    world.acl(json!({"deployments": [{"namespace": "a", "name": "web", "rules": [
        {"action": "ALLOW", "srcCIDR": "10.0.0.0/8", "name": "cluster"}, {"action": "DENY"}]}]}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));

    let ingress = world.explain("b/db", "a/web", "81").trail.ingress.unwrap();
    assert_eq!(decided(&ingress), (Verdict::Reject, "kubernetes".into(), Some("NetworkPolicy a/p"), None));
    assert_eq!(
        (ingress.gates[0].verdict, ingress.gates[0].label.as_deref()),
        (Verdict::Allow, Some("cluster"))
    );

    let ingress = world.explain(OUTSIDE, "a/web", "80").trail.ingress.unwrap();
    assert_eq!(decided(&ingress), (Verdict::Drop, "acl".into(), Some("Acl a/web"), Some(1)));
    assert_eq!((ingress.gates[1].verdict, ingress.gates[1].rule), (Verdict::Allow, Some(0)));
}

#[test]
fn of_two_directions_both_are_judged_also_behind_a_refusal() {
    for to in ["a/db", "b/db"] {
        let mut world = teams();
        let namespace = &to[..1];
        world.policy(
            "a/out",
            json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}),
        );
        world.policy(
            &format!("{namespace}/in"),
            json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 80}]}]}),
        );
        let trail = world.explain("a/web", to, "80").trail;
        assert_eq!(
            (trail.verdict, trail.egress.as_ref().unwrap().verdict),
            (Verdict::Reject, Verdict::Reject)
        );
        let ingress = trail.ingress.unwrap();
        assert_eq!((ingress.verdict, ingress.decision().unwrap().rule), (Verdict::Allow, Some(0)));
        let trail = world.explain("a/web", to, "81").trail;
        assert_eq!(trail.ingress.unwrap().verdict, Verdict::Reject, "{to}");
        assert_eq!(trail.egress.unwrap().verdict, Verdict::Reject, "{to}");
    }
}

#[test]
fn the_rules_that_failed_in_exactly_one_match_are_told_with_that_match() {
    let mut world = teams();
    world.policy(
        "a/p",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 80}]},
        {"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}], "ports": [{"port": 443}]},
        {"from": [{"namespaceSelector": {}}], "ports": [{"port": 80, "protocol": "UDP"}]},
        {"from": [{"podSelector": {"matchLabels": {"app": "x"}}}], "ports": [{"port": 443}]}]}),
    );
    let ingress = world.explain("b/db", "a/web", "80").trail.ingress.unwrap();
    let nearest = &ingress.decision().unwrap().nearest;
    let failed: Vec<(usize, Failed)> = nearest.iter().map(|near| (near.name.rule, near.failed)).collect();
    assert_eq!(failed, [(0, Failed::Source), (1, Failed::Port), (2, Failed::Protocol)]);
    assert_eq!(
        nearest[0].detail,
        "source 10.0.2.2 (pod b/db) is none of: pods app=db in namespace a: it lives in namespace b, not a"
    );
    assert_eq!(nearest[1].detail, "port 80/tcp is none of: 443/tcp");
    assert_eq!(nearest[2].detail, "port 80/tcp is none of: 80/udp");
}

#[test]
fn an_except_that_decides_is_named() {
    let mut world = teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [
        {"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28", "203.0.113.128/25"]}}]}]}));
    let ingress = world.explain(OUTSIDE, "a/web", "80").trail.ingress.unwrap();
    assert_eq!(
        ingress.decision().unwrap().nearest[0].detail,
        "source 203.0.113.7 is none of: 203.0.113.0/24 except 203.0.113.0/28 203.0.113.128/25: \
         it lies in the except 203.0.113.0/28 of 203.0.113.0/24"
    );
    assert_eq!(world.explain("203.0.113.20", "a/web", "80").trail.verdict, Verdict::Allow);
}

#[test]
fn a_named_port_that_decides_is_named_with_its_number() {
    let mut world = teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}, {"port": "nope"}]}]}),
    );
    let allowed = world.explain("b/db", "a/web", "8080").trail.ingress.unwrap();
    assert_eq!(decided(&allowed), (Verdict::Allow, "kubernetes".into(), Some("NetworkPolicy a/p"), Some(0)));
    let refused = world.explain("b/db", "a/web", "80").trail.ingress.unwrap();
    assert_eq!(
        refused.decision().unwrap().nearest[0].detail,
        "port 80/tcp is none of: http/tcp, nope/tcp: port http of pod a/web is 8080/tcp; \
         no container of pod a/web has a port named nope"
    );
    world.policy(
        "b/e",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"namespaceSelector": {}}], "ports": [{"port": "dns", "protocol": "UDP"}]}]}),
    );
    let egress = world.explain("b/db", "a/web", "53/udp").trail.egress.unwrap();
    assert_eq!(
        egress.decision().unwrap().nearest[0].detail,
        "port 53/udp is none of: dns/udp: port dns of pod a/web is 8082/udp"
    );
    assert_eq!(
        world.explain("b/db", "a/web", "8082/udp").trail.egress.unwrap().decision().unwrap().rule,
        Some(0)
    );
    let egress = world.explain("b/db", OUTSIDE, "53/udp").trail.egress.unwrap();
    assert!(egress.decision().unwrap().nearest.is_empty(), "the address and the port both fail");
}

#[test]
fn in_an_ordered_list_the_rules_that_would_match_later_are_told() {
    let mut world = teams();
    world.acl(json!({"deployments": [{"namespace": "a", "name": "web", "rules": [
        {"action": "DENY", "srcCIDR": "203.0.113.0/24"}, {"action": "ALLOW", "name": "everybody"}]}]}));
    let ingress = world.explain(OUTSIDE, "a/web", "80").trail.ingress.unwrap();
    let decision = ingress.decision().unwrap();
    assert_eq!(
        (decision.rule, decision.matching[0].rule, decision.matching[0].action),
        (Some(0), 1, "accept")
    );
}

#[test]
fn a_default_action_that_decides_is_the_entrys() {
    let mut world = teams();
    for (action, verdict) in [("DENY", Verdict::Drop), ("ALLOW", Verdict::Allow), ("RETURN", Verdict::Allow)]
    {
        world.acl(
            json!({"defaultAction": action, "deployments": [{"namespace": "a", "name": "web", "rules": []}]}),
        );
        let ingress = world.explain(OUTSIDE, "a/web", "80").trail.ingress.unwrap();
        assert_eq!(decided(&ingress), (verdict, "acl".into(), Some("Acl a/web"), None), "{action}");
        assert!(ingress.decision().unwrap().kernel.chain.is_some());
    }
}

#[test]
fn the_kernel_rule_is_given_with_chain_and_line() {
    let mut world = teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}, {"ports": [{"port": 80}]}]}),
    );
    let ingress = world.explain(OUTSIDE, "a/web", "80").trail.ingress.unwrap();
    let kernel = &ingress.decision().unwrap().kernel;
    let chain = kernel.chain.as_ref().unwrap();
    assert!(chain.as_str().starts_with("MS-P-"), "{chain}");
    assert_eq!(kernel.line, Some(2));
    assert_eq!(kernel.text.as_deref(), Some(&*format!("-A {chain} -p tcp -m tcp --dport 80 -g MS-PASS")));
}

#[test]
fn reasons_that_are_no_rule() {
    let mut world = teams();
    let reason = |world: &World, from: &str, to: &str, direction: &str| {
        let trail = world.explain(from, to, "80").trail;
        let side = if direction == "egress" { trail.egress } else { trail.ingress };
        side.map(|side| (side.verdict, side.reason))
    };
    assert_eq!(reason(&world, "a/web", "a/db", "egress"), Some((Verdict::Allow, Reason::NoPolicy)));
    assert_eq!(reason(&world, OUTSIDE, "a/db", "egress"), None);
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    for direction in ["egress", "ingress"] {
        assert_eq!(reason(&world, "a/web", "a/web", direction), Some((Verdict::Allow, Reason::Itself)));
    }
    assert_eq!(reason(&world, "node:n1", "a/web", "ingress"), Some((Verdict::Allow, Reason::OwnNode)));
    assert_eq!(reason(&world, "a/web", "node:n1", "egress"), Some((Verdict::Allow, Reason::OwnNode)));
    assert_eq!(reason(&world, "node:n2", "a/web", "ingress"), Some((Verdict::Reject, Reason::NoRule)));
    assert_eq!(reason(&world, "a/web", "fe80::1", "egress"), Some((Verdict::Drop, Reason::LinkLocal)));
    world.settings.node_traffic = NodeTraffic::Enforce;
    assert_eq!(reason(&world, "node:n1", "a/web", "ingress"), Some((Verdict::Reject, Reason::NoRule)));
    assert_eq!(reason(&world, "a/web", "node:n1", "egress"), Some((Verdict::Reject, Reason::NoRule)));
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    assert_eq!(
        reason(&world, OUTSIDE, "a/web", "ingress"),
        Some((Verdict::Allow, Reason::OutsidePodIpRange))
    );
    let ingress = world.explain(OUTSIDE, "a/web", "80").trail.ingress.unwrap();
    assert_eq!(ingress.gates[0].reason, Reason::OutsidePodIpRange);
}

#[test]
fn addresses_that_the_kernel_of_the_node_has_count_as_its_own() {
    let mut world = teams();
    world.policy("a/p", json!({"podSelector": {}}));
    let question = Question {
        from: "10.0.1.254".parse().unwrap(),
        to: "a/web".parse().unwrap(),
        port: "80".parse().unwrap(),
    };
    let mut nodes = Nodes::new(&world.cluster, &world.settings);
    let bridge = |node: &str| if node == "n1" { vec!["10.0.1.254".parse().unwrap()] } else { Vec::new() };
    assert_eq!(explain(&mut nodes, &question, &bridge).unwrap().trail.verdict, Verdict::Allow);
    assert_eq!(explain(&mut nodes, &question, &|_| Vec::new()).unwrap().trail.verdict, Verdict::Reject);
}

#[test]
fn each_common_family_is_judged_and_a_disagreement_is_told() {
    let mut world = teams();
    world.pod_with("b/both", json!({"app": "both"}), &["10.0.2.9", "fd00:2::9"], json!({}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    let explanation = world.explain("b/both", "a/web", "80");
    assert_eq!(explanation.trail.verdict, Verdict::Allow);
    assert_eq!(explanation.other_family.as_ref().unwrap().verdict, Verdict::Reject);
    assert!(
        explanation.notes.iter().any(|note| note.contains("families disagree")),
        "{:?}",
        explanation.notes
    );
    let one = world.explain("b/db", "a/web", "80");
    assert!(one.other_family.is_none() && one.notes.is_empty(), "{:?}", one.notes);
}

#[test]
fn what_has_no_answer_says_why() {
    let mut world = teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "pending"}, "spec": {}}));
    world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n3"}}));
    world.pod_with("b/six", json!({}), &["fd00:2::6"], json!({}));
    let why = |from: &str, to: &str| world.try_explain(from, to, "80").unwrap_err().to_string();
    assert_eq!(why("a/we", "a/db"), "there is no pod a/we; did you mean a/web?");
    assert_eq!(why("x/y", "a/db"), "there is no pod x/y");
    assert!(why("a/db", "a/pending").contains("hasn't started or has ended"));
    assert_eq!(why("node:n9", "a/db"), "there is no node n9; did you mean n1 or n2 or n3?");
    assert!(why("node:n3", "a/db").contains("no Node object lists one: ask for the address"));
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "host"},
        "spec": {"nodeName": "n4", "hostNetwork": true}, "status": {"phase": "Pending"}}));
    let why = |from: &str, to: &str| world.try_explain(from, to, "80").unwrap_err().to_string();
    assert!(why("a/host", "a/db").contains("lives in the network of node \"n4\""));
    assert!(why("node:n4", "a/db").contains("no address of node n4 is known"));
    assert!(why("b/six", "a/db").contains("b/six has only ipv6 and a/db only ipv4"));
}

#[test]
fn pods_on_the_host_network_and_strangers_are_told_apart() {
    let mut world = teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "host", "labels": {"app": "db"}},
        "spec": {"nodeName": "n2", "hostNetwork": true}, "status": {"phase": "Running", "podIP": "192.168.0.2"}}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]}),
    );
    let explanation = world.explain("a/host", "a/web", "80");
    assert_eq!(explanation.trail.verdict, Verdict::Reject);
    assert!(explanation.trail.egress.is_none());
    assert!(explanation.notes[0].contains("looks like node n2"), "{:?}", explanation.notes);
    let near = &explanation.trail.ingress.unwrap();
    let detail = &near.decision().unwrap().nearest[0].detail;
    assert!(
        detail.starts_with("source 192.168.0.2 (node n2) is none of: pods app=db in namespace a: no pod"),
        "{detail}"
    );
    let stranger = world.explain(OUTSIDE, "a/web", "80");
    assert!(stranger.notes[0].contains("no pod and no node"), "{:?}", stranger.notes);
}

#[test]
fn a_node_without_an_object_has_the_addresses_of_its_pods_on_the_host_network() {
    let mut world = two_teams();
    for (name, node, address) in [("near", "n1", "192.168.0.1"), ("far", "n2", "192.168.0.2")] {
        world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": name},
            "spec": {"nodeName": node, "hostNetwork": true}, "status": {"phase": "Running", "podIP": address}}));
    }
    world.policy("a/p", json!({"podSelector": {}}));
    for (from, verdict) in [
        ("a/near", Verdict::Allow),
        ("node:n1", Verdict::Allow),
        ("a/far", Verdict::Reject),
        ("node:n2", Verdict::Reject),
    ] {
        let trail = world.explain(from, "a/web", "80").trail;
        assert_eq!(trail.verdict, verdict, "{from}");
        assert_eq!(trail.source.node.as_deref(), Some(if verdict == Verdict::Allow { "n1" } else { "n2" }));
    }
    let local = |_: &str| vec!["127.0.0.1".parse().unwrap(), "192.168.0.9".parse().unwrap()];
    let mut nodes = Nodes::new(&world.cluster, &world.settings);
    let question = Question {
        from: "node:n1".parse().unwrap(),
        to: "a/web".parse().unwrap(),
        port: "80".parse().unwrap(),
    };
    let trail = explain(&mut nodes, &question, &local).unwrap().trail;
    assert_eq!(
        trail.source.address.to_string(),
        "192.168.0.9",
        "what the kernel of the node has counts first"
    );
}

#[test]
fn rules_without_provenance_still_answer() {
    let mut world = teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    let mut compiled = Nodes::new(&world.cluster, &world.settings).node("n1").clone();
    for chain in compiled.rulesets.v4.chains.values_mut() {
        let mut bare = (**chain).clone();
        bare.rules.iter_mut().for_each(|rule| rule.provenance = None);
        *chain = bare.into();
    }
    let mut nodes = Nodes::new(&world.cluster, &world.settings);
    nodes.insert("n1", compiled);
    let mut ask = |port: &str| {
        let question = Question {
            from: OUTSIDE.parse().unwrap(),
            to: "a/web".parse().unwrap(),
            port: port.parse().unwrap(),
        };
        explain(&mut nodes, &question, &|_| Vec::new()).unwrap().trail.ingress.unwrap()
    };
    let (allowed, refused) = (ask("80"), ask("81"));
    assert_eq!((allowed.verdict, allowed.reason), (Verdict::Allow, Reason::Rule));
    assert!(
        allowed.detail.starts_with("a rule of NetworkPolicy a/p, of which only the chain MS-P-"),
        "{}",
        allowed.detail
    );
    assert_eq!((refused.verdict, refused.reason), (Verdict::Reject, Reason::NoRule));
}

#[test]
fn the_reasons_that_are_no_rule_as_text() {
    let mut world = teams();
    world.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    let ask = |from: &str, to: &str| world.explain(from, to, "80").to_string();
    let texts = [
        ask("a/web", "a/web"),
        ask("node:n1", "a/web"),
        ask("a/web", "fe80::1"),
        ask(OUTSIDE, "a/db"),
        ask("b/web", "b/db"),
        ask(OUTSIDE, "203.0.113.9"),
    ];
    insta::assert_snapshot!("reasons", texts.join("\n"));
}

#[test]
fn rules_of_another_moment_can_be_asked_too() {
    let mut world = teams();
    world.policy("a/p", json!({"podSelector": {}}));
    let compiled = Nodes::new(&world.cluster, &world.settings).node("n1").clone();
    world.delete("NetworkPolicy", "a/p");
    let question = Question {
        from: OUTSIDE.parse().unwrap(),
        to: "a/web".parse().unwrap(),
        port: "80".parse().unwrap(),
    };
    let mut nodes = Nodes::new(&world.cluster, &world.settings);
    nodes.insert("n1", compiled);
    let explanation = explain(&mut nodes, &question, &|_| Vec::new()).unwrap();
    assert_eq!(explanation.trail.verdict, Verdict::Reject, "the kernel's rules answer, not the model");
    assert_eq!(
        explanation.trail.ingress.unwrap().decision().unwrap().object.as_deref(),
        Some("NetworkPolicy a/p")
    );
}

#[test]
fn every_refusal_is_told_in_the_first_lines() {
    let mut world = teams();
    world.acl(json!({"deployments": [{"namespace": "a", "name": "web", "rules": [{"action": "DENY"}]}]}));
    world.policy("a/in", json!({"podSelector": {}}));
    world.policy("b/out", json!({"podSelector": {}, "policyTypes": ["Egress"]}));
    let text = world.explain("b/db", "a/web", "80").to_string();
    let lines: Vec<&str> = text.lines().take(5).collect();
    assert_eq!(
        lines[..4],
        [
            "reject: b/db -> a/web 80/tcp",
            "because in egress of b/db: no rule of NetworkPolicy b/out matches, so its isolation of the pod rejects it",
            "and also in ingress of a/web: Acl a/web rules[0] drops it: from anybody, any port",
            "and also in ingress of a/web: no rule of NetworkPolicy a/in matches, so its isolation of the pod rejects it",
        ]
    );
    assert!(lines[4].starts_with("  ipv4 from "), "{text}");
}

#[test]
fn where_the_families_disagree_the_first_line_says_so_and_both_trails_follow() {
    let mut world = teams();
    world.pod_with("b/both", json!({"app": "both"}), &["10.0.2.9", "fd00:2::9"], json!({}));
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    let text = world.explain("b/both", "a/web", "80").to_string();
    assert!(text.starts_with(
        "allow in ipv4, reject in ipv6: b/both -> a/web 80/tcp\n\
         because in ipv6, in ingress of a/web: no rule of NetworkPolicy a/p matches, so its isolation of the pod rejects it\n"
    ), "{text}");
    assert!(text.contains("\nipv6, the other family: reject\n  ipv6 from fd00:2::9"), "{text}");
    assert!(text.contains("10.0.0.0/8 is of the other family"), "{text}");

    // One verdict for different reasons is two answers too.
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
            {"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}]}),
    );
    let text = world.explain("b/both", "a/web", "80").to_string();
    assert!(text.starts_with("allow: b/both -> a/web 80/tcp\n"), "{text}");
    assert!(text.contains("\nipv6, the other family: allow\n") && text.contains("spec.ingress[1]"), "{text}");
}

#[test]
fn what_the_kernel_was_seen_to_hold_is_explained_with_the_objects_names() {
    let mut world = teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    let desired = Nodes::new(&world.cluster, &world.settings).node("n1").clone();
    let ask = |change: &dyn Fn(&mut Ruleset)| {
        let mut held = desired.clone();
        change(&mut held.rulesets.v4);
        for chain in held.rulesets.v4.chains.values_mut() {
            let bare = chain.rules.iter().map(|rule| Rule { provenance: None, ..rule.clone() });
            *chain = Arc::new(Chain { rules: bare.collect(), ..(**chain).clone() });
        }
        held.rulesets.recognise(&desired.rulesets);
        let mut nodes = Nodes::new(&world.cluster, &world.settings);
        nodes.insert("n1", held);
        let question = Question {
            from: OUTSIDE.parse().unwrap(),
            to: "a/web".parse().unwrap(),
            port: "80".parse().unwrap(),
        };
        explain(&mut nodes, &question, &|_| Vec::new()).unwrap().trail.ingress.unwrap()
    };
    let same = ask(&|_| {});
    assert_eq!(decided(&same), (Verdict::Allow, "kubernetes".into(), Some("NetworkPolicy a/p"), Some(0)));

    let unhooked = ask(&|graph| graph.hooks.clear());
    assert_eq!((unhooked.verdict, unhooked.reason), (Verdict::Allow, Reason::NotProgrammed));
    assert!(unhooked.detail.contains("node n1 has no rules in place for it"), "{}", unhooked.detail);

    let intruder = ask(&|graph| {
        for (name, chain) in &mut graph.chains {
            if name.as_str().starts_with("MS-P-") {
                let mut rules = chain.rules.clone();
                rules.insert(0, Rule::new(Vec::new(), Target::Drop));
                *chain = Arc::new(Chain { rules, ..(**chain).clone() });
            }
        }
    });
    let decision = intruder.decision().unwrap();
    assert_eq!((intruder.verdict, decision.object.as_deref(), decision.rule), (Verdict::Drop, None, None));
    assert_eq!(decision.kernel.line, Some(1));
    assert!(decision.detail.starts_with("a rule of chain MS-P-"), "{}", decision.detail);
}
