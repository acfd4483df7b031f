//! A folder of manifests is the cluster, watched for changes.

mod folder;
mod walk;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use log::info;

use super::{Batch, SourceFault, SourceState};
use crate::text::{MAX_BYTES, too_large};
pub(crate) use folder::{Content, FilePath, Folder};
use walk::{Stamp, Walk};
use watch::{FolderWatcher, Happened};

/// How long nothing has to happen before a folder is looked at that can't be watched, or is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long nothing may happen at all.
const IDLE: Duration = Duration::from_hours(1);

/// A folder that is watched.
pub(crate) struct DirSource {
    root: PathBuf,
    folder: Folder,
    watcher: FolderWatcher,
    /// Which version of which file each path was when it was read.
    stamps: BTreeMap<FilePath, Option<Stamp>>,
    /// Where each folder really was.
    folders: BTreeMap<FilePath, PathBuf>,
    /// The real folders whose events are about manifests.
    relevant: BTreeSet<PathBuf>,
    /// What is wrong with the folder itself, or with folders in it.
    faults: Vec<SourceFault>,
    told: SourceState,
    noted: BTreeSet<String>,
    /// Real folders that are watched since the last look only.
    new: BTreeSet<PathBuf>,
    /// Whether some folder can't be watched, so that it has to be looked at.
    blind: bool,
}

impl DirSource {
    /// Reads a folder for the first time. It must be there.
    pub(crate) fn open(root: &Path) -> anyhow::Result<(Self, Batch)> {
        let root = std::path::absolute(root).context("can't tell where the folder is")?;
        let watcher = FolderWatcher::new().context("can't watch folders")?;
        let mut source = DirSource {
            root,
            folder: Folder::default(),
            watcher,
            stamps: BTreeMap::new(),
            folders: BTreeMap::new(),
            relevant: BTreeSet::new(),
            faults: Vec::new(),
            told: SourceState::default(),
            noted: BTreeSet::new(),
            new: BTreeSet::new(),
            blind: false,
        };
        let walk = source
            .walk()
            .with_context(|| format!("can't read the folder {} of --source", source.root.display()))?;
        let everything = Happened::anything();
        let batch = source.take(&walk, &everything);
        Ok((source, batch))
    }

    /// Watches the folder until `send` says that nobody listens any more.
    pub(crate) fn run(mut self, mut send: impl FnMut(Batch) -> bool) {
        loop {
            let timeout = if self.blind || self.folders.is_empty() { LOOK_AGAIN } else { IDLE };
            let parent = self.root.parent().and_then(|parent| parent.canonicalize().ok());
            let name = self.root.file_name().map(OsStr::to_owned);
            let matters = |path: &Path| {
                path.parent().is_some_and(|parent| self.relevant.contains(parent))
                    || self.relevant.contains(path)
                    || (path.parent() == parent.as_deref() && path.file_name() == name.as_deref())
            };
            let happened = self.watcher.wait(timeout, matters);
            let happened = happened.unwrap_or_else(Happened::anything);
            let before = self.told.clone();
            let batch = self.look(&happened);
            if (batch.inputs > 0 || batch.state != before) && !send(batch) {
                return;
            }
        }
    }

    /// Looks at the folder after something happened in it.
    fn look(&mut self, happened: &Happened) -> Batch {
        match self.walk() {
            Ok(walk) => self.take(&walk, happened),
            Err(error) => {
                self.folders.clear();
                self.watcher.watch(&BTreeMap::new());
                let detail = format!("the folder can't be read: {error}; its last state stays in force");
                let origin = self.root.display().to_string();
                self.faults = vec![SourceFault { object: None, origin, detail }];
                self.tell(Vec::new())
            }
        }
    }

