//! The text of a manifest file → objects.

use std::ffi::OsStr;
use std::path::Path;

use ms_acl_core::object::{DecodeError, KINDS, Object};
use ms_acl_core::ruleset::ObjectRef;
use serde_json::Value;

use crate::text::{Duplicates, Syntax, documents};

/// How a file is written, by its name; `None` = no manifest.
pub(crate) fn syntax_of(path: impl AsRef<Path>) -> Option<Syntax> {
    match path.as_ref().extension().and_then(OsStr::to_str)? {
        "yaml" | "yml" => Some(Syntax::Yaml),
        "json" => Some(Syntax::Json),
        _ => None,
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Objects of kinds that the core knows, in their order.
    pub(crate) entries: Vec<Entry>,
    /// What else is in the file.
    pub(crate) findings: Vec<Finding>,
}

/// An object of a kind that the core knows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// One that decodes.
    Object(Box<Object>),
    /// One that doesn't, as it was written.
    Undecodable(ObjectRef, Value),
}

impl Entry {
    /// The object's name.
    pub(crate) fn reference(&self) -> ObjectRef {
        match self {
            Entry::Object(object) => object.reference(),
            Entry::Undecodable(name, _) => name.clone(),
        }
    }
}

/// Something in a file that is no object that the core knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// An object of a kind that policy doesn't look at.
    OtherKind(String),
    /// No Kubernetes object at all.
    NoObject(String),
    /// Meant as an object, but which one can't be told.
    Nameless(String),
}

/// Reads a file's text. The error is a sentence without a subject: nothing of the file can be used.
pub(crate) fn read(syntax: Syntax, text: &[u8]) -> Result<Manifest, String> {
    let mut manifest = Manifest::default();
    for (number, document) in (1..).zip(documents(syntax, text, Duplicates::Refuse)?) {
        take(&mut manifest, document, &format!("document {number}"), None);
    }
    Ok(manifest)
}

/// Takes in a document or an item of a list. `place` names it; `default` = apiVersion and kind of an item
/// that says neither.
fn take(manifest: &mut Manifest, mut value: Value, place: &str, default: Option<(&str, &str)>) {
    if value.is_null() {
        return;
    }
    let mut nameless = |detail: String| manifest.findings.push(Finding::Nameless(detail));
    let Value::Object(fields) = &mut value else {
        return nameless(format!("{place} is no object"));
    };
    if let Some((version, kind)) = default {
        fields.entry("apiVersion").or_insert_with(|| version.into());
        fields.entry("kind").or_insert_with(|| kind.into());
    }
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    match (version.is_empty(), kind.is_empty()) {
        (true, true) => {
            let detail = format!("{place} has neither apiVersion nor kind: it is passed over");
            return manifest.findings.push(Finding::NoObject(detail));
        }
        (true, false) => return nameless(format!("{place} ({kind}) has no apiVersion")),
        (false, true) => return nameless(format!("{place} has no kind")),
        (false, false) => {}
    }
    if let Some(item) = kind.strip_suffix("List")
        && let Some(items) = fields.get_mut("items")
    {
        let default = Some((version.as_str(), item)).filter(|_| !item.is_empty());
        return match items.take() {
            Value::Array(items) => {
                for (index, value) in items.into_iter().enumerate() {
                    take(manifest, value, &format!("{place}, item {index}"), default);
                }
            }
            Value::Null => {}
            _ => nameless(format!("{place}: items of a {kind} is no list")),
        };
    }
    if !KINDS.contains(&(version.as_str(), kind.as_str())) {
        if KINDS.iter().any(|known| known.1 == kind) {
            nameless(format!("{place}: {kind} of {version} is not known"));
        } else {
            manifest.findings.push(Finding::OtherKind(format!("{place}: {version} {kind}")));
        }
        return;
    }
    if !matches!(kind.as_str(), "Namespace" | "Node") {
        set_default_namespace(fields);
    }
    let entry = match Object::decode(value.clone()) {
        Ok(Some(object)) => Entry::Object(Box::new(object)),
        Ok(None) => return,
        Err(DecodeError { object, .. }) => Entry::Undecodable(object, value),
    };
    if entry.reference().name.is_empty() {
        return nameless(format!("{place} ({kind}) has no name that is a string"));
    }
    manifest.entries.push(entry);
}

fn set_default_namespace(fields: &mut serde_json::Map<String, Value>) {
    let Some(Value::Object(metadata)) = fields.get_mut("metadata") else { return };
    match metadata.get("namespace") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(_) => return,
    }
    metadata.insert("namespace".to_owned(), "default".into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Manifest {
        read(Syntax::Yaml, text.as_bytes()).unwrap()
    }

    fn names(manifest: &Manifest) -> Vec<String> {
        manifest.entries.iter().map(|entry| entry.reference().to_string()).collect()
    }

    #[test]
    fn many_documents_and_lists_of_every_kind_are_read() {
        let manifest = yaml(concat!(
            "# a comment alone\n---\n",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\n",
            "apiVersion: v1\nkind: List\nitems:\n",
            "- {apiVersion: v1, kind: Namespace, metadata: {name: ns}}\n",
            "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: ns}}\n---\n",
            "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: b, namespace: ''}\n",
        ));
        assert_eq!(names(&manifest), ["Pod default/a", "Namespace ns", "Deployment ns/d", "Pod default/b"]);
        assert_eq!(manifest.findings, []);
    }

    #[test]
    fn json_documents_may_follow_one_another() {
        let text = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"}} {"apiVersion":"v1","kind":"PodList","items":null}"#;
        assert_eq!(names(&read(Syntax::Json, text.as_bytes()).unwrap()), ["Node n"]);
    }

    #[test]
    fn other_kinds_are_passed_over() {
        let manifest =
            yaml("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\nreplicas: 3\nimage: x\n");
        assert_eq!(names(&manifest), Vec::<String>::new());
        assert!(
            matches!(&manifest.findings[..], [Finding::OtherKind(kind), Finding::NoObject(_)] if kind == "document 1: v1 Secret")
        );
    }

    #[test]
    fn what_may_be_an_object_but_has_no_name_is_told() {
        for text in [
            "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
            "apiVersion: v1\nkind: Pod\n",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: 3}\n",
            "apiVersion: networking.k8s.io/v1beta1\nkind: NetworkPolicy\nmetadata: {name: p}\n",
            "apiVersion: networking.k8s.io/v1\nknd: NetworkPolicy\nmetadata: {name: p}\n",
            "kind: NetworkPolicy\nmetadata: {name: p}\n",
            "apiVersion: v1\nkind: List\nitems: {}\n",
            "- a\n- b\n",
            "just words\n",
        ] {
            let manifest = yaml(text);
            assert!(matches!(manifest.findings[..], [Finding::Nameless(_)]), "{text}: {manifest:?}");
        }
    }

    #[test]
    fn an_object_that_does_not_decode_keeps_its_name_and_gets_its_namespace() {
        let manifest = yaml(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {ingress: 3}\n",
        );
        assert_eq!(names(&manifest), ["NetworkPolicy default/p"]);
        assert!(matches!(manifest.entries[..], [Entry::Undecodable(..)]));
    }

    #[test]
    fn thousands_of_documents_are_read() {
        let pods =
            (0..5000).map(|number| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\n"));
        assert_eq!(yaml(&pods.collect::<Vec<_>>().join("---\n")).entries.len(), 5000);
    }
}
