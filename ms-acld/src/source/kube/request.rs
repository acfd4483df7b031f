//! What is asked of the API server, and what its answers mean.

use std::error::Error as _;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use kube::Client;
use kube::api::{GetParams, ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use kube::core::response::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many objects a page has.
const PAGE: u32 = 500;
/// How long a page may take, and the start of a watch.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// Why there is no answer, or none that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The version from which to go on is too old: everything has to be listed.
    Gone(String),
    /// The server has this kind not, or not for us.
    Refused(String),
    /// The server doesn't know streaming lists.
    NoStreaming,
    /// Anything else; the server may tell when to try again.
    Other { why: String, after: Option<Duration> },
}

impl Failure {
    pub(super) fn other(why: impl Into<String>) -> Self {
        Failure::Other { why: why.into(), after: None }
    }

    /// What happened, as part of a sentence.
    pub(super) fn why(&self) -> &str {
        match self {
            Failure::Gone(why) | Failure::Refused(why) | Failure::Other { why, .. } => why,
            Failure::NoStreaming => "streaming lists aren't known",
        }
    }

    fn of_status(status: &Status) -> Self {
        let why = format!("{} {}", status.code, said(status));
        match status.code {
            410 => Failure::Gone(why),
            // The server's past was put back in place: what is known is of a future that never was.
            504 if status.message.contains("Too large resource version") => Failure::Gone(why),
            403 | 404 => Failure::Refused(why),
            // Without a number, the other end is hardly an API server.
            0 => Failure::other(said(status)),
            _ => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                let after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                Failure::Other { why, after }
            }
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error {
            return Failure::of_status(status);
        }
        // The causes say what it was: refused, timed out, a certificate.
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !why.contains(&text) {
                why = format!("{why}: {text}");
            }
            cause = error.source();
        }
        Failure::other(why)
    }
}

/// What a status says, on one line that isn't too long.
fn said(status: &Status) -> String {
    const LONGEST: usize = 300;
    let text = if status.message.is_empty() { &status.reason } else { &status.message };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if line.trim().is_empty() { "without a reason".to_owned() } else { line }
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
}

/// A page's parts, as they stand in its text.
#[derive(Debug, Deserialize)]
pub(super) struct Items<'a> {
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'a RawValue>>,
    pub(super) metadata: ListMetadata,
}

/// `metadata` of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMetadata {
    /// The version that the list shows.
    #[serde(default)]
    pub(super) resource_version: String,
    /// Where the next page starts; empty = there is none.
    #[serde(default, rename = "continue")]
    pub(super) more: Option<String>,
}

impl Page {
    pub(super) fn items(&self) -> Result<Items<'_>, Failure> {
        serde_json::from_str(&self.text)
            .map_err(|error| Failure::other(format!("a list that can't be decoded: {error}")))
    }
}

/// The events of a watch.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<WatchEvent<Box<RawValue>>, kube::Error>> + Send>>;

/// Asks for a page of a list: the newest state, never one from a cache that may be behind what is known.
pub(super) async fn page(client: &Client, path: &str, more: Option<String>) -> Result<Page, Failure> {
    let params = ListParams { limit: Some(PAGE), continue_token: more, ..ListParams::default() };
    let request = Request::new(path).list(&params).map_err(|error| Failure::other(error.to_string()))?;
    let text = in_time(client.request_text(request)).await?;
    Ok(Page { text })
}

/// Asks for one object.
pub(super) async fn object(client: &Client, path: &str, name: &str) -> Result<String, Failure> {
    let request = Request::new(path).get(name, &GetParams::default());
    let request = request.map_err(|error| Failure::other(error.to_string()))?;
    in_time(client.request_text(request)).await
}

/// Where a watch starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    /// With all objects as they are now, their end marked.
    Everything,
    /// After a version.
    After(&'a str),
}

/// Starts a watch that the server ends after `lifetime`.
pub(super) async fn watch(
    client: &Client,
    path: &str,
    start: Start<'_>,
    lifetime: Duration,
) -> Result<Events, Failure> {
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
    let params = WatchParams::default().timeout(seconds);
    let (params, version) = match start {
        Start::Everything => (params.initial_events(), ""),
        Start::After(version) => (params, version),
    };
    let request =
        Request::new(path).watch(&params, version).map_err(|error| Failure::other(error.to_string()))?;
    let events = in_time(client.request_events(request)).await;
    match (events, start) {
        (Ok(events), _) => Ok(Box::pin(events)),
        // A server that doesn't know them says so, in one way or another.
        (Err(Failure::Other { why, .. }), Start::Everything)
            if why.starts_with("400 ") || why.starts_with("422 ") =>
        {
            Err(Failure::NoStreaming)
        }
        (Err(failure), _) => Err(failure),
    }
}

/// Waits for an answer, but not for ever.
async fn in_time<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::other(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
    }
}

/// What a status in a stream of events means.
impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        Failure::of_status(status)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::response::StatusDetails;

    use super::*;

    fn status(code: u16, message: &str) -> Status {
        Status::failure(message, "Reason").with_code(code)
    }

    #[test]
    fn a_status_says_what_to_do() {
        let of = |code, message| Failure::from(&status(code, message));
        assert_eq!(of(410, "too old"), Failure::Gone("410 too old".to_owned()));
        assert!(matches!(of(504, "Timeout: Too large resource version: 9, current: 3"), Failure::Gone(_)));
        assert!(matches!(of(504, "it took too long"), Failure::Other { after: None, .. }));
        assert_eq!(of(403, "no\nright"), Failure::Refused("403 no right".to_owned()));
        assert_eq!(of(404, ""), Failure::Refused("404 Reason".to_owned()));
        let mut busy = status(429, "too many");
        let details = r#"{"retryAfterSeconds": 3}"#;
        busy.details = serde_json::from_str::<StatusDetails>(details).ok();
        let after = Some(Duration::from_secs(3));
        assert_eq!(Failure::from(&busy), Failure::Other { why: "429 too many".to_owned(), after });
    }

    #[test]
    fn a_list_may_be_empty_in_several_ways() {
        let items = |text: &str| {
            let page = Page { text: text.to_owned() };
            page.items().map(|items| items.items.map_or(0, |items| items.len())).ok()
        };
        assert_eq!(items(r#"{"metadata":{"resourceVersion":"1"},"items":[{},7]}"#), Some(2));
        assert_eq!(items(r#"{"metadata":{"resourceVersion":"1","continue":null},"items":null}"#), Some(0));
        assert_eq!(items(r#"{"metadata":{}}"#), Some(0));
        assert_eq!(items("<html>"), None);
    }
}