    /// Walks through the folder with all of its folders watched.
    fn walk(&mut self) -> io::Result<Walk> {
        loop {
            let mut walk = Walk::of(&self.root)?;
            let relevant = walk.watched.keys().cloned().collect();
            // The root itself may be replaced by another folder.
            if let Some(parent) = self.root.parent().and_then(|parent| parent.canonicalize().ok()) {
                walk.watch(&parent)?;
            }
            let (new, failures) = self.watcher.watch(&walk.watched);
            self.relevant = relevant;
            self.blind = !failures.is_empty();
            self.faults = failures
                .into_iter()
                .map(|detail| SourceFault { object: None, origin: self.root.display().to_string(), detail })
                .collect();
            // What came into a folder before it was watched is seen by another walk.
            if new.is_empty() {
                return Ok(walk);
            }
            self.new.extend(new);
        }
    }

    /// Reads what may have changed.
    fn take(&mut self, walk: &Walk, happened: &Happened) -> Batch {
        let mut updates = Vec::new();
        let known: Vec<FilePath> = self.folder.paths().cloned().collect();
        for path in known {
            if !walk.files.contains_key(&path) && !walk.is_hidden(&path) {
                self.stamps.remove(&path);
                updates.push((path, Content::Gone));
            }
        }
        for (path, found) in &walk.files {
            let known = self.stamps.get(path);
            let identity = |stamp: Option<Stamp>| stamp.map(|stamp| stamp.identity);
            let moved = known.is_some_and(|known| identity(*known) != identity(found.stamp));
            let lost = happened.lost
                && (known != Some(&found.stamp) || found.stamp.is_some_and(|stamp| stamp.is_fresh()));
            let named = [Some(&found.place), found.behind.as_ref()].into_iter().flatten();
            let named = named.into_iter().any(|name| happened.files.contains(name));
            let parent = Path::new(path).parent().map(Path::as_os_str).unwrap_or_default();
            let new_folder = self.folders.get(parent) != walk.folders.get(parent);
            let unheard = found.place.parent().is_some_and(|folder| self.new.contains(folder));
            if lost || named || moved || new_folder || unheard {
                self.stamps.insert(path.clone(), found.stamp);
                updates.push((path.clone(), read(&found.place)));
            }
        }
        self.folders.clone_from(&walk.folders);
        self.new.clear();
        for (path, why) in &walk.unreadable {
            let origin = path.to_string_lossy().into_owned();
            let detail = format!("the folder can't be read: {why}; what was in it stays in force");
            self.faults.push(SourceFault { object: None, origin, detail });
        }
        self.tell(updates)
    }

    fn tell(&mut self, updates: Vec<(FilePath, Content)>) -> Batch {
        let mut batch = self.folder.update(updates);
        batch.state.faults.extend(self.faults.iter().cloned());
        batch.state.live = !self.blind && !self.folders.is_empty();
        for note in self.folder.notes() {
            if self.noted.insert(note.clone()) {
                info!("{note}");
            }
        }
        self.told = batch.state.clone();
        batch
    }
}

/// Reads files and folders once, for the offline commands. Files are named as they were given.
pub(crate) fn read_once(paths: &[PathBuf]) -> anyhow::Result<(Folder, Batch)> {
    let mut folder = Folder::default();
    let mut updates = Vec::new();
    for path in paths {
        let failed = || format!("can't read {}", path.display());
        if std::fs::metadata(path).with_context(failed)?.is_dir() {
            let walk = Walk::of(path).with_context(failed)?;
            for (name, found) in &walk.files {
                updates.push((path.join(name).into_os_string(), read(&found.place)));
            }
        } else {
            updates.push((path.clone().into_os_string(), read(path)));
        }
    }
    let batch = folder.update(updates);
    Ok((folder, batch))
}

fn read(path: &Path) -> Content {
    let content = || -> io::Result<Content> {
        // Opening a pipe would wait for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Ok(Content::Unreadable("is no regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_BYTES {
            return Ok(Content::Unreadable(too_large(MAX_BYTES)));
        }
        Ok(Content::Bytes(bytes))
    };
    match content() {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Content::Gone,
        Err(error) => Content::Unreadable(format!("can't be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
