//! The file in which the pushed policy survives a restart.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use ms_acl_core::lower::acl::AclDocument;

use crate::policy;
use crate::source::manifest::syntax_of;
use crate::text::Syntax;

/// A policy file. It always holds a whole document: the old one or the new one.
#[derive(Debug, Clone)]
pub(crate) struct PolicyStore {
    path: PathBuf,
}

impl PolicyStore {
    /// Opens a policy file and reads it. One that isn't there yet holds the empty document; its folder
    /// must be there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Self, Arc<AclDocument>)> {
        let failed = || format!("can't read the policy file {}", path.display());
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
                let folder = folder_of(path);
                if !fs::metadata(folder).with_context(failed)?.is_dir() {
                    bail!("can't read the policy file {}: {} is no folder", path.display(), folder.display());
                }
                return Ok((PolicyStore { path: path.to_owned() }, Arc::default()));
            }
            Err(error) => return Err(error).with_context(failed),
        };
        // A rename replaces a symlink; what it points at is meant.
        let path = fs::canonicalize(path).with_context(failed)?;
        let syntax = syntax_of(&path).unwrap_or(Syntax::Json);
        match policy::parse(syntax, &text) {
            Ok(document) => Ok((PolicyStore { path }, Arc::new(document))),
            Err(faults) => {
                let Some(first) = faults.first() else {
                    bail!("the policy file {} is invalid", path.display())
                };
                let more = match faults.len() {
                    1 => String::new(),
                    count => format!(" (and {} more faults)", count - 1),
                };
                let place = if first.path.is_empty() { "the document" } else { &first.path };
                bail!("the policy file {} is invalid: {place} {}{more}", path.display(), first.detail)
            }
        }
    }

    /// Puts a document in the place of the former one. After an error the former one is there.
    pub(crate) fn write(&self, document: &AclDocument) -> io::Result<()> {
        let text = match syntax_of(&self.path) {
            Some(Syntax::Yaml) => policy::yaml(document),
            _ => policy::json(document) + "\n",
        };
        let folder = folder_of(&self.path);
        let mut file = tempfile::Builder::new()
            .prefix(".ms-acl-policy-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"deployments":[{"name":"web","namespace":"default","rules":[]}],"defaultAction":"DENY"}"#;

    fn document() -> AclDocument {
        policy::parse(Syntax::Json, DOCUMENT.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["policy.json", "policy", "policy.yaml"] {
            let path = folder.path().join(name);
            let (store, empty) = PolicyStore::open(&path).unwrap();
            assert_eq!(*empty, AclDocument::default());
            store.write(&document()).unwrap();
            assert_eq!(*PolicyStore::open(&path).unwrap().1, document(), "{name}");
            store.write(&AclDocument::default()).unwrap();
            assert_eq!(*PolicyStore::open(&path).unwrap().1, AclDocument::default());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left behind");
    }

    #[test]
    fn a_symlink_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&real, DOCUMENT).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        PolicyStore::open(&link).unwrap().0.write(&AclDocument::default()).unwrap();
        assert!(link.is_symlink());
        assert_eq!(*PolicyStore::open(&real).unwrap().1, AclDocument::default());
    }

    #[test]
    fn what_can_not_be_read_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        let error = |path: &Path| format!("{:#}", PolicyStore::open(path).unwrap_err());
        for text in ["", "{", r#"{"deployments": 3, "x": 1}"#, "[]"] {
            fs::write(&path, text).unwrap();
            let error = error(&path);
            assert!(error.contains("policy.json") && !error.contains('\n'), "{error}");
        }
        assert!(error(folder.path()).contains("can't read"));
        assert!(error(&folder.path().join("none/policy.json")).contains("can't read"));
    }

    #[test]
    fn a_document_that_can_not_be_written_leaves_the_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let (store, _) = PolicyStore::open(&inner.join("policy.json")).unwrap();
        fs::remove_dir(&inner).unwrap();
        assert!(store.write(&document()).is_err());
    }
}
