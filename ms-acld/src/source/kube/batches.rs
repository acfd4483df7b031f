//! What the watches tell → batches for the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use ms_acl_core::cluster::Event;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::kinds::Kind;
use super::state::{ORIGIN, source_state};
use super::watch::{News, WatchState};
use crate::source::{Batch, SourceState, SourcedEvent};

/// How many events are given to the engine together: what waits already.
const TOGETHER: usize = 256;
/// How many batches the engine may be behind.
const BEHIND: usize = 16;

/// Gathers the news of all watches, in the order in which they come.
#[derive(Debug)]
pub(super) struct Batches {
    incoming: mpsc::Receiver<(usize, News)>,
    watches: BTreeMap<usize, (&'static Kind, WatchState)>,
    origin: Arc<str>,
    waiting: Vec<SourcedEvent>,
    told: SourceState,
    runtime: Handle,
    turns: Arc<Semaphore>,
}

impl Batches {
    pub(super) fn new(
        kinds: impl Iterator<Item = (usize, &'static Kind)>,
        incoming: mpsc::Receiver<(usize, News)>,
        runtime: Handle,
    ) -> Self {
        Batches {
            incoming,
            watches: kinds.map(|(place, kind)| (place, (kind, WatchState::default()))).collect(),
            origin: ORIGIN.into(),
            waiting: Vec::new(),
            told: SourceState::default(),
            runtime,
            turns: Arc::new(Semaphore::new(BEHIND)),
        }
    }

    /// Adds an event to the next batch.
    pub(super) fn add(&mut self, event: Event) {
        self.waiting.push(SourcedEvent { event, origin: Arc::clone(&self.origin) });
    }

    /// The next batch that tells something new, once the engine isn't too far behind; none = all watches
    /// have ended.
    pub(super) fn next(&mut self) -> Option<Batch> {
        loop {
            let first = self.incoming.blocking_recv()?;
            self.take(first);
            while self.waiting.len() < TOGETHER
                && let Ok(more) = self.incoming.try_recv()
            {
                self.take(more);
            }
            let state = source_state(self.watches.values().map(|(kind, state)| (*kind, state)));
            if self.waiting.is_empty() && state == self.told {
                continue;
            }
            self.told = state.clone();
            let events = std::mem::take(&mut self.waiting);
            let turn = self.runtime.block_on(Arc::clone(&self.turns).acquire_owned());
            return Some(Batch {
                inputs: events.len() as u64,
                cause: cause(&events),
                events,
                state,
                turn: turn.ok(),
            });
        }
    }

    fn take(&mut self, (place, news): (usize, News)) {
        match news {
            News::Event(event) => self.add(event),
            News::Events(events) => events.into_iter().for_each(|event| self.add(event)),
            News::State(state) => {
                if let Some((_, watch)) = self.watches.get_mut(&place) {
                    *watch = state;
                }
            }
        }
    }
}

/// `Pod default/web-1 and 2 more (API server)`.
fn cause(events: &[SourcedEvent]) -> String {
    match events {
        [] => ORIGIN.to_owned(),
        [event] => format!("{} ({ORIGIN})", event.object()),
        [first, rest @ ..] => format!("{} and {} more ({ORIGIN})", first.object(), rest.len()),
    }
}
