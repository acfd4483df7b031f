//! The pushed policy document: its texts, and which one is in force.

use ms_acl_core::lower::Tree;
use ms_acl_core::lower::acl::{AclDocument, AclFault};

use crate::text::{Duplicates, Syntax, documents};

/// Reads a document. The error holds every fault of it.
pub(crate) fn parse(syntax: Syntax, text: &[u8]) -> Result<AclDocument, Vec<AclFault>> {
    let whole = |detail: String| vec![AclFault { path: String::new(), detail }];
    let mut trees: Vec<Tree> = documents(syntax, text, Duplicates::Keep).map_err(whole)?;
    match (trees.pop(), trees.len()) {
        (Some(tree), 0) => AclDocument::parse(tree),
        (None, _) => Err(whole("is empty".to_owned())),
        (Some(_), more) => Err(whole(format!("holds {} documents, one is needed", more + 1))),
    }
}

/// The document as JSON, with its values in their order.
pub(crate) fn json(document: &AclDocument) -> String {
    // A tree has string keys only, so that there is always a text for it.
    serde_json::to_string(document.source()).unwrap_or_default()
}

/// The document as YAML, with its values in their order.
pub(crate) fn yaml(document: &AclDocument) -> String {
    serde_saphyr::to_string(document.source()).unwrap_or_default()
}

/// The strong entity tag of the document's JSON.
pub(crate) fn tag(document: &AclDocument) -> String {
    let hash = blake3::hash(json(document).as_bytes()).to_hex();
    format!("\"{}\"", &hash[..32])
}

/// The strong entity tag of the document's YAML, which are other bytes.
pub(crate) fn yaml_tag(document: &AclDocument) -> String {
    let tag = tag(document);
    format!("{}-yaml\"", tag.trim_end_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(syntax: Syntax, text: &str) -> Vec<String> {
        let faults = parse(syntax, text.as_bytes()).unwrap_err();
        faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.detail)).collect()
    }

    #[test]
    fn a_document_comes_back_with_its_values_in_their_order() {
        let text = r#"{"deployments":[{"rules":[{"port":80,"action":"deny","protocol":"TCP","name":"a: b\n- \"c\" yes"}],"namespace":"on","name":"web"}],"defaultAction":"Allow"}"#;
        let document = parse(Syntax::Json, text.as_bytes()).unwrap();
        assert_eq!(json(&document), text);
        assert_eq!(parse(Syntax::Yaml, yaml(&document).as_bytes()).unwrap(), document);
        assert_ne!(tag(&document), yaml_tag(&document));
        assert_ne!(tag(&document), tag(&AclDocument::default()));
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        for syntax in [Syntax::Json, Syntax::Yaml] {
            let both = faults(syntax, r#"{"defaultAction": "x", "defaultAction": "ALLOW", "other": 1}"#);
            assert_eq!(both.len(), 3, "{both:?}");
            assert!(faults(syntax, "")[0].contains("is empty"));
        }
        assert!(faults(Syntax::Json, "{} {}")[0].contains("2 documents"));
        assert!(faults(Syntax::Yaml, "{}\n---\n{}")[0].contains("2 documents"));
        assert!(faults(Syntax::Json, "{\"deployments\": [}")[0].contains("line 1 column"));
        assert_eq!(faults(Syntax::Json, "null").len(), 1);
    }
}
