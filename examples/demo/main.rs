//! The demo: a small cluster on this machine, the daemon on every node, real packets.
//!
//! It shows who reaches whom, pushes a Deployment ACL over HTTP, applies two NetworkPolicies that
//! disagree, shows what changed and which rule decided, and cleans up behind itself.
#![forbid(unsafe_code)]

mod daemon;
mod matrix;
mod world;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use daemon::Daemon;
use matrix::{Matrix, PORT};
use ms_acl_core::cluster::Cluster as Objects;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::{Protocol, Settings};
use ms_acl_core::object::Object;
use ms_acl_core::verdict::{Answer, Flow, Nodes, Verdict};
use ms_acl_lab::net::{Cluster, Family, Outcome, Ports};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let start = Instant::now();
    println!("A cluster of two nodes and six pods, each a network namespace of its own:");
    let cluster = world::cluster().context("the demo needs root and a kernel with network namespaces")?;
    for pod in cluster.pods() {
        let addresses: Vec<String> = pod.addresses().map(|a| a.to_string()).collect();
        println!("  {:18} on {}  {}", pod.name, pod.node, addresses.join("  "));
    }
    cluster.serve_pods(&Ports::all(&[PORT]))?;
    let folder = tempfile::tempdir()?;
    let objects = world::manifests(&cluster)?;
    write(&folder, "cluster.json", &objects)?;

    println!("\nThe daemon starts on both nodes. Nothing is asked of it yet, so everybody reaches everybody");
    println!("(TCP port {PORT}, real connections):\n");
    let daemons: Vec<Daemon> = cluster
        .nodes()
        .iter()
        .map(|node| Daemon::start(&cluster, &node.name, folder.path()))
        .collect::<Result<_>>()?;
    let before = Matrix::measure(&cluster)?;
    before.print(None);

    println!("\nA management system pushes this document to both nodes (PUT /policy):\n{}\n", world::ACL);
    for daemon in &daemons {
        println!("  answer: {}", daemon.put_policy(&cluster, world::ACL)?.trim());
    }
    let policies = world::policies();
    println!(
        "\nTwo NetworkPolicies that disagree are applied: shop/api-out lets the api out to the database only,"
    );
    println!("shop/db-in lets only the namespace ops in to the database.\n");
    write(&folder, "policies.json", &policies)?;
    for daemon in &daemons {
        daemon.settle(&cluster, |status| status["policies"] == 3)?;
    }
    let after = Matrix::measure(&cluster)?;
    after.print(Some(&before));
    println!("\n  yes = connected, DROP = no answer, REJECT = refused with an answer, * = changed");

    println!("\nWhy? The compiled rules say which of them decided:\n");
    explain(&cluster, objects.iter().chain(&policies), &after, &before)?;

    println!("\nWhat the kernel of node1 holds (iptables -S, our chains):\n");
    let rules = cluster.output_in("node1", "iptables", &["-S"])?;
    for line in rules.lines().filter(|line| line.contains("MS-")) {
        println!("  {line}");
    }
    for daemon in daemons {
        daemon.stop()?;
    }
    drop(cluster);
    println!(
        "\nThe daemons have ended and the namespaces are gone; nothing else was touched. {:.1} s.",
        start.elapsed().as_secs_f32()
    );
    Ok(())
}

fn write(folder: &tempfile::TempDir, name: &str, items: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    // Renamed into place, so that nobody reads half of it.
    let draft = folder.path().join(format!(".{name}"));
    std::fs::write(&draft, serde_json::to_string_pretty(&list)?)?;
    std::fs::rename(&draft, folder.path().join(name))?;
    Ok(())
}

/// For one changed cell of each kind: the rule that decided.
fn explain<'a>(
    cluster: &Cluster,
    objects: impl Iterator<Item = &'a Value>,
    after: &Matrix,
    before: &Matrix,
) -> Result<()> {
    let mut world = Objects::new();
    for object in objects {
        world.apply(Object::decode(object.clone())?.context("a kind that the core knows")?);
    }
    let acl = AclDocument::parse(serde_json::from_str(world::ACL)?);
    world.set_acl(Arc::new(acl.map_err(|faults| anyhow::anyhow!("{faults:?}"))?));
    let settings = Settings::new("");
    let mut nodes = Nodes::new(&world, &settings);
    let mut shown = Vec::new();
    for (from, to, outcome) in after.changes(before) {
        let flow = Flow {
            from: cluster.address(from, Family::V4)?,
            to: cluster.address(to, Family::V4)?,
            protocol: Protocol::Tcp,
            port: PORT,
        };
        let answer = nodes.judge(flow, &|_| Vec::new());
        let expected = match answer.verdict {
            Verdict::Allow => Outcome::Allowed,
            Verdict::Drop => Outcome::Dropped,
            Verdict::Reject => Outcome::Rejected,
        };
        anyhow::ensure!(
            expected == outcome,
            "{from} -> {to}: the rules say {}, the packets {outcome:?}",
            answer.verdict
        );
        let why = decided_by(&answer);
        if !shown.contains(&why) {
            println!("  {from} -> {to}: {} {why}", answer.verdict);
            shown.push(why);
        }
    }
    Ok(())
}

fn decided_by(answer: &Answer) -> String {
    let sides = [&answer.egress, &answer.ingress].into_iter().flatten();
    let decision = sides.filter(|side| side.verdict == answer.verdict).find_map(|side| side.decisions.last());
    let Some(decision) = decision else { return "because no policy selects either end".to_owned() };
    let from = &decision.provenance;
    let object = from.object.as_ref().map_or_else(|| "several policies".to_owned(), ToString::to_string);
    let rule =
        from.rule.map_or_else(|| "no rule of it matched".to_owned(), |index| format!("its rule {index}"));
    format!("in {}, by {object}, {rule} (chain {}, rule {})", from.direction, decision.chain, decision.index)
}
