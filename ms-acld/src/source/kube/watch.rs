//! One kind, followed for ever: listed, then watched, then listed again where a watch can't go on.
//!
//! kube's own `watcher` isn't used for three reasons: it lists by streams from any cache, which may be
//! older than what is in force; it doesn't tell when a watch that failed stands again; and it can't fall
//! back where streaming lists aren't known.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use kube::Client;
use kube::api::WatchEvent;
use log::debug;
use ms_acl_core::cluster::Event;
use serde::Deserialize;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::backoff::{Backoff, spread};
use super::kinds::{Kind, Need};
use super::objects::{Nameless, Objects};
use super::request::{Events, Failure, Start, page, watch};

/// How long the server keeps a watch: it ends before most proxies lose patience. A part of it is left to
/// chance so that nodes don't come together.
const LIFETIME: Duration = Duration::from_secs(290);
/// How much longer than that nothing may be heard.
const LATE: Duration = Duration::from_secs(10);
/// A watch that ends sooner than this is short, and so many of them in a row are none.
const SHORT: Duration = Duration::from_secs(1);
const TOO_SHORT: u32 = 3;
/// How long a server that says nothing is given before a streaming list is taken for a mistake: one that
/// doesn't know them sends everything and no end.
const SILENCE: Duration = Duration::from_secs(10);
/// How often a kind is asked for that isn't there, or not for us.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// How many changes of a new listing are told together.
const TOGETHER: usize = 4096;
/// The annotation that marks the end of a streaming list.
const END: &str = "k8s.io/initial-events-end";

/// What a watch tells.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all news are events, and few of them wait")]
pub(super) enum News {
    /// Something happened to an object.
    Event(Event),
    /// A new listing differs from what was known.
    Events(Vec<Event>),
    /// The watch isn't as it was.
    State(WatchState),
}

/// What a watch is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WatchState {
    /// Whether everything was listed once.
    pub(super) listed: bool,
    /// Whether changes are seen as they happen.
    pub(super) live: bool,
    /// Why not.
    pub(super) failure: Option<String>,
    /// Whether the server never had this kind, or never for us.
    pub(super) absent: bool,
    /// How many objects have no name that can be read.
    pub(super) nameless: usize,
    /// How often a watch had to be started anew that wasn't at the end of its time.
    pub(super) restarts: u64,
}

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Unheard;

/// Where news go to: the kind's place in the table goes with them.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) place: usize,
    pub(super) news: Sender<(usize, News)>,
}

impl Outlet {
    pub(super) async fn send(&self, news: News) -> Result<(), Unheard> {
        self.news.send((self.place, news)).await.map_err(|_| Unheard)
    }
}

/// The watch of a kind.
pub(super) struct Watch {
    pub(super) kind: &'static Kind,
    client: Client,
    path: String,
    outlet: Outlet,
    objects: Objects,
    state: WatchState,
    told: WatchState,
    /// The last version seen; none = everything has to be listed.
    version: Option<String>,
    /// Whether streaming lists are worth an attempt.
    streaming: bool,
    backoff: Backoff,
    /// How many watches in a row were short.
    short: u32,
}

