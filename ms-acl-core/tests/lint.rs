//! `lint`: each trap found where it is, and not where it isn't.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod world;

use ms_acl_core::lint::{Check, Finding, lint, network_policy};
use ms_acl_core::model::Severity;
use serde_json::{Value, json};
use world::{World, two_teams};

/// The findings of one check as `severity object path`.
fn found(world: &World, check: Check) -> Vec<String> {
    let findings = lint(&world.cluster, &world.settings).into_iter();
    findings.filter(|finding| finding.check == check).map(|finding| place(&finding)).collect()
}

fn place(finding: &Finding) -> String {
    let diagnostic = &finding.diagnostic;
    assert!(!diagnostic.detail.is_empty() && !finding.remedy.is_empty(), "{finding}");
    format!("{} {} {}", diagnostic.severity, diagnostic.object, diagnostic.path)
}

#[track_caller]
fn finds(world: &World, check: Check, places: &[&str]) {
    assert_eq!(found(world, check), places, "{check}");
}

/// The two teams under one policy `a/p`.
fn with_policy(spec: Value) -> World {
    let mut world = two_teams();
    world.policy("a/p", spec);
    world
}

/// The two teams, `a/web` owned by a Deployment, under an ACL with these rules for it.
fn with_acl(default: &str, rules: Value) -> World {
    let mut world = two_teams();
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}}),
    );
    world.acl(
        json!({"defaultAction": default, "deployments": [{"namespace": "a", "name": "web", "rules": rules}]}),
    );
    world
}

fn ingress(rule: Value) -> Value {
    json!({"podSelector": {}, "ingress": [rule]})
}

fn egress(rules: Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules})
}

#[test]
fn a_sound_cluster_has_no_findings() {
    let mut world = with_acl(
        "DENY",
        json!([{"action": "ALLOW", "srcCIDRs": ["203.0.113.0/24", "2001:db8::/32"], "protocol": "tcp", "port": 443}]),
    );
    world.policy("a/web", json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "http"}]}],
        "egress": [{"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]},
            {"to": [{"ipBlock": {"cidr": "192.168.0.0/24"}}, {"ipBlock": {"cidr": "2001:db8::/32"}}], "ports": [{"port": 6443}]}]}));
    assert_eq!(lint(&world.cluster, &world.settings), []);
    assert_eq!(lint(&World::new().cluster, &world.settings), []);
}

#[test]
fn invalid_objects_and_what_does_not_fit_together() {
    let mut world = with_acl("ALLOW", json!([]));
    for check in [Check::InvalidObject, Check::MissingDeployment, Check::AmbiguousDeployment] {
        finds(&world, check, &[]);
    }
    world.policy(
        "a/bad",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "nonsense"}}]}]}),
    );
    world.acl(json!({"deployments": [{"namespace": "a", "name": "wbe"}, {"namespace": "a", "name": "web"}]}));
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "all"},
        "spec": {"selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}}),
    );
    finds(&world, Check::InvalidObject, &["error NetworkPolicy a/bad /spec/ingress/0/from/0/ipBlock/cidr"]);
    finds(&world, Check::MissingDeployment, &["warning Acl a/wbe "]);
    finds(&world, Check::AmbiguousDeployment, &["warning Pod a/web "]);
    finds(&world, Check::SelectorMatchesNothing, &[]);
}

#[test]
fn networks_with_host_bits() {
    let world = with_acl("ALLOW", json!([{"action": "DENY", "srcCIDR": "10.1.2.3/8"}]));
    finds(&world, Check::HostBits, &["warning Acl a/web /deployments/0/rules/0/srcCIDR"]);
    finds(&with_acl("ALLOW", json!([{"action": "DENY", "srcCIDR": "10.0.0.0/8"}])), Check::HostBits, &[]);
}

#[test]
fn an_address_that_two_pods_claim() {
    let mut world = two_teams();
    finds(&world, Check::AddressClaimedTwice, &[]);
    world.pod("b/zzz", json!({}), "10.0.1.2");
    finds(&world, Check::AddressClaimedTwice, &["warning Pod a/db /status/podIPs"]);
}

