//! Reading a value tree: every fault is kept with its place, and reading goes on.

use super::AclFault;
use crate::lower::Tree;
use crate::lower::selector::escape;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<AclFault>,
    pub(super) warnings: Vec<AclFault>,
}

/// The fields of an object; null ones are absent.
pub(super) struct Fields<'a> {
    path: String,
    entries: Vec<(&'a str, &'a Tree)>,
}

impl<'a> Fields<'a> {
    /// A field with its place.
    pub(super) fn get(&self, field: &str) -> Option<(String, &'a Tree)> {
        let (_, value) = self.entries.iter().find(|(key, _)| *key == field)?;
        Some((self.path_of(field), value))
    }

    /// Whether a field is there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.entries.iter().any(|(key, _)| *key == field)
    }

    /// The place of a field, there or not.
    pub(super) fn path_of(&self, field: &str) -> String {
        format!("{}/{field}", self.path)
    }
}

impl Reader {
    pub(super) fn fault(&mut self, path: &str, detail: String) {
        self.faults.push(AclFault { path: path.to_owned(), detail });
    }

    pub(super) fn warn(&mut self, path: &str, detail: String) {
        self.warnings.push(AclFault { path: path.to_owned(), detail });
    }

    /// The fields of an object. Unknown and repeated ones are faults.
    pub(super) fn fields<'a>(&mut self, path: &str, value: &'a Tree, known: &[&str]) -> Fields<'a> {
        let mut fields = Fields { path: path.to_owned(), entries: Vec::new() };
        let Tree::Map(entries) = value else {
            self.fault(path, format!("is {}, an object is needed", value.kind()));
            return fields;
        };
        let mut seen = std::collections::BTreeSet::new();
        for (key, value) in entries {
            let place = format!("{path}/{}", escape(key));
            if !seen.insert(key.as_str()) {
                self.fault(&place, "stands here twice".to_owned());
            } else if !known.contains(&key.as_str()) {
                self.fault(&place, format!("is not known; known are {}", known.join(", ")));
            } else if *value != Tree::Null {
                fields.entries.push((key, value));
            }
        }
        fields
    }

    /// The items of a list that may be absent or empty.
    pub(super) fn list<'a>(&mut self, fields: &Fields<'a>, field: &str) -> Vec<(String, &'a Tree)> {
        let Some((path, value)) = fields.get(field) else { return Vec::new() };
        let Tree::Seq(items) = value else {
            self.fault(&path, format!("is {}, a list is needed", value.kind()));
            return Vec::new();
        };
        items.iter().enumerate().map(|(index, item)| (format!("{path}/{index}"), item)).collect()
    }

    /// The items of a list that must not be empty where it is given.
    pub(super) fn filled_list<'a>(&mut self, fields: &Fields<'a>, field: &str) -> Vec<(String, &'a Tree)> {
        let items = self.list(fields, field);
        if let Some((path, Tree::Seq(list))) = fields.get(field)
            && list.is_empty()
        {
            self.fault(&path, "is an empty list: leave it out to mean everything".to_owned());
        }
        items
    }

    /// A text.
    pub(super) fn text<'a>(&mut self, path: &str, value: &'a Tree) -> Option<&'a str> {
        if let Tree::String(text) = value {
            return Some(text);
        }
        self.fault(path, format!("is {}, a string is needed", value.kind()));
        None
    }
}
