//! The objects of one kind as the API server told them: texts in, events out. No I/O here.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use ms_acl_core::cluster::Event;
use ms_acl_core::object::{DecodeError, NetworkPolicy, NetworkPolicySpec, Object};
use ms_acl_core::ruleset::ObjectRef;
use serde::Deserialize;
use serde_json::Value;

use super::kinds::{Kind, Scope};

/// What is known of the objects of a kind: enough to tell what a new listing changes.
#[derive(Debug)]
pub(super) struct Objects {
    kind: &'static Kind,
    known: HashMap<Box<str>, Version>,
    /// The number of the listing.
    round: u32,
    /// Objects of the last listing, and of the events since, whose names can't be read.
    nameless: usize,
}

/// A version of an object.
#[derive(Debug, Clone, Copy)]
struct Version {
    /// The hash of its text.
    hash: u64,
    /// The last listing, or the one before the events, in which it was there.
    round: u32,
}

/// The name of an object can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nameless;

impl Objects {
    pub(super) fn new(kind: &'static Kind) -> Self {
        Objects { kind, known: HashMap::new(), round: 0, nameless: 0 }
    }

    /// How many objects there are whose names can't be read.
    pub(super) fn nameless(&self) -> usize {
        self.nameless
    }

    /// A listing starts. One that doesn't come to its end is started again.
    pub(super) fn start_listing(&mut self) {
        self.round += 1;
        self.nameless = 0;
    }

    /// An object of the listing: the event, where it isn't known so.
    pub(super) fn listed(&mut self, text: &str) -> Option<Event> {
        let event = self.decode(text).inspect_err(|Nameless| self.nameless += 1).ok()?;
        self.keep(&event, text).then_some(event)
    }

    /// The listing is complete: what is known and wasn't in it is gone. Where names in it couldn't be
    /// read, nothing is: any of them may be what is missed.
    pub(super) fn end_listing(&mut self) -> Vec<Event> {
        if self.nameless > 0 {
            return Vec::new();
        }
        let (kind, round) = (self.kind, self.round);
        let mut gone: Vec<Box<str>> =
            self.known.extract_if(|_, version| version.round != round).map(|(key, _)| key).collect();
        gone.sort_unstable();
        gone.iter().map(|key| Event::Delete(reference(kind, key))).collect()
    }

    /// An object that is new or changed.
    pub(super) fn changed(&mut self, text: &str) -> Result<Event, Nameless> {
        let event = self.decode(text).inspect_err(|Nameless| self.nameless += 1)?;
        self.keep(&event, text);
        Ok(event)
    }

    /// An object that is gone.
    pub(super) fn deleted(&mut self, text: &str) -> Result<Event, Nameless> {
        let name = name_of(self.kind, text)?;
        self.known.remove(key(&name).as_str());
        Ok(Event::Delete(name))
    }

    /// The only object that there is of this kind is gone, or there never was one.
    pub(super) fn none(&mut self) -> Vec<Event> {
        self.start_listing();
        self.end_listing()
    }

    /// Takes note of an object. Whether this version of it is new.
    fn keep(&mut self, event: &Event, text: &str) -> bool {
        let key = match event {
            Event::Apply(object) => key_of(&object.metadata().namespace, &object.metadata().name, self.kind),
            Event::Undecodable(error) => key(&error.object),
            Event::Delete(_) | Event::Acl(_) => return true,
        };
        let version = Version { hash: hash_of(text), round: self.round };
        if let Some(known) = self.known.get_mut(key.as_str()) {
            return std::mem::replace(known, version).hash != version.hash;
        }
        self.known.insert(key.into(), version);
        true
    }

    fn decode(&self, text: &str) -> Result<Event, Nameless> {
        if let Ok(object) = (self.kind.decode)(text) {
            let metadata = object.metadata();
            let namespaced = self.kind.scope == Scope::Namespaced;
            if metadata.name.is_empty() || (namespaced && metadata.namespace.is_empty()) {
                return Err(Nameless);
            }
            return Ok(Event::Apply(object));
        }
        let object = name_of(self.kind, text)?;
        let error = match serde_json::from_str::<Value>(text) {
            Ok(value) => Object::decode(with_type(self.kind, value)),
            // Nested too deeply.
            Err(cause) => Err(DecodeError { remains: refusal(&object), object, cause }),
        };
        match error {
            Err(error) => Ok(Event::Undecodable(Box::new(error))),
            Ok(Some(object)) => Ok(Event::Apply(object)),
            // The table has kinds that the core knows.
            Ok(None) => Err(Nameless),
        }
    }
}

/// An object as the core decodes it: items of a list don't say of what type they are.
fn with_type(kind: &Kind, mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.name.into());
    }
    value
}

/// What a policy stands for of which nothing but the name can be read: it selects every pod of its
/// namespace.
fn refusal(object: &ObjectRef) -> Option<Box<NetworkPolicy>> {
    (object.kind == "NetworkPolicy").then(|| {
        let mut policy = NetworkPolicy {
            spec: NetworkPolicySpec {
                policy_types: vec!["Ingress".to_owned(), "Egress".to_owned()],
                ..NetworkPolicySpec::default()
            },
            ..NetworkPolicy::default()
        };
        policy.metadata.namespace.clone_from(&object.namespace);
        policy.metadata.name.clone_from(&object.name);
        Box::new(policy)
    })
}

/// The name of an object of which nothing else may be as it should.
fn name_of(kind: &Kind, text: &str) -> Result<ObjectRef, Nameless> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Name,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
        #[serde(default)]
        namespace: Option<String>,
    }
    let Named { metadata: Name { name, namespace } } = serde_json::from_str(text).map_err(|_| Nameless)?;
    let namespace = match kind.scope {
        Scope::Cluster => String::new(),
        Scope::Namespaced => namespace.filter(|namespace| !namespace.is_empty()).ok_or(Nameless)?,
    };
    if name.is_empty() { Err(Nameless) } else { Ok(ObjectRef::new(kind.name, namespace, name)) }
}

/// `namespace/name`; a slash is in neither.
fn key_of(namespace: &str, name: &str, kind: &Kind) -> String {
    match kind.scope {
        Scope::Namespaced => format!("{namespace}/{name}"),
        Scope::Cluster => format!("/{name}"),
    }
}

fn key(object: &ObjectRef) -> String {
    format!("{}/{}", object.namespace, object.name)
}

fn reference(kind: &Kind, key: &str) -> ObjectRef {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    ObjectRef::new(kind.name, namespace, name)
}

/// The hash of an object's text, without the type that events name and lists don't.
fn hash_of(text: &str) -> u64 {
    let start = text.find("\"metadata\"").unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    hasher.write(&text.as_bytes()[start..]);
    hasher.finish()
}

#[cfg(test)]
mod tests;
