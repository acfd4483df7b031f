//! The objects, their versions and what happened to them. No HTTP here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::resource::{Place, Resource};
use super::select::Select;

/// How many changes of a kind are remembered.
const REMEMBERED: usize = 100_000;
/// How many lists may be read page by page at one time.
const SNAPSHOTS: usize = 64;

/// Why a request can't be fulfilled: the status, its reason, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Refusal { code, reason, message: message.into() }
    }

    pub(super) fn gone(version: u64) -> Self {
        Refusal::new(410, "Expired", format!("too old resource version: {version}"))
    }
}

/// Everything that a server knows.
#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    kinds: Vec<KindStore>,
    snapshots: VecDeque<Snapshot>,
    next_snapshot: u64,
}

#[derive(Debug)]
struct KindStore {
    resource: Resource,
    /// By namespace and name.
    objects: BTreeMap<(String, String), Stored>,
    changes: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
}

/// A version of an object.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) text: Arc<str>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) namespace: String,
    pub(super) what: What,
    /// The object after it; for a deletion, its last version.
    pub(super) text: Arc<str>,
    /// The object before it.
    pub(super) before: Option<Arc<str>>,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Added,
    Modified,
    Deleted,
    /// Not to an object: a line that is sent as it is.
    Line,
}

/// The rest of a list that is read page by page.
#[derive(Debug)]
struct Snapshot {
    token: String,
    version: u64,
    rest: VecDeque<Arc<str>>,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) version: u64,
    pub(super) items: Vec<Arc<str>>,
    pub(super) more: Option<(String, usize)>,
}

impl Store {
    pub(super) fn new(resources: Vec<Resource>) -> Self {
        let kinds = resources.into_iter().map(KindStore::new).collect();
        // Like a cluster that has lived for a while.
        Store { version: 1000, kinds, snapshots: VecDeque::new(), next_snapshot: 1 }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.kinds.iter().map(|kind| &kind.resource)
    }

    pub(super) fn add_resource(&mut self, resource: Resource) {
        self.kinds.push(KindStore::new(resource));
    }

    /// The kind that a place is about.
    pub(super) fn find(&self, place: &Place) -> Result<usize, Refusal> {
        let fits = |kind: &KindStore| {
            let resource = &kind.resource;
            resource.group == place.group
                && resource.version == place.version
                && resource.plural == place.plural
        };
        self.kinds
            .iter()
            .position(fits)
            .ok_or_else(|| Refusal::new(404, "NotFound", "the server could not find the requested resource"))
    }

    pub(super) fn resource(&self, kind: usize) -> &Resource {
        &self.kinds[kind].resource
    }

