//! Answers, and problems as RFC 9457 has them.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use log::error;
use ms_acl_core::lower::acl::AclFault;
use serde::Serialize;
use serde_json::json;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// What an endpoint gives: an answer, or why there is none.
pub(super) type Answer = Result<Response<Body>, Problem>;

/// An answer with a text as its body.
pub(super) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An answer with a value as its body.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => text(status, "application/json", bytes),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What is told when something fails that can't be the caller's fault.
pub(super) fn internal(error: impl std::fmt::Display) -> Problem {
    error!("a request can't be answered: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// A place in a document and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Remark {
    /// JSON pointer.
    path: String,
    detail: String,
}

/// Faults or warnings as they are sent.
pub(super) fn remarks(faults: Vec<AclFault>) -> Vec<Remark> {
    faults.into_iter().map(|fault| Remark { path: fault.path, detail: fault.detail }).collect()
}

/// Why a request isn't answered.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    detail: String,
    errors: Vec<Remark>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem { status, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// With everything that is wrong with the document.
    pub(super) fn with_errors(mut self, errors: Vec<Remark>) -> Self {
        self.errors = errors;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let mut body = json!({"type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail});
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        let mut response = text(self.status, "application/problem+json", body.to_string());
        response.headers_mut().extend(self.headers);
        response
    }
}
