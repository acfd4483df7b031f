//! What the engine needs of a dataplane: the real one, and in tests a kernel that is a value.

use std::collections::BTreeMap;

use log::warn;
use ms_acl_core::diff::Transaction;
use ms_acl_core::ruleset::{Family, Rulesets, SetName};
use ms_acl_netfilter::watch::Touched;
use ms_acl_netfilter::{
    CommitError, CommitFault, CommitReport, Dataplane, ObserveError, Observed, RemoveError, RemoveReport,
};

/// What the engine needs of a dataplane.
pub(super) trait Plane: Send {
    fn families(&self) -> &[Family];
    fn observe(&mut self) -> Result<Observed, ObserveError>;
    fn glance(&mut self, held: &Rulesets, touched: &Touched) -> Result<Option<Observed>, ObserveError>;
    fn mend(&mut self) -> Result<Vec<String>, CommitFault>;
    fn commit(&mut self, transaction: &Transaction) -> Result<CommitReport, CommitError>;
    fn member_counts(&mut self) -> Result<BTreeMap<SetName, u32>, ObserveError>;
    fn remove_all(&mut self) -> Result<RemoveReport, RemoveError>;
}

impl Plane for Dataplane {
    fn families(&self) -> &[Family] {
        Dataplane::families(self)
    }

    fn observe(&mut self) -> Result<Observed, ObserveError> {
        Dataplane::observe(self)
    }

    fn glance(&mut self, held: &Rulesets, touched: &Touched) -> Result<Option<Observed>, ObserveError> {
        Dataplane::glance(self, held, touched)
    }

    fn mend(&mut self) -> Result<Vec<String>, CommitFault> {
        Dataplane::mend(self)
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<CommitReport, CommitError> {
        Dataplane::commit(self, transaction)
    }

    fn member_counts(&mut self) -> Result<BTreeMap<SetName, u32>, ObserveError> {
        Dataplane::member_counts(self)
    }

    fn remove_all(&mut self) -> Result<RemoveReport, RemoveError> {
        Dataplane::remove_all(self)
    }
}

/// Reads everything back, after putting right what no transaction can, and says what that was.
pub(super) fn look(plane: &mut dyn Plane) -> Result<(Observed, Vec<String>), ObserveError> {
    let mut done = Vec::new();
    let mut mend = |plane: &mut dyn Plane| match plane.mend() {
        Ok(mended) => done.extend(mended),
        Err(error) => warn!("can't put right what others changed: {error}"),
    };
    mend(plane);
    let mut observed = plane.observe()?;
    if observed.strange > 0 {
        // Only a look finds these.
        mend(plane);
        observed = plane.observe()?;
    }
    Ok((observed, done))
}
