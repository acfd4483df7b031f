//! JSON and YAML text → values, within bounds.

use serde::de::DeserializeOwned;
use serde_saphyr::options::DuplicateKeyPolicy;

/// The largest text that is read.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// How deep lists and objects may be nested in YAML.
const MAX_DEPTH: usize = 64;
/// The same in JSON: the fixed limit of serde_json.
const MAX_JSON_DEPTH: usize = 128;
/// How many values a text may have: more than 64 MiB of real manifests.
const MAX_NODES: usize = 16_000_000;
/// How many values aliases may stand for.
const MAX_ALIASED: usize = 1_000_000;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Yaml,
    Json,
}

/// What is done about a key that stands twice in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// The text doesn't parse (YAML); the last one counts (JSON).
    Refuse,
    /// The value decides: it gets both.
    Keep,
}

/// All documents of a text. An empty one is left out. The error is a sentence without a subject.
pub(crate) fn documents<T: DeserializeOwned>(
    syntax: Syntax,
    text: &[u8],
    duplicates: Duplicates,
) -> Result<Vec<T>, String> {
    if text.len() > MAX_BYTES {
        return Err(too_large(MAX_BYTES));
    }
    let text = std::str::from_utf8(text).map_err(|error| format!("is not UTF-8: {error}"))?;
    match syntax {
        Syntax::Json => serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| explain(&error.to_string(), MAX_JSON_DEPTH)),
        Syntax::Yaml => serde_saphyr::from_str_multiple_with_options::<T, Vec<T>>(text, options(duplicates))
            .map_err(|error| explain(&error.without_snippet().to_string(), MAX_DEPTH)),
    }
}

/// What is said of a text that is larger than it may be.
pub(crate) fn too_large(limit: usize) -> String {
    format!("is larger than {} MiB", limit >> 20)
}

fn options(duplicates: Duplicates) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(MAX_BYTES),
            max_events: 4 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_documents: usize::MAX,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_total_scalar_bytes: MAX_BYTES,
            max_recorded_anchor_events: MAX_ALIASED,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED,
        },
        duplicate_keys: match duplicates {
            Duplicates::Refuse => DuplicateKeyPolicy::Error,
            Duplicates::Keep => DuplicateKeyPolicy::PassThrough,
        },
        emit_comments: false,
        with_snippet: false,
    }
}

/// One line; a limit that was met is named, which the parsers' own words don't do.
fn explain(error: &str, depth: usize) -> String {
    let words = error.to_ascii_lowercase();
    let limit = if words.contains("recursion limit") || words.contains("depth {") {
        format!("is nested deeper than {depth} levels: ")
    } else if words.contains("recordedanchor") || words.contains("alias replay") {
        format!("has aliases that stand for more than {MAX_ALIASED} values: ")
    } else {
        "does not parse: ".to_owned()
    };
    limit + &error.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn error(syntax: Syntax, text: &str) -> String {
        documents::<Value>(syntax, text.as_bytes(), Duplicates::Refuse).unwrap_err()
    }

    #[test]
    fn what_does_not_parse_is_an_error_with_a_place() {
        assert!(error(Syntax::Yaml, "a: [1\nb: 2\n").contains("line"));
        assert!(error(Syntax::Yaml, "a: 1\na: 2\n").contains("duplicate"));
        assert!(error(Syntax::Json, "{\"a\": }").contains("line 1"));
        let not_utf8 = documents::<Value>(Syntax::Yaml, b"\xff\xfe", Duplicates::Refuse);
        assert!(not_utf8.unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn nesting_and_aliases_are_bounded_and_the_limit_is_named() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        assert!(error(Syntax::Yaml, &deep).contains("deeper than 64"));
        assert!(error(Syntax::Json, &deep).contains("deeper than 128"));
        let block: Vec<String> = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(error(Syntax::Yaml, &block.concat()).contains("deeper than 64"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let list = format!("*a{}, ", level - 1).repeat(10);
            bomb = format!("{bomb}a{level}: &a{level} [{list}]\n");
        }
        assert!(error(Syntax::Yaml, &bomb).contains("aliases"));
    }

    #[test]
    fn duplicates_reach_a_value_that_keeps_them() {
        use ms_acl_core::lower::Tree;
        let text = "a: 1\na: 2\n";
        let trees: Vec<Tree> = documents(Syntax::Yaml, text.as_bytes(), Duplicates::Keep).unwrap();
        assert!(matches!(&trees[..], [Tree::Map(entries)] if entries.len() == 2));
    }
}