#[test]
fn policies_as_they_were_written() {
    let object = |spec: Value| -> Vec<String> {
        let policy =
            serde_json::from_value(json!({"metadata": {"namespace": "a", "name": "p"}, "spec": spec}))
                .unwrap();
        network_policy(&policy)
            .iter()
            .map(|finding| format!("{} {}", finding.check, place(finding)))
            .collect()
    };
    let rule = json!([{"ports": [{"port": 1}]}]);
    assert_eq!(
        object(json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": rule})),
        ["ignored-rules warning NetworkPolicy a/p /spec/egress"]
    );
    assert_eq!(
        object(json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": rule})),
        ["ignored-rules warning NetworkPolicy a/p /spec/ingress"]
    );
    assert!(object(json!({"podSelector": {}, "egress": rule, "ingress": rule})).is_empty());
    let blocks =
        json!([{"to": [{"ipBlock": {"cidr": "10.1.0.0/8", "except": ["10.2.0.0/16", "10.3.1.1/16"]}}]}]);
    assert_eq!(
        object(json!({"podSelector": {}, "egress": blocks})),
        [
            "host-bits warning NetworkPolicy a/p /spec/egress/0/to/0/ipBlock/cidr",
            "host-bits warning NetworkPolicy a/p /spec/egress/0/to/0/ipBlock/except/1"
        ]
    );
}

#[test]
fn a_subject_that_matches_nothing() {
    let check = Check::SelectorMatchesNothing;
    finds(&with_policy(json!({"podSelector": {"matchLabels": {"app": "web"}}})), check, &[]);
    finds(
        &with_policy(json!({"podSelector": {"matchLabels": {"app": "wbe"}}})),
        check,
        &["warning NetworkPolicy a/p /spec/podSelector"],
    );
    // Nothing is known of the namespace: worth knowing, no more.
    let mut world = two_teams();
    world.policy("empty/p", json!({"podSelector": {"matchLabels": {"app": "web"}}}));
    finds(&world, check, &["note NetworkPolicy empty/p /spec/podSelector"]);
    // A pod that hasn't started counts.
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "empty", "name": "w", "labels": {"app": "web"}}, "spec": {}}));
    finds(&world, check, &[]);
}

#[test]
fn a_peer_that_matches_nothing() {
    let check = Check::SelectorMatchesNothing;
    let world = with_policy(json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}, {"podSelector": {"matchLabels": {"app": "bd"}}}]}],
        "egress": [{"to": [{"namespaceSelector": {"matchLabels": {"team": "green"}}}]},
            {"to": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "x"}}}]},
            {"to": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "db"}}}]}]}));
    finds(
        &world,
        check,
        &[
            "warning NetworkPolicy a/p /spec/egress/0/to/0/namespaceSelector",
            "warning NetworkPolicy a/p /spec/egress/1/to/0/podSelector",
            "warning NetworkPolicy a/p /spec/ingress/0/from/1/podSelector",
        ],
    );
    let mut world = World::new();
    world.policy("a/p", ingress(json!({"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]})));
    assert!(found(&world, check).iter().all(|place| place.starts_with("note ")), "no pod is known at all");
}

#[test]
fn either_where_both_may_be_meant() {
    let check = Check::EitherNotBoth;
    let (namespaces, pods) = (
        json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}}),
        json!({"podSelector": {"matchLabels": {"app": "db"}}}),
    );
    finds(
        &with_policy(ingress(json!({"from": [namespaces, pods]}))),
        check,
        &["note NetworkPolicy a/p /spec/ingress/0/from/0"],
    );
    finds(&with_policy(ingress(json!({"from": [namespaces, namespaces]}))), check, &[]);
    let both = json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "db"}}});
    finds(&with_policy(ingress(json!({"from": [both, pods]}))), check, &[]);
}

