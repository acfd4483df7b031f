//! Looking at the engine's state, a few at a time.

use hyper::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Api;
use super::answer::{Problem, internal};
use crate::engine::{Input, Look, View};

/// How many look at the same time: each takes a copy of the engine's maps, and a processor for a while.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A view, and the place of the one who looks at it.
pub(super) struct Looking {
    pub(super) view: View,
    /// Given back when the answer is made.
    pub(super) place: SemaphorePermit<'static>,
}

/// Looks at the engine's state.
pub(super) async fn look(api: &Api, look: Look) -> Result<Looking, Problem> {
    let place = PLACES.acquire().await.map_err(internal)?;
    let view = api.engine.ask(move |reply| Input::Look { look, reply }).await.map_err(internal)?;
    let view = view.map_err(|error| internal(format!("the kernel can't be read: {error}")))?;
    Ok(Looking { view, place })
}

/// Why there is nothing desired yet.
pub(super) fn not_ready(api: &Api) -> Problem {
    let snapshot = api.engine.snapshot();
    let why = snapshot.not_ready.join("; ");
    let why = if why.is_empty() { "it is starting".to_owned() } else { why };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}"))
}
