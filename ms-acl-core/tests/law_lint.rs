//! The laws of lint, and of every text: no panic, the same for every order of arrival; and a rule that
//! is called unreachable can go without changing what becomes of any flow.

#![allow(clippy::unwrap_used, reason = "tests read better so")]

mod law;

use law::{cluster, cluster_of, compile_all};
use ms_acl_core::lint::{Check, lint};
use ms_acl_core::model::Settings;
use ms_acl_core::render::{dot, ipset_save, iptables_save, json, nft, summary};
use ms_acl_core::verdict::matrix::live_pods;
use ms_acl_core::verdict::{Nodes, matrix};
use ms_acl_lab::oracle::{World, judge};
use ms_acl_lab::random::{Case, Shape, cases, worlds};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// The places of unreachable rules in the document: entry and rule.
fn unreachable(world: &World) -> Vec<(usize, usize)> {
    let findings = lint(&cluster(world), &Settings::new(""));
    let paths = findings.iter().filter(|finding| finding.check == Check::UnreachableRule);
    let numbers = paths.map(|finding| {
        let parts: Vec<&str> = finding.diagnostic.path.split('/').collect();
        (parts[2].parse().unwrap(), parts[4].parse().unwrap())
    });
    numbers.collect()
}

fn unreachable_rules_can_go(case: &Case) -> Result<(), TestCaseError> {
    let mut without = case.world.clone();
    let mut places = unreachable(&case.world);
    places.sort_unstable();
    for (entry, rule) in places.iter().rev() {
        without.acl["deployments"][entry]["rules"].as_array_mut().unwrap().remove(*rule);
    }
    for flow in &case.flows {
        let (before, after) = (judge(&case.world, flow), judge(&without, flow));
        prop_assert_eq!(before.verdict, after.verdict, "{} {:?}", flow, places);
        prop_assert_eq!(before.accepted, after.accepted, "{} {:?}", flow, places);
    }
    Ok(())
}

fn in_any_order(world: &World) -> Result<(), TestCaseError> {
    let settings = law::settings(world, "");
    let mut backwards = world.objects();
    backwards.reverse();
    let backwards = cluster_of(backwards, &world.acl, 1);
    let findings = lint(&cluster(world), &settings);
    prop_assert_eq!(&findings, &lint(&backwards, &settings));
    prop_assert!(findings.is_sorted_by_key(|finding| (&finding.diagnostic.object, &finding.diagnostic.path)));
    Ok(())
}

fn has_texts(world: &World) -> Result<(), TestCaseError> {
    let cluster = cluster(world);
    for compiled in compile_all(world, &cluster).values() {
        let graphs = &compiled.rulesets;
        for text in
            [summary(graphs), dot(graphs), nft(graphs), iptables_save(&graphs.v4) + &ipset_save(graphs)]
        {
            prop_assert!(text.ends_with('\n'));
        }
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json(graphs)).unwrap().is_object());
    }
    let settings = law::settings(world, "");
    let pods = live_pods(&cluster);
    let port = "80".parse().unwrap();
    let table = matrix(&mut Nodes::new(&cluster, &settings), (&pods, &pods), port, &|_| Vec::new());
    prop_assert_eq!(table.unwrap().verdict.len(), pods.len());
    Ok(())
}

#[test]
fn an_unreachable_rule_changes_nothing() {
    let shape = Shape { max_policies: 0, valid_only: true, running_only: true, ..Shape::default() };
    law::check("an_unreachable_rule_changes_nothing", 1_000, cases(shape, 40), unreachable_rules_can_go);
}

#[test]
fn findings_do_not_depend_on_the_order_of_arrival() {
    law::check(
        "findings_do_not_depend_on_the_order_of_arrival",
        1_000,
        worlds(Shape::default()),
        in_any_order,
    );
}

#[test]
fn every_world_has_its_texts() {
    law::check("every_world_has_its_texts", 200, worlds(Shape::default()), has_texts);
}