#[test]
fn pods_on_the_host_network() {
    let check = Check::HostNetworkPods;
    let host = |world: &mut World, app: &str| {
        world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "host", "labels": {"app": app}},
            "spec": {"nodeName": "n1", "hostNetwork": true}, "status": {"phase": "Running", "podIP": "192.168.0.1"}}));
    };
    let mut world = with_policy(json!({"podSelector": {"matchLabels": {"app": "agent"}}}));
    world.policy("b/p", ingress(json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {"matchLabels": {"app": "agent"}}}]})));
    finds(&world, check, &[]);
    host(&mut world, "agent");
    finds(
        &world,
        check,
        &["warning NetworkPolicy a/p /spec/podSelector", "warning NetworkPolicy b/p /spec/ingress/0/from/0"],
    );
    finds(&world, Check::SelectorMatchesNothing, &[]);
    // By the way, among others.
    let mut world = with_policy(json!({"podSelector": {}}));
    host(&mut world, "db");
    finds(&world, check, &["note NetworkPolicy a/p /spec/podSelector"]);
}

#[test]
fn a_named_ingress_port_that_stands_for_nothing() {
    let check = Check::UnresolvedNamedPort;
    let port = |name: &str, protocol: &str| {
        with_policy(ingress(json!({"ports": [{"port": name, "protocol": protocol}]})))
    };
    finds(&port("http", "TCP"), check, &[]);
    finds(&port("dns", "UDP"), check, &[]);
    finds(&port("htpp", "TCP"), check, &["warning NetworkPolicy a/p /spec/ingress/0/ports/0/port"]);
    finds(&port("http", "UDP"), check, &["warning NetworkPolicy a/p /spec/ingress/0/ports/0/port"]);
    let mut some = port("http", "TCP");
    some.pod("a/other", json!({"app": "other"}), "10.0.1.9");
    finds(&some, check, &["note NetworkPolicy a/p /spec/ingress/0/ports/0/port"]);
    let detail = |world: &World| {
        lint(&world.cluster, &world.settings)
            .into_iter()
            .find(|f| f.check == check)
            .unwrap()
            .diagnostic
            .detail
    };
    assert!(detail(&port("http", "UDP")).contains("it is there as tcp"));
    assert!(detail(&port("htpp", "TCP")).contains("they have dns, http"));
}

#[test]
fn a_named_egress_port_that_stands_for_nothing() {
    let check = Check::UnresolvedNamedPort;
    let rule = |to: Value, name: &str| {
        with_policy(egress(
            json!([{"to": to, "ports": [{"port": name}]}, {"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}]),
        ))
    };
    let blue = json!([{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]);
    finds(&rule(blue.clone(), "http"), check, &[]);
    finds(&rule(blue, "sql"), check, &["warning NetworkPolicy a/p /spec/egress/0/ports/0/port"]);
    finds(&rule(json!([]), "http"), check, &[]);
    let outside = rule(json!([{"ipBlock": {"cidr": "203.0.113.0/24"}}]), "http");
    finds(&outside, Check::NamedPortWithBlock, &["note NetworkPolicy a/p /spec/egress/0/ports/0/port"]);
    finds(&rule(json!([]), "http"), Check::NamedPortWithBlock, &[]);
}

#[test]
fn a_block_over_pods() {
    let check = Check::BlockOverPods;
    let block = |cidr: &str, except: Value| {
        with_policy(ingress(json!({"from": [{"ipBlock": {"cidr": cidr, "except": except}}]})))
    };
    let place = "NetworkPolicy a/p /spec/ingress/0/from/0/ipBlock";
    finds(&block("203.0.113.0/24", json!([])), check, &[]);
    finds(&block("10.0.0.0/8", json!([])), check, &[&format!("warning {place}")]);
    finds(&block("10.0.0.0/8", json!(["10.0.1.0/24", "10.0.2.0/24"])), check, &[]);
    finds(&block("0.0.0.0/0", json!([])), check, &[&format!("note {place}")]);
    finds(&block("0.0.0.0/0", json!(["10.0.0.0/8"])), check, &[]);
    let mut world = block("10.244.0.0/16", json!([]));
    finds(&world, check, &[]);
    world.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9"}, "spec": {"podCIDR": "10.244.9.0/24"}}));
    finds(&world, check, &[&format!("warning {place}")]);
    world.policy("a/p", ingress(json!({"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.9.0/25", "10.244.9.128/25"]}}]})));
    finds(&world, check, &[]);
}

