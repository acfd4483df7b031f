//! Label selectors, as `k8s.io/apimachinery` reads them.

use std::collections::BTreeMap;

use ms_acl_core::object::LabelSelector;

/// Whether a valid selector matches these labels. All parts must match; an empty selector matches
/// everything (5, 13).
pub(super) fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    for (key, value) in &selector.match_labels {
        if labels.get(key) != Some(value) {
            return false;
        }
    }
    for requirement in &selector.match_expressions {
        let value = labels.get(&requirement.key);
        let listed = value.is_some_and(|value| requirement.values.contains(value));
        // 14: NotIn matches objects without the key.
        let fits = match requirement.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Whether the API server would take the selector.
pub(super) fn is_valid(selector: &LabelSelector) -> bool {
    understood(selector) == *selector
}

/// The selector without the parts that the API server would not take.
pub(super) fn understood(selector: &LabelSelector) -> LabelSelector {
    let mut rest = selector.clone();
    rest.match_labels.retain(|key, value| is_label_key(key) && is_label_value(value));
    rest.match_expressions.retain(|requirement| {
        let values_fit = match requirement.operator.as_str() {
            "In" | "NotIn" => !requirement.values.is_empty(),
            "Exists" | "DoesNotExist" => requirement.values.is_empty(),
            _ => false,
        };
        let written_well = requirement.values.iter().all(|value| is_label_value(value));
        values_fit && written_well && is_label_key(&requirement.key)
    });
    rest
}

/// `name` or `prefix/name`: a qualified name.
fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_name(name),
        None => is_label_name(key),
    }
}

fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_label_name(value)
}

/// Up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_label_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() <= 63
        && name.bytes().all(inner)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// A DNS name in lower case, as most objects are named.
pub(super) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_part)
}

/// One part of such a name, as namespaces are named.
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_part(name)
}

fn is_part(part: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    part.bytes().all(|byte| edge(byte) || byte == b'-')
        && part.bytes().next().is_some_and(edge)
        && part.bytes().last().is_some_and(edge)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selector(value: Value) -> LabelSelector {
        serde_json::from_value(value).unwrap()
    }

    fn fits(labels: Value, written: Value) -> bool {
        matches(&selector(written), &serde_json::from_value(labels).unwrap())
    }

    fn one(operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]})
    }

    #[test]
    fn an_empty_selector_matches_everything() {
        assert!(fits(json!({}), json!({})));
        assert!(fits(json!({"app": "web"}), json!({})));
    }

    #[test]
    fn all_parts_of_a_selector_must_match() {
        let written = json!({"matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "Exists"}]});
        assert!(fits(json!({"app": "web", "tier": ""}), written.clone()));
        assert!(!fits(json!({"app": "web"}), written.clone()));
        assert!(!fits(json!({"tier": ""}), written));
    }

    #[test]
    fn in_needs_the_key_and_not_in_does_not() {
        assert!(fits(json!({"app": "web"}), one("In", &["db", "web"])));
        assert!(!fits(json!({}), one("In", &["db", "web"])));
        assert!(!fits(json!({"app": "web"}), one("NotIn", &["db", "web"])));
        assert!(fits(json!({"app": "api"}), one("NotIn", &["db", "web"])));
        assert!(fits(json!({}), one("NotIn", &["db", "web"])));
    }

    #[test]
    fn exists_and_does_not_exist_ask_for_the_key_only() {
        assert!(fits(json!({"app": ""}), one("Exists", &[])));
        assert!(!fits(json!({}), one("Exists", &[])));
        assert!(fits(json!({}), one("DoesNotExist", &[])));
        assert!(!fits(json!({"app": ""}), one("DoesNotExist", &[])));
    }

    #[test]
    fn operators_have_the_values_they_need() {
        assert!(is_valid(&selector(one("In", &["a"]))) && is_valid(&selector(one("Exists", &[]))));
        for broken in [one("In", &[]), one("NotIn", &[]), one("Exists", &["a"]), one("in", &["a"])] {
            assert!(!is_valid(&selector(broken)));
        }
    }

    #[test]
    fn keys_and_values_are_written_as_labels_are() {
        for key in ["app", "a.b/c", "A_b", "kubernetes.io/metadata.name"] {
            assert!(is_valid(&selector(json!({"matchLabels": {key: "X.y-z"}}))), "{key}");
        }
        for key in ["", "-a", "a-", "a b", "/a", "a/", "A/b", "a/b/c"] {
            assert!(!is_valid(&selector(json!({"matchLabels": {key: ""}}))), "{key}");
        }
        assert!(!is_valid(&selector(json!({"matchLabels": {"a": "x".repeat(64)}}))));
    }
}