    /// The kind of an object.
    pub(super) fn kind_of(&self, object: &Value) -> Option<usize> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        self.kinds
            .iter()
            .position(|store| store.resource.kind == kind && store.resource.api_version() == version)
    }

    pub(super) fn get(&self, kind: usize, namespace: &str, name: &str) -> Result<&Stored, Refusal> {
        let key = (namespace.to_owned(), name.to_owned());
        self.kinds[kind].objects.get(&key).ok_or_else(|| {
            let plural = &self.kinds[kind].resource.plural;
            Refusal::new(404, "NotFound", format!("{plural} \"{name}\" not found"))
        })
    }

    /// Puts an object there as it is, new or changed. The server fills in what it is known for.
    pub(super) fn put(&mut self, kind: usize, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        let store = &mut self.kinds[kind];
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (if store.resource.namespaced { text("namespace") } else { String::new() }, text("name"));
        let before = store.objects.get(&key).map(|stored| Arc::clone(&stored.text));
        let parsed: Option<Value> = before.as_deref().and_then(|text| serde_json::from_str(text).ok());
        fill_in(&mut object, &store.resource, parsed.as_ref(), version);
        let what = if before.is_some() { What::Modified } else { What::Added };
        let text: Arc<str> = object.to_string().into();
        let change = Change { version, namespace: key.0.clone(), what, text: Arc::clone(&text), before };
        store.objects.insert(key, Stored { text });
        store.remember(change);
        object
    }

    /// Puts a text there as an object, whatever it is.
    pub(super) fn put_text(&mut self, kind: usize, namespace: &str, name: &str, text: &str) {
        self.version += 1;
        let store = &mut self.kinds[kind];
        let text: Arc<str> = text.into();
        let key = (namespace.to_owned(), name.to_owned());
        let before = store.objects.insert(key, Stored { text: Arc::clone(&text) }).map(|stored| stored.text);
        let what = if before.is_some() { What::Modified } else { What::Added };
        let change = Change { version: self.version, namespace: namespace.to_owned(), what, text, before };
        store.remember(change);
    }

    /// Sends a line to the watches of a kind that is no event.
    pub(super) fn put_line(&mut self, kind: usize, line: &str) {
        self.version += 1;
        let change = Change {
            version: self.version,
            namespace: String::new(),
            what: What::Line,
            text: line.into(),
            before: None,
        };
        self.kinds[kind].remember(change);
    }

    /// Removes an object and returns its last version.
    pub(super) fn delete(&mut self, kind: usize, namespace: &str, name: &str) -> Result<Arc<str>, Refusal> {
        let before = Arc::clone(&self.get(kind, namespace, name)?.text);
        self.version += 1;
        let store = &mut self.kinds[kind];
        store.objects.remove(&(namespace.to_owned(), name.to_owned()));
        let mut text = Arc::clone(&before);
        // A deletion has a version of its own.
        if let Ok(mut last) = serde_json::from_str::<Value>(&before)
            && let Some(metadata) = last["metadata"].as_object_mut()
        {
            metadata.insert("resourceVersion".to_owned(), self.version.to_string().into());
            text = last.to_string().into();
        }
        let change = Change {
            version: self.version,
            namespace: namespace.to_owned(),
            what: What::Deleted,
            text: Arc::clone(&text),
            before: Some(before),
        };
        store.remember(change);
        Ok(text)
    }

    /// The objects of a kind, of one namespace or all, as they are now.
    pub(super) fn list(&self, kind: usize, namespace: &str, select: &Select) -> Vec<Arc<str>> {
        let all = self.kinds[kind].objects.iter();
        all.filter(|((ns, _), stored)| {
            (namespace.is_empty() || ns == namespace) && matches(select, &stored.text)
        })
        .map(|(_, stored)| Arc::clone(&stored.text))
        .collect()
    }

    /// A page of a list; `limit` 0 = all of it.
    pub(super) fn page(&mut self, items: Vec<Arc<str>>, limit: usize) -> Listed {
        self.cut(self.version, items.into(), limit)
    }

    /// The next page of a list.
    pub(super) fn next_page(&mut self, token: &str, limit: usize) -> Result<Listed, Refusal> {
        let place = self.snapshots.iter().position(|snapshot| snapshot.token == token);
        let snapshot = place
            .and_then(|place| self.snapshots.remove(place))
            .ok_or_else(|| Refusal::new(410, "Expired", "The provided continue parameter is too old"))?;
        Ok(self.cut(snapshot.version, snapshot.rest, limit))
    }

    fn cut(&mut self, version: u64, mut rest: VecDeque<Arc<str>>, limit: usize) -> Listed {
        let count = if limit == 0 { rest.len() } else { limit.min(rest.len()) };
        let items = rest.drain(..count).collect();
        let mut more = None;
        if !rest.is_empty() {
            let token = format!("page-{}", self.next_snapshot);
            self.next_snapshot += 1;
            more = Some((token.clone(), rest.len()));
            self.snapshots.push_back(Snapshot { token, version, rest });
            if self.snapshots.len() > SNAPSHOTS {
                self.snapshots.pop_front();
            }
        }
        Listed { version, items, more }
    }

    /// What happened to a kind after a version, at most `limit` changes of it.
    pub(super) fn changes(&self, kind: usize, after: u64, limit: usize) -> Result<Vec<Change>, Refusal> {
        let store = &self.kinds[kind];
        if after < store.forgotten {
            return Err(Refusal::gone(after));
        }
        let start = store.changes.partition_point(|change| change.version <= after);
        Ok(store.changes.range(start..).take(limit).cloned().collect())
    }

    /// Forgets what happened until now, and lists that are half read.
    pub(super) fn compact(&mut self) {
        for kind in &mut self.kinds {
            kind.changes.clear();
            kind.forgotten = self.version;
        }
        self.snapshots.clear();
    }
}

impl KindStore {
    fn new(resource: Resource) -> Self {
        KindStore { resource, objects: BTreeMap::new(), changes: VecDeque::new(), forgotten: 0 }
    }

    fn remember(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.version;
        }
    }
}

/// Whether an object is asked for. One that is no JSON is.
pub(super) fn matches(select: &Select, text: &str) -> bool {
    select.is_everything() || serde_json::from_str(text).map_or(true, |object| select.matches(&object))
}

/// What a server writes into an object that it stores.
fn fill_in(object: &mut Value, resource: &Resource, before: Option<&Value>, version: u64) {
    if let Some(fields) = object.as_object_mut() {
        // The type stands first, as a server writes it.
        let rest = std::mem::take(fields);
        fields.insert("apiVersion".to_owned(), resource.api_version().into());
        fields.insert("kind".to_owned(), resource.kind.as_str().into());
        fields.extend(rest.into_iter().filter(|(key, _)| key != "apiVersion" && key != "kind"));
    }
    let before_metadata = before.map_or(&Value::Null, |before| &before["metadata"]);
    let changed = before.is_some_and(|before| before["spec"] != object["spec"]);
    let generation = before_metadata["generation"].as_u64().unwrap_or(1) + u64::from(changed);
    let kept =
        |field: &str, default: String| before_metadata.get(field).cloned().unwrap_or_else(|| default.into());
    let uid = kept("uid", format!("00000000-0000-4000-8000-{version:012}"));
    // Seconds that grow with the versions: what was made later is newer.
    let (minute, second) = ((version / 60) % 60, version % 60);
    let (day, hour) = (1 + (version / 86400) % 28, (version / 3600) % 24);
    let created = kept("creationTimestamp", format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z"));
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    metadata.insert("resourceVersion".to_owned(), version.to_string().into());
    metadata.insert("generation".to_owned(), json!(generation));
    metadata.entry("uid").or_insert(uid);
    metadata.entry("creationTimestamp").or_insert(created);
}
