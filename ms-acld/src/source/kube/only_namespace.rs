//! What takes the place of cluster-wide kinds where one namespace only may be watched: the Namespace,
//! read by its name where that is allowed, and this node as its own addresses tell.

use std::net::IpAddr;
use std::time::Duration;

use kube::Client;
use ms_acl_core::cluster::Event;
use ms_acl_core::object::{Metadata, Node, NodeAddress, NodeStatus, Object};

use super::backoff::Backoff;
use super::kinds::Kind;
use super::objects::Objects;
use super::request::{Failure, object};
use super::watch::{News, Outlet, Unheard, WatchState};

/// How often the Namespace is read: with rights on it alone it can't be watched.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Reads one object again and again, until nobody listens any more.
pub(super) async fn read_by_name(
    kind: &'static Kind,
    client: Client,
    name: String,
    outlet: Outlet,
) -> Unheard {
    let mut objects = Objects::new(kind);
    let mut state = WatchState::default();
    let mut told = state.clone();
    let mut backoff = Backoff::default();
    let path = kind.path(None);
    loop {
        let answer = object(&client, &path, &name).await;
        let mut wait = READ_AGAIN;
        let events = match answer {
            Ok(text) => {
                objects.start_listing();
                let event = objects.listed(&text);
                state = WatchState { listed: true, live: true, ..WatchState::default() };
                event.into_iter().collect()
            }
            // It is gone, or was never there.
            Err(Failure::Refused(why)) if why.starts_with("404 ") => {
                state = WatchState { listed: true, live: true, ..WatchState::default() };
                objects.none()
            }
            Err(failure) => {
                state.live = false;
                state.failure = Some(failure.why().to_owned());
                state.absent = !state.listed && matches!(failure, Failure::Refused(_));
                wait = if state.absent { READ_AGAIN } else { backoff.failed(None) };
                Vec::new()
            }
        };
        if state.live {
            backoff = Backoff::default();
        }
        state.nameless = objects.nameless();
        if !events.is_empty() && outlet.send(News::Events(events)).await.is_err() {
            return Unheard;
        }
        if state != told {
            told = state.clone();
            if outlet.send(News::State(state.clone())).await.is_err() {
                return Unheard;
            }
        }
        tokio::time::sleep(wait).await;
    }
}

/// This node as an object, by what is known without the API.
pub(super) fn node(name: &str, addresses: &[IpAddr]) -> Event {
    let addresses = addresses.iter();
    let addresses =
        addresses.map(|address| NodeAddress { kind: "InternalIP".to_owned(), address: address.to_string() });
    Event::Apply(Object::Node(Node {
        metadata: Metadata { name: name.to_owned(), ..Metadata::default() },
        status: NodeStatus { addresses: addresses.collect() },
        ..Node::default()
    }))
}
