//! Files → the cluster that they describe, for every offline command. Faults are told on the error output.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Severity;
use ms_acl_core::object::{NetworkPolicy, Object};

use crate::policy;
use crate::source::dir::read_once;
use crate::source::manifest::syntax_of;
use crate::text::Syntax;

/// What the files say.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The cluster.
    pub(super) cluster: Cluster,
    /// Its NetworkPolicies as they were written.
    pub(super) policies: Vec<NetworkPolicy>,
    /// Whether everything that was given could be used; if not, it has been told what couldn't.
    pub(super) whole: bool,
}

/// Reads files and folders of manifests, and an ACL policy document.
pub(super) fn load(files: &[PathBuf], policy: Option<&Path>) -> anyhow::Result<Loaded> {
    let (folder, batch) = read_once(files)?;
    let mut loaded = Loaded { whole: batch.state.faults.is_empty(), ..Loaded::default() };
    for fault in &batch.state.faults {
        let object = fault.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
        eprintln!("error: {}: {object}{}", fault.origin, fault.detail);
    }
    for note in folder.notes() {
        eprintln!("note: {note}");
    }
    let cluster = &mut loaded.cluster;
    for sourced in batch.events {
        match sourced.event {
            Event::Apply(object) => {
                if let Object::NetworkPolicy(policy) = &object {
                    loaded.policies.push(policy.clone());
                }
                cluster.apply(object);
            }
            Event::Undecodable(error) => cluster.apply_undecodable(&error),
            Event::Delete(object) => cluster.delete(&object),
            Event::Acl(document) => cluster.set_acl(document),
        }
    }
    if let Some(path) = policy {
        let text = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        match policy::parse(syntax_of(path).unwrap_or(Syntax::Json), &text) {
            Ok(document) => cluster.set_acl(document.into()),
            Err(faults) => {
                loaded.whole = false;
                for fault in faults {
                    eprintln!("error: {}: {}: {}", path.display(), fault.path, fault.detail);
                }
            }
        }
    }
    Ok(loaded)
}

impl Loaded {
    /// Tells what is wrong with the objects. `false` = some of it is an error.
    pub(super) fn tell_diagnostics(&self) -> bool {
        let mut valid = true;
        for diagnostic in self.cluster.diagnostics() {
            valid &= diagnostic.severity != Severity::Error;
            eprintln!("{diagnostic}");
        }
        for warning in AclDocument::warnings(self.cluster.acl()) {
            eprintln!("warning: {}: {}", warning.path, warning.detail);
        }
        valid
    }
}
