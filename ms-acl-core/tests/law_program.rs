//! The laws of change: after every event a program is what compiling from scratch gives, and on the way
//! there no packet meets a verdict that no world between the old one and the new one has.

mod law;

use std::collections::BTreeSet;
use std::net::IpAddr;

use law::{cluster, first_packet, is_link_local, nodes, parse_acl, settings, trail};
use ms_acl_core::cluster::Event;
use ms_acl_core::compile::compile;
use ms_acl_core::diff::{Step, Transaction, apply, diff};
use ms_acl_core::object::Object;
use ms_acl_core::program::Program;
use ms_acl_core::ruleset::{Family, Hook, Rulesets};
use ms_acl_core::verdict::{Outcome, Packet, walk};
use ms_acl_lab::oracle::{DirectionAnswer, Flow, Verdict, World, judge, node_of, pod_name_at};
use ms_acl_lab::random::{Dice, Edit, GivenNode, History, Shape, drawn, history, some_flows};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A history, and the flows that are watched throughout.
#[derive(Clone, Serialize, Deserialize)]
struct Case {
    flows: Vec<Flow>,
    history: History,
    /// How many events are taken together.
    together: Vec<usize>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

fn cases() -> impl Strategy<Value = Case> {
    drawn(|dice| {
        let mut shape = Shape { max_pods: 6, max_policies: 4, ..Shape::default() };
        if dice.chance(60) {
            // Pods of one node meet each other in both directions.
            shape.nodes =
                vec![GivenNode { name: "n0".to_owned(), addresses: Vec::new(), local_addresses: Vec::new() }];
            shape.running_only = dice.chance(50);
        }
        let history = history(dice, &shape, 8);
        let mut last = history.world.clone();
        history.edits.iter().for_each(|edit| edit.happen(&mut last));
        let mut flows = some_flows(&history.world, dice, 15);
        flows.extend(some_flows(&last, dice, 15));
        Case { flows, history, together: dice.several(8, 8, |dice| dice.pick(&[1, 1, 1, 2, 3])) }
    })
}

/// The same as the core hears of it. A document with a fault is never pushed.
fn event(edit: &Edit) -> Option<Event> {
    Some(match edit.clone() {
        Edit::Pod(pod) => Event::Apply(Object::Pod(pod)),
        Edit::Namespace(namespace) => Event::Apply(Object::Namespace(namespace)),
        Edit::ReplicaSet(set) => Event::Apply(Object::ReplicaSet(set)),
        Edit::Deployment(deployment) => Event::Apply(Object::Deployment(deployment)),
        Edit::NetworkPolicy(policy) => Event::Apply(Object::NetworkPolicy(policy)),
        Edit::Acl(document) => Event::Acl(parse_acl(&document)?),
        Edit::Delete { .. } => Event::Delete(edit.deleted()?),
    })
}

/// What becomes of a flow in one direction at one node.
type Word = (Verdict, bool);

fn word(direction: Option<&DirectionAnswer>) -> Word {
    direction.map_or((Verdict::Allow, false), |direction| (direction.verdict, direction.accepts))
}

/// What both directions of a flow say at a node: a direction of another node says nothing.
fn words(world: &World, node: &str, flow: &Flow) -> (Word, Word) {
    let answer = judge(world, flow);
    let egress = answer.egress.as_ref().filter(|_| node_of(world, flow.from) == Some(node));
    let ingress = answer.ingress.as_ref().filter(|_| node_of(world, flow.to) == Some(node));
    (word(egress), word(ingress))
}

fn together(egress: Word, ingress: Word) -> Word {
    let verdict = if egress.0 == Verdict::Allow { ingress.0 } else { egress.0 };
    (verdict, verdict == Verdict::Allow && (egress.1 || ingress.1))
}

fn passes(word: Word) -> bool {
    word.0 == Verdict::Allow
}

fn done(outcome: Outcome) -> Word {
    match outcome {
        Outcome::Pass => (Verdict::Allow, false),
        Outcome::Accept => (Verdict::Allow, true),
        Outcome::Drop => (Verdict::Drop, false),
        Outcome::Reject(_) => (Verdict::Reject, false),
    }
}

/// What holds between two worlds.
#[derive(Clone, Copy)]
enum Law {
    /// Every direction says what some world on the way says.
    SomeWorld,
    /// Besides, the flow passes if and only if it does in some world on the way: for a pod's own change.
    OneWorld,
}

/// A flow that is watched while steps are taken.
struct Watch {
    flow: Flow,
    hook: Hook,
    packet: Packet,
    /// What both directions say in each world between the old one and the new one.
    said: Vec<(Word, Word)>,
}

impl Watch {
    fn new(worlds: &[World], node: &str, flow: &Flow) -> Self {
        let (hook, packet) = first_packet(&worlds[0], node, flow);
        let said = worlds.iter().map(|world| words(world, node, flow)).collect();
        Watch { flow: *flow, hook, packet, said }
    }

