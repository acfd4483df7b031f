//! What the engine is told, and how others reach it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::ensure;
use ms_acl_core::lower::acl::{AclDocument, AclFault};
use ms_acl_netfilter::ObserveError;
use ms_acl_netfilter::preflight::Ask;
use ms_acl_netfilter::watch::Touched;
use tokio::sync::{oneshot, watch};

use super::{Look, Preview, Snapshot, View};
use crate::source::Batch;

/// How many inputs may wait.
const WAITING: usize = 256;

/// Something that the engine takes in.
#[derive(Debug)]
pub(crate) enum Input {
    /// What a source has seen.
    Objects(Batch),
    /// A policy document takes the place of the former one.
    Policy { document: Arc<AclDocument>, cause: String, reply: oneshot::Sender<Accepted> },
    /// What a policy document would change.
    Preview { document: Arc<AclDocument>, reply: oneshot::Sender<Preview> },
    /// Somebody wants to look at what is desired, or at what the kernel holds.
    Look { look: Look, reply: oneshot::Sender<Result<View, ObserveError>> },
    /// Somebody else changed something of ours in the kernel; `None` = it isn't known what.
    Drift { touched: Option<Touched> },
    /// What a look for what keeps the rules from governing pods has to know.
    Pods { reply: oneshot::Sender<Ask> },
    /// What that look found, a sentence each.
    Preflight { findings: Vec<String> },
    /// The end.
    Shutdown { remove: bool },
}

/// What becomes of an input.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// It is in force once `applied` has reached this.
    pub(crate) generation: u64,
    /// What is hardly meant, as far as the cluster is known.
    pub(crate) warnings: Vec<AclFault>,
}

/// The way to the engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineHandle {
    inputs: SyncSender<Input>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// The way to an engine, and the end of it that the engine has.
pub(crate) fn channel(snapshots: watch::Receiver<Arc<Snapshot>>) -> (EngineHandle, Receiver<Input>) {
    let (inputs, receiver) = sync_channel(WAITING);
    (EngineHandle { inputs, snapshots }, receiver)
}

impl EngineHandle {
    /// Sends an input, and waits where too many wait already. `false` = the engine has ended.
    pub(crate) fn send(&self, input: Input) -> bool {
        self.inputs.send(input).is_ok()
    }

    /// Sends an input without waiting for the engine's answer to others.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        input: impl FnOnce(oneshot::Sender<T>) -> Input + Send + 'static,
    ) -> anyhow::Result<T> {
        let (send, answer) = oneshot::channel();
        let inputs = self.inputs.clone();
        let is_sent = tokio::task::spawn_blocking(move || inputs.send(input(send)).is_ok()).await?;
        ensure!(is_sent, "the engine has ended");
        Ok(answer.await?)
    }

    /// Sends an input and waits for its answer; `None` = the engine has ended.
    pub(crate) fn ask_and_wait<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (send, answer) = oneshot::channel();
        self.inputs.send(input(send)).ok()?;
        answer.blocking_recv().ok()
    }

    /// The engine's state now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The engine's state once it fulfils a condition.
    pub(crate) async fn wait_for(
        &self,
        condition: impl FnMut(&Arc<Snapshot>) -> bool,
    ) -> anyhow::Result<Arc<Snapshot>> {
        let mut snapshots = self.snapshots.clone();
        Ok(Arc::clone(&*snapshots.wait_for(condition).await?))
    }
}
