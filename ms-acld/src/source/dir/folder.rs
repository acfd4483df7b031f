//! What the files of a folder say, as state: contents in, events out. No file system here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;

use ms_acl_core::cluster::Event;
use ms_acl_core::object::Object;
use ms_acl_core::ruleset::ObjectRef;

use super::super::manifest::{self, Entry, Finding};
use super::super::{Batch, SourceFault, SourceState, SourcedEvent};

/// A file's path below the folder. Ordered by bytes, which decides between duplicates.
pub(crate) type FilePath = OsString;

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// It was read.
    Bytes(Vec<u8>),
    /// It is there and can't be read, for this reason.
    Unreadable(String),
    /// It is gone.
    Gone,
}

/// All files of a folder, as last read.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    files: BTreeMap<FilePath, File>,
    /// Where each object is written: the first place counts.
    places: BTreeMap<ObjectRef, BTreeMap<Place, Arc<Entry>>>,
    /// What was told of each object.
    told: BTreeMap<ObjectRef, Arc<Entry>>,
    /// Files of which there is something to say.
    remarkable: BTreeSet<FilePath>,
    /// Objects that are written twice.
    duplicated: BTreeSet<ObjectRef>,
}

/// A file and the number of an object in it.
type Place = (FilePath, usize);

#[derive(Debug, Default)]
struct File {
    /// Its last good version.
    entries: Vec<Arc<Entry>>,
    /// Whether there has been a good version.
    read: bool,
    /// Why it can't be used now.
    fault: Option<String>,
    findings: Vec<Finding>,
}

impl File {
    fn update(&mut self, path: &FilePath, content: Content) {
        let read = match content {
            Content::Bytes(bytes) => match manifest::syntax_of(path) {
                Some(syntax) => manifest::read(syntax, &bytes),
                None => return,
            },
            Content::Unreadable(why) => Err(why),
            Content::Gone => return,
        };
        match read {
            Ok(manifest) => {
                let mut entries: Vec<Arc<Entry>> = manifest.entries.into_iter().map(Arc::new).collect();
                if manifest.findings.iter().any(|finding| matches!(finding, Finding::Nameless(_))) {
                    // What is missing now may be what has lost its name: it stays.
                    let named: BTreeSet<ObjectRef> = entries.iter().map(|entry| entry.reference()).collect();
                    let lost = self.entries.drain(..).filter(|entry| !named.contains(&entry.reference()));
                    entries.extend(lost);
                    // Without a former version there is nothing that could stay.
                } else {
                    self.read = true;
                }
                self.entries = entries;
                self.findings = manifest.findings;
                self.fault = None;
            }
            Err(why) => self.fault = Some(why),
        }
    }
}

impl Folder {
    /// Takes in new contents of files, all at once, and says what that changes.
    pub(crate) fn update(&mut self, updates: Vec<(FilePath, Content)>) -> Batch {
        let inputs = updates.len() as u64;
        let mut touched = BTreeSet::new();
        let mut names: Vec<String> = Vec::new();
        for (path, content) in updates {
            names.push(path.to_string_lossy().into_owned());
            let mut file = self.files.remove(&path).unwrap_or_default();
            for entry in &file.entries {
                let name = entry.reference();
                if let Some(places) = self.places.get_mut(&name) {
                    places.retain(|(other, _), _| *other != path);
                }
                touched.insert(name);
            }
            self.remarkable.remove(&path);
            if matches!(content, Content::Gone) {
                continue;
            }
            file.update(&path, content);
            for (number, entry) in file.entries.iter().enumerate() {
                let name = entry.reference();
                let places = self.places.entry(name.clone()).or_default();
                places.insert((path.clone(), number), Arc::clone(entry));
                touched.insert(name);
            }
            if file.fault.is_some() || !file.findings.is_empty() {
                self.remarkable.insert(path.clone());
            }
            self.files.insert(path, file);
        }
        let events: Vec<SourcedEvent> = touched.into_iter().filter_map(|name| self.tell(name)).collect();
        let cause = cause(&events, &names);
        Batch { events, inputs, cause, state: self.state(), turn: None }
    }

