//! What is printed, the kernel's own tools take, and print back the same.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests read better so")]

mod law;
#[path = "world/rich.rs"]
mod rich;
mod world;

use std::io::Write;
use std::process::{Command, Stdio};

use ms_acl_core::render::{dot, ipset_save, ipset_save_family, iptables_save, nft};
use ms_acl_core::ruleset::{Family, Ruleset, Rulesets};
use ms_acl_lab::random::{Shape, world_from_seed};

/// A network namespace that is removed at the end of a test, however it ends.
struct Namespace(String);

impl Namespace {
    fn new(test: &str) -> Self {
        let name = format!("ms-render-{}-{test}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).status().unwrap();
        assert!(made.success(), "root is needed to make a network namespace");
        Namespace(name)
    }

    /// Runs a tool in the namespace with a text as its input and gives what it prints.
    #[track_caller]
    fn run(&self, command: &[&str], input: &str) -> String {
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", &self.0]).args(command);
        feed(ip, input, command)
    }

    /// Sets stay busy for some milliseconds after the last rule that names them is gone.
    fn destroy_sets(&self) {
        let destroyed = (0..100).any(|_| {
            let tool =
                Command::new("ip").args(["netns", "exec", &self.0, "ipset", "destroy"]).output().unwrap();
            tool.status.success() || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                false
            }
        });
        assert!(destroyed, "the sets of {} can't be destroyed", self.0);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[track_caller]
fn feed(mut command: Command, input: &str, name: &[&str]) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{name:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The chains and rules that are ours, without counters.
fn ours(save: &str) -> Vec<&str> {
    let mine = |line: &&str| line.starts_with(":MS-") || (line.starts_with("-A ") && line.contains("MS-"));
    let mut lines: Vec<&str> =
        save.lines().filter(mine).map(|line| line.split(" [").next().unwrap()).collect();
    // Chains are printed in the order of their creation, then rules by chain.
    lines.sort_by_key(|line| !line.starts_with(':'));
    lines
}

fn tools(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("iptables-restore", "iptables-save"),
        Family::V6 => ("ip6tables-restore", "ip6tables-save"),
    }
}

#[track_caller]
fn comes_back(namespace: &Namespace, graph: &Ruleset) {
    let (restore, save) = tools(graph.family);
    let printed = iptables_save(graph);
    namespace.run(&[restore, "--noflush"], &printed);
    let seen = namespace.run(&[save, "-t", "filter"], "");
    assert_eq!(ours(&seen), ours(&printed), "{}", graph.family);
}

#[test]
fn iptables_and_ipset_text_come_back_as_they_were() {
    let namespace = Namespace::new("round");
    let graphs = rich::compiled().rulesets;
    namespace.run(&["ipset", "restore"], &ipset_save(&graphs));
    let members = |text: &str| {
        let mut lines: Vec<String> =
            text.lines().filter(|line| line.starts_with("add ")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let seen = namespace.run(&["ipset", "save"], "");
    assert_eq!(members(&seen), members(&ipset_save(&graphs)));
    for family in Family::BOTH {
        comes_back(&namespace, graphs.family(family));
    }
}

#[test]
fn one_family_alone_can_be_restored() {
    for family in Family::BOTH {
        let namespace = Namespace::new(&format!("one-{family}"));
        let graphs = rich::compiled().rulesets;
        namespace.run(&["ipset", "restore"], &ipset_save_family(graphs.family(family)));
        comes_back(&namespace, graphs.family(family));
    }
}

#[test]
fn rules_with_other_settings_come_back_too() {
    let mut world = rich::rich();
    world.settings.node_traffic = ms_acl_core::model::NodeTraffic::Enforce;
    world.settings.refuse_with = ms_acl_core::model::RefuseWith::Drop;
    world.settings.pod_ip_range = vec!["10.0.0.0/8".parse().unwrap()];
    world.settings.marks = ms_acl_core::model::Marks::from_masks(0xe000_0000, 0x8000_0000).unwrap();
    for number in 10..100 {
        world.pod(&format!("shop/p{number}"), serde_json::json!({"app": "web"}), &format!("10.0.1.{number}"));
    }
    let graphs = ms_acl_core::compile::compile(&world.cluster, &world.settings).rulesets;
    let namespace = Namespace::new("other");
    namespace.run(&["ipset", "restore"], &ipset_save(&graphs));
    for family in Family::BOTH {
        comes_back(&namespace, graphs.family(family));
    }
}

#[test]
fn rules_of_random_worlds_come_back_and_nft_takes_them() {
    let namespace = Namespace::new("random");
    for seed in 0..12 {
        let world = world_from_seed(seed, &Shape::default());
        let cluster = law::cluster(&world);
        for compiled in law::compile_all(&world, &cluster).values() {
            let graphs = &compiled.rulesets;
            namespace.run(&["ipset", "restore"], &ipset_save(graphs));
            for family in Family::BOTH {
                comes_back(&namespace, graphs.family(family));
                let (restore, _) = tools(family);
                namespace.run(&[restore], "*filter\nCOMMIT\n");
            }
            namespace.destroy_sets();
            namespace.run(&["nft", "-c", "-f", "-"], &nft(graphs));
        }
    }
}

#[test]
fn nft_takes_its_text_and_takes_it_again() {
    let namespace = Namespace::new("nft");
    let text = nft(&rich::compiled().rulesets);
    namespace.run(&["nft", "-c", "-f", "-"], &text);
    namespace.run(&["nft", "-f", "-"], &text);
    namespace.run(&["nft", "-f", "-"], &text);
    let tables = namespace.run(&["nft", "list", "tables"], "");
    assert_eq!(tables, "table ip ms-acl\ntable ip6 ms-acl\n");
    namespace.run(&["nft", "-c", "-f", "-"], &nft(&Rulesets::empty()));
}

#[test]
fn dot_draws_its_text() {
    if Command::new("dot").arg("-V").output().is_err() {
        println!("dot is not installed: the picture is not drawn");
        return;
    }
    let mut command = Command::new("dot");
    command.arg("-Tsvg");
    let svg = feed(command, &dot(&rich::compiled().rulesets), &["dot"]);
    assert!(svg.contains("Acl shop/web rule 0") && svg.contains("kubernetes"));
}
