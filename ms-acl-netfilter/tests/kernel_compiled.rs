//! A graph that the core compiled: programmed, printed by the tool, restored from the core's own print.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{in_namespace, open, program_and_check, restore_tool, run_with, save};
use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::compile;
use ms_acl_core::diff::diff;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Settings;
use ms_acl_core::object::Object;
use ms_acl_core::render::{ipset_save, iptables_save};
use ms_acl_core::ruleset::{Family, Rulesets};
use ms_acl_netfilter::own::{is_owned_name, owned_set};

fn pod(name: &str, app: &str, node: &str, addresses: &[&str]) -> String {
    let ips: Vec<String> = addresses.iter().map(|address| format!(r#"{{"ip":"{address}"}}"#)).collect();
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod",
            "metadata":{{"name":"{name}","namespace":"shop","labels":{{"app":"{app}"}}}},
            "spec":{{"nodeName":"{node}","containers":[{{"ports":[
                {{"name":"http","containerPort":8080}},
                {{"name":"dns","containerPort":5353,"protocol":"UDP"}},
                {{"name":"signal","containerPort":9999,"protocol":"SCTP"}}]}}]}},
            "status":{{"phase":"Running","podIPs":[{}]}}}}"#,
        ips.join(",")
    )
}

/// A node with a hundred pods, so that the dispatch is a tree, under policies of every kind.
fn compiled() -> Rulesets {
    let mut objects = vec![
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"cart","namespace":"shop"},
            "spec":{"selector":{"matchLabels":{"app":"cart"}}}}"#
            .to_owned(),
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",
            "metadata":{"name":"cart","namespace":"shop"},
            "spec":{"podSelector":{"matchLabels":{"app":"cart"}},"policyTypes":["Ingress","Egress"],
              "ingress":[
                {"from":[{"podSelector":{"matchLabels":{"app":"front"}}},
                         {"ipBlock":{"cidr":"10.9.0.0/16","except":["10.9.1.0/24"]}},
                         {"ipBlock":{"cidr":"fd00:9::/32"}}],
                 "ports":[{"port":"http"},{"port":443},{"protocol":"UDP","port":53},
                          {"protocol":"SCTP","port":1000,"endPort":1010}]},
                {"ports":[{"port":1},{"port":3},{"port":5},{"port":7},{"port":9},{"port":11},{"port":13},
                          {"port":15},{"port":17},{"port":19},{"port":21},{"port":23},{"port":25},{"port":27},
                          {"port":29},{"port":31},{"port":33}]}],
              "egress":[{"to":[{"podSelector":{}}],"ports":[{"port":"http"},
                {"protocol":"UDP","port":"dns"},{"protocol":"SCTP","port":"signal"}]},
                {"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8"]}}]}]}}"#
            .to_owned(),
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",
            "metadata":{"name":"front","namespace":"shop"},
            "spec":{"podSelector":{"matchLabels":{"app":"front"}},"ingress":[{}]}}"#
            .to_owned(),
    ];
    for number in 0..100 {
        let app = if number % 3 == 0 { "cart" } else { "front" };
        let addresses = [format!("10.0.{}.{}", number / 7, number + 1), format!("fd00::{number:x}:1")];
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        objects.push(pod(&format!("local-{number}"), app, "n1", &addresses));
    }
    objects.push(pod("remote-1", "front", "n2", &["10.1.0.1", "fd00:1::1"]));
    objects.push(pod("remote-2", "cart", "n2", &["10.1.0.2"]));

    let mut cluster = Cluster::new();
    for text in objects {
        cluster.apply(Object::decode(serde_json::from_str(&text).unwrap()).unwrap().unwrap());
    }
    let acl = r#"{"defaultAction":"ALLOW","deployments":[{"namespace":"shop","name":"cart","rules":[
        {"action":"ALLOW","srcCIDR":"10.0.0.0/24","protocol":"tcp","ports":[80,"8000-8100"],"log":true},
        {"action":"REJECT","protocol":"icmp"},
        {"action":"RETURN","srcCIDR":"fd00::/16"},
        {"action":"DENY","srcCIDR":"0.0.0.0/0"}]}]}"#;
    cluster.set_acl(Arc::new(AclDocument::parse(serde_json::from_str(acl).unwrap()).unwrap()));
    compile(&cluster, &Settings::new("n1")).rulesets
}

/// The rules of our chains as lines, in their order.
fn rules(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("-A MS-")).collect()
}

#[test]
fn a_compiled_graph_is_programmed_and_printed_as_the_core_prints_it() {
    in_namespace(|| {
        let desired = compiled();
        for graph in [&desired.v4, &desired.v6] {
            assert!(graph.rule_count() > 100);
            assert!(graph.chains.keys().all(|name| is_owned_name(name.as_str())));
            assert!(graph.sets.keys().all(|name| owned_set(name.as_str()).is_some()));
        }
        let mut dataplane = open();
        let observed = program_and_check(&mut dataplane, &desired);
        assert_eq!((observed.foreign, observed.contested), (vec![], vec![]));
        for family in Family::BOTH {
            let (by_tool, by_core) = (save(family), iptables_save(desired.family(family)));
            for (by_tool, by_core) in rules(&by_tool).iter().zip(rules(&by_core)) {
                assert_eq!(*by_tool, by_core);
            }
            assert_eq!(rules(&by_tool).len(), rules(&by_core).len());
        }
        assert_eq!(dataplane.remove_all().unwrap().kept, []);
    });
}

#[test]
fn what_the_tools_restore_from_the_cores_print_is_the_same_graph() {
    in_namespace(|| {
        let desired = compiled();
        run_with(&ipset_save(&desired), &["ipset", "restore"]);
        for family in Family::BOTH {
            let text = iptables_save(desired.family(family));
            run_with(&text, &[restore_tool(family), "--noflush"]);
        }
        let mut dataplane = open();
        let observed = dataplane.observe().unwrap();
        assert_eq!(diff(&observed.rulesets, &desired).steps, []);
        assert_eq!(observed.foreign, []);
    });
}
