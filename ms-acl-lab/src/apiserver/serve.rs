//! Requests in, answers out.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fault::{Fault, Faults};
use super::resource::Place;
use super::select::Select;
use super::store::{Listed, Refusal, Store};
use super::stream;
use super::verbs::{self, PatchType};

/// The body of an answer.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<String>>,
    /// The store's version, for those who wait for a change.
    pub(super) version: watch::Sender<u64>,
    /// Counts how often all watches were told to end.
    pub(super) breaks: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(store: Store) -> Self {
        let version = watch::Sender::new(store.version());
        Shared {
            store: Mutex::new(store),
            faults: Mutex::default(),
            requests: Mutex::default(),
            version,
            breaks: watch::Sender::new(0),
        }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, Vec<String>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the store and wakes those who wait for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        let outcome = change(&mut store);
        let version = store.version();
        drop(store);
        self.version.send_replace(version);
        outcome
    }
}

/// The query of a request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn of(query: Option<&str>) -> Self {
        Query(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }

    pub(super) fn select(&self) -> Select {
        Select::of(self.get("labelSelector"), self.get("fieldSelector"))
    }
}

/// Answers a request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    shared.requests().push(format!("{} {target}", request.method()));
    let delay = shared.faults().delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    Ok(respond(&shared, request).await.unwrap_or_else(|refusal| status(&refusal)))
}

async fn respond(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    authenticate(shared, &request)?;
    let path = request.uri().path().to_owned();
    let Some(place) = Place::of(&path) else { return discovery(&shared.store(), &path) };
    let query = Query::of(request.uri().query());
    authorize(shared, &place, request.method())?;
    let fault = shared.faults().kinds.get(&place.plural).cloned();
    match fault {
        None => {}
        Some(Fault::Status(code)) => return Err(refused(code, &place)),
        Some(Fault::TooMany(seconds)) => {
            let mut response = status(&refused(429, &place));
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            return Ok(response);
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Garbage) => return Ok(text(200, "<html>this is no JSON")),
    }
    let kind = shared.store().find(&place)?;
    let method = request.method().clone();
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    if method == Method::GET && place.name.is_empty() {
        if query.is_set("watch") {
            return stream::watch(shared, kind, &place, &query);
        }
        return list(shared, kind, &place, &query);
    }
    let body = request.into_body().collect().await;
    let body = body.map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))?.to_bytes();
    // No body at all is `null`.
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))?;
    let named = !place.name.is_empty();
    let (code, object) = match (method, named) {
        (Method::GET, true) => verbs::get(&shared.store(), kind, &place),
        (Method::POST, false) => shared.change(|store| verbs::create(store, kind, &place, body)),
        (Method::PUT, true) => shared.change(|store| verbs::replace(store, kind, &place, body)),
        (Method::DELETE, true) => shared.change(|store| verbs::delete(store, kind, &place, &body)),
        (Method::PATCH, true) => match PatchType::of(&content_type) {
            Some(patch) => shared.change(|store| verbs::patch(store, kind, &place, patch, &body)),
            None => Err(Refusal::new(415, "UnsupportedMediaType", format!("not {content_type}"))),
        },
        (method, _) => Err(Refusal::new(405, "MethodNotAllowed", format!("{method} is not supported here"))),
    }?;
    Ok(text(code, &object))
}

fn authenticate(shared: &Shared, request: &Request<Incoming>) -> Result<(), Refusal> {
    let Some(token) = shared.faults().token.clone() else { return Ok(()) };
    let shown = request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown == Some(format!("Bearer {token}").as_str()) {
        return Ok(());
    }
    Err(Refusal::new(401, "Unauthorized", "Unauthorized"))
}

/// What a Role in one namespace allows: what is in it, and it by its name.
fn authorize(shared: &Shared, place: &Place, method: &Method) -> Result<(), Refusal> {
    let faults = shared.faults();
    let Some(only) = &faults.only_namespace else { return Ok(()) };
    let own = place.plural == "namespaces" && place.name == *only && method == Method::GET;
    if place.namespace == *only || (own && faults.own_namespace) {
        return Ok(());
    }
    Err(refused(403, place))
}