/// Why a part of a watch ended.
enum Stop {
    /// The server ended it as it does.
    Ended,
    Failed(Failure),
    Unheard,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

impl From<Unheard> for Stop {
    fn from(Unheard: Unheard) -> Self {
        Stop::Unheard
    }
}

impl Watch {
    /// A watch of all objects of a kind, or of those of one namespace.
    pub(super) fn new(kind: &'static Kind, client: Client, namespace: Option<&str>, outlet: Outlet) -> Self {
        Watch {
            kind,
            client,
            path: kind.path(namespace),
            outlet,
            objects: Objects::new(kind),
            state: WatchState::default(),
            told: WatchState::default(),
            version: None,
            streaming: true,
            backoff: Backoff::default(),
            short: 0,
        }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self) -> Unheard {
        loop {
            let started = Instant::now();
            let Err(stop) = self.step().await else { continue };
            self.backoff.worked(started.elapsed());
            let wait = match stop {
                Stop::Unheard => return Unheard,
                Stop::Ended if started.elapsed() >= SHORT => {
                    self.state.restarts += u64::from(started.elapsed() < LIFETIME / 2);
                    self.short = 0;
                    continue;
                }
                Stop::Ended if self.short < TOO_SHORT => {
                    self.state.restarts += 1;
                    self.short += 1;
                    self.backoff.failed(None)
                }
                Stop::Ended => self.failed(&Failure::other("watches end as soon as they start")),
                Stop::Failed(Failure::NoStreaming) => {
                    debug!("{}: no streaming lists here", self.kind.plural);
                    self.streaming = false;
                    continue;
                }
                Stop::Failed(failure) => self.failed(&failure),
            };
            if self.tell().await.is_err() {
                return Unheard;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes note of a failure. Returns how long to wait.
    fn failed(&mut self, failure: &Failure) -> Duration {
        debug!("{}: {}", self.kind.plural, failure.why());
        let was_live = std::mem::take(&mut self.state.live);
        self.state.restarts += u64::from(was_live);
        match failure {
            Failure::Gone(_) => {
                self.version = None;
                if was_live {
                    // Nothing is wrong: everything is listed again.
                    return self.backoff.failed(None);
                }
            }
            Failure::Refused(_) if !self.state.listed && matches!(self.kind.need, Need::Optional(_)) => {
                self.state.absent = true;
            }
            _ => {}
        }
        self.state.failure = Some(failure.why().to_owned());
        match failure {
            Failure::Refused(_) => spread(ASK_AGAIN),
            Failure::Other { after, .. } => self.backoff.failed(*after),
            _ => self.backoff.failed(None),
        }
    }

    /// Tells what the watch is like, where that is new.
    async fn tell(&mut self) -> Result<(), Unheard> {
        self.state.nameless = self.objects.nameless();
        if self.state == self.told {
            return Ok(());
        }
        self.told = self.state.clone();
        self.outlet.send(News::State(self.state.clone())).await
    }

    /// A listing, or a watch to its end.
    async fn step(&mut self) -> Result<(), Stop> {
        let lifetime = spread(LIFETIME);
        match self.version.clone() {
            Some(version) => {
                let start = Start::After(&version);
                let events = watch(&self.client, &self.path, start, lifetime).await?;
                self.stands().await?;
                self.follow(events, lifetime).await
            }
            None if self.streaming => {
                let events = watch(&self.client, &self.path, Start::Everything, lifetime).await?;
                self.stream(events, lifetime).await
            }
            None => self.pages().await,
        }
    }

    /// Changes are seen from now on.
    async fn stands(&mut self) -> Result<(), Unheard> {
        self.state.live = true;
        self.state.failure = None;
        self.tell().await
    }

    /// Lists everything page by page.
    async fn pages(&mut self) -> Result<(), Stop> {
        self.objects.start_listing();
        let mut changes = Vec::new();
        let mut more = None;
        loop {
            let page = page(&self.client, &self.path, more).await?;
            let items = page.items()?;
            for item in items.items.into_iter().flatten() {
                self.listed(item.get(), &mut changes).await?;
            }
            more = items.metadata.more.filter(|more| !more.is_empty());
            if more.is_none() {
                let version = items.metadata.resource_version;
                if version.is_empty() {
                    return Err(Failure::other("a list without a resourceVersion").into());
                }
                self.complete(changes, version).await?;
                return Ok(());
            }
        }
    }

    /// Lists everything by a watch that starts with it, and follows that watch.
    async fn stream(&mut self, mut events: Events, lifetime: Duration) -> Result<(), Stop> {
        self.objects.start_listing();
        let mut changes = Vec::new();
        loop {
            let event = match timeout(SILENCE, events.next()).await {
                Ok(Some(event)) => event.map_err(Failure::from)?,
                Ok(None) => return Err(Failure::other("a listing was cut off").into()),
                Err(_) => return Err(Failure::NoStreaming.into()),
            };
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.listed(object.get(), &mut changes).await?;
                }
                // What was there at the start and isn't any more.
                WatchEvent::Deleted(object) => {
                    changes.extend(self.objects.deleted(object.get()).ok());
                }
                WatchEvent::Bookmark(mark) if mark.metadata.annotations.contains_key(END) => {
                    self.complete(changes, mark.metadata.resource_version).await?;
                    break;
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => return Err(Failure::from(&*status).into()),
            }
        }
        self.stands().await?;
        self.follow(events, lifetime).await
    }

    /// Takes in an object of a listing. A first listing is told as it comes; of others the changes, together
    /// where they aren't too many, so that what moved from one object to another moves at once.
    async fn listed(&mut self, text: &str, changes: &mut Vec<Event>) -> Result<(), Unheard> {
        let Some(event) = self.objects.listed(text) else { return Ok(()) };
        if !self.state.listed {
            return self.outlet.send(News::Event(event)).await;
        }
        changes.push(event);
        if changes.len() >= TOGETHER {
            self.outlet.send(News::Events(std::mem::take(changes))).await?;
        }
        Ok(())
    }

    /// The listing is complete.
    async fn complete(&mut self, mut changes: Vec<Event>, version: String) -> Result<(), Unheard> {
        changes.extend(self.objects.end_listing());
        if !changes.is_empty() {
            self.outlet.send(News::Events(changes)).await?;
        }
        self.version = Some(version);
        self.state.listed = true;
        self.state.absent = false;
        self.tell().await
    }

    /// Follows a watch to its end.
    async fn follow(&mut self, mut events: Events, lifetime: Duration) -> Result<(), Stop> {
        loop {
            let event = match timeout(lifetime + LATE, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => {
                    if matches!(error, kube::Error::SerdeError(_)) {
                        // It isn't known what happened.
                        self.version = None;
                    }
                    return Err(Failure::from(error).into());
                }
                Ok(None) => return Err(Stop::Ended),
                Err(_) => return Err(Failure::other("nothing is heard any more").into()),
            };
            let (event, text) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    (self.objects.changed(object.get()), object)
                }
                WatchEvent::Deleted(object) => {
                    let event = self.objects.deleted(object.get());
                    if event.is_err() {
                        self.version = None;
                        return Err(Failure::other("an object without a name is gone").into());
                    }
                    (event, object)
                }
                WatchEvent::Bookmark(mark) => {
                    self.version = Some(mark.metadata.resource_version);
                    continue;
                }
                WatchEvent::Error(status) => {
                    // Whatever it is, it isn't known what was missed.
                    self.version = None;
                    return Err(Failure::from(&*status).into());
                }
            };
            match event {
                Ok(event) => self.outlet.send(News::Event(event)).await?,
                Err(Nameless) => self.tell().await?,
            }
            if let Some(version) = version_of(text.get()) {
                self.version = Some(version);
            }
        }
    }
}

/// The version of the cluster in which an object was changed to what it is.
fn version_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    let Object { metadata } = serde_json::from_str(text).ok()?;
    Some(metadata.resource_version).filter(|version| !version.is_empty())
}
