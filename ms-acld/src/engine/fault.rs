//! Everything that is wrong now, and since when.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ms_acl_core::cluster::Cluster;
use ms_acl_core::lower::acl::{AclDocument, AclFault};
use ms_acl_core::model::{Diagnostic, Severity};
use ms_acl_core::ruleset::ObjectRef;
use serde::Serialize;

use super::status::time;
use crate::source::SourceFault;

/// Something that is wrong, or hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Fault {
    /// The object, where there is one.
    pub(crate) object: Option<String>,
    /// The file it comes from, or what else it comes from.
    pub(crate) source: String,
    /// The place in the object, as a JSON pointer.
    pub(crate) path: String,
    /// What is wrong and what follows from it.
    pub(crate) detail: String,
    /// `error` or `warning`.
    pub(crate) severity: &'static str,
}

/// A fault and when it was seen first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SeenFault {
    #[serde(flatten)]
    pub(crate) fault: Fault,
    pub(crate) since: String,
}

/// A look for faults may cost a tenth of the time: in a large cluster many events share one.
const SHARE: u32 = 10;

/// The faults that are known.
#[derive(Debug)]
pub(super) struct Faults {
    look_from: Instant,
    since: BTreeMap<Fault, String>,
    seen: Arc<[SeenFault]>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults { look_from: Instant::now(), since: BTreeMap::new(), seen: Arc::default() }
    }
}

impl Faults {
    /// The faults that there are now, or were lately.
    pub(super) fn lately(
        &mut self,
        cluster: &Cluster,
        origins: &BTreeMap<ObjectRef, Arc<str>>,
        source: &[SourceFault],
        kernel: &[SourceFault],
    ) -> Arc<[SeenFault]> {
        let started = Instant::now();
        if started >= self.look_from {
            self.update(cluster.diagnostics(), origins, source, kernel);
            self.look_from = started + started.elapsed() * SHARE;
        }
        Arc::clone(&self.seen)
    }

    /// Takes note of all faults that there are now.
    fn update(
        &mut self,
        diagnostics: Vec<Diagnostic>,
        origins: &BTreeMap<ObjectRef, Arc<str>>,
        source: &[SourceFault],
        kernel: &[SourceFault],
    ) -> Arc<[SeenFault]> {
        let objects = diagnostics
            .into_iter()
            .filter(|diagnostic| diagnostic.severity > Severity::Note)
            .map(|diagnostic| of_object(diagnostic, origins));
        let known = |fault: &SourceFault, severity| Fault {
            object: fault.object.clone(),
            source: fault.origin.clone(),
            path: String::new(),
            detail: fault.detail.clone(),
            severity,
        };
        let source = source.iter().map(|fault| known(fault, "error"));
        let kernel =
            kernel.iter().map(|fault| known(fault, if fault.object.is_some() { "error" } else { "warning" }));
        let mut before = std::mem::take(&mut self.since);
        for fault in objects.chain(source).chain(kernel) {
            let since = before.remove(&fault);
            if since.is_none() {
                log::warn!("{fault}");
            }
            let since = since.unwrap_or_else(|| time(SystemTime::now()));
            self.since.insert(fault, since);
        }
        let changed = !before.is_empty() || self.since.len() != self.seen.len();
        if changed {
            let seen = self.since.iter();
            self.seen =
                seen.map(|(fault, since)| SeenFault { fault: fault.clone(), since: since.clone() }).collect();
        }
        Arc::clone(&self.seen)
    }
}

impl fmt::Display for Fault {
    /// `web.yaml: NetworkPolicy default/web: /spec/ingress/0: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        let parts = [self.object.as_deref(), Some(self.path.as_str()).filter(|path| !path.is_empty())];
        for part in parts.into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.detail)
    }
}

fn of_object(diagnostic: Diagnostic, origins: &BTreeMap<ObjectRef, Arc<str>>) -> Fault {
    let origin = origins.get(&diagnostic.object).map_or("policy document", |origin| origin);
    Fault {
        object: Some(diagnostic.object.to_string()),
        source: origin.to_owned(),
        path: diagnostic.path,
        detail: diagnostic.detail,
        severity: if diagnostic.severity == Severity::Error { "error" } else { "warning" },
    }
}

/// What is hardly meant about the policy document, by its places.
pub(super) fn acl_warnings(cluster: &Cluster) -> Vec<AclFault> {
    let document = cluster.acl();
    let mut warnings = document.warnings().to_vec();
    for diagnostic in cluster.diagnostics() {
        if diagnostic.object.kind != AclDocument::KIND {
            continue;
        }
        let index = document.policies().iter().position(|policy| policy.object == diagnostic.object);
        let path = index.map_or_else(String::new, |index| format!("/deployments/{index}"));
        warnings.push(AclFault { path: path + &diagnostic.path, detail: diagnostic.detail });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_keeps_the_time_at_which_it_was_seen_first() {
        let mut faults = Faults::default();
        let fault = |detail: &str| SourceFault {
            object: None,
            origin: "x.yaml".to_owned(),
            detail: detail.to_owned(),
        };
        let first = faults.update(Vec::new(), &BTreeMap::new(), &[fault("a")], &[]);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = faults.update(Vec::new(), &BTreeMap::new(), &[fault("a"), fault("b")], &[]);
        assert_eq!((first.len(), second.len()), (1, 2));
        assert_eq!(first[0].since, second[0].since);
        assert_ne!(second[0].since, second[1].since);
        let third = faults.update(Vec::new(), &BTreeMap::new(), &[fault("c"), fault("b")], &[]);
        assert_eq!(third.iter().map(|seen| seen.fault.detail.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(faults.update(Vec::new(), &BTreeMap::new(), &[], &[]).len(), 0);
    }
}
