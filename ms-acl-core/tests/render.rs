//! The rule graph as text: snapshots for review, and what every text must hold.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

#[path = "world/rich.rs"]
mod rich;
mod world;

use ms_acl_core::render::{
    dot, dot_family, ipset_save, iptables_save, json, json_family, nft, nft_family, summary,
    summary_with_names,
};
use ms_acl_core::ruleset::{Rulesets, Target};

use world::World;

#[test]
fn iptables_text() {
    let graphs = rich::compiled().rulesets;
    insta::assert_snapshot!("iptables", iptables_save(&graphs.v4) + &iptables_save(&graphs.v6));
    insta::assert_snapshot!("ipset", ipset_save(&graphs));
}

#[test]
fn nft_text() {
    let graphs = rich::compiled().rulesets;
    insta::assert_snapshot!("nft", nft(&graphs));
    assert_eq!(nft(&graphs), nft_family(&graphs.v4) + "\n" + &nft_family(&graphs.v6));
}

#[test]
fn json_text() {
    let graphs = rich::compiled().rulesets;
    insta::assert_snapshot!("json", json_family(&graphs.v4));
    let both: serde_json::Value = serde_json::from_str(&json(&graphs)).unwrap();
    assert!(both["ipv4"]["chains"].is_array() && both["ipv6"]["sets"].is_array());
    let one: serde_json::Value = serde_json::from_str(&json_family(&graphs.v6)).unwrap();
    assert_eq!(one["ipv6"], both["ipv6"]);
}

#[test]
fn dot_text() {
    insta::assert_snapshot!("dot", dot_family(&rich::compiled().rulesets.v4));
}

#[test]
fn summary_text() {
    let world = rich::rich();
    let graphs = rich::compiled().rulesets;
    let name_of =
        |address| world.cluster.pod_at(address).map(|pod| format!("{}/{}", pod.namespace, pod.name));
    insta::assert_snapshot!("summary", summary_with_names(&graphs, &name_of));
    assert!(summary(&graphs).contains("    10.0.1.1, 10.0.1.2\n"));
}

#[test]
fn an_empty_node_and_an_empty_graph_are_text_too() {
    let world = World::new();
    let node = ms_acl_core::compile::compile(&world.cluster, &world.settings).rulesets;
    for graphs in [node, Rulesets::empty()] {
        assert!(summary(&graphs).contains("egress: no pod is governed"));
        assert!(dot(&graphs).ends_with("}\n") && nft(&graphs).ends_with("}\n"));
        serde_json::from_str::<serde_json::Value>(&json(&graphs)).unwrap();
        assert!(iptables_save(&graphs.v4).ends_with("COMMIT\n"));
    }
}

#[test]
fn every_rule_of_the_graph_is_in_every_text() {
    let graphs = rich::compiled().rulesets;
    let (nft, json) = (nft_family(&graphs.v4), json_family(&graphs.v4));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (chain, view) in graphs.v4.chains.values().zip(json["ipv4"]["chains"].as_array().unwrap()) {
        assert_eq!(chain.rules.len(), view["rules"].as_array().unwrap().len());
    }
    let jumps = |text: &str, word: &str| text.lines().filter(|line| line.trim_start().contains(word)).count();
    let rules = || graphs.v4.chains.values().flat_map(|chain| &chain.rules);
    let gotos = rules().filter(|rule| matches!(rule.target, Target::Goto(_))).count();
    assert_eq!(jumps(&nft, "goto MS-"), gotos);
    assert_eq!(jumps(&iptables_save(&graphs.v4), "-g MS-"), gotos);
}