#[test]
fn a_block_whose_holes_leave_nothing() {
    let check = Check::EmptyBlock;
    let block = |except: Value| {
        with_policy(ingress(json!({"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": except}}]})))
    };
    finds(
        &block(json!(["203.0.113.0/25", "203.0.113.128/25"])),
        check,
        &["warning NetworkPolicy a/p /spec/ingress/0/from/0/ipBlock"],
    );
    finds(&block(json!(["203.0.113.0/25", "203.0.113.128/26"])), check, &[]);
}

#[test]
fn one_family_only_on_pods_that_have_both() {
    let check = Check::OneFamilyOnly;
    let from = |cidrs: &[&str], app: &str| {
        let blocks: Vec<Value> = cidrs.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect();
        with_policy(json!({"podSelector": {"matchLabels": {"app": app}}, "ingress": [{"from": blocks}]}))
    };
    finds(&from(&["0.0.0.0/0"], "web"), check, &["warning NetworkPolicy a/p /spec/ingress/0/from"]);
    finds(&from(&["2001:db8::/32"], "web"), check, &["note NetworkPolicy a/p /spec/ingress/0/from"]);
    finds(&from(&["0.0.0.0/0", "::/0"], "web"), check, &[]);
    finds(&from(&["0.0.0.0/0"], "db"), check, &[]);
}

