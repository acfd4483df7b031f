//! Where objects come from. A source turns what it sees into batches of events and tells the engine what
//! it can't read; it decides nothing.

pub(crate) mod dir;
pub(crate) mod manifest;

use std::sync::Arc;

use ms_acl_core::cluster::Event;

/// What a source has seen since its last batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The events, to be taken in together.
    pub(crate) events: Vec<SourcedEvent>,
    /// How many inputs this is: one for each file or API event, also if it changed nothing.
    pub(crate) inputs: u64,
    /// Who or what caused it, for the change log: `NetworkPolicy default/web (web.yaml)`.
    pub(crate) cause: String,
    /// What the source is like now.
    pub(crate) state: SourceState,
}

/// An event and the file that it comes from.
#[derive(Debug)]
pub(crate) struct SourcedEvent {
    pub(crate) event: Event,
    pub(crate) origin: Arc<str>,
}

/// What a source is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceState {
    /// Everything that it can't read now.
    pub(crate) faults: Vec<SourceFault>,
    /// What it has not been able to read since the start, a sentence each: what the kernel holds on its
    /// account is not known.
    pub(crate) unread: Vec<String>,
    /// What it can't read now of which it knows an earlier version, a sentence each: that one is in force.
    pub(crate) stale: Vec<String>,
    /// Whether it has told everything that it knows once.
    pub(crate) listed: bool,
    /// Whether it sees changes as they happen.
    pub(crate) live: bool,
}

/// Something that a source can't read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceFault {
    /// The object, where it is known.
    pub(crate) object: Option<String>,
    /// The file.
    pub(crate) origin: String,
    /// What is wrong, and what stands instead.
    pub(crate) detail: String,
}
