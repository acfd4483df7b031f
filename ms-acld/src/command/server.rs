//! Questions that a running daemon answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ms_acl_core::verdict::explain::Question;
use serde::Deserialize;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer.
const MAX_ANSWER: usize = 64 << 20;

/// The token to show, from the flag or else the file.
pub(super) fn token(given: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    // An empty variable is one that isn't set.
    if let Some(token) = given.filter(|token| !token.is_empty()) {
        return Ok(Some(token.to_owned()));
    }
    let Some(path) = file else { return Ok(None) };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("can't read the token file {}", path.display()))?;
    Ok(Some(text.trim().to_owned()))
}

/// Has a daemon explain a flow. The answer is what it sends: text, or JSON on one line.
pub(super) fn explain(
    server: &Uri,
    token: Option<&str>,
    question: &Question,
    (observed, json): (bool, bool),
) -> anyhow::Result<String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("from", &question.from.to_string());
    query.append_pair("to", &question.to.to_string());
    query.append_pair("port", &question.port.to_string());
    if observed {
        query.append_pair("observed", "true");
    }
    let accept = if json { "application/json" } else { "text/plain" };
    get(server, &format!("/explain?{}", query.finish()), token, accept)
}

/// What a daemon answers to `GET`. A problem that it tells is an error.
fn get(server: &Uri, path: &str, token: Option<&str>, accept: &'static str) -> anyhow::Result<String> {
    let server = server.to_string();
    let server = server.trim_end_matches('/');
    let uri: Uri = format!("{server}{path}").parse()?;
    let mut request = Request::get(uri).body(Empty::<Bytes>::new())?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| anyhow!("the token has characters that no header may have"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exchange = async {
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow!("the answer can't be read: {error}"))?.to_bytes();
        anyhow::Ok((status, body))
    };
    let outcome = runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await });
    // A look-up of a name that takes longer must not hold the end up.
    runtime.shutdown_background();
    let failed = || format!("can't ask the daemon at {server}");
    let (status, body) = outcome
        .map_err(|_| anyhow!("no answer within {} s", PATIENCE.as_secs()))
        .and_then(|outcome| outcome)
        .with_context(failed)?;
    if status != StatusCode::OK {
        bail!("the daemon at {server} answers {status}: {}", told(&body));
    }
    String::from_utf8(body.into()).context("the answer is not UTF-8").with_context(failed)
}

/// What a problem says.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}
