//! The reconcile loop: what sources and callers say → what the kernel holds.
//!
//! One thread owns the desired state and the dataplane. Everybody else sends it [`Input`]s through a
//! bounded channel and looks at the [`Snapshot`]s that it publishes. It holds four things together:
//!
//! - Every input gets a generation, and is in force once `applied` has reached it.
//! - The kernel is never changed in a way that isn't the difference to what it holds: after a start, an
//!   error or a stranger's change it is read back first.
//! - While something hasn't been read since the start, nothing of what the kernel held then is loosened.
//! - No input is lost: what the kernel refuses is tried again.

mod change;
mod contest;
mod desired;
mod drift;
mod fault;
mod input;
mod kernel;
mod pace;
mod plane;
mod preflight;
mod preview;
mod quarantine;
mod status;
mod view;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use log::{debug, info, warn};
use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Settings;
use ms_acl_core::ruleset::ObjectRef;

use crate::source::{Batch, SourceState};
use change::Causes;
use desired::Desired;
pub(crate) use drift::watch as watch_drift;
use fault::Faults;
pub(crate) use input::{Accepted, EngineHandle, Input, channel};
pub(crate) use kernel::Kernel;
use pace::Pace;
pub(crate) use preflight::watch as watch_preflight;
pub(crate) use preview::{Changes, Preview};
pub(crate) use status::{Fixed, Outlet, Snapshot, Status};
pub(crate) use view::{Look, View};
pub(crate) use words::removal_lines;

/// How many inputs are taken in before the kernel gets its turn.
const AT_ONCE: usize = 1024;

/// The reconcile loop.
pub(crate) struct Engine {
    settings: Settings,
    desired: Desired,
    kernel: Kernel,
    inputs: Receiver<Input>,
    pace: Pace,
    causes: Causes,
    faults: Faults,
    source: SourceState,
    origins: BTreeMap<ObjectRef, Arc<str>>,
    generation: u64,
    applied: u64,
    failed: u64,
    last_error: Option<String>,
    /// Whether desired and held were the same once: the first full sync is done.
    synced_once: bool,
    outlet: status::Outlet,
}

/// How the reconcile loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to.
    Asked,
    /// Nobody can send inputs any more.
    Alone,
}

impl Engine {
    /// An engine for a node, with the policy document that survived the last restart.
    pub(crate) fn new(
        settings: Settings,
        kernel: Kernel,
        document: Arc<AclDocument>,
        inputs: Receiver<Input>,
        resync: std::time::Duration,
        outlet: status::Outlet,
    ) -> Self {
        let mut cluster = Cluster::new();
        cluster.set_acl(document);
        Engine {
            settings,
            desired: Desired::Listing(Box::new(cluster)),
            kernel,
            inputs,
            pace: Pace::new(resync, Instant::now()),
            causes: Causes::default(),
            faults: Faults::default(),
            source: SourceState::default(),
            origins: BTreeMap::new(),
            // The state at the start: the stored document and the first listing.
            generation: 1,
            applied: 0,
            failed: 0,
            last_error: None,
            synced_once: false,
            outlet,
        }
    }

