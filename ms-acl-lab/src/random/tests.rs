//! What random worlds promise.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::*;
use crate::oracle::{Verdict, acl::read, is_valid_policy, judge};

fn given() -> Shape {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let pod = |name: &str, node: &str, ips: &[&str]| GivenPod {
        namespace: "x".to_owned(),
        name: name.to_owned(),
        node: node.to_owned(),
        addresses: addresses(ips),
    };
    Shape {
        valid_only: true,
        running_only: true,
        nodes: vec![GivenNode {
            name: "left".to_owned(),
            addresses: addresses(&["172.16.0.1"]),
            local_addresses: addresses(&["10.9.0.254"]),
        }],
        pods: vec![pod("one", "left", &["10.9.0.1", "fd09::1"]), pod("two", "left", &["10.9.0.2"])],
        externals: addresses(&["172.17.0.9"]),
        ..Shape::default()
    }
}

#[test]
fn a_seed_always_gives_the_same_world() {
    let shape = Shape::default();
    assert_eq!(world_from_seed(7, &shape), world_from_seed(7, &shape));
    assert_ne!(world_from_seed(7, &shape), world_from_seed(8, &shape));
}

#[test]
fn objects_of_a_kind_have_different_names() {
    for seed in 0..500 {
        let objects = world_from_seed(seed, &Shape::default()).objects();
        let names: BTreeSet<_> = objects.iter().map(ms_acl_core::object::Object::reference).collect();
        assert_eq!(names.len(), objects.len(), "seed {seed}");
    }
}

#[test]
fn a_shape_can_demand_valid_objects_only_and_the_callers_pods() {
    for seed in 0..500 {
        let world = world_from_seed(seed, &given());
        assert!(world.network_policies.iter().all(is_valid_policy), "seed {seed}");
        assert!(world.acl.is_null() || read(&world.acl).is_ok(), "seed {seed}: {:?}", read(&world.acl));
        let names: Vec<&str> = world.pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        assert!(world.pods.iter().all(|pod| pod.status.phase == "Running" && pod.spec.node_name == "left"));
        let addresses: Vec<IpAddr> = world.pods.iter().flat_map(pod::addresses_of).collect();
        let expected = ["10.9.0.1", "10.9.0.2", "fd09::1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(addresses.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(expected));
        assert_eq!(world.nodes.len(), 1);
    }
}

#[test]
fn running_pods_have_addresses_of_their_own() {
    let shape = Shape { running_only: true, ..Shape::default() };
    for seed in 0..500 {
        let mut seen = BTreeSet::new();
        for pod in world_from_seed(seed, &shape).pods {
            let own: BTreeSet<IpAddr> = pod::addresses_of(&pod).into_iter().collect();
            assert!(!own.is_empty() && own.iter().all(|address| seen.insert(*address)), "seed {seed}");
        }
    }
}

#[test]
fn every_fault_of_a_broken_document_is_found_where_it_was_put() {
    for seed in 0..500 {
        let mut dice = Dice::from_seed(seed);
        let around = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let mut document = document(&mut dice, &[("a".to_owned(), "web".to_owned())], &around, 3);
        assert!(read(&document).is_ok(), "{document} {:?}", read(&document));
        let place = broken_document(&mut dice, &mut document);
        assert_eq!(read(&document).unwrap_err(), BTreeSet::from([place]), "{document}");
    }
}

#[test]
fn some_policies_are_broken_and_most_are_not() {
    let policies: Vec<_> =
        (0..500).flat_map(|seed| world_from_seed(seed, &Shape::default()).network_policies).collect();
    let broken = policies.iter().filter(|policy| !is_valid_policy(policy)).count();
    assert!(broken * 100 > policies.len() && broken * 10 < policies.len(), "{broken} of {}", policies.len());
}

#[test]
fn flows_at_the_edges_meet_every_verdict_and_both_families() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let world = world_from_seed(seed, &Shape::default());
        for flow in some_flows(&world, &mut Dice::from_seed(seed), 30) {
            let answer = judge(&world, &flow);
            let number = match answer.verdict {
                Verdict::Allow if answer.accepted => 0,
                Verdict::Allow => 1,
                Verdict::Drop => 2,
                Verdict::Reject => 3,
            };
            seen.insert((number, flow.from.is_ipv4(), flow.protocol));
        }
    }
    assert_eq!(seen.len(), 4 * 2 * 4, "{seen:?}");
}

#[test]
fn all_edge_flows_have_a_pod_at_one_end_and_one_family() {
    let world = world_from_seed(3, &given());
    let flows = edge_flows(&world);
    let pods: Vec<IpAddr> = world.pods.iter().flat_map(pod::addresses_of).collect();
    assert!(!flows.is_empty());
    for flow in &flows {
        assert!(pods.contains(&flow.from) || pods.contains(&flow.to));
        assert_eq!(flow.from.is_ipv4(), flow.to.is_ipv4());
    }
    for flow in some_flows(&world, &mut Dice::from_seed(1), 100) {
        assert!(flows.contains(&flow));
    }
}

#[test]
fn a_case_shrinks_to_what_matters() {
    let mut runner = TestRunner::deterministic();
    let refused =
        |case: &Case| case.flows.iter().any(|flow| judge(&case.world, flow).verdict != Verdict::Allow);
    for _ in 0..5 {
        let mut tree = cases(Shape::default(), 50).new_tree(&mut runner).unwrap();
        if !refused(&tree.current()) {
            continue;
        }
        let mut goes_on = tree.simplify();
        while goes_on {
            goes_on = if refused(&tree.current()) { tree.simplify() } else { tree.complicate() };
        }
        let least = tree.current();
        assert!(refused(&least));
        assert_eq!((least.flows.len(), least.world.pods.len()), (1, 1), "{least:?}");
    }
}

#[test]
fn what_happens_leaves_names_different_and_repeats_itself() {
    for seed in 0..300 {
        let draw = || history(&mut Dice::from_seed(seed), &Shape::default(), 10);
        let History { mut world, edits } = draw();
        assert_eq!(History { world: world.clone(), edits: edits.clone() }, draw());
        for edit in edits {
            edit.happen(&mut world);
        }
        let objects = world.objects();
        let names: BTreeSet<_> = objects.iter().map(ms_acl_core::object::Object::reference).collect();
        assert_eq!(names.len(), objects.len(), "seed {seed}");
    }
}

#[test]
fn what_is_not_valid_leaves_the_last_valid_policy_and_document_in_force() {
    let policy = |types: &[&str]| {
        let spec =
            serde_json::json!({"metadata": {"namespace": "a", "name": "p"}, "spec": {"policyTypes": types}});
        Edit::NetworkPolicy(serde_json::from_value(spec).unwrap())
    };
    let mut world = World::default();
    policy(&["nonsense"]).happen(&mut world);
    assert_eq!(world.network_policies[0].spec.policy_types, ["nonsense"], "it never was valid");
    policy(&["Egress"]).happen(&mut world);
    policy(&["nonsense"]).happen(&mut world);
    assert_eq!(world.network_policies[0].spec.policy_types, ["Egress"]);
    Edit::Acl(serde_json::json!({"defaultAction": "DENY"})).happen(&mut world);
    Edit::Acl(serde_json::json!({"defaultAction": "MAYBE"})).happen(&mut world);
    assert_eq!(world.acl["defaultAction"], "DENY");
    let delete = Edit::Delete { kind: "NetworkPolicy".into(), namespace: "a".into(), name: "p".into() };
    delete.happen(&mut world);
    assert!(world.network_policies.is_empty());
}
