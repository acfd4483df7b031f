use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::compile::compile;
use crate::diff::{Step, apply, diff};
use crate::model::{Marks, Protocol};
use crate::object::Object;
use crate::ruleset::Hook;
use crate::verdict::{Outcome, Packet, walk};

fn object(value: Value) -> Event {
    match Object::decode(value) {
        Ok(Some(object)) => Event::Apply(object),
        Ok(None) => panic!("an unknown kind"),
        Err(error) => Event::Undecodable(Box::new(error)),
    }
}

const NAMESPACES: [&str; 2] = ["a", "b"];
const APPS: [&str; 3] = ["web", "db", "none"];

fn labels(app: usize) -> Value {
    json!({"app": APPS[app % 3], "pod-template-hash": "h"})
}

fn pods() -> impl Strategy<Value = Event> {
    let fields = (0_usize..2, 0_usize..4, 0_usize..3, 0_usize..3, 0_u8..6, 0_u8..3, 0_usize..5);
    fields.prop_map(|(namespace, name, app, node, v4, v6, kind)| {
        let phase = ["Running", "Running", "Running", "Pending", "Succeeded"][kind];
        let mut ips = vec![json!({"ip": format!("10.0.0.{v4}")})];
        if v6 > 0 {
            ips.push(json!({"ip": format!("fd00::{v6}")}));
        }
        let ips = if phase == "Pending" { vec![] } else { ips };
        let ports = json!([{"name": "http", "containerPort": 80 + kind}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]);
        let owner = if kind == 1 { json!([]) } else { json!([{"kind": "ReplicaSet", "name": format!("{}-h", APPS[app]), "controller": true}]) };
        object(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": NAMESPACES[namespace], "name": format!("p{name}"), "labels": labels(app), "ownerReferences": owner,
                "creationTimestamp": format!("2026-01-0{}T00:00:00Z", 1 + kind)},
            "spec": {"nodeName": (["n1", "n1", "n2"][node]), "containers": [{"ports": ports}]}, "status": {"phase": phase, "podIPs": ips}}))
    })
}

fn policies() -> impl Strategy<Value = Event> {
    let peers = prop_oneof![
        Just(json!([])),
        Just(json!([{"podSelector": {"matchLabels": {"app": "web"}}}])),
        Just(json!([{"namespaceSelector": {"matchLabels": {"team": "red"}}}])),
        Just(
            json!([{"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}}])
        ),
        Just(
            json!([{"ipBlock": {"cidr": "10.0.0.0/29", "except": ["10.0.0.2/32"]}}, {"ipBlock": {"cidr": "fd00::/126"}}])
        ),
    ];
    let ports = prop_oneof![
        Just(json!([])),
        Just(json!([{"port": 80}, {"port": 443}])),
        Just(json!([{"port": "http"}, {"port": "dns", "protocol": "UDP"}])),
        Just(json!([{"port": 0}])),
    ];
    let types = prop_oneof![
        Just(json!([])),
        Just(json!(["Ingress"])),
        Just(json!(["Egress"])),
        Just(json!(["Ingress", "Egress"]))
    ];
    (0_usize..2, 0_usize..3, 0_usize..4, peers, ports, types).prop_map(|(namespace, name, app, peers, ports, types)| {
        let selector = if app == 3 { json!({}) } else { json!({"matchLabels": {"app": APPS[app]}}) };
        object(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": NAMESPACES[namespace], "name": format!("np{name}")},
            "spec": {"podSelector": selector, "policyTypes": types, "ingress": [{"from": peers, "ports": ports}], "egress": [{"to": peers, "ports": ports}]}}))
    })
}

fn acls() -> impl Strategy<Value = Event> {
    let action = prop_oneof![Just("ALLOW"), Just("DENY"), Just("REJECT"), Just("RETURN")];
    let rule = (action.clone(), any::<bool>(), prop_oneof![Just("10.0.0.0/30"), Just("::/0")]).prop_map(
        |(action, egress, cidr)| {
            if egress {
                json!({"action": action, "direction": "egress", "dstCIDR": cidr})
            } else {
                json!({"action": action, "srcCIDR": cidr})
            }
        },
    );
    let entry = (0_usize..2, 0_usize..3, proptest::collection::vec(rule, 0..3));
    (action, proptest::collection::vec(entry, 0..3)).prop_map(|(default, entries)| {
        let mut seen = BTreeSet::new();
        let entries: Vec<Value> = entries
            .into_iter()
            .filter(|(ns, name, _)| seen.insert((*ns, *name)))
            .map(|(ns, name, rules)| json!({"namespace": NAMESPACES[ns], "name": APPS[name], "rules": rules}))
            .collect();
        let tree = serde_json::from_value(json!({"defaultAction": default, "deployments": entries})).unwrap();
        Event::Acl(Arc::new(AclDocument::parse(tree).unwrap()))
    })
}

fn others() -> impl Strategy<Value = Event> {
    (0_usize..2, 0_usize..3, 0_usize..6).prop_map(|(namespace, name, what)| {
        let (ns, app) = (NAMESPACES[namespace], APPS[name]);
        match what {
            0 => object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns, "labels": {"team": (["red", "blue", "red"][name])}}})),
            1 => object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": ns, "name": app}, "spec": {"selector": {"matchLabels": {"app": app}}}})),
            2 => object(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": ns, "name": format!("{app}-h"),
                "ownerReferences": [{"kind": "Deployment", "name": APPS[(name + 1) % 3], "controller": true}]}})),
            3 => Event::Delete(ObjectRef::new("ReplicaSet", ns, format!("{app}-h"))),
            4 => Event::Delete(ObjectRef::new("Deployment", ns, app)),
            _ => Event::Delete(ObjectRef::new("Namespace", "", ns)),
        }
    })
}