    /// The law is one of each direction: egress may be judged by one world and ingress by another.
    fn check(&self, state: &Rulesets, step: &Step, law: Law) -> Result<(), TestCaseError> {
        let walk = walk(state.family(Family::of(self.packet.source)), self.hook, &self.packet);
        let got = done(walk.outcome);
        let mut allowed = self
            .said
            .iter()
            .flat_map(|(egress, _)| self.said.iter().map(move |(_, ingress)| together(*egress, *ingress)));
        let mut whole = self.said.iter().map(|(egress, ingress)| together(*egress, *ingress));
        prop_assert!(
            match law {
                Law::SomeWorld => allowed.any(|word| word == got),
                Law::OneWorld =>
                    whole.any(|word| passes(word) == passes(got)) && allowed.any(|word| word == got),
            },
            "{}: {:?} after {:?}, worlds say {:?}\n{}",
            self.flow,
            got,
            step,
            self.said,
            trail(&walk)
        );
        Ok(())
    }
}

/// An address that changes hands is nobody's in between: what its former pod was allowed, its next one
/// must not inherit (39). The worlds in which some of these addresses are nobody's.
fn hand_overs(before: &World, after: &World) -> Vec<World> {
    let addresses = |world: &World| -> BTreeSet<IpAddr> {
        let listed = world.pods.iter().flat_map(|pod| pod.status.pod_ips.iter().map(|listed| &listed.ip));
        listed
            .chain(world.pods.iter().map(|pod| &pod.status.pod_ip))
            .filter_map(|ip| ip.parse().ok())
            .collect()
    };
    let all: BTreeSet<IpAddr> = addresses(before).union(&addresses(after)).copied().collect();
    let moved: Vec<IpAddr> =
        all.into_iter().filter(|ip| pod_name_at(before, *ip) != pod_name_at(after, *ip)).collect();
    let mut worlds = Vec::new();
    for choice in 1_usize..1 << moved.len() {
        let gone = |ip: &str| {
            moved.iter().enumerate().any(|(n, moved)| choice >> n & 1 == 1 && ip.parse() == Ok(*moved))
        };
        for world in [before, after] {
            let mut world = world.clone();
            for status in world.pods.iter_mut().map(|pod| &mut pod.status) {
                status.pod_ips.retain(|listed| !gone(&listed.ip));
                if gone(&status.pod_ip) {
                    status.pod_ip.clear();
                }
            }
            worlds.push(world);
        }
    }
    worlds
}

/// Lives through a history on one node, step by step as the program says.
fn live(case: &Case, node: &str) -> Result<(), TestCaseError> {
    let mut now = case.history.world.clone();
    let settings = settings(&now, node);
    let mut program = Program::new(cluster(&now), settings.clone());
    let mut kernel = program.rulesets().clone();
    let mut edits = case.history.edits.iter().peekable();
    let mut counts = case.together.iter();
    while edits.peek().is_some() {
        let mut worlds = vec![now.clone()];
        let mut taken = Vec::new();
        for edit in edits.by_ref().take(*counts.next().unwrap_or(&1)) {
            taken.push(edit);
            let before = now.clone();
            edit.happen(&mut now);
            worlds.extend(hand_overs(&before, &now));
            worlds.push(now.clone());
            let Some(event) = event(edit) else { continue };
            program.apply(event);
            let scratch = compile(program.cluster(), &settings).rulesets;
            if *program.rulesets() != scratch {
                let difference = diff(program.rulesets(), &scratch);
                return Err(TestCaseError::fail(format!("not what compiling gives: {difference:?}")));
            }
        }
        let law = match taken[..] {
            [Edit::Pod(_)] => Law::OneWorld,
            [Edit::Delete { kind, .. }] if kind == "Pod" => Law::OneWorld,
            _ => Law::SomeWorld,
        };
        walk_through(case, node, &worlds, (&mut kernel, program.take()), law)?;
        let rest = diff(&kernel, program.rulesets());
        prop_assert!(rest.is_empty(), "the steps lead elsewhere: {:?}", rest);
    }
    Ok(())
}

fn walk_through(
    case: &Case,
    node: &str,
    worlds: &[World],
    (kernel, change): (&mut Rulesets, Transaction),
    law: Law,
) -> Result<(), TestCaseError> {
    // Link-local traffic depends on all pods of a node at once: it belongs to no direction.
    let flows = case.flows.iter().filter(|flow| !is_link_local(flow.from, flow.to));
    let watches: Vec<Watch> = flows.map(|flow| Watch::new(worlds, node, flow)).collect();
    for step in change.steps {
        apply(&step, kernel);
        for watch in &watches {
            watch.check(kernel, &step, law)?;
        }
    }
    Ok(())
}

fn all_nodes(case: &Case) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = nodes(&case.history.world).into_iter().collect();
    all.insert("n0".to_owned());
    all
}

