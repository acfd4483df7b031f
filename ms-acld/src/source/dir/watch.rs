//! What the kernel says happened in folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::walk::Identity;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

/// A series of events is over after this long without one…
const QUIET: Duration = Duration::from_millis(5);
/// …or after this long.
const LONGEST: Duration = Duration::from_millis(30);

/// What happened since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Happened {
    /// Files that were written and closed, renamed or deleted.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Those of them that were renamed or deleted.
    gone: BTreeSet<PathBuf>,
    /// Whether folders, symlinks or files came or went.
    pub(crate) structure: bool,
    /// Whether events were lost: anything may have happened.
    pub(crate) lost: bool,
}

impl Happened {
    /// It isn't known what happened.
    pub(crate) fn anything() -> Self {
        Happened { lost: true, ..Happened::default() }
    }

    fn is_nothing(&self) -> bool {
        self.files.is_empty() && !self.structure && !self.lost
    }

    fn add(&mut self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            self.lost = true;
            return;
        };
        self.lost |= event.need_rescan();
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Metadata(_)) => self.files.extend(event.paths),
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
                self.structure = true;
                self.gone.extend(event.paths.iter().cloned());
                self.files.extend(event.paths);
            }
            // A new file is read when it is closed. Links are complete at once.
            EventKind::Create(_) => {
                for path in event.paths {
                    match fs::symlink_metadata(&path) {
                        Ok(metadata) if metadata.is_file() && metadata.nlink() == 1 => {}
                        _ => {
                            self.structure = true;
                            self.files.insert(path);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Watches folders, each by itself.
pub(crate) struct FolderWatcher {
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    watched: BTreeMap<PathBuf, Identity>,
}

impl FolderWatcher {
    pub(crate) fn new() -> notify::Result<Self> {
        let (send, events) = channel();
        let watcher = notify::recommended_watcher(send)?;
        Ok(FolderWatcher { watcher, events, watched: BTreeMap::new() })
    }

    /// Watches exactly these folders from now on. Returns those that weren't watched before, and the
    /// failures.
    pub(crate) fn watch(&mut self, folders: &BTreeMap<PathBuf, Identity>) -> (Vec<PathBuf>, Vec<String>) {
        let (mut new, mut failures) = (Vec::new(), Vec::new());
        let stale = self.watched.iter().filter(|(folder, identity)| folders.get(*folder) != Some(identity));
        let stale: Vec<PathBuf> = stale.map(|(folder, _)| folder.clone()).collect();
        for folder in &stale {
            self.forget(folder);
        }
        for (folder, identity) in folders {
            if self.watched.contains_key(folder) {
                continue;
            }
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    new.push(folder.clone());
                    self.watched.insert(folder.clone(), *identity);
                }
                Err(error) => failures.push(format!("{} can't be watched: {error}", folder.display())),
            }
        }
        (new, failures)
    }

    fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder).is_some() {
            // A folder that is gone took its watch with it.
            let _ = self.watcher.unwatch(folder);
        }
    }

    /// Waits until something happens, and a little longer so that what belongs together comes together;
    /// `None` = nothing within the time. Only what `matters` counts.
    pub(crate) fn wait(&mut self, timeout: Duration, matters: impl Fn(&Path) -> bool) -> Option<Happened> {
        let mut happened = Happened::default();
        let take = |event: notify::Result<Event>, happened: &mut Happened| {
            let event = event.map(|mut event| {
                event.paths.retain(|path| matters(path));
                event
            });
            if event.as_ref().is_ok_and(|event| event.paths.is_empty() && !event.need_rescan()) {
                return;
            }
            happened.add(event);
        };
        let deadline = Instant::now() + timeout;
        while happened.is_nothing() {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => take(event, &mut happened),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
        let deadline = Instant::now() + LONGEST;
        while Instant::now() < deadline
            && let Ok(event) = self.events.recv_timeout(QUIET)
        {
            take(event, &mut happened);
        }
        // A folder that went may be followed by another one of its name: it is watched anew.
        for path in &happened.gone {
            self.forget(path);
        }
        Some(happened)
    }
}
