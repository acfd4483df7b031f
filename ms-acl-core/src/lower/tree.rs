//! A value tree that keeps the order of keys and keeps duplicates, so that a document can be
//! validated whole and given back as it came.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Any JSON or YAML value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Tree {
    /// Null.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(TreeNumber),
    /// A text.
    String(String),
    /// A list.
    Seq(Vec<Tree>),
    /// Keys and values in the order of the document; a key may occur more than once.
    Map(Vec<(String, Tree)>),
}

/// A number of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TreeNumber {
    /// Not negative and whole.
    Unsigned(u64),
    /// Negative and whole.
    Signed(i64),
    /// With a fraction.
    Float(f64),
}

impl fmt::Display for TreeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeNumber::Unsigned(number) => write!(f, "{number}"),
            TreeNumber::Signed(number) => write!(f, "{number}"),
            TreeNumber::Float(number) => write!(f, "{number}"),
        }
    }
}

impl Tree {
    /// The value under a key of a map; the first where the key occurs twice.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// What kind of value it is, in words: `a number`.
    pub fn kind(&self) -> &'static str {
        match self {
            Tree::Null => "null",
            Tree::Bool(_) => "a boolean",
            Tree::Number(_) => "a number",
            Tree::String(_) => "a string",
            Tree::Seq(_) => "a list",
            Tree::Map(_) => "an object",
        }
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(TreeNumber::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(u64::try_from(value).map_or(TreeNumber::Signed(value), TreeNumber::Unsigned)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(TreeNumber::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::Seq(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(Key(key)) = entries.next_key()? {
            map.push((key, entries.next_value()?));
        }
        Ok(Tree::Map(map))
    }
}

/// A key: YAML allows numbers and booleans there, they are read as the text that they look like.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Tree::deserialize(deserializer)? {
            Tree::String(key) => Ok(Key(key)),
            Tree::Number(number) => Ok(Key(number.to_string())),
            Tree::Bool(value) => Ok(Key(value.to_string())),
            Tree::Null => Ok(Key("null".to_owned())),
            other => Err(de::Error::custom(format!("{} can't be a key", other.kind()))),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Null => serializer.serialize_unit(),
            Tree::Bool(value) => serializer.serialize_bool(*value),
            Tree::Number(TreeNumber::Unsigned(value)) => serializer.serialize_u64(*value),
            Tree::Number(TreeNumber::Signed(value)) => serializer.serialize_i64(*value),
            Tree::Number(TreeNumber::Float(value)) => serializer.serialize_f64(*value),
            Tree::String(value) => serializer.serialize_str(value),
            Tree::Seq(items) => items.serialize(serializer),
            Tree::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_back_as_it_was() {
        let text = r#"{"z":1,"a":[true,null,-3,1.5,"x"],"z":{}}"#;
        let tree: Tree = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&tree).unwrap(), text);
        assert_eq!(tree.get("z"), Some(&Tree::Number(TreeNumber::Unsigned(1))));
    }
}
