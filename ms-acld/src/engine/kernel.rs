//! The kernel as the engine sees it: what it holds, and how it is brought to what is desired.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use log::{debug, warn};
use ms_acl_core::diff::{RuleStep, Step, Transaction, diff};
use ms_acl_core::ruleset::{Family, Ruleset, Rulesets, SetName};
use ms_acl_netfilter::watch::Watcher;
use ms_acl_netfilter::{
    CommitError, CommitFault, CommitReport, Dataplane, ObserveError, Observed, OpenError, Options,
    RemoveError, RemoveReport,
};

use super::desired::Desired;
use super::quarantine::{Parts, without};
use crate::source::SourceFault;

/// A jump that had to be put back this often within [`CONTEST_TIME`] is contested.
const CONTEST_REPAIRS: usize = 3;
const CONTEST_TIME: Duration = Duration::from_secs(10);

/// What the engine needs of a dataplane.
pub(super) trait Plane: Send {
    fn families(&self) -> &[Family];
    fn observe(&mut self) -> Result<Observed, ObserveError>;
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
    /// Whether rules of others stood before our jump at the last look.
    found_contest: bool,
    /// What couldn't be removed.
    kept: Vec<String>,
    /// Objects that the kernel refuses, and why.
    refused: Vec<SourceFault>,
    /// Findings and the like, as told.
    faults: Vec<SourceFault>,
    hook_repairs: VecDeque<Instant>,
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
        let observed = plane.observe()?;
        let graphs = [&observed.rulesets.v4, &observed.rulesets.v6];
        let in_force = graphs.iter().any(|graph| !graph.hooks.is_empty());
        let former = in_force.then(|| observed.rulesets.clone());
        let mut kernel = Kernel {
            plane,
            held: Held::Unknown,
            former,
            findings: Vec::new(),
            found_contest: false,
            kept: Vec::new(),
            refused: Vec::new(),
            faults: Vec::new(),
            hook_repairs: VecDeque::new(),
            drift_repairs: 0,
            last_applied: None,
        };
        let rulesets = kernel.note(observed);
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
        let error = match self.bring(desired, &transaction, started) {
            // Somebody else was faster: what is there now is read, and that is the end of it.
            Err(error) if matches!(*error.fault, CommitFault::Stale { .. }) => {
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
            let Ok(observed) = self.plane.observe() else { return };
            let held = self.note(observed);
            let desired = self.restrict(wanted);
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

    /// Reads the kernel back and undoes what others did to it.
    pub(super) fn repair(&mut self, desired: &mut Desired) -> Result<Applied, Refused> {
        let started = Instant::now();
        self.held = Held::Unknown;
        desired.take();
        let transaction = self.difference(desired)?;
        self.kept.clear();
        let repaired =
            transaction.steps.iter().any(|step| !matches!(step, Step::DeleteChains(_) | Step::DeleteSets(_)));
        if repaired {
            warn!("what is ours in the kernel was changed by somebody else: {}", describe(&transaction));
            self.drift_repairs += 1;
            if self.found_contest {
                self.hook_repairs.push_back(started);
            }
        }
        let applied = self.bring(desired, &transaction, started)?;
        Ok(Applied { repaired, ..applied })
    }

    /// What is to be done so that the kernel holds what is desired.
    fn difference(&mut self, desired: &Desired) -> Result<Transaction, ObserveError> {
        let held = match std::mem::replace(&mut self.held, Held::Unknown) {
            Held::Observed(held) => *held,
            Held::InStep | Held::Unknown => {
                let observed = self.plane.observe()?;
                self.note(observed)
            }
        };
        Ok(diff(&held, &self.restrict(desired)))
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

    /// Whether rules of others stood before our jump at the last look.
    pub(super) fn found_contest(&self) -> bool {
        self.found_contest
    }

    /// Whether somebody else keeps taking our jump's place.
    pub(super) fn is_contested(&self) -> bool {
        let recent = self.hook_repairs.iter().filter(|repair| repair.elapsed() < CONTEST_TIME);
        recent.count() >= CONTEST_REPAIRS
    }

    fn note(&mut self, observed: Observed) -> Rulesets {
        self.findings = observed
            .foreign
            .iter()
            .map(|foreign| format!("{} isn't ours and is left alone: {}", foreign.what, foreign.why))
            .collect();
        self.found_contest = !observed.contested.is_empty();
        self.update_faults();
        observed.rulesets
    }

    fn update_faults(&mut self) {
        self.hook_repairs.retain(|repair| repair.elapsed() < CONTEST_TIME);
        let contest = "somebody else keeps taking the place of our jump in a base chain".to_owned();
        let contest = self.is_contested().then_some(&contest);
        let plain = self.findings.iter().chain(&self.kept).chain(contest);
        let plain = plain.map(|detail| SourceFault {
            object: None,
            origin: "kernel".to_owned(),
            detail: detail.clone(),
        });
        self.faults = plain.chain(self.refused.iter().cloned()).collect();
    }
}

/// A removal in sentences.
pub(crate) fn removal_lines(report: &RemoveReport) -> Vec<String> {
    let places = match (report.base_chains, report.tables) {
        (0, 0) => String::new(),
        (chains, tables) => {
            format!(", and what was made for them: {chains} base chains and {tables} tables")
        }
    };
    let removed =
        format!("removed {} jumps, {} chains and {} sets{places}", report.jumps, report.chains, report.sets);
    let kept = report.kept.iter().map(|kept| format!("kept {}: {}", kept.what, kept.why));
    std::iter::once(removed).chain(kept).collect()
}

/// What a repair touches: `the jump in FORWARD, the chain MS-EGRESS, … (5 in all)`.
fn describe(transaction: &Transaction) -> String {
    let mut touched: Vec<String> = Vec::new();
    for step in &transaction.steps {
        match step {
            Step::Rules(steps) => touched.extend(steps.iter().map(|step| match step {
                RuleStep::CreateChain(family, name, _) => format!("the {family} chain {name} is gone"),
                RuleStep::Edit(edit) => format!("rules of the {} chain {}", edit.family, edit.chain),
                RuleStep::Hook(family, hook, _) | RuleStep::Unhook(family, hook) => {
                    format!("the jump in {family} {}", hook.chain())
                }
            })),
            Step::CreateSet(name, _) => touched.push(format!("the set {name} is gone")),
            Step::AddMembers(name, ..) | Step::RemoveMembers(name, ..) => {
                touched.push(format!("members of {name}"));
            }
            Step::DeleteChains(_) | Step::DeleteSets(_) => {}
        }
    }
    let count = touched.len();
    touched.truncate(3);
    let list = touched.join(", ");
    if count > 3 { format!("{list}, … ({count} in all)") } else { list }
}
