//! Label selectors in one canonical form, so that equal ones can share a set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A selector: all requirements must hold. Sorted and without repetitions; empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(BTreeSet<Requirement>);

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// The label exists and has one of these values.
    In(String, BTreeSet<String>),
    /// The label doesn't exist, or has none of these values.
    NotIn(String, BTreeSet<String>),
    /// The label exists.
    Exists(String),
    /// The label doesn't exist.
    DoesNotExist(String),
}

impl Requirement {
    fn key(&self) -> &str {
        match self {
            Requirement::In(key, _)
            | Requirement::NotIn(key, _)
            | Requirement::Exists(key)
            | Requirement::DoesNotExist(key) => key,
        }
    }

    fn matches(&self, labels: &Labels) -> bool {
        match self {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => !labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

impl Selector {
    /// The selector that matches everything.
    pub fn everything() -> Self {
        Selector::default()
    }

    /// A selector of these requirements.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Selector(requirements.into_iter().collect())
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it matches an object with these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether it matches every object that has this label, whatever its others are.
    pub(crate) fn must_match_by(&self, key: &str, value: &str) -> bool {
        let labels = Labels::from([(key.to_owned(), value.to_owned())]);
        self.0.iter().all(|requirement| requirement.key() == key && requirement.matches(&labels))
    }

    /// The requirements, sorted.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
        match self {
            Requirement::In(key, values) => match values.first() {
                Some(value) if values.len() == 1 => write!(f, "{key}={value}"),
                _ => write!(f, "{key} in ({})", list(values)),
            },
            Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Requirement::Exists(key) => write!(f, "{key}"),
            Requirement::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

impl fmt::Display for Selector {
    /// As kubectl writes it: `app=web,tier in (a,b)`; `all` for the empty one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("all");
        }
        for (index, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn values(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|v| (*v).to_owned()).collect()
    }

    #[test]
    fn the_empty_selector_matches_everything() {
        assert!(Selector::everything().matches(&labels(&[])));
    }

    #[test]
    fn not_in_matches_an_object_without_the_key() {
        let selector = Selector::new([Requirement::NotIn("a".into(), values(&["1"]))]);
        assert!(selector.matches(&labels(&[])));
        assert!(selector.matches(&labels(&[("a", "2")])));
        assert!(!selector.matches(&labels(&[("a", "1")])));
    }

    #[test]
    fn all_requirements_must_hold() {
        let selector = Selector::new([
            Requirement::In("a".into(), values(&["1", "2"])),
            Requirement::Exists("b".into()),
            Requirement::DoesNotExist("c".into()),
        ]);
        assert!(selector.matches(&labels(&[("a", "2"), ("b", "")])));
        assert!(!selector.matches(&labels(&[("a", "2")])));
        assert!(!selector.matches(&labels(&[("a", "2"), ("b", ""), ("c", "")])));
    }
}