#[test]
fn every_step_of_a_program_is_safe() {
    law::check("every_step_of_a_program_is_safe", 1_000, cases(), |case| {
        all_nodes(case).iter().try_for_each(|node| live(case, node))
    });
}

#[test]
fn worlds_change_as_the_core_hears_of_it() {
    for seed in 0..200 {
        let mut dice = Dice::from_seed(seed);
        let History { world, edits } = history(&mut dice, &Shape::default(), 10);
        let mut cluster = cluster(&world);
        let mut now = world;
        for edit in edits {
            edit.happen(&mut now);
            match event(&edit) {
                Some(Event::Apply(object)) => cluster.apply(object),
                Some(Event::Delete(object)) => cluster.delete(&object),
                Some(Event::Acl(document)) => cluster.set_acl(document),
                _ => {}
            }
        }
        for node in nodes(&now) {
            let settings = settings(&now, &node);
            assert_eq!(
                compile(&cluster, &settings).rulesets,
                compile(&law::cluster(&now), &settings).rulesets
            );
        }
    }
}

/// Its old labels may send nothing and are let in; its new ones may send and are not let in.
#[test]
fn a_pod_that_changes_its_group_and_its_memberships_passes_nothing_on_the_way() {
    let pod = |name: &str, app: &str, ip: &str| {
        json!({"metadata": {"name": name, "namespace": "a", "labels": {"app": app}},
            "spec": {"nodeName": "n0"}, "status": {"phase": "Running", "podIPs": [{"ip": ip}]}})
    };
    let policy = |name: &str, app: &str, types: &str, ingress: Value| {
        json!({"metadata": {"name": name, "namespace": "a"},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": [types], "ingress": ingress}})
    };
    let from_web = json!([{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]);
    let flow = json!({"from": "10.0.0.1", "to": "10.0.0.2", "protocol": "Tcp", "port": 80});
    for (before, after) in [("web", "api"), ("api", "web")] {
        let case = json!({"flows": [flow], "together": [], "history": {
            "world": {
                "pods": [pod("changing", before, "10.0.0.1"), pod("db", "db", "10.0.0.2")],
                "network_policies": [
                    policy("closed", "web", "Egress", json!([])),
                    policy("open-to-web", "db", "Ingress", from_web.clone()),
                ]},
            "edits": [{"Pod": pod("changing", after, "10.0.0.1")}]}});
        let case: Case = serde_json::from_value(case).unwrap();
        live(&case, "n0").unwrap();
    }
}
