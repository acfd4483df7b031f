//! Where objects come from. A source turns what it sees into batches of events and tells the engine what
//! it can't read; it decides nothing.

pub(crate) mod dir;
pub(crate) mod kube;
pub(crate) mod manifest;

use std::sync::Arc;

use log::info;
use ms_acl_core::cluster::Event;
use tokio::sync::OwnedSemaphorePermit;

use crate::args::{RunArgs, SourceArg};

/// A source that is open.
pub(crate) enum Source {
    /// A folder of manifests.
    Dir(Box<dir::DirSource>),
    /// The Kubernetes API.
    Kube(Box<kube::KubeSource>),
}

impl Source {
    /// Opens the source that the arguments name, and reads what can be read at once.
    pub(crate) fn open(args: &RunArgs, node: &str) -> anyhow::Result<(Self, Batch)> {
        match &args.source {
            SourceArg::Dir(folder) => {
                let (source, first) = dir::DirSource::open(folder)?;
                Ok((Source::Dir(Box::new(source)), first))
            }
            SourceArg::Kube => {
                let namespace = args.namespace.clone().filter(|namespace| !namespace.is_empty());
                let host_ips = args.host_ip.0.clone();
                let scope = kube::KubeScope { node: node.to_owned(), namespace, host_ips };
                let (source, server) = kube::KubeSource::open(scope)?;
                info!("the API server is {server}");
                let first = source.first();
                Ok((Source::Kube(Box::new(source)), first))
            }
        }
    }

    /// What this source never sees, a sentence each.
    pub(crate) fn narrowness(&self) -> Vec<String> {
        match self {
            Source::Dir(_) => Vec::new(),
            Source::Kube(source) => source.narrowness(),
        }
    }

    /// Runs until `send` says that nobody listens any more.
    ///
    /// # Errors
    ///
    /// It can't go on.
    pub(crate) fn run(self, send: impl FnMut(Batch) -> bool) -> anyhow::Result<()> {
        match self {
            Source::Dir(source) => {
                source.run(send);
                Ok(())
            }
            Source::Kube(source) => source.run(send),
        }
    }
}

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
    /// Given back once the batch has been taken in, so that no source is far ahead of the engine.
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    pub(crate) turn: Option<OwnedSemaphorePermit>,
}

/// An event and the file that it comes from.
#[derive(Debug)]
pub(crate) struct SourcedEvent {
    pub(crate) event: Event,
    pub(crate) origin: Arc<str>,
}

impl SourcedEvent {
    /// The name of the object that it is about.
    pub(crate) fn object(&self) -> String {
        match &self.event {
            Event::Apply(object) => object.reference().to_string(),
            Event::Undecodable(error) => error.object.to_string(),
            Event::Delete(object) => object.to_string(),
            Event::Acl(_) => "the policy document".to_owned(),
        }
    }
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
    /// How often the watch of each kind had to be started anew.
    pub(crate) watch_restarts: Vec<(&'static str, u64)>,
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
