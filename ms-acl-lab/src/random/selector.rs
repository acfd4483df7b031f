//! Labels and selectors that meet each other often.

use std::collections::BTreeMap;

use ms_acl_core::object::{LabelSelector, LabelSelectorRequirement};

use super::Dice;

/// Keys with the values that they take.
pub(super) type Vocabulary = [(&'static str, &'static [&'static str])];

/// What pods are labelled with.
pub(super) const POD: &Vocabulary = &[("app", &["web", "api", "db"]), ("tier", &["front", "back", ""])];

/// What namespaces are labelled with.
pub(super) const NAMESPACE: &Vocabulary = &[
    ("team", &["red", "blue"]),
    ("env", &["prod", "test"]),
    ("kubernetes.io/metadata.name", &["a", "b", "web", "weba"]),
];

/// Some labels.
pub(super) fn labels(dice: &mut Dice, words: &Vocabulary) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, values) in words {
        if dice.chance(65) {
            labels.insert((*key).to_owned(), dice.pick(values).to_owned());
        }
    }
    labels
}

/// A valid selector: empty, by labels, by requirements, by both.
pub(super) fn selector(dice: &mut Dice, words: &Vocabulary) -> LabelSelector {
    let mut selector = LabelSelector::default();
    match dice.below(10) {
        0..=2 => {}
        3..=6 => selector.match_labels = one_label(dice, words),
        7 => {
            selector.match_labels = one_label(dice, words);
            selector.match_expressions = dice.several(1, 2, |dice| requirement(dice, words));
        }
        _ => selector.match_expressions = dice.several(1, 2, |dice| requirement(dice, words)),
    }
    selector
}

fn one_label(dice: &mut Dice, words: &Vocabulary) -> BTreeMap<String, String> {
    let (key, values) = dice.pick(words);
    BTreeMap::from([(key.to_owned(), dice.pick(values).to_owned())])
}

fn requirement(dice: &mut Dice, words: &Vocabulary) -> LabelSelectorRequirement {
    let (key, values) = dice.pick(words);
    let key = if dice.chance(8) { "nobody/has-this" } else { key };
    let operator = dice.pick(&["In", "NotIn", "Exists", "DoesNotExist"]);
    let mut listed = Vec::new();
    if operator.ends_with("In") {
        // A value may be listed twice.
        listed = dice.several(1, 3, |dice| dice.pick(values).to_owned());
    }
    LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values: listed }
}
