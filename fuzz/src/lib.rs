//! What is fuzzed: the whole way from a text to rules, their texts and explanations. Nothing on it may
//! panic, and what comes out must hold together.
//!
//! The fuzz targets call these, and so does `ms-acl-core/tests/fuzz.rs`, which needs neither nightly nor
//! libFuzzer.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::compile::compile;
use ms_acl_core::diff::apply;
use ms_acl_core::lint::lint;
use ms_acl_core::lower::Tree;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Settings;
use ms_acl_core::object::Object;
use ms_acl_core::program::Program;
use ms_acl_core::render::{dot, ipset_save, iptables_save, json, nft, summary};
use ms_acl_core::ruleset::{ChainName, Match, Ruleset, Rulesets, Target};
use ms_acl_core::verdict::explain::Question;
use ms_acl_core::verdict::{Endpoint, FlowPort, Nodes, explain};
use serde_json::{Value, json};

/// Beyond this depth the kernel takes no further chain below a base chain.
const DEPTH: usize = 15;

/// Any bytes as the text of manifests.
pub fn manifests(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(documents) = serde_saphyr::from_multiple::<Value>(text) {
        objects(documents);
    }
}

/// Any bytes as the text of a policy document, JSON or YAML.
pub fn document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(tree) = serde_json::from_str(text) {
        acl(tree);
    }
    if let Ok(tree) = serde_saphyr::from_str(text) {
        acl(tree);
    }
}

/// Any values as objects, in their order.
pub fn objects(documents: Vec<Value>) {
    let settings = Settings::new("n0");
    let mut cluster = Cluster::new();
    let mut program = Program::new(Cluster::new(), settings.clone());
    let mut kernel = program.rulesets().clone();
    for document in documents {
        let event = match Object::decode(document) {
            Ok(Some(object)) => {
                cluster.apply(object.clone());
                Event::Apply(object)
            }
            Ok(None) => continue,
            Err(error) => {
                cluster.apply_undecodable(&error);
                Event::Undecodable(Box::new(error))
            }
        };
        program.apply(event);
    }
    assert_eq!(*program.rulesets(), compile(&cluster, &settings).rulesets, "as from scratch");
    for step in program.take().steps {
        apply(&step, &mut kernel);
    }
    assert_eq!(kernel.v4.sets, program.rulesets().v4.sets);
    look_at(&cluster);
}

/// Any tree as a policy document, pushed to a small cluster.
pub fn acl(tree: Tree) {
    match AclDocument::parse(tree) {
        Ok(document) => {
            let again = serde_json::to_string(document.source()).expect("a tree is JSON");
            let again = serde_json::from_str(&again).expect("and comes back");
            let again = AclDocument::parse(again).expect("as it was");
            assert_eq!(document.policies(), again.policies());
            let mut cluster = shop();
            cluster.set_acl(Arc::new(document));
            look_at(&cluster);
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| fault.path.is_empty() || fault.path.starts_with('/')));
        }
    }
}

/// Pods of the Deployments that documents in the corpus speak of.
fn shop() -> Cluster {
    let mut cluster = Cluster::new();
    for (number, name) in ["web", "db"].into_iter().enumerate() {
        let addresses = json!([{"ip": format!("10.0.0.{number}")}, {"ip": format!("fd00::{number}")}]);
        for value in [
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": name},
                "spec": {"selector": {"matchLabels": {"app": name}}}}),
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": "default", "name": name, "labels": {"app": name}},
                "spec": {"nodeName": "n0"}, "status": {"phase": "Running", "podIPs": addresses}}),
        ] {
            if let Ok(Some(object)) = Object::decode(value) {
                cluster.apply(object);
            }
        }
    }
    cluster
}

/// Everything that can be asked about a cluster.
fn look_at(cluster: &Cluster) {
    let names: BTreeSet<&str> = cluster.pods().map(|pod| &*pod.node).collect();
    for node in names.into_iter().take(2).chain(["n0"]) {
        let rulesets = compile(cluster, &Settings::new(node)).rulesets;
        holds_together(&rulesets.v4);
        holds_together(&rulesets.v6);
        texts(&rulesets);
    }
    let settings = Settings::new("");
    let findings = cluster.diagnostics().len() + lint(cluster, &settings).len();
    assert!(findings < usize::MAX);
    let pods: Vec<Endpoint> = cluster
        .pods()
        .take(3)
        .map(|pod| Endpoint::Pod { namespace: pod.namespace.to_string(), name: pod.name.to_string() })
        .collect();
    let strangers = ["203.0.113.7", "2001:db8::7"].map(|text| Endpoint::Address(text.parse().expect("one")));
    let mut nodes = Nodes::new(cluster, &settings);
    for from in pods.iter().chain(&strangers) {
        for to in pods.iter().chain(&strangers) {
            for port in ["80/tcp", "53/udp", "icmp"] {
                let port: FlowPort = port.parse().expect("a port");
                let question = Question { from: from.clone(), to: to.clone(), port };
                if let Ok(answer) = explain(&mut nodes, &question, &|_: &str| Vec::<IpAddr>::new()) {
                    assert!(!answer.to_string().is_empty());
                }
            }
        }
    }
}

fn texts(rulesets: &Rulesets) {
    for text in [
        iptables_save(&rulesets.v4),
        iptables_save(&rulesets.v6),
        ipset_save(rulesets),
        nft(rulesets),
        dot(rulesets),
        summary(rulesets),
    ] {
        assert!(!text.contains('\0'));
    }
    let printed: Value = serde_json::from_str(&json(rulesets)).expect("JSON is JSON");
    assert!(printed.is_object());
    // One rule is one line, whatever its object is called.
    let lines = iptables_save(&rulesets.v4);
    let rules = lines.lines().filter(|line| line.starts_with("-A MS-")).count();
    assert_eq!(rules, rulesets.v4.rule_count());
}

/// Nothing dangles, and the kernel would take it.
fn holds_together(graph: &Ruleset) {
    for rule in graph.chains.values().flat_map(|chain| &chain.rules) {
        if let Target::Jump(to) | Target::Goto(to) = &rule.target {
            assert!(graph.chains.contains_key(to), "{to} is missing");
        }
        for test in &rule.matches {
            if let Match::InSet(set, _) | Match::NotInSet(set, _) = test {
                assert!(graph.sets.contains_key(set), "{set} is missing");
            }
        }
    }
    for chain in graph.hooks.values() {
        assert!(depth(graph, chain, 0) <= DEPTH);
    }
}

fn depth(graph: &Ruleset, chain: &ChainName, above: usize) -> usize {
    if above > DEPTH {
        return above;
    }
    let rules = graph.chains.get(chain).into_iter().flat_map(|chain| &chain.rules);
    let below: BTreeSet<&ChainName> = rules
        .filter_map(|rule| match &rule.target {
            Target::Jump(to) | Target::Goto(to) => Some(to),
            _ => None,
        })
        .collect();
    below.into_iter().map(|to| depth(graph, to, above + 1)).max().unwrap_or(above)
}
