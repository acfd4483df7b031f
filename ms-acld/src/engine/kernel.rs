//! The kernel as the engine sees it: what it holds, and how it is brought to what is desired.

use std::time::{Instant, SystemTime};

use log::{debug, warn};
use ms_acl_core::diff::{Step, Transaction, diff};
use ms_acl_core::ruleset::{Family, Ruleset, Rulesets, SetName};
use ms_acl_netfilter::watch::{Touched, Watcher};
use ms_acl_netfilter::{
    CommitError, CommitFault, CommitReport, Dataplane, ObserveError, Observed, OpenError, Options,
    RemoveError,
};

use super::contest::{Contests, Place};
use super::desired::Desired;
use super::plane::{Plane, look};
use super::quarantine::{Parts, without};
use super::words::{describe, findings, removal_lines};
use crate::source::SourceFault;

/// What is known of what the kernel holds.
#[derive(Debug)]
enum Held {
    /// What the program said last: what it says next is the difference.
    InStep,
    /// This, as it was read back or written.
    Observed(Box<Rulesets>),
    /// Not known.
    Unknown,
}

/// The kernel.
pub(crate) struct Kernel {
    plane: Box<dyn Plane>,
    held: Held,
    /// What the kernel held at the start, where rules of a former run were in force.
    former: Option<Rulesets>,
    /// What is wrong with what others have, from the last look.
    findings: Vec<String>,
    /// What others have touched since the last look; `None` = it isn't known.
    touched: Option<Touched>,
    contests: Contests,
    /// Families whose table is dormant by somebody else's will.
    dormant: Vec<Family>,
    /// What couldn't be removed.
    kept: Vec<String>,
    /// Objects that the kernel refuses, and why.
    refused: Vec<SourceFault>,
    /// Findings and the like, as told.
    faults: Vec<SourceFault>,
    pub(super) drift_repairs: u64,
    pub(super) last_applied: Option<(SystemTime, u64)>,
}

/// What a change did.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) report: CommitReport,
    pub(super) rules_changed: bool,
    /// Whether it undid what somebody else did.
    pub(super) repaired: bool,
    pub(super) micros: u64,
}

impl Applied {
    /// Whether there was nothing to do.
    pub(super) fn is_nothing(&self) -> bool {
        let kept = self.report.kept.clone();
        self.report == CommitReport { kept, ..CommitReport::default() }
    }
}

