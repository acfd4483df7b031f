//! Which files a folder has: recursive, symlinks followed, dot names passed over.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::manifest::syntax_of;
use super::folder::FilePath;

/// Which file it is, whatever its name: device and inode.
pub(crate) type Identity = (u64, u64);

/// A version of a file, as far as can be told without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) identity: Identity,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            identity: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it may have changed since without another stamp: clocks of file systems are coarse.
    pub(crate) fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(self.changed.0).is_ok_and(|changed| changed + 2 >= now.as_secs())
    }
}

/// What there is in a folder.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The manifests.
    pub(crate) files: BTreeMap<FilePath, Found>,
    /// The folders, by their path below the root (the root: empty), and where they really are.
    pub(crate) folders: BTreeMap<FilePath, PathBuf>,
    /// Real folders in which something can happen that matters, and which they are.
    pub(crate) watched: BTreeMap<PathBuf, Identity>,
    /// Folders that can't be read, and why: what is in them isn't known.
    pub(crate) unreadable: BTreeMap<FilePath, String>,
}

/// A manifest.
#[derive(Debug)]
pub(crate) struct Found {
    /// `None` = a symlink that leads nowhere.
    pub(crate) stamp: Option<Stamp>,
    /// Its path, the folder's part of it real.
    pub(crate) place: PathBuf,
    /// The file behind it, if it is a symlink.
    pub(crate) behind: Option<PathBuf>,
}

impl Walk {
    /// Walks through a folder. The error is about the root itself.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let mut walk = Walk::default();
        let real = fs::canonicalize(root)?;
        if !fs::metadata(&real)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        walk.folder(OsString::new(), real, &mut Vec::new())?;
        Ok(walk)
    }

    /// Whether a path lies below a folder that can't be read.
    pub(crate) fn is_hidden(&self, path: &OsStr) -> bool {
        let path = path.as_bytes();
        self.unreadable
            .keys()
            .any(|folder| path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")))
    }

    /// `above` = the real folders that lead here, against symlinks in circles.
    fn folder(&mut self, path: FilePath, real: PathBuf, above: &mut Vec<PathBuf>) -> io::Result<()> {
        let entries = fs::read_dir(&real)?;
        self.watch(&real)?;
        above.push(real.clone());
        for entry in entries {
            let name = entry?.file_name();
            if !name.as_bytes().starts_with(b".") {
                self.entry(join(&path, &name), real.join(&name), above);
            }
        }
        above.pop();
        self.folders.insert(path, real);
        Ok(())
    }

    pub(crate) fn watch(&mut self, folder: &Path) -> io::Result<()> {
        let metadata = fs::metadata(folder)?;
        self.watched.insert(folder.to_owned(), (metadata.dev(), metadata.ino()));
        Ok(())
    }

    fn entry(&mut self, path: FilePath, place: PathBuf, above: &mut Vec<PathBuf>) {
        match fs::metadata(&place) {
            Ok(metadata) if metadata.is_dir() => {
                let real = fs::canonicalize(&place);
                if real.as_ref().is_ok_and(|real| above.contains(real)) {
                    return;
                }
                if let Err(error) = real.and_then(|real| self.folder(path.clone(), real, above)) {
                    self.unreadable.insert(path, error.to_string());
                }
            }
            metadata => self.file(path, place, metadata.ok().as_ref()),
        }
    }

    fn file(&mut self, path: FilePath, place: PathBuf, metadata: Option<&Metadata>) {
        if syntax_of(&path).is_none() {
            return;
        }
        let symlink = place.is_symlink();
        let stamp = metadata.map(Stamp::of);
        // Gone between the listing and now: it isn't there.
        if stamp.is_none() && !symlink {
            return;
        }
        let behind = symlink.then(|| fs::canonicalize(&place).ok()).flatten();
        // The file behind a symlink changes in its own folder. If that is gone by now, so is the file.
        if let Some(folder) = behind.as_ref().and_then(|file| file.parent()) {
            let _ = self.watch(folder);
        }
        self.files.insert(path, Found { stamp, place, behind });
    }
}

fn join(folder: &OsStr, name: &OsStr) -> FilePath {
    let mut path = folder.to_owned();
    if !path.is_empty() {
        path.push("/");
    }
    path.push(name);
    path
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn files(root: &Path) -> Vec<String> {
        let walk = Walk::of(root).unwrap();
        walk.files.keys().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn manifests_are_found_in_all_folders_and_dot_names_are_not() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["a/b", ".git", "..data_1"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["x.yaml", "a/y.yml", "a/b/z.json", "a.txt", ".x.yaml", ".git/c.yaml", "..data_1/d.yaml"]
        {
            fs::write(root.path().join(file), "").unwrap();
        }
        symlink("..data_1", root.path().join("..data")).unwrap();
        symlink("..data/d.yaml", root.path().join("d.yaml")).unwrap();
        symlink("nowhere", root.path().join("n.yaml")).unwrap();
        assert_eq!(files(root.path()), ["a/b/z.json", "a/y.yml", "d.yaml", "n.yaml", "x.yaml"]);
    }

    #[test]
    fn symlinks_to_folders_are_followed_but_not_in_circles() {
        let root = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("x.yaml"), "").unwrap();
        symlink(other.path(), root.path().join("other")).unwrap();
        symlink(root.path(), root.path().join("self")).unwrap();
        assert_eq!(files(root.path()), ["other/x.yaml"]);
    }

    #[test]
    fn a_root_that_is_no_folder_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        assert!(Walk::of(&root.path().join("none")).is_err());
        fs::write(root.path().join("file"), "").unwrap();
        assert!(Walk::of(&root.path().join("file")).is_err());
    }

    #[test]
    fn only_what_is_below_an_unreadable_folder_is_hidden() {
        let mut walk = Walk::default();
        walk.unreadable.insert("a/b".into(), "why".into());
        assert!(walk.is_hidden("a/b/c.yaml".as_ref()));
        assert!(!walk.is_hidden("a/bc.yaml".as_ref()) && !walk.is_hidden("a/b".as_ref()));
    }
}
