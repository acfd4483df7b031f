//! What requests on single objects do: get, create, replace, patch, delete, and the same for `status`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::resource::{Place, Resource};
use super::store::{Refusal, Store};

/// An answer about one object: its status code and its text.
pub(super) type Outcome = Result<(u16, Arc<str>), Refusal>;

/// The body of a patch, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchType {
    /// RFC 7396. A strategic merge patch is taken for one: the same for everything but lists.
    Merge,
    /// RFC 6902.
    Json,
    /// A server-side apply, without owners of fields: merged, and created where there is nothing.
    Apply,
}

impl PatchType {
    pub(super) fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
                Some(PatchType::Merge)
            }
            "application/json-patch+json" => Some(PatchType::Json),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Some(PatchType::Apply),
            _ => None,
        }
    }
}

pub(super) fn get(store: &Store, kind: usize, place: &Place) -> Outcome {
    Ok((200, Arc::clone(&store.get(kind, &place.namespace, &place.name)?.text)))
}

pub(super) fn create(store: &mut Store, kind: usize, place: &Place, mut object: Value) -> Outcome {
    let resource = store.resource(kind).clone();
    check_type(&resource, &object)?;
    let generated = object["metadata"]["generateName"].as_str().map(str::to_owned);
    if let (Some(prefix), true) = (generated, object["metadata"]["name"].is_null()) {
        object["metadata"]["name"] = format!("{prefix}{:05}", store.version() % 100_000).into();
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(invalid("metadata.name: Required value: name or generateName is required"));
    }
    place_it(&resource, place, &mut object)?;
    if store.get(kind, &place.namespace, &name).is_ok() {
        let message = format!("{} \"{name}\" already exists", resource.plural);
        return Err(Refusal::new(409, "AlreadyExists", message));
    }
    if resource.has_status && place.group.contains('.') {
        // Built-in kinds keep theirs, so that a test can create a Pod that runs.
        remove(&mut object, "status");
    }
    Ok((201, store.put(kind, object).to_string().into()))
}

pub(super) fn replace(store: &mut Store, kind: usize, place: &Place, mut object: Value) -> Outcome {
    let resource = store.resource(kind).clone();
    check_type(&resource, &object)?;
    let before = parse(&store.get(kind, &place.namespace, &place.name)?.text);
    if object["metadata"]["name"] != place.name.as_str() {
        return Err(Refusal::new(
            400,
            "BadRequest",
            "the name of the object doesn't match the name on the URL",
        ));
    }
    place_it(&resource, place, &mut object)?;
    check_version(&resource, place, &before, &object)?;
    let after = merged_parts(&resource, place, &before, object);
    Ok(write(store, kind, &before, after))
}

pub(super) fn patch(
    store: &mut Store,
    kind: usize,
    place: &Place,
    patch_type: PatchType,
    patch: &Value,
) -> Outcome {
    let resource = store.resource(kind).clone();
    let before = match store.get(kind, &place.namespace, &place.name) {
        Ok(stored) => parse(&stored.text),
        Err(_) if patch_type == PatchType::Apply && place.part.is_empty() => {
            return create(store, kind, place, patch.clone());
        }
        Err(refusal) => return Err(refusal),
    };
    let mut after = before.clone();
    match patch_type {
        PatchType::Merge | PatchType::Apply => json_patch::merge(&mut after, patch),
        PatchType::Json => {
            let patch: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))?;
            json_patch::patch(&mut after, &patch).map_err(|error| invalid(&error.to_string()))?;
        }
    }
    if after["metadata"]["name"] != place.name.as_str() {
        return Err(invalid("metadata.name: field is immutable"));
    }
    check_version(&resource, place, &before, &after)?;
    let after = merged_parts(&resource, place, &before, after);
    Ok(write(store, kind, &before, after))
}

pub(super) fn delete(store: &mut Store, kind: usize, place: &Place, options: &Value) -> Outcome {
    let before = parse(&store.get(kind, &place.namespace, &place.name)?.text);
    for field in ["uid", "resourceVersion"] {
        let wanted = &options["preconditions"][field];
        if !wanted.is_null() && *wanted != before["metadata"][field] {
            return Err(conflict(store.resource(kind), place));
        }
    }
    Ok((200, store.delete(kind, &place.namespace, &place.name)?))
}

/// Stores what is new, and nothing where nothing is.
fn write(store: &mut Store, kind: usize, before: &Value, after: Value) -> (u16, Arc<str>) {
    let object = if *before == after { after } else { store.put(kind, after) };
    (200, object.to_string().into())
}

/// The part of an object that a request may write, in the object as it was.
fn merged_parts(resource: &Resource, place: &Place, before: &Value, mut after: Value) -> Value {
    let mut object = match place.part.as_str() {
        "status" => {
            let mut object = before.clone();
            object["status"] = after["status"].take();
            object
        }
        _ if resource.has_status => {
            match before.get("status") {
                Some(status) => after["status"] = status.clone(),
                None => remove(&mut after, "status"),
            }
            after
        }
        _ => after,
    };
    // These are the server's.
    for field in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
        object["metadata"][field] = before["metadata"][field].clone();
    }
    object
}