    /// Runs until it is asked to end.
    pub(crate) fn run(mut self) -> Ended {
        self.publish();
        loop {
            let wait = self.pace.wait(Instant::now(), self.is_due());
            match self.inputs.recv_timeout(wait) {
                Ok(input) => {
                    let more: Vec<Input> = self.inputs.try_iter().take(AT_ONCE).collect();
                    for input in std::iter::once(input).chain(more) {
                        if let Input::Shutdown { remove } = input {
                            self.shutdown(remove);
                            return Ended::Asked;
                        }
                        self.take(input);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ended::Alone,
            }
            self.turn();
            self.publish();
        }
    }

    /// Whether there is something to do with the kernel.
    fn is_due(&self) -> bool {
        self.desired.rulesets().is_some() && self.applied < self.generation
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Objects(batch) => self.objects(batch),
            Input::Policy { document, cause, reply } => {
                self.generation += 1;
                self.pace.fresh();
                self.causes.add(cause);
                self.desired.apply(Event::Acl(document));
                let warnings = fault::acl_warnings(self.desired.cluster());
                // A caller that went away doesn't change what it asked for.
                let _ = reply.send(Accepted { generation: self.generation, warnings });
            }
            Input::Preview { document, reply } => {
                let _ = reply.send(self.preview(document));
            }
            Input::Look { look, reply } => {
                let _ = reply.send(self.view(look));
            }
            Input::Drift { touched } => {
                self.kernel.touched(touched);
                self.pace.drift();
            }
            Input::Pods { reply } => {
                let _ = reply.send(preflight::ask(self.desired.cluster(), &self.settings));
            }
            Input::Preflight { findings } => self.outlet.found(findings),
            Input::Shutdown { .. } => {}
        }
    }

    fn objects(&mut self, batch: Batch) {
        match self.desired {
            Desired::Listing(_) => self.causes.add("start".to_owned()),
            _ if batch.inputs > 0 => {
                self.generation += batch.inputs;
                self.pace.fresh();
                self.causes.add(batch.cause);
            }
            _ => {}
        }
        let mut events = Vec::with_capacity(batch.events.len());
        for sourced in batch.events {
            match &sourced.event {
                Event::Apply(object) => {
                    self.origins.insert(object.reference(), sourced.origin);
                }
                Event::Undecodable(error) => {
                    self.origins.insert(error.object.clone(), sourced.origin);
                }
                Event::Delete(object) => {
                    self.origins.remove(object);
                }
                Event::Acl(_) => {}
            }
            events.push(sourced.event);
        }
        self.desired.apply_all(events);
        self.source = batch.state;
        if self.source.listed {
            let may_stand = !self.source.unread.is_empty() && !self.synced_once;
            let former = self.kernel.former().filter(|_| may_stand);
            if former.is_some() && matches!(self.desired, Desired::Listing(_)) {
                let unread = self.source.unread.join("; ");
                warn!("the rules of the last run stay beside what is known until all can be read: {unread}");
            }
            self.desired.settle(&self.settings, former);
        }
    }

    /// The kernel's turn: what is desired, what drifted, what is due for a look.
    fn turn(&mut self) {
        let now = Instant::now();
        if self.is_due() && self.pace.may_apply(now) {
            self.apply();
        }
        // Also right after a change: under a stream of them there is no other time.
        if self.applied == self.generation {
            if self.pace.must_look(now) {
                self.look();
            } else if self.pace.must_count(now) {
                self.count();
            }
        }
    }

    /// Brings the kernel to what is desired.
    fn apply(&mut self) {
        let outcome = self.kernel.apply(&mut self.desired);
        self.settle(outcome, None);
    }

    /// Reads the kernel back and repairs what others changed.
    fn look(&mut self) {
        let everything = self.pace.must_resync(Instant::now());
        let outcome = self.kernel.repair(&mut self.desired, everything);
        self.pace.looked(Instant::now(), everything);
        if outcome.is_err() {
            self.pace.unrepaired();
        }
        self.settle(outcome, Some("drift"));
    }

    /// Compares how many members the sets have, and reads everything back if that differs.
    fn count(&mut self) {
        let Some(rulesets) = self.desired.rulesets() else { return };
        self.pace.counted(Instant::now());
        match self.kernel.counts_differ(rulesets) {
            Ok(None) => {}
            Ok(Some(set)) => {
                debug!("somebody else changed the members of {set}");
                self.kernel.touched(None);
                self.pace.drift();
            }
            Err(error) => warn!("can't compare the sets: {error}"),
        }
    }

    fn settle(&mut self, outcome: Result<kernel::Applied, kernel::Refused>, cause: Option<&str>) {
        let now = Instant::now();
        self.pace.look_at(self.kernel.look_at());
        match outcome {
            Ok(applied) => {
                self.applied = self.generation;
                self.last_error = None;
                if self.source.unread.is_empty() && !self.synced_once {
                    self.synced_once = true;
                    info!("the kernel holds what is desired (generation {})", self.generation);
                }
                self.pace.applied(now, applied.rules_changed);
                let causes = self.causes.take();
                if applied.repaired || !applied.is_nothing() {
                    let cause = cause.map_or(causes, str::to_owned);
                    change::log(self.generation, &cause, &applied);
                }
            }
            Err(refused) => {
                self.failed = self.generation;
                self.pace.failed(now);
                let error = refused.to_string();
                if self.last_error.as_ref() != Some(&error) {
                    warn!("generation {}: {error}; it is tried again", self.generation);
                }
                self.last_error = Some(error);
            }
        }
    }

    fn preview(&self, document: Arc<AclDocument>) -> Preview {
        let rulesets = match &self.desired {
            Desired::Program(program) => Some(program.rulesets()),
            Desired::Listing(_) | Desired::Held(_) => None,
        };
        preview::preview(self.generation, self.desired.cluster(), rulesets, &self.settings, document)
    }

    fn shutdown(&mut self, remove: bool) {
        if !remove {
            info!("the rules stay in force");
            return;
        }
        match self.kernel.remove_all() {
            Ok(lines) => lines.iter().for_each(|line| info!("{line}")),
            Err(error) => warn!("can't remove the rules: {error}"),
        }
    }

    fn publish(&mut self) {
        let kernel = self.kernel.faults();
        let cluster = self.desired.cluster();
        let faults = self.faults.lately(cluster, &self.origins, &self.source.faults, kernel);
        let mut not_ready = Vec::new();
        if !self.source.listed {
            not_ready.push("the source hasn't been read yet".to_owned());
        }
        not_ready.extend(self.source.unread.iter().chain(&self.source.stale).cloned());
        if !self.synced_once && not_ready.is_empty() {
            let why = self.last_error.as_deref().unwrap_or("the kernel isn't programmed yet");
            not_ready.push(why.to_owned());
        }
        let synced = self.applied == self.generation
            && self.source.listed
            && self.source.live
            && self.synced_once
            && !self.pace.has_drift()
            && self.kernel.is_in_force();
        let live = status::Live {
            generation: self.generation,
            applied: self.applied,
            synced,
            counts: cluster.counts(),
            local_pods: self.desired.local_pods(),
            last_error: self.last_error.clone(),
            faults,
        };
        self.outlet.publish(live, self.desired.rulesets(), &self.kernel, not_ready, self.failed);
    }
}

#[cfg(test)]
mod tests;