    /// What there is to tell of an object after the places where it is written changed.
    fn tell(&mut self, name: ObjectRef) -> Option<SourcedEvent> {
        let places = self.places.get(&name);
        if places.is_some_and(|places| places.len() > 1) {
            self.duplicated.insert(name.clone());
        } else {
            self.duplicated.remove(&name);
        }
        let Some(((path, _), entry)) = places.and_then(|places| places.first_key_value()) else {
            self.places.remove(&name);
            self.told.remove(&name)?;
            return Some(SourcedEvent { event: Event::Delete(name), origin: "".into() });
        };
        if self.told.get(&name).is_some_and(|told| told == entry) {
            return None;
        }
        let event = match &**entry {
            Entry::Object(object) => Event::Apply((**object).clone()),
            Entry::Undecodable(_, value) => match Object::decode(value.clone()) {
                Err(error) => Event::Undecodable(Box::new(error)),
                Ok(object) => Event::Apply(object?),
            },
        };
        let origin = path.to_string_lossy().as_ref().into();
        self.told.insert(name, Arc::clone(entry));
        Some(SourcedEvent { event, origin })
    }

    /// The paths of all files that are known.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &FilePath> {
        self.files.keys()
    }

    /// What is wrong with the files now.
    pub(crate) fn state(&self) -> SourceState {
        let mut state = SourceState { live: true, listed: true, ..SourceState::default() };
        for (path, file) in self.remarkable() {
            let origin = path.to_string_lossy().into_owned();
            let fault = |detail: String| SourceFault { object: None, origin: origin.clone(), detail };
            let stands = if file.read || !file.entries.is_empty() {
                "its last good version stays in force"
            } else {
                "there has been no good version since the start"
            };
            if let Some(why) = &file.fault {
                state.faults.push(fault(format!("the file {why}; {stands}")));
                if file.read {
                    state.stale.push(format!("{origin}: {why}; {stands}"));
                }
            }
            for finding in &file.findings {
                match finding {
                    Finding::OtherKind(_) => {}
                    Finding::NoObject(detail) => state.faults.push(fault(detail.clone())),
                    Finding::Nameless(detail) => {
                        let detail = format!("{detail}; what this file doesn't name any more stays in force");
                        state.faults.push(fault(detail));
                    }
                }
            }
            if !file.read {
                let nameless = file.findings.iter().find_map(|finding| match finding {
                    Finding::Nameless(detail) => Some(detail),
                    _ => None,
                });
                let why = file.fault.as_ref().or(nameless).map_or("can't be used", String::as_str);
                state.unread.push(format!("{origin}: {why}"));
            }
        }
        for name in &self.duplicated {
            let Some(places) = self.places.get(name) else { continue };
            let Some((first, _)) = places.keys().next() else { continue };
            for (path, _) in places.keys().skip(1) {
                state.faults.push(SourceFault {
                    object: Some(name.to_string()),
                    origin: path.to_string_lossy().into_owned(),
                    detail: format!("is also in {}, which counts", first.to_string_lossy()),
                });
            }
        }
        state
    }

    fn remarkable(&self) -> impl Iterator<Item = (&FilePath, &File)> {
        self.remarkable.iter().filter_map(|path| self.files.get_key_value(path))
    }

    /// What is passed over without a fault, a sentence each.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.remarkable().flat_map(|(path, file)| {
            file.findings.iter().filter_map(move |finding| match finding {
                Finding::OtherKind(what) => {
                    Some(format!("{}: {what}: this kind is passed over", path.to_string_lossy()))
                }
                _ => None,
            })
        })
    }
}

/// `NetworkPolicy default/web and 2 more (web.yaml)`.
fn cause(events: &[SourcedEvent], files: &[String]) -> String {
    let more = |count: usize| if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    let file = files.first().map(String::as_str).unwrap_or_default();
    let files = format!("{file}{}", more(files.len()));
    let object = events.first().map(SourcedEvent::object);
    match object {
        Some(object) => format!("{object}{} ({files})", more(events.len())),
        None => files,
    }
}

#[cfg(test)]
mod tests;