fn refused(code: u16, place: &Place) -> Refusal {
    let Place { plural, group, .. } = place;
    match code {
        403 => {
            let message = format!(
                "{plural}{}{group} is forbidden: User \"system:serviceaccount:ms-acl:ms-acl\" cannot do this to resource \"{plural}\" in API group \"{group}\" at the cluster scope",
                if group.is_empty() { "" } else { "." }
            );
            Refusal::new(403, "Forbidden", message)
        }
        404 => Refusal::new(404, "NotFound", "the server could not find the requested resource"),
        429 => Refusal::new(429, "TooManyRequests", "Too many requests, please try again later."),
        code => Refusal::new(code, "InternalError", "it was asked to fail"),
    }
}

fn list(shared: &Shared, kind: usize, place: &Place, query: &Query) -> Result<Response<Body>, Refusal> {
    let mut store = shared.store();
    let limit = query.get("limit").parse().unwrap_or(0);
    let listed = match query.get("continue") {
        "" => {
            let items = store.list(kind, &place.namespace, &query.select());
            store.page(items, limit)
        }
        token => store.next_page(token, limit)?,
    };
    let resource = store.resource(kind);
    let (version, list) = (resource.api_version(), format!("{}List", resource.kind));
    drop(store);
    let Listed { version: resource_version, items, more } = listed;
    let mut metadata = json!({"resourceVersion": resource_version.to_string()});
    if let Some((token, remaining)) = more {
        metadata["continue"] = token.into();
        metadata["remainingItemCount"] = remaining.into();
    }
    let head =
        format!("{{\"kind\":\"{list}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[");
    let mut body = String::with_capacity(head.len() + items.iter().map(|item| item.len() + 1).sum::<usize>());
    body += &head;
    for (number, item) in items.iter().enumerate() {
        body += if number > 0 { "," } else { "" };
        body += &without_type(item);
    }
    body += "]}";
    Ok(text(200, &body))
}

/// An object as the item of a list: the list says of what type it is. What stands before the metadata is
/// the type, where the server has written it.
fn without_type(text: &str) -> String {
    match text.split_once(",\"metadata\":") {
        Some((head, rest)) if head.matches(',').count() == 1 && head.starts_with("{\"apiVersion\"") => {
            format!("{{\"metadata\":{rest}")
        }
        _ => text.to_owned(),
    }
}

fn discovery(store: &Store, path: &str) -> Result<Response<Body>, Refusal> {
    let resources = |group: &str, version: &str| -> Vec<Value> {
        let fits =
            store.resources().filter(|resource| resource.group == group && resource.version == version);
        fits.map(|resource| {
            json!({"name": resource.plural, "singularName": resource.kind.to_lowercase(),
                "namespaced": resource.namespaced, "kind": resource.kind,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]})
        })
        .collect()
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let answer = match parts.as_slice() {
        ["version"] => {
            json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0-double", "platform": "linux/amd64",
            "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": ""})
        }
        ["healthz" | "livez" | "readyz"] => return Ok(text(200, "ok")),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"]}),
        ["api", version] => json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
            "resources": resources("", version)}),
        ["apis", group, version] => json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": format!("{group}/{version}"), "resources": resources(group, version)}),
        _ => return Err(Refusal::new(404, "NotFound", "the server could not find the requested resource")),
    };
    Ok(text(200, &answer.to_string()))
}

/// The object that says why a request wasn't fulfilled.
pub(super) fn status_object(refusal: &Refusal) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": refusal.message, "reason": refusal.reason, "code": refusal.code})
}

fn status(refusal: &Refusal) -> Response<Body> {
    text(refusal.code, &status_object(refusal).to_string())
}

fn text(code: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed());
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}
