//! What the engine needs of a dataplane: the real one, and in tests a kernel that is a value.

use std::collections::BTreeMap;

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