/// Why a change didn't come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the kernel can't be read: {0}")]
    Observe(#[from] ObserveError),
    #[error("the kernel refused: {0}")]
    Commit(#[from] CommitError),
}

impl Kernel {
    /// Opens the kernel's tables of this network namespace and reads what of them is ours. From then on
    /// the watcher hears what others change of it.
    pub(crate) fn open(options: Options) -> anyhow::Result<(Self, Watcher, Vec<String>)> {
        let dataplane = Dataplane::open(options).map_err(|error| match error {
            OpenError::NotPermitted => {
                anyhow::anyhow!("{error} (run as root, or with the capability NET_ADMIN)")
            }
            error => error.into(),
        })?;
        let watcher = Watcher::open(dataplane.port())?;
        let preflight = dataplane.faults().to_vec();
        Ok((Kernel::of(Box::new(dataplane))?, watcher, preflight))
    }

    pub(super) fn of(mut plane: Box<dyn Plane>) -> Result<Self, ObserveError> {
        let (observed, mended) = look(&mut *plane)?;
        for what in mended {
            warn!("put right at the start: {what}");
        }
        let graphs = [&observed.rulesets.v4, &observed.rulesets.v6];
        let in_force = graphs.iter().any(|graph| !graph.hooks.is_empty());
        let former = in_force.then(|| observed.rulesets.clone());
        let mut kernel = Kernel {
            plane,
            held: Held::Unknown,
            former,
            findings: Vec::new(),
            touched: Some(Touched::default()),
            contests: Contests::default(),
            dormant: Vec::new(),
            kept: Vec::new(),
            refused: Vec::new(),
            faults: Vec::new(),
            drift_repairs: 0,
            last_applied: None,
        };
        // Nothing is desired yet, so no place is left to anybody.
        let rulesets = kernel.note(observed, &Rulesets::empty());
        kernel.held = Held::Observed(Box::new(rulesets));
        Ok(kernel)
    }

    /// What the kernel held at the start, where rules of a former run were in force.
    pub(super) fn former(&self) -> Option<&Rulesets> {
        self.former.as_ref()
    }

    /// Brings the kernel to what is desired.
    pub(super) fn apply(&mut self, desired: &mut Desired) -> Result<Applied, Refused> {
        let started = Instant::now();
        let transaction = match desired.take().filter(|_| matches!(self.held, Held::InStep)) {
            Some(transaction) => transaction,
            None => self.difference(desired)?,
        };
        self.carry_out(desired, &transaction, started)
    }

    /// Carries out a transaction, or as much of what is desired as can be had.
    fn carry_out(
        &mut self,
        desired: &Desired,
        transaction: &Transaction,
        started: Instant,
    ) -> Result<Applied, Refused> {
        let error = match self.bring(desired, transaction, started) {
            // Somebody else was faster: what is there now is read, and that is the end of it.
            Err(error) if matches!(*error.fault, CommitFault::Stale { .. }) => {
                warn!("what is ours in the kernel was changed by somebody else: {error}");
                self.drift_repairs += 1;
                let transaction = self.difference(desired)?;
                match self.bring(desired, &transaction, started) {
                    Err(error) => error,
                    Ok(applied) => return Ok(applied),
                }
            }
            Err(error) => error,
            Ok(applied) => return Ok(applied),
        };
        self.apply_rest(desired, &error, started);
        Err(error.into())
    }

    /// Commits a transaction after which the kernel holds what is desired.
    fn bring(
        &mut self,
        desired: &Desired,
        transaction: &Transaction,
        started: Instant,
    ) -> Result<Applied, CommitError> {
        let applied = self.commit(transaction, started)?;
        self.held = match desired {
            Desired::Program(_) => Held::InStep,
            _ => Held::Observed(Box::new(self.restrict(desired))),
        };
        Ok(applied)
    }

    /// Programs what doesn't need what the kernel refuses.
    fn apply_rest(&mut self, wanted: &Desired, error: &CommitError, started: Instant) {
        let mut parts = Parts::default();
        let mut more = parts.add(&error.fault);
        let why = error.to_string();
        while more {
            let desired = self.restrict(wanted);
            let Ok(held) = self.observe(&desired) else { return };
            let rest = diff(&held, &without(&desired, &held, &parts));
            let outcome = self.commit(&rest, started);
            more = outcome.is_err_and(|error| parts.add(&error.fault));
        }
        let objects = wanted.rulesets().map(|graphs| parts.objects(graphs)).unwrap_or_default();
        self.refused = objects
            .into_iter()
            .map(|object| SourceFault {
                object: Some(object.to_string()),
                origin: "kernel".to_owned(),
                detail: format!("its rules stay as they were, the kernel refuses the new ones: {why}"),
            })
            .collect();
        self.update_faults();
    }

    /// Looks at what others touched, or at everything, and undoes what they did. There must be nothing that is
    /// desired and that wasn't applied.
    pub(super) fn repair(&mut self, desired: &mut Desired, everything: bool) -> Result<Applied, Refused> {
        let started = Instant::now();
        desired.take();
        let repairs = self.drift_repairs;
        let glanced = if everything { None } else { self.glance(desired)? };
        let transaction = if let Some(transaction) = glanced {
            transaction
        } else {
            self.held = Held::Unknown;
            self.kept.clear();
            self.difference(desired)?
        };
        if transaction.steps.iter().any(|step| !matches!(step, Step::DeleteChains(_) | Step::DeleteSets(_))) {
            warn!("what is ours in the kernel was changed by somebody else: {}", describe(&transaction));
            self.drift_repairs += 1;
        }
        let repaired = self.drift_repairs > repairs;
        let applied = self.carry_out(desired, &transaction, started)?;
        Ok(Applied { repaired, ..applied })
    }

    /// What of the kernel is ours now, for somebody who wants to see it. Jumps whose place is left to others for
    /// now count as in place.
    pub(super) fn read_back(&mut self, wanted: &Desired) -> Result<Rulesets, ObserveError> {
        match self.plane.observe() {
            Ok(mut observed) => {
                let left: Vec<Place> = self.contests.waiting().collect();
                leave(&left, &self.restrict(wanted), &mut observed.rulesets);
                Ok(observed.rulesets)
            }
            Err(error) => {
                // Half of it has been read.
                self.held = Held::Unknown;
                self.touched = None;
                Err(error)
            }
        }
    }

    /// The families that are enforced.
    pub(super) fn families(&self) -> &[Family] {
        self.plane.families()
    }

    /// Somebody else touched something of ours; `None` = it isn't known what.
    pub(super) fn touched(&mut self, more: Option<Touched>) {
        self.touched = match (self.touched.take(), more) {
            (Some(mut touched), Some(more)) => {
                touched.merge(more);
                Some(touched)
            }
            _ => None,
        };
    }

    /// When a place that was left to others has to be looked at again.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.contests.look_at()
    }

    /// What is to be done about what others touched, if no more has to be read to tell.
    fn glance(&mut self, wanted: &Desired) -> Result<Option<Transaction>, ObserveError> {
        let Some(mut touched) = self.touched.take().filter(|_| !matches!(self.held, Held::Unknown)) else {
            return Ok(None);
        };
        touched.hooks.extend(self.contests.waiting());
        // The kernel has been brought there, and nothing else is desired since.
        let desired = self.restrict(wanted);
        // If it fails, nothing is known.
        let Some(mut observed) = self.plane.glance(&desired, &touched)? else { return Ok(None) };
        self.touched = Some(Touched::default());
        let left =
            self.contests.found(Instant::now(), &observed.contested, |place| touched.hooks.contains(place));
        leave(&left, &desired, &mut observed.rulesets);
        self.update_faults();
        Ok(Some(diff(&observed.rulesets, &desired)))
    }

    /// What is to be done so that the kernel holds what is desired.
    fn difference(&mut self, wanted: &Desired) -> Result<Transaction, ObserveError> {
        let desired = self.restrict(wanted);
        let held = match std::mem::replace(&mut self.held, Held::Unknown) {
            Held::Observed(held) => *held,
            Held::InStep | Held::Unknown => self.observe(&desired)?,
        };
        Ok(diff(&held, &desired))
    }

    /// Reads everything back, after putting right what no transaction can.
    fn observe(&mut self, desired: &Rulesets) -> Result<Rulesets, ObserveError> {
        // What others touch from now on is told again.
        self.touched = Some(Touched::default());
        let (observed, mended) = look(&mut *self.plane).inspect_err(|_| self.touched = None)?;
        for what in mended {
            warn!("what is ours in the kernel was changed by somebody else: {what}");
            self.drift_repairs += 1;
        }
        Ok(self.note(observed, desired))
    }

    /// Commits a transaction. What the kernel holds then is for the caller to say.
    fn commit(&mut self, transaction: &Transaction, started: Instant) -> Result<Applied, CommitError> {
        self.held = Held::Unknown;
        let report = match self.plane.commit(transaction) {
            Ok(report) => report,
            Err(error) => {
                self.remove_members(transaction, error.step);
                return Err(error);
            }
        };
        self.refused.clear();
        self.kept
            .extend(report.kept.iter().map(|kept| format!("{} can't be removed: {}", kept.what, kept.why)));
        self.update_faults();
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        if !transaction.is_empty() {
            self.last_applied = Some((SystemTime::now(), micros));
        }
        let rules_changed =
            transaction.steps.iter().any(|step| matches!(step, Step::Rules(_) | Step::DeleteChains(_)));
        Ok(Applied { report, rules_changed, repaired: false, micros })
    }

    /// Members that go don't wait for rules that fail: their addresses may belong to others by now.
    fn remove_members(&mut self, transaction: &Transaction, from: usize) {
        let removals = transaction.steps.iter().skip(from + 1);
        let steps: Vec<Step> =
            removals.filter(|step| matches!(step, Step::RemoveMembers(..))).cloned().collect();
        if !steps.is_empty()
            && let Err(error) = self.plane.commit(&Transaction { steps })
        {
            debug!("members that go can't be removed now: {error}");
        }
    }

    /// The desired graphs without the families that can't be enforced.
    fn restrict(&self, desired: &Desired) -> Rulesets {
        let mut desired = desired.rulesets().cloned().unwrap_or_else(Rulesets::empty);
        for family in Family::BOTH {
            if !self.plane.families().contains(&family) {
                *desired.family_mut(family) = Ruleset::new(family);
            }
        }
        desired
    }

    /// The first set whose number of members isn't the desired one.
    pub(super) fn counts_differ(&mut self, desired: &Rulesets) -> Result<Option<SetName>, ObserveError> {
        // A contest ends when nobody has started it again for a while.
        self.update_faults();
        if matches!(self.held, Held::Unknown) {
            return Ok(None);
        }
        let counts = self.plane.member_counts()?;
        let families = Family::BOTH.into_iter().filter(|family| self.plane.families().contains(family));
        let mut sets = families.flat_map(|family| &desired.family(family).sets);
        let differs = sets.find(|(name, set)| {
            counts.get(*name).and_then(|count| usize::try_from(*count).ok()) != Some(set.members.len())
        });
        Ok(differs.map(|(name, _)| name.clone()))
    }

    /// Takes everything of ours away. Returns what was done, a sentence each.
    pub(super) fn remove_all(&mut self) -> Result<Vec<String>, RemoveError> {
        self.held = Held::Unknown;
        Ok(removal_lines(&self.plane.remove_all()?))
    }

    /// What is wrong with what is in the kernel.
    pub(super) fn faults(&self) -> &[SourceFault] {
        &self.faults
    }

    /// Whether what the kernel holds is in force: it judges packets, and no others before it.
    pub(super) fn is_in_force(&self) -> bool {
        self.dormant.is_empty() && self.contests.sentences(Instant::now()).is_empty()
    }

    fn note(&mut self, mut observed: Observed, desired: &Rulesets) -> Rulesets {
        self.findings = findings(&observed);
        self.dormant = observed.dormant;
        let left = self.contests.found(Instant::now(), &observed.contested, |_| true);
        leave(&left, desired, &mut observed.rulesets);
        self.update_faults();
        observed.rulesets
    }

    fn update_faults(&mut self) {
        let contests = self.contests.sentences(Instant::now());
        let plain = self.findings.iter().chain(&self.kept).chain(&contests);
        let plain = plain.map(|detail| SourceFault {
            object: None,
            origin: "kernel".to_owned(),
            detail: detail.clone(),
        });
        self.faults = plain.chain(self.refused.iter().cloned()).collect();
    }
}

/// Takes jumps for well placed that are left where they are for now.
fn leave(places: &[Place], desired: &Rulesets, held: &mut Rulesets) {
    for (family, hook) in places {
        if let Some(chain) = desired.family(*family).hooks.get(hook) {
            held.family_mut(*family).hooks.insert(*hook, chain.clone());
        }
    }
}
