//! The law of validity: the core reports an object if and only if the API server would refuse it, and
//! takes a document if and only if it is without a fault.

mod law;

use std::collections::BTreeSet;

use law::{cluster, tree};
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Severity;
use ms_acl_core::ruleset::ObjectRef;
use ms_acl_lab::oracle::{World, acl, is_valid_policy};
use ms_acl_lab::random::{Dice, Shape, broken_document, drawn, world_from_seed, worlds};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

/// The places of a document's faults; none = it is taken.
fn faults(document: &Value) -> BTreeSet<String> {
    match AclDocument::parse(tree(document)) {
        Ok(_) => BTreeSet::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.path).collect(),
    }
}

/// Documents with up to two faults.
fn documents() -> impl Strategy<Value = Value> {
    drawn(|dice| {
        let mut document = world_from_seed(dice.seed(), &Shape { valid_only: true, ..Shape::default() }).acl;
        for _ in 0..dice.below(3) {
            if document.is_object() {
                broken_document(dice, &mut document);
            }
        }
        document
    })
}

fn reports_what_is_invalid(world: &World) -> Result<(), TestCaseError> {
    let diagnostics = cluster(world).diagnostics();
    let reported: BTreeSet<&ObjectRef> = diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error && found.object.kind == "NetworkPolicy")
        .map(|found| &found.object)
        .collect();
    let invalid: Vec<ObjectRef> = world
        .network_policies
        .iter()
        .filter(|policy| !is_valid_policy(policy))
        .map(|policy| ObjectRef::new("NetworkPolicy", &policy.metadata.namespace, &policy.metadata.name))
        .collect();
    prop_assert_eq!(reported, invalid.iter().collect(), "{:#?}", diagnostics);
    Ok(())
}

fn finds_what_is_wrong(document: &Value) -> Result<(), TestCaseError> {
    if !document.is_null() {
        let expected = acl::read(document).err().unwrap_or_default();
        prop_assert_eq!(faults(document), expected);
    }
    Ok(())
}

#[test]
fn invalid_policies_are_reported_and_no_others() {
    law::check(
        "invalid_policies_are_reported_and_no_others",
        2_000,
        worlds(Shape::default()),
        reports_what_is_invalid,
    );
}

#[test]
fn faults_of_documents_are_found_where_they_are() {
    law::check("faults_of_documents_are_found_where_they_are", 2_000, documents(), finds_what_is_wrong);
}

#[test]
fn every_single_fault_of_a_document_is_found() {
    for seed in 0..500 {
        let mut document = serde_json::json!({});
        let place = broken_document(&mut Dice::from_seed(seed), &mut document);
        assert_eq!(faults(&document), BTreeSet::from([place]), "{document}");
    }
}