#[test]
fn what_lies_outside_of_the_range_that_is_judged() {
    let check = Check::OutsidePodIpRange;
    let mut world = with_policy(ingress(
        json!({"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}, {"ipBlock": {"cidr": "10.0.1.0/24"}}, {"ipBlock": {"cidr": "2001:db8::/32"}}]}),
    ));
    finds(&world, check, &[]);
    world.settings.pod_ip_range = vec!["10.0.1.0/24".parse().unwrap()];
    finds(
        &world,
        check,
        &["warning NetworkPolicy a/p /spec/ingress/0/from/0/ipBlock", "warning Settings pod-ip-range "],
    );
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    finds(&world, check, &["warning NetworkPolicy a/p /spec/ingress/0/from/0/ipBlock"]);
}

/// A rule from `ACTION CIDRS PROTOCOL PORTS`, of which the later ones may be left out.
fn rule(text: &str) -> Value {
    let words: Vec<&str> = text.split(' ').collect();
    let mut rule = json!({"action": words[0]});
    if let Some(cidrs) = words.get(1) {
        rule["srcCIDRs"] = cidrs.split('+').collect();
    }
    if let Some(protocol) = words.get(2) {
        rule["protocol"] = json!(protocol);
    }
    if let Some(ports) = words.get(3) {
        rule["ports"] = ports.split('+').collect();
    }
    rule
}

#[test]
fn acl_rules_that_are_never_reached() {
    let cases: &[(&str, &[&str], &[usize])] = &[
        ("a smaller network", &["ALLOW 10.0.0.0/8", "DENY 10.1.0.0/16"], &[1]),
        ("a larger network", &["ALLOW 10.1.0.0/16", "DENY 10.0.0.0/8"], &[]),
        ("everything", &["DENY", "ALLOW 10.0.0.0/8", "ALLOW ::/0 tcp 80"], &[1, 2]),
        ("both halves", &["ALLOW 10.0.0.0/9", "ALLOW 10.128.0.0/9", "ALLOW 10.0.0.0/8"], &[2]),
        (
            "a part missing",
            &["ALLOW 10.0.0.0/9", "DENY 10.128.0.0/10+10.192.0.0/11", "ALLOW 10.0.0.0/8"],
            &[],
        ),
        ("one family of two", &["ALLOW 0.0.0.0/0", "DENY"], &[]),
        ("both families apart", &["ALLOW 0.0.0.0/0", "ALLOW ::/0", "DENY"], &[2]),
        ("one protocol of all", &["ALLOW 10.0.0.0/8 tcp", "ALLOW 10.0.0.0/8"], &[]),
        ("another protocol", &["ALLOW 10.0.0.0/8 tcp 53", "DENY 10.0.0.0/8 udp 53"], &[]),
        (
            "protocols by name leave those without one",
            &[
                "DENY 9.0.0.0/8 tcp",
                "DENY 9.0.0.0/8 udp",
                "DENY 9.0.0.0/8 sctp",
                "DENY 9.0.0.0/8 icmp",
                "ALLOW 9.0.0.0/8",
            ],
            &[],
        ),
        ("icmp below everything", &["DENY 9.0.0.0/8", "ALLOW 9.1.0.0/16 icmp"], &[1]),
        (
            "ports in two parts",
            &["DENY 9.0.0.0/8 tcp 1-100", "DENY 9.0.0.0/8 tcp 101-200", "ALLOW 9.1.0.0/16 tcp 50+90-150"],
            &[2],
        ),
        (
            "ports with a gap",
            &["DENY 9.0.0.0/8 tcp 1-100", "DENY 9.0.0.0/8 tcp 102-200", "ALLOW 9.1.0.0/16 tcp 90-150"],
            &[],
        ),
        (
            "networks and ports across each other",
            &[
                "DENY 9.0.0.0/9 tcp 80",
                "DENY 9.0.0.0/8 tcp 81",
                "ALLOW 9.0.0.0/8 tcp 80+81",
                "ALLOW 9.0.0.0/8 tcp 80-81",
            ],
            &[3],
        ),
        ("a duplicate", &["ALLOW 10.0.0.0/8", "ALLOW 10.0.0.0/8"], &[1]),
    ];
    for (name, rules, unreachable) in cases {
        let world = with_acl("DENY", rules.iter().map(|text| rule(text)).collect());
        let place = |rule: &usize| format!("warning Acl a/web /deployments/0/rules/{rule}");
        let places: Vec<String> = unreachable.iter().map(place).collect();
        assert_eq!(found(&world, Check::UnreachableRule), places, "{name}");
    }
    let both_ways = with_acl("DENY", json!([{"action": "DENY"}, {"action": "DENY", "direction": "egress"}]));
    finds(&both_ways, Check::UnreachableRule, &[]);
}

#[test]
fn an_unreachable_rule_is_told_with_those_that_decide_before_it() {
    let mut named = rule("DENY 10.128.0.0/9");
    named["name"] = json!("upper");
    let world = with_acl(
        "DENY",
        json!([rule("ALLOW 10.0.0.0/9"), named, rule("DENY 192.0.2.0/24"), rule("ALLOW 10.0.0.0/8")]),
    );
    let findings = lint(&world.cluster, &world.settings);
    let finding = findings.iter().find(|finding| finding.check == Check::UnreachableRule).unwrap();
    let detail = "is never reached: rules 0, 1 (upper) before it decide every flow that it names";
    assert_eq!(
        (finding.diagnostic.detail.as_str(), finding.remedy.as_str()),
        (detail, "move it before them, or remove it")
    );
}

#[test]
fn a_refusal_of_one_family_that_leaves_the_other_open() {
    let check = Check::FamilyLeftOpen;
    let seed = json!([{"action": "ALLOW", "srcCIDR": "10.0.0.0/24", "protocol": "tcp", "port": 80}, {"action": "DENY", "srcCIDR": "0.0.0.0/0"}]);
    finds(&with_acl("ALLOW", seed.clone()), check, &["warning Acl a/web /deployments/0/rules/1"]);
    finds(&with_acl("RETURN", seed.clone()), check, &["warning Acl a/web /deployments/0/rules/1"]);
    finds(&with_acl("DENY", seed), check, &[]);
    finds(&with_acl("ALLOW", json!([{"action": "DENY"}])), check, &[]);
    finds(&with_acl("ALLOW", json!([{"action": "DENY", "srcCIDRs": ["0.0.0.0/0", "::/0"]}])), check, &[]);
    finds(
        &with_acl(
            "ALLOW",
            json!([{"action": "ALLOW", "srcCIDR": "::/0"}, {"action": "DENY", "srcCIDR": "0.0.0.0/0"}]),
        ),
        check,
        &[],
    );
    finds(
        &with_acl("ALLOW", json!([{"action": "REJECT", "direction": "egress", "dstCIDR": "::/0"}])),
        check,
        &["warning Acl a/web /deployments/0/rules/0"],
    );
    finds(
        &with_acl("ALLOW", json!([{"action": "DENY", "srcCIDR": "0.0.0.0/0", "protocol": "tcp"}])),
        check,
        &[],
    );
}

#[test]
fn egress_rules_alone_under_a_refusing_default() {
    let check = Check::IngressUngoverned;
    let out = json!({"action": "ALLOW", "direction": "egress"});
    finds(&with_acl("DENY", json!([out])), check, &["warning Acl a/web /deployments/0"]);
    finds(&with_acl("ALLOW", json!([out])), check, &[]);
    finds(&with_acl("DENY", json!([out, {"action": "ALLOW", "srcCIDR": "10.0.0.0/8"}])), check, &[]);
    finds(&with_acl("DENY", json!([])), check, &[]);
}

#[test]
fn restricted_egress_without_name_resolution() {
    let check = Check::MissingDns;
    let place = "NetworkPolicy a/p /spec/egress";
    let dns = |protocol: &str| json!({"port": 53, "protocol": protocol});
    finds(&with_policy(egress(json!([{"ports": [{"port": 443}]}]))), check, &[&format!("warning {place}")]);
    finds(&with_policy(egress(json!([{"ports": [{"port": 443}, dns("UDP"), dns("TCP")]}]))), check, &[]);
    finds(&with_policy(egress(json!([{"ports": [dns("UDP")]}]))), check, &[&format!("note {place}")]);
    finds(&with_policy(egress(json!([{"ports": [{"port": 53}]}]))), check, &[&format!("warning {place}")]);
    finds(&with_policy(egress(json!([]))), check, &[&format!("note {place}")]);
    finds(&with_policy(egress(json!([{}]))), check, &[]);
    finds(&with_policy(json!({"podSelector": {}, "ingress": []})), check, &[]);
    // Another policy of the same pods allows it, or of some of them only.
    let mut world = with_policy(egress(json!([{"ports": [{"port": 443}]}])));
    world.policy("a/dns", egress(json!([{"ports": [dns("UDP"), dns("TCP")]}])));
    finds(&world, check, &[]);
    world.policy("a/dns", json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [{"ports": [dns("UDP"), dns("TCP")]}]}));
    finds(&world, check, &[&format!("warning {place}")]);
    // The DNS pods listen elsewhere, and policy sees the port after translation.
    let mut world = with_policy(egress(json!([{"ports": [dns("UDP"), dns("TCP")]}])));
    world.pod_with(
        "dns/d",
        json!({"k8s-app": "kube-dns"}),
        &["10.0.2.53"],
        json!({"containers": [{"ports": [{"name": "dns", "containerPort": 5353, "protocol": "UDP"}]}]}),
    );
    finds(&world, check, &[&format!("warning {place}")]);
    // The same without any pod.
    let mut world = World::new();
    world.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}));
    finds(&world, check, &[&format!("warning {place}")]);
    world.policy("a/dns", egress(json!([{"ports": [dns("UDP"), dns("TCP")]}])));
    finds(&world, check, &[]);
}

