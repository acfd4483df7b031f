//! Where an object has to be an object.
//!
//! serde takes a list for a struct, its fields one after the other; the API server doesn't. What is
//! nearly harmless elsewhere would be dangerous here: `ingress: [[]]` would be a rule that allows
//! everything.

use serde::de::Error;
use serde_json::Value;

/// What a value has to be.
enum Shape {
    /// An object; of these fields it is known what they have to be.
    Object(&'static [(&'static str, &'static Shape)]),
    /// A list of such values.
    List(&'static Shape),
}

use Shape::{List, Object};

const PLAIN: Shape = Object(&[]);
const PLAIN_LIST: Shape = List(&PLAIN);
const METADATA: Shape = Object(&[("ownerReferences", &PLAIN_LIST)]);
const SELECTOR: Shape = Object(&[("matchExpressions", &PLAIN_LIST)]);
const PEERS: Shape =
    List(&Object(&[("podSelector", &SELECTOR), ("namespaceSelector", &SELECTOR), ("ipBlock", &PLAIN)]));
const CONTAINERS: Shape = List(&Object(&[("ports", &PLAIN_LIST)]));
/// Of all kinds at once: no field is an object in one of them and a list in another.
const OBJECT: Shape = Object(&[
    ("metadata", &METADATA),
    (
        "spec",
        &Object(&[
            ("podSelector", &SELECTOR),
            ("ingress", &List(&Object(&[("from", &PEERS), ("ports", &PLAIN_LIST)]))),
            ("egress", &List(&Object(&[("to", &PEERS), ("ports", &PLAIN_LIST)]))),
            ("containers", &CONTAINERS),
            ("initContainers", &CONTAINERS),
            ("selector", &SELECTOR),
        ]),
    ),
    ("status", &Object(&[("podIPs", &PLAIN_LIST), ("addresses", &PLAIN_LIST)])),
]);

/// Refuses a list that stands where an object has to be. All other faults of shape are left to serde.
pub(super) fn check(value: &Value) -> Result<(), serde_json::Error> {
    match find(value, &OBJECT) {
        Some(place) => Err(Error::custom(format!("{place} is a list, an object is needed"))),
        None => Ok(()),
    }
}

/// The place of the first such list, as a JSON pointer.
fn find(value: &Value, shape: &Shape) -> Option<String> {
    match (shape, value) {
        (Object(_), Value::Array(_)) => Some(String::new()),
        (Object(known), Value::Object(fields)) => known.iter().find_map(|(field, shape)| {
            find(fields.get(*field)?, shape).map(|below| format!("/{field}{below}"))
        }),
        (List(shape), Value::Array(items)) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find(item, shape).map(|below| format!("/{index}{below}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_where_an_object_has_to_be_is_found() {
        for (value, place) in [
            (json!([]), ""),
            (json!({"metadata": ["p", "a"]}), "/metadata"),
            (json!({"metadata": {"ownerReferences": [[]]}}), "/metadata/ownerReferences/0"),
            (json!({"spec": []}), "/spec"),
            (json!({"spec": {"podSelector": []}}), "/spec/podSelector"),
            (
                json!({"spec": {"podSelector": {"matchExpressions": [{}, []]}}}),
                "/spec/podSelector/matchExpressions/1",
            ),
            (json!({"spec": {"ingress": [[]]}}), "/spec/ingress/0"),
            (json!({"spec": {"ingress": [{}, {"from": [[]]}]}}), "/spec/ingress/1/from/0"),
            (json!({"spec": {"egress": [{"to": [{"ipBlock": []}]}]}}), "/spec/egress/0/to/0/ipBlock"),
            (json!({"spec": {"egress": [{"ports": [[]]}]}}), "/spec/egress/0/ports/0"),
            (json!({"spec": {"containers": [{"ports": [["http", 80]]}]}}), "/spec/containers/0/ports/0"),
            (json!({"status": {"podIPs": [["10.0.0.1"]]}}), "/status/podIPs/0"),
        ] {
            assert_eq!(find(&value, &OBJECT).as_deref(), Some(place), "{value}");
        }
    }

    #[test]
    fn everything_else_is_left_to_serde() {
        for value in [
            json!(null),
            json!({"metadata": 3, "spec": "x", "status": null}),
            json!({"spec": {"ingress": {"from": []}, "other": [[[]]], "policyTypes": [[]]}}),
        ] {
            assert!(check(&value).is_ok(), "{value}");
        }
    }
}
