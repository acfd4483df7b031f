//! How the daemon is: `/status`, `/healthz`, `/readyz`.

use hyper::{Response, StatusCode};
use serde_json::json;

use super::Api;
use super::answer::{self, Answer, Body, Problem};
use super::body::query;
use super::router::Call;

pub(super) fn status(api: &Api, call: &Call) -> Answer {
    query(call.request.uri(), &[])?;
    Ok(answer::json(StatusCode::OK, &api.engine.snapshot().status))
}

/// The process lives: without its engine it would have ended.
pub(super) fn healthz() -> Response<Body> {
    answer::json(StatusCode::OK, &json!({"status": "ok"}))
}

/// The first full sync is done.
pub(super) fn readyz(api: &Api) -> Answer {
    let snapshot = api.engine.snapshot();
    if snapshot.not_ready.is_empty() {
        return Ok(answer::json(StatusCode::OK, &json!({"status": "ready"})));
    }
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {}", snapshot.not_ready.join("; ")),
    ))
}