#[test]
fn an_acl_without_name_resolution() {
    let check = Check::MissingDns;
    let out = |action: &str, more: Value| {
        let mut rule = json!({"action": action, "direction": "egress"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let place = "warning Acl a/web /deployments/0";
    finds(&with_acl("DENY", json!([out("ALLOW", json!({"protocol": "tcp", "port": 443}))])), check, &[place]);
    finds(&with_acl("ALLOW", json!([out("DENY", json!({"dstCIDR": "10.0.0.0/8"}))])), check, &[]);
    finds(
        &with_acl(
            "ALLOW",
            json!([
                out("DENY", json!({"protocol": "udp"})),
                out("ALLOW", json!({"protocol": "udp", "port": 53}))
            ]),
        ),
        check,
        &[place],
    );
    finds(
        &with_acl("DENY", json!([out("DENY", json!({"dstCIDR": "10.0.0.0/8"})), out("ALLOW", json!({}))])),
        check,
        &[],
    );
    finds(&with_acl("DENY", json!([{"action": "DENY"}])), check, &[]);
}

#[test]
fn restricted_egress_that_cuts_the_api_server() {
    let check = Check::ApiServerCut;
    let dns = json!({"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]});
    let https = |cidr: &str| json!({"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": 6443}]});
    let place = "note NetworkPolicy a/p /spec/egress";
    // Nothing is known of the API server.
    finds(&with_policy(egress(json!([dns]))), check, &[place]);
    finds(&with_policy(egress(json!([dns, https("192.0.2.0/24")]))), check, &[]);
    finds(&with_policy(egress(json!([dns, {"to": [{"namespaceSelector": {}}]}]))), check, &[place]);
    finds(&with_policy(json!({"podSelector": {}})), check, &[]);
    // Its address is known.
    let control = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "cp", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.9"}]}});
    let known = |rules: Value| {
        let mut world = with_policy(egress(rules));
        world.apply(control.clone());
        world
    };
    finds(&known(json!([dns, https("192.0.2.0/24")])), check, &[place]);
    finds(&known(json!([dns, https("192.168.0.0/24")])), check, &[]);
    let mut acl =
        with_acl("ALLOW", json!([{"action": "DENY", "direction": "egress", "dstCIDR": "192.168.0.0/16"}]));
    finds(&acl, check, &[]);
    acl.apply(control.clone());
    finds(&acl, check, &["note Acl a/web /deployments/0"]);
    // Pods of the system need it.
    let mut world = two_teams();
    world.pod("kube-system/dns", json!({"app": "dns"}), "10.0.1.53");
    world.policy("kube-system/p", egress(json!([dns])));
    finds(&world, check, &["warning NetworkPolicy kube-system/p /spec/egress"]);
}

#[test]
fn what_is_written_twice_or_need_not_be() {
    let mut world = with_policy(ingress(json!({"ports": [{"port": 80}]})));
    world.policy("a/q", ingress(json!({"ports": [{"port": 81}]})));
    finds(&world, Check::IdenticalPolicies, &[]);
    world.policy("a/q", ingress(json!({"ports": [{"port": 80}]})));
    finds(&world, Check::IdenticalPolicies, &["note NetworkPolicy a/q "]);
    world.policy("a/q", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 81}]}, {}]}));
    finds(&world, Check::RedundantRule, &["note NetworkPolicy a/q /spec/ingress/1"]);
    world.policy("a/q", json!({"podSelector": {}, "ingress": [{}]}));
    finds(&world, Check::RedundantRule, &[]);
}

#[test]
fn findings_are_ordered_and_print_place_and_remedy() {
    let mut world = with_acl(
        "ALLOW",
        json!([{"action": "DENY", "srcCIDR": "0.0.0.0/0"}, {"action": "DENY", "srcCIDR": "10.0.0.0/8"}]),
    );
    world.policy("a/z", json!({"podSelector": {"matchLabels": {"app": "nobody"}}}));
    world.policy(
        "a/b",
        ingress(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "nope"}]})),
    );
    let findings = lint(&world.cluster, &world.settings);
    let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("findings", text.join("\n"));
    insta::assert_snapshot!("findings_json", serde_json::to_string_pretty(&findings[..2]).unwrap());
    assert!(findings.iter().any(|finding| finding.diagnostic.severity > Severity::Note));
}
