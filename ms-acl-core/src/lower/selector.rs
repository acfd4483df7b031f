//! Label selectors as written → canonical selectors.

use super::name::is_subdomain;
use crate::model::{Requirement, Selector};
use crate::object::LabelSelector;

/// Lowers a selector. Errors are (JSON pointer below the selector, what is wrong), all of them.
pub fn selector(written: &LabelSelector) -> Result<Selector, Vec<(String, String)>> {
    let mut faults = Vec::new();
    let mut requirements = Vec::new();
    for (key, value) in &written.match_labels {
        if let Err(detail) = check_key(key).and_then(|()| check_value(value)) {
            faults.push((format!("/matchLabels/{}", escape(key)), detail));
        }
        requirements.push(Requirement::In(key.clone(), [value.clone()].into()));
    }
    for (index, expression) in written.match_expressions.iter().enumerate() {
        let at = |field: &str| format!("/matchExpressions/{index}/{field}");
        if let Err(detail) = check_key(&expression.key) {
            faults.push((at("key"), detail));
        }
        for (number, value) in expression.values.iter().enumerate() {
            if let Err(detail) = check_value(value) {
                faults.push((at(&format!("values/{number}")), detail));
            }
        }
        let key = expression.key.clone();
        let values = expression.values.iter().cloned().collect();
        let needs_values = matches!(expression.operator.as_str(), "In" | "NotIn");
        if needs_values && expression.values.is_empty() {
            faults.push((at("values"), format!("{} needs at least one value", expression.operator)));
        }
        if !needs_values && !expression.values.is_empty() {
            faults.push((at("values"), format!("{} takes no values", expression.operator)));
        }
        match expression.operator.as_str() {
            "In" => requirements.push(Requirement::In(key, values)),
            "NotIn" => requirements.push(Requirement::NotIn(key, values)),
            "Exists" => requirements.push(Requirement::Exists(key)),
            "DoesNotExist" => requirements.push(Requirement::DoesNotExist(key)),
            other => faults.push((
                at("operator"),
                format!("{other:?} is not an operator: In, NotIn, Exists and DoesNotExist are"),
            )),
        }
    }
    if faults.is_empty() { Ok(Selector::new(requirements)) } else { Err(faults) }
}

/// Escapes a key for a JSON pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A label's value: at most 63 characters of letters, digits, `-`, `_`, `.`, letters or digits at both ends.
fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || (value.len() <= 63 && is_label_text(value)) {
        Ok(())
    } else {
        Err(format!("{value:?} can't be a label's value"))
    }
}

/// A label's key: such a text, with an optional DNS subdomain and `/` before it.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_none_or(is_subdomain) && !name.is_empty() && name.len() <= 63 && is_label_text(name) {
        Ok(())
    } else {
        Err(format!("{key:?} can't be a label's key"))
    }
}

fn is_label_text(text: &str) -> bool {
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(value: serde_json::Value) -> Vec<String> {
        let written: LabelSelector = serde_json::from_value(value).unwrap();
        selector(&written).err().unwrap_or_default().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn every_fault_of_a_selector_is_found_with_its_place() {
        assert_eq!(
            faults(json!({"matchLabels": {"a/b/c": "x", "ok": "-"}, "matchExpressions": [
                {"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["v"]},
                {"key": "", "operator": "in", "values": ["v"]}]})),
            [
                "/matchLabels/a~1b~1c",
                "/matchLabels/ok",
                "/matchExpressions/0/values",
                "/matchExpressions/1/values",
                "/matchExpressions/2/key",
                "/matchExpressions/2/values",
                "/matchExpressions/2/operator"
            ]
        );
    }

    #[test]
    fn equal_selectors_have_one_form() {
        let a: LabelSelector = serde_json::from_value(json!({"matchLabels": {"a": "1"}})).unwrap();
        let b: LabelSelector = serde_json::from_value(
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "1"]}]}),
        )
        .unwrap();
        assert_eq!(selector(&a), selector(&b));
    }
}