fn deletes() -> impl Strategy<Value = Event> {
    (0_usize..2, 0_usize..4, any::<bool>()).prop_map(|(namespace, name, pod)| {
        let (kind, name) =
            if pod { ("Pod", format!("p{name}")) } else { ("NetworkPolicy", format!("np{name}")) };
        Event::Delete(ObjectRef::new(kind, NAMESPACES[namespace], name))
    })
}

fn events() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let event = prop_oneof![5 => pods(), 4 => policies(), 1 => acls(), 2 => others(), 2 => deletes()];
    proptest::collection::vec((event, any::<bool>()), 1..40)
}

/// Every rule names only chains and sets that are there.
fn assert_whole(state: &Rulesets, step: &Step) {
    for family in Family::BOTH {
        let graph = state.family(family);
        for rule in graph.chains.values().flat_map(|chain| &chain.rules) {
            if let crate::ruleset::Target::Jump(to) | crate::ruleset::Target::Goto(to) = &rule.target {
                assert!(graph.chains.contains_key(to), "{to} is named and not there after {step:?}");
            }
            for test in &rule.matches {
                if let crate::ruleset::Match::InSet(set, _) | crate::ruleset::Match::NotInSet(set, _) = test {
                    assert!(graph.sets.contains_key(set), "{set} is named and not there after {step:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn incremental_equals_from_scratch_after_every_event(events in events()) {
        let settings = Settings::new("n1");
        let mut program = Program::new(Cluster::new(), settings.clone());
        let mut kernel = program.rulesets().clone();
        prop_assert_eq!(&kernel, &compile(program.cluster(), &settings).rulesets);
        for (event, take) in events {
            program.apply(event);
            prop_assert_eq!(program.rulesets(), &compile(program.cluster(), &settings).rulesets);
            if take {
                for step in program.take().steps {
                    apply(&step, &mut kernel);
                    assert_whole(&kernel, &step);
                }
                let rest = diff(&kernel, program.rulesets());
                prop_assert!(rest.is_empty(), "{:?}", rest);
            }
        }
    }

    #[test]
    fn a_program_that_starts_later_is_the_same(events in events()) {
        let settings = Settings::new("n1");
        let mut program = Program::new(Cluster::new(), settings.clone());
        for (event, _) in events {
            program.apply(event);
        }
        let later = Program::new(program.cluster().clone(), settings);
        prop_assert_eq!(later.rulesets(), program.rulesets());
    }
}

/// What one direction's dispatch does with the first packet of a flow: passes, accepts, or refuses.
fn directions(state: &Rulesets, packet: &Packet) -> [(bool, bool); 2] {
    let family = Family::of(packet.source);
    crate::compile::ROOTS.map(|(_, root)| {
        let mut graph = state.family(family).clone();
        graph.hooks = [(Hook::Forward, crate::compile::name::fixed(root))].into();
        let walk = walk(&graph, Hook::Forward, packet);
        let passes = matches!(walk.outcome, Outcome::Pass);
        (passes, passes && walk.mark & Marks::default().accept != 0)
    })
}

fn holders(cluster: &Cluster) -> BTreeMap<std::net::IpAddr, PodKey> {
    let pods = cluster.pods().flat_map(|pod| cluster.addresses_of(pod).map(move |address| (address, pod)));
    pods.map(|(address, pod)| (address, (Arc::clone(&pod.namespace), Arc::clone(&pod.name)))).collect()
}

fn packets() -> Vec<Packet> {
    let v4 = (0..7_u8).map(|n| std::net::IpAddr::from([10, 0, 0, n])).collect::<Vec<_>>();
    let v6 = (1..4_u16).map(|n| std::net::IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])).collect::<Vec<_>>();
    let mut packets = Vec::new();
    for addresses in [v4, v6] {
        for from in &addresses {
            for to in &addresses {
                for (protocol, port) in [(Protocol::Tcp, 80), (Protocol::Udp, 53)] {
                    packets.push(Packet::first(*from, *to, protocol, port));
                }
            }
        }
    }
    packets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The law of transactions: per direction, at every step, the verdict is that of some world between
    /// the old and the new one in the order of events. An address that goes from one pod to another
    /// is nobody's in between, which is no world of an event: its flows are left out.
    #[test]
    fn every_step_judges_as_some_world_in_between(events in events()) {
        let settings = Settings::new("n1");
        let mut program = Program::new(Cluster::new(), settings);
        let mut kernel = program.rulesets().clone();
        let packets = packets();
        let verdicts = |state: &Rulesets| packets.iter().map(|p| directions(state, p)).collect::<Vec<_>>();
        let mut worlds = vec![verdicts(&kernel)];
        let mut handed_over = BTreeSet::new();
        for (event, take) in events {
            let before = holders(program.cluster());
            program.apply(event);
            let after = holders(program.cluster());
            let others = before.into_iter().filter(|(address, pod)| after.get(address).is_some_and(|now| now != pod));
            handed_over.extend(others.map(|(address, _)| address));
            worlds.push(verdicts(program.rulesets()));
            if !take {
                continue;
            }
            for step in program.take().steps {
                apply(&step, &mut kernel);
                for (index, now) in verdicts(&kernel).into_iter().enumerate() {
                    if handed_over.contains(&packets[index].source) || handed_over.contains(&packets[index].destination) {
                        continue;
                    }
                    for side in 0..2 {
                        let known = worlds.iter().any(|world| world[index][side] == now[side]);
                        prop_assert!(known, "{:?} judges {:?} as no world does: {:?}, worlds {:?}", step, packets[index],
                            now[side], worlds.iter().map(|world| world[index][side]).collect::<Vec<_>>());
                    }
                }
            }
            worlds = vec![verdicts(&kernel)];
            handed_over.clear();
        }
    }
}
