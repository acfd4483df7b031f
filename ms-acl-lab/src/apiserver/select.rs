//! `labelSelector` and `fieldSelector` of requests.

use serde_json::Value;

/// Which objects are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Select {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Select {
    /// Reads the selectors of a request.
    pub(super) fn of(labels: &str, fields: &str) -> Self {
        Select { labels: requirements(labels), fields: requirements(fields) }
    }

    /// Whether all objects are asked for.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is asked for.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        let field = |key: &str| {
            let pointer = format!("/{}", key.replace('.', "/"));
            Some(object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default())
        };
        self.labels.iter().all(|requirement| requirement.test.holds(label(&requirement.key)))
            && self.fields.iter().all(|requirement| requirement.test.holds(field(&requirement.key)))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let is_in = |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
        match self {
            Test::In(values) => is_in(values),
            Test::NotIn(values) => !is_in(values),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
        }
    }
}

/// Splits at the commas that aren't in parentheses.
fn requirements(text: &str) -> Vec<Requirement> {
    let mut depth = 0;
    let parts = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(requirement).collect()
}

fn requirement(text: &str) -> Requirement {
    let new = |key: &str, test| Requirement { key: key.trim().to_owned(), test };
    let one = |value: &str| vec![value.trim().to_owned()];
    let list = |values: &str| {
        let values = values.trim().trim_start_matches('(').trim_end_matches(')');
        values.split(',').map(|value| value.trim().to_owned()).collect()
    };
    if let Some((key, values)) = text.split_once(" notin ") {
        new(key, Test::NotIn(list(values)))
    } else if let Some((key, values)) = text.split_once(" in ") {
        new(key, Test::In(list(values)))
    } else if let Some((key, value)) = text.split_once("!=") {
        new(key, Test::NotIn(one(value)))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        new(key, Test::In(one(value)))
    } else if let Some(key) = text.strip_prefix('!') {
        new(key, Test::Absent)
    } else {
        new(text, Test::Exists)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_read_as_kubectl_writes_them() {
        let object = json!({"metadata": {"name": "p", "labels": {"app": "web", "tier": "front"}},
            "spec": {"nodeName": "n1"}});
        let matches = |labels: &str, fields: &str| Select::of(labels, fields).matches(&object);
        for yes in ["", "app=web", "app==web,tier", "app in (web, db),!gone", "app notin (db)", "app!=db"] {
            assert!(matches(yes, ""), "{yes}");
        }
        for no in ["app=db", "gone", "!app", "app in (db)", "app notin (db,web)", "app!=web"] {
            assert!(!matches(no, ""), "{no}");
        }
        assert!(matches("", "spec.nodeName=n1,metadata.name=p"));
        assert!(!matches("", "metadata.name!=p"));
    }
}
