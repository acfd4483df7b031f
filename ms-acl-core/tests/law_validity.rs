//! The law of validity: the core reports an object if and only if the API server would refuse it, and
//! takes a document if and only if it is without a fault.

mod law;

use std::collections::BTreeSet;

use law::{cluster, config, tree};
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Severity;
use ms_acl_core::ruleset::ObjectRef;
use ms_acl_lab::oracle::{acl, is_valid_policy};
use ms_acl_lab::random::{Dice, Shape, broken_document, drawn, world_from_seed, worlds};
use proptest::prelude::*;
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

proptest! {
    #![proptest_config(config(1_000))]
    #[test]
    fn invalid_policies_are_reported_and_no_others(world in worlds(Shape::default())) {
        let diagnostics = cluster(&world).diagnostics();
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
    }

    #[test]
    fn faults_of_documents_are_found_where_they_are(document in documents()) {
        if !document.is_null() {
            let expected = acl::read(&document).err().unwrap_or_default();
            prop_assert_eq!(faults(&document), expected);
        }
    }
}

#[test]
fn every_single_fault_of_a_document_is_found() {
    for seed in 0..500 {
        let mut document = serde_json::json!({});
        let place = broken_document(&mut Dice::from_seed(seed), &mut document);
        assert_eq!(faults(&document), BTreeSet::from([place]), "{document}");
    }
}
