//! Every path that is served.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{Answer, Body, Problem};
use super::{Api, explain, policy, ruleset, state};

/// An endpoint.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    GetPolicy,
    PutPolicy,
    DeletePolicy,
    Status,
    Explain,
    Ruleset,
    Healthz,
    Readyz,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Those whom `--api-token` and its siblings let in.
    Callers,
    /// Everybody: probes have no token.
    All,
}

type Route = (&'static str, For, &'static [(Method, Endpoint)]);

const ROUTES: &[Route] = &[
    (
        "/policy",
        For::Callers,
        &[
            (Method::GET, Endpoint::GetPolicy),
            (Method::PUT, Endpoint::PutPolicy),
            (Method::DELETE, Endpoint::DeletePolicy),
        ],
    ),
    ("/status", For::Callers, &[(Method::GET, Endpoint::Status)]),
    ("/explain", For::Callers, &[(Method::GET, Endpoint::Explain)]),
    ("/ruleset", For::Callers, &[(Method::GET, Endpoint::Ruleset)]),
    ("/healthz", For::All, &[(Method::GET, Endpoint::Healthz)]),
    ("/readyz", For::All, &[(Method::GET, Endpoint::Readyz)]),
];

/// A request and who sent it.
pub(super) struct Call {
    pub(super) request: Request<Incoming>,
    pub(super) caller: SocketAddr,
}

/// Answers a request.
pub(super) async fn answer(api: Arc<Api>, call: Call) -> Response<Body> {
    let outcome = match find(&api, &call) {
        Ok(Endpoint::GetPolicy) => policy::get(&api, &call).await,
        Ok(Endpoint::PutPolicy) => policy::put(api, call).await,
        Ok(Endpoint::DeletePolicy) => policy::delete(api, call).await,
        Ok(Endpoint::Status) => state::status(&api, &call),
        Ok(Endpoint::Explain) => explain::get(&api, &call).await,
        Ok(Endpoint::Ruleset) => ruleset::get(&api, &call).await,
        Ok(Endpoint::Healthz) => Ok(state::healthz()),
        Ok(Endpoint::Readyz) => state::readyz(&api),
        Err(problem) => Answer::Err(problem),
    };
    outcome.unwrap_or_else(Problem::into_response)
}

fn find(api: &Api, call: &Call) -> Result<Endpoint, Problem> {
    let path = call.request.uri().path();
    let route = ROUTES.iter().find(|(served, ..)| *served == path);
    if route.is_none_or(|(_, callers, _)| *callers == For::Callers) {
        api.access.check(call.caller.ip(), call.request.headers())?;
    }
    let Some((_, _, methods)) = route else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")));
    };
    // Where GET is answered, so is HEAD: without the body.
    let asked = call.request.method();
    let asked = if asked == Method::HEAD { &Method::GET } else { asked };
    if let Some((_, endpoint)) = methods.iter().find(|(method, _)| method == asked) {
        return Ok(*endpoint);
    }
    let mut allowed: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    let detail = format!("{path} knows {allowed}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
    Err(match HeaderValue::from_str(&allowed) {
        Ok(allowed) => problem.with_header(ALLOW, allowed),
        Err(_) => problem,
    })
}
