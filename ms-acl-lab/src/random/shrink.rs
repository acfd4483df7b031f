//! Taking away: from a value of any shape, seen as JSON.

use std::ops::Range;

use serde_json::Value;

/// One thing that can be taken away: elements of a list, or a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    /// The JSON pointer of the list or object.
    at: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Elements(Range<usize>),
    Field(String),
}

/// Fields that may be absent and mean less then.
const OPTIONAL: [&str; 24] = [
    "acl",
    "containers",
    "creationTimestamp",
    "defaultAction",
    "direction",
    "egress",
    "endPort",
    "except",
    "hostNetwork",
    "ingress",
    "initContainers",
    "labels",
    "log",
    "matchExpressions",
    "matchLabels",
    "namespaceSelector",
    "ownerReferences",
    "podIP",
    "podSelector",
    "policyTypes",
    "ports",
    "protocol",
    "rules",
    "settings",
];

/// Objects whose every entry may be absent.
const MAPS: [&str; 3] = ["labels", "local_addresses", "matchLabels"];

/// Everything that can be taken away from a value, the greatest things first.
pub(super) fn cuts(value: &Value) -> Vec<Cut> {
    let mut cuts = Vec::new();
    collect(value, "", &mut cuts);
    // Shallow places hold great things; long ranges hold more than short ones.
    cuts.sort_by_key(|(depth, length, _)| (*depth, std::cmp::Reverse(*length)));
    cuts.into_iter().map(|(_, _, cut)| cut).collect()
}

fn collect(value: &Value, at: &str, cuts: &mut Vec<(usize, usize, Cut)>) {
    let depth = at.matches('/').count();
    let below = |field: &str| format!("{at}/{}", field.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Array(values) => {
            let mut length = values.len();
            while length > 0 {
                for first in (0..values.len()).step_by(length) {
                    let what = What::Elements(first..values.len().min(first + length));
                    cuts.push((depth, length, Cut { at: at.to_owned(), what }));
                }
                length /= 2;
            }
            for (number, value) in values.iter().enumerate() {
                collect(value, &below(&number.to_string()), cuts);
            }
        }
        Value::Object(fields) => {
            let is_map = MAPS.iter().any(|name| at.ends_with(&format!("/{name}")));
            // A flow has nothing to spare.
            let is_flow = at.starts_with("/flows/");
            for (field, value) in fields {
                if (is_map || OPTIONAL.contains(&field.as_str())) && !is_flow {
                    cuts.push((depth, 0, Cut { at: at.to_owned(), what: What::Field(field.clone()) }));
                }
                collect(value, &below(field), cuts);
            }
        }
        _ => {}
    }
}

/// The value without that.
pub(super) fn without(value: &Value, cut: &Cut) -> Option<Value> {
    let mut less = value.clone();
    match (less.pointer_mut(&cut.at)?, &cut.what) {
        (Value::Array(values), What::Elements(range)) => {
            values.drain(range.clone());
        }
        (Value::Object(fields), What::Field(field)) => {
            fields.remove(field)?;
        }
        _ => return None,
    }
    Some(less)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Takes away as long as a property holds.
    fn shrunk(mut value: Value, holds: impl Fn(&Value) -> bool) -> Value {
        while let Some(less) = cuts(&value).iter().filter_map(|cut| without(&value, cut)).find(&holds) {
            value = less;
        }
        value
    }

    #[test]
    fn everything_that_does_not_matter_goes() {
        let value = json!({"pods": [{"name": "a", "labels": {"x/y": "1", "z": "2"}}, {"name": "b"}], "flows": [1, 2, 3]});
        let least = shrunk(value, |value| value.pointer("/pods/0/labels/x~1y").is_some());
        assert_eq!(least, json!({"pods": [{"name": "a", "labels": {"x/y": "1"}}], "flows": []}));
    }

    #[test]
    fn a_list_is_first_emptied_whole_then_by_halves() {
        let first: Vec<Cut> = cuts(&json!([1, 2, 3, 4]));
        let ranges: Vec<_> = first.iter().map(|cut| cut.what.clone()).collect();
        let elements = |range| What::Elements(range);
        assert_eq!(ranges[..3], [elements(0..4), elements(0..2), elements(2..4)]);
    }
}