fn check_type(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    if !object.is_object() || !object["metadata"].is_object() {
        return Err(Refusal::new(400, "BadRequest", "an object with metadata is needed"));
    }
    let fits = |field: &str, wanted: &str| object[field].as_str().is_none_or(|given| given == wanted);
    if fits("kind", &resource.kind) && fits("apiVersion", &resource.api_version()) {
        return Ok(());
    }
    let message = format!("the object is no {} of {}", resource.kind, resource.api_version());
    Err(Refusal::new(400, "BadRequest", message))
}

/// The namespace of a request is that of the object.
fn place_it(resource: &Resource, place: &Place, object: &mut Value) -> Result<(), Refusal> {
    if !resource.namespaced {
        return Ok(());
    }
    let namespace = &mut object["metadata"]["namespace"];
    if namespace.is_null() {
        *namespace = place.namespace.as_str().into();
    }
    if *namespace == place.namespace.as_str() && !place.namespace.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(400, "BadRequest", "the namespace of the object doesn't match that of the request"))
}

/// Who writes after somebody else has must say so.
fn check_version(resource: &Resource, place: &Place, before: &Value, after: &Value) -> Result<(), Refusal> {
    let given = after["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if given.is_empty() || before["metadata"]["resourceVersion"] == given {
        return Ok(());
    }
    Err(conflict(resource, place))
}

fn conflict(resource: &Resource, place: &Place) -> Refusal {
    let message = format!(
        "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your changes to the latest version and try again",
        resource.plural, place.name
    );
    Refusal::new(409, "Conflict", message)
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(422, "Invalid", message)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!({"metadata": {}}))
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Store, usize, Place) {
        let resource = Resource::custom("acl.ms.io", "v1alpha1", "AclPolicy", "aclpolicies", false);
        let place = Place::of("/apis/acl.ms.io/v1alpha1/aclpolicies/p").unwrap();
        (Store::new(vec![resource]), 0, place)
    }

    fn object(outcome: Outcome) -> Value {
        serde_json::from_str(&outcome.unwrap().1).unwrap()
    }

    fn code(outcome: Outcome) -> u16 {
        outcome.map_or_else(|refusal| refusal.code, |(code, _)| code)
    }

    #[test]
    fn versions_protect_from_lost_updates() {
        let (mut store, kind, place) = store();
        let first =
            object(create(&mut store, kind, &place, json!({"metadata": {"name": "p"}, "spec": {"a": 1}})));
        assert_eq!(code(create(&mut store, kind, &place, json!({"metadata": {"name": "p"}}))), 409);
        let mut edit = first.clone();
        edit["spec"]["a"] = 2.into();
        let second = object(replace(&mut store, kind, &place, edit.clone()));
        assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
        assert_eq!(
            (first["metadata"]["generation"].as_u64(), second["metadata"]["generation"].as_u64()),
            (Some(1), Some(2))
        );
        assert_eq!(code(replace(&mut store, kind, &place, edit)), 409);
        let stale = json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}});
        assert_eq!(code(patch(&mut store, kind, &place, PatchType::Merge, &stale)), 409);
        let again = object(replace(&mut store, kind, &place, second.clone()));
        assert_eq!(again, second, "nothing new, no new version");
    }

    #[test]
    fn status_is_written_by_its_own_requests_only() {
        let (mut store, kind, mut place) = store();
        let sent = json!({"metadata": {"name": "p"}, "spec": {"a": 1}, "status": {"x": 1}});
        assert!(object(create(&mut store, kind, &place, sent.clone())).get("status").is_none());
        place.part = "status".to_owned();
        let change = json!({"status": {"x": 2}, "spec": {"a": 9}});
        let after = object(patch(&mut store, kind, &place, PatchType::Merge, &change));
        assert_eq!((&after["status"]["x"], &after["spec"]["a"]), (&json!(2), &json!(1)));
        assert_eq!(after["metadata"]["generation"], 1);
        place.part = String::new();
        let after = object(replace(&mut store, kind, &place, sent));
        assert_eq!(after["status"]["x"], 2);
    }

    #[test]
    fn patches_of_all_types_are_taken() {
        let (mut store, kind, place) = store();
        let whole = json!({"apiVersion": "acl.ms.io/v1alpha1", "kind": "AclPolicy", "metadata": {"name": "p"}, "spec": {"a": 1}});
        assert_eq!(code(patch(&mut store, kind, &place, PatchType::Merge, &whole)), 404);
        assert_eq!(code(patch(&mut store, kind, &place, PatchType::Apply, &whole)), 201);
        let change = json!([{"op": "replace", "path": "/spec/a", "value": 3}]);
        let after = object(patch(&mut store, kind, &place, PatchType::Json, &change));
        assert_eq!(after["spec"]["a"], 3);
        let wrong = json!([{"op": "test", "path": "/spec/a", "value": 4}]);
        assert_eq!(code(patch(&mut store, kind, &place, PatchType::Json, &wrong)), 422);
        let after =
            object(patch(&mut store, kind, &place, PatchType::Merge, &json!({"spec": {"a": null, "b": 1}})));
        assert_eq!(after["spec"], json!({"b": 1}));
        assert_eq!(code(delete(&mut store, kind, &place, &Value::Null)), 200);
        assert_eq!(code(get(&store, kind, &place)), 404);
    }
}
