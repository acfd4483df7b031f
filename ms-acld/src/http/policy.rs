//! `PUT`, `GET` and `DELETE /policy`.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ETAG, HeaderMap, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use log::error;
use ms_acl_core::lower::acl::AclDocument;
use serde::Serialize;

use super::accept::quality;
use super::answer::{self, Answer, Body, Problem, Remark, internal, remarks};
use super::body::{flag, query, read, syntax, syntax_named};
use super::condition::{has_already, may_write};
use super::router::Call;
use super::{Api, Desk};
use crate::engine::{Changes, Input, Status};
use crate::policy;
use crate::text::Syntax;

/// How long an answer waits for the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a writer gets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    generation: u64,
    deployments: usize,
    rules: usize,
    warnings: Vec<Remark>,
    /// Only of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
    /// Only while the kernel doesn't hold it.
    #[serde(flatten)]
    behind: Option<Behind>,
}

/// How far the kernel is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Behind {
    applied: u64,
    last_error: Option<String>,
}

pub(super) async fn get(api: &Api, call: &Call) -> Answer {
    query(call.request.uri(), &[])?;
    let document = Arc::clone(&*api.desk.current.lock().await);
    let headers = call.request.headers();
    let (kind, body, tag) = match preferred(headers) {
        Syntax::Json => ("application/json", policy::json(&document), policy::tag(&document)),
        Syntax::Yaml => ("application/yaml", policy::yaml(&document), policy::yaml_tag(&document)),
    };
    let mut response = if has_already(headers, &tag) {
        let mut unchanged = Response::new(Body::default());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        answer::text(StatusCode::OK, kind, body)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    set_tag(&mut response, &tag);
    Ok(response)
}

pub(super) async fn put(api: Arc<Api>, call: Call) -> Answer {
    let parameters = query(call.request.uri(), &["dryRun"])?;
    let dry_run = flag(&parameters, "dryRun")?;
    let syntax = syntax(call.request.headers())?;
    let (head, body) = call.request.into_parts();
    let body = read(body).await?;
    let parsed = tokio::task::spawn_blocking(move || policy::parse(syntax, &body)).await.map_err(internal)?;
    let document = parsed.map_err(|faults| {
        let detail = match &faults[..] {
            [fault] if fault.path.is_empty() => format!("the document {}", fault.detail),
            faults => format!("the document has {} faults, nothing was changed", faults.len()),
        };
        Problem::new(StatusCode::BAD_REQUEST, detail).with_errors(remarks(faults))
    })?;
    let cause = format!("PUT /policy by {}", call.caller);
    replace(api, head.headers, document, dry_run, cause).await
}

pub(super) async fn delete(api: Arc<Api>, call: Call) -> Answer {
    let parameters = query(call.request.uri(), &["dryRun"])?;
    let dry_run = flag(&parameters, "dryRun")?;
    let cause = format!("DELETE /policy by {}", call.caller);
    let headers = call.request.headers().clone();
    replace(api, headers, AclDocument::default(), dry_run, cause).await
}

async fn replace(
    api: Arc<Api>,
    headers: HeaderMap,
    document: AclDocument,
    dry_run: bool,
    cause: String,
) -> Answer {
    let document = Arc::new(document);
    let (deployments, rules) = (document.deployments(), document.rules());
    let written = |generation, warnings| Written {
        generation,
        deployments,
        rules,
        warnings,
        changes: None,
        behind: None,
    };
    if dry_run {
        let current = Arc::clone(&*api.desk.current.lock().await);
        check(&headers, &current)?;
        let preview = api.engine.ask(move |reply| Input::Preview { document, reply }).await;
        let preview = preview.map_err(internal)?;
        let body = Written {
            changes: Some(preview.changes),
            ..written(preview.generation, remarks(preview.warnings))
        };
        return Ok(answer::json(StatusCode::OK, &body));
    }
    let tag = policy::tag(&document);
    // Once begun, a change goes to its end, also if its caller doesn't wait for it.
    let change = {
        let api = Arc::clone(&api);
        async move { change(&api, &headers, document, cause).await }
    };
    let accepted = tokio::spawn(change).await.map_err(internal)??;
    let generation = accepted.generation;
    let arrived = api
        .engine
        .wait_for(|snapshot| snapshot.status.applied >= generation || snapshot.failed >= generation);
    let snapshot = match tokio::time::timeout(PATIENCE, arrived).await {
        Ok(snapshot) => snapshot.map_err(internal)?,
        Err(_) => api.engine.snapshot(),
    };
    let body = written(generation, remarks(accepted.warnings));
    let mut response = if snapshot.status.applied >= generation {
        answer::json(StatusCode::OK, &body)
    } else {
        let Status { applied, last_error, .. } = snapshot.status.clone();
        let behind = Some(Behind { applied, last_error });
        answer::json(StatusCode::ACCEPTED, &Written { behind, ..body })
    };
    set_tag(&mut response, &tag);
    Ok(response)
}

/// Stores a document and hands it to the engine; one writer after the other.
async fn change(
    api: &Api,
    headers: &HeaderMap,
    document: Arc<AclDocument>,
    cause: String,
) -> Result<crate::engine::Accepted, Problem> {
    let Desk { current, store } = &api.desk;
    let mut current = current.lock().await;
    check(headers, &current)?;
    if let Some(store) = store.clone() {
        let document = Arc::clone(&document);
        let stored = tokio::task::spawn_blocking(move || store.write(&document)).await.map_err(internal)?;
        stored.map_err(|error| {
            let detail = format!("the policy file can't be written, nothing was changed: {error}");
            error!("{detail}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })?;
    }
    let given = Arc::clone(&document);
    let accepted = api.engine.ask(move |reply| Input::Policy { document: given, cause, reply }).await;
    let accepted = accepted.map_err(internal)?;
    *current = document;
    Ok(accepted)
}

fn check(headers: &HeaderMap, current: &AclDocument) -> Result<(), Problem> {
    may_write(headers, &[&policy::tag(current), &policy::yaml_tag(current)])
}

fn set_tag(response: &mut Response<Body>, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// What a reader would rather have: YAML only if it says so.
fn preferred(headers: &HeaderMap) -> Syntax {
    let json = quality(headers, |range| {
        matches!(range, "*/*" | "application/*") || syntax_named(range) == Some(Syntax::Json)
    });
    let yaml = quality(headers, |range| range == "text/*" || syntax_named(range) == Some(Syntax::Yaml));
    if yaml > json { Syntax::Yaml } else { Syntax::Json }
}

#[cfg(test)]
mod tests {
    use hyper::header::ACCEPT;

    use super::*;

    #[test]
    fn yaml_is_for_those_who_ask_for_it() {
        let of = |accept: &'static str| {
            preferred(&[(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect())
        };
        assert_eq!(preferred(&HeaderMap::new()), Syntax::Json);
        assert_eq!(of("*/*"), Syntax::Json);
        assert_eq!(of("application/yaml"), Syntax::Yaml);
        assert_eq!(of("application/yaml, */*;q=0.1"), Syntax::Yaml);
        assert_eq!(of("application/yaml;q=0.5, application/json"), Syntax::Json);
        assert_eq!(of("text/html"), Syntax::Json);
    }
}
