//! Watches: what happens to a kind, line by line, for as long as the request asks for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::fault::Streaming;
use super::resource::Place;
use super::select::Select;
use super::serve::{Body, Query, Shared, status_object};
use super::store::{Change, Refusal, What, matches};

/// How many changes are sent at once.
const AT_ONCE: usize = 500;
/// How long a watch lives that doesn't ask for a time.
const LIFETIME: Duration = Duration::from_mins(30);

/// A watch that is going on.
struct Watch {
    shared: Arc<Shared>,
    kind: usize,
    namespace: String,
    select: Select,
    /// Everything up to this version was sent.
    version: u64,
    bookmarks: bool,
    lines: Sender<Bytes, Infallible>,
}

/// Nobody listens any more, or there is nothing more to tell.
struct End;

/// Starts a watch.
pub(super) fn watch(
    shared: &Arc<Shared>,
    kind: usize,
    place: &Place,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let (streaming, every) = {
        let faults = shared.faults();
        (faults.streaming, faults.bookmarks)
    };
    let asked = query.is_set("sendInitialEvents") && streaming != Streaming::Ignored;
    if asked && streaming == Streaming::Refused {
        let message = "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(Refusal::new(422, "Invalid", message));
    }
    if asked && query.get("resourceVersionMatch") != "NotOlderThan" {
        return Err(Refusal::new(
            422,
            "Invalid",
            "sendInitialEvents requires resourceVersionMatch NotOlderThan",
        ));
    }
    let version = query.get("resourceVersion");
    let select = query.select();
    let (initial, start) = {
        let store = shared.store();
        // From nowhere, or from anywhere: everything is sent first.
        if asked || matches!(version, "" | "0") {
            (store.list(kind, &place.namespace, &select), store.version())
        } else {
            let version: u64 = version.parse().map_err(|_| {
                Refusal::new(400, "BadRequest", format!("resourceVersion: Invalid value: {version:?}"))
            })?;
            (Vec::new(), version)
        }
    };
    let (lines, body) = Channel::<Bytes, Infallible>::new(16);
    let watch = Watch {
        shared: Arc::clone(shared),
        kind,
        namespace: place.namespace.clone(),
        select,
        version: start,
        bookmarks: query.is_set("allowWatchBookmarks"),
        lines,
    };
    let seconds = query.get("timeoutSeconds").parse().ok().map_or(LIFETIME, Duration::from_secs);
    tokio::spawn(watch.run(initial, asked, every, Instant::now() + seconds));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Watch {
    async fn run(mut self, initial: Vec<Arc<str>>, mark_end: bool, every: Duration, until: Instant) {
        let mut breaks = self.shared.breaks.subscribe();
        let stopped = async move {
            tokio::select! {
                () = sleep_until(until) => {}
                _ = breaks.changed() => {}
            }
        };
        tokio::select! {
            () = stopped => {}
            _ = self.send(initial, mark_end, every) => {}
        }
    }

    async fn send(
        &mut self,
        initial: Vec<Arc<str>>,
        mark_end: bool,
        every: Duration,
    ) -> Result<Infallible, End> {
        for objects in initial.chunks(AT_ONCE) {
            let lines = objects.iter().map(|object| line("ADDED", object)).collect();
            self.send_lines(lines).await?;
        }
        drop(initial);
        if mark_end {
            self.bookmark(json!({"k8s.io/initial-events-end": "true"})).await?;
        }
        let mut versions = self.shared.version.subscribe();
        let mut bookmarks = interval_at(Instant::now() + every, every.max(Duration::from_millis(1)));
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            versions.borrow_and_update();
            while self.send_changes().await? {}
            tokio::select! {
                changed = versions.changed() => changed.map_err(|_| End)?,
                _ = bookmarks.tick(), if self.bookmarks => self.bookmark(Value::Null).await?,
            }
        }
    }

    /// Sends what happened since. Whether there may be more.
    async fn send_changes(&mut self) -> Result<bool, End> {
        let (changes, newest) = {
            let store = self.shared.store();
            (store.changes(self.kind, self.version, AT_ONCE), store.version())
        };
        let changes = match changes {
            Ok(changes) => changes,
            Err(refusal) => {
                self.send_lines(line("ERROR", &status_object(&refusal).to_string())).await?;
                return Err(End);
            }
        };
        let more = changes.len() == AT_ONCE;
        self.version = if more { changes.last().map_or(newest, |change| change.version) } else { newest };
        let lines: String = changes.iter().filter_map(|change| self.line_of(change)).collect();
        if !lines.is_empty() {
            self.send_lines(lines).await?;
        }
        Ok(more)
    }

    /// A change as this watch sees it: what comes into its view is added, what goes out of it is deleted.
    fn line_of(&self, change: &Change) -> Option<String> {
        if change.what == What::Line {
            return Some(format!("{}\n", change.text));
        }
        if !self.namespace.is_empty() && change.namespace != self.namespace {
            return None;
        }
        let before = change.before.as_deref().is_some_and(|text| matches(&self.select, text));
        let after = change.what != What::Deleted && matches(&self.select, &change.text);
        let what = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(line(what, &change.text))
    }

    async fn bookmark(&mut self, annotations: Value) -> Result<(), End> {
        let (version, kind) = {
            let store = self.shared.store();
            let resource = store.resource(self.kind);
            (resource.api_version(), resource.kind.clone())
        };
        let mut mark = json!({"kind": kind, "apiVersion": version,
            "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null}});
        if !annotations.is_null() {
            mark["metadata"]["annotations"] = annotations;
        }
        self.send_lines(line("BOOKMARK", &mark.to_string())).await
    }

    async fn send_lines(&mut self, lines: String) -> Result<(), End> {
        self.lines.send_data(lines.into()).await.map_err(|_| End)
    }
}

fn line(what: &str, object: &str) -> String {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}\n")
}
