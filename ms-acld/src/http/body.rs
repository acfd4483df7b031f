//! Request bodies and queries, within bounds.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{StatusCode, Uri};

use super::answer::Problem;
use crate::text::{Syntax, too_large};

/// The largest body.
const MAX_BODY: usize = 8 << 20;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// How the body is written. Without Content-Type it is JSON.
pub(super) fn syntax(headers: &HeaderMap) -> Result<Syntax, Problem> {
    let unsupported = |detail: &str| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return unsupported("bodies with a Content-Encoding aren't read");
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(Syntax::Json) };
    let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
    if charset.is_some_and(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii")) {
        return unsupported("the charset is none of UTF-8");
    }
    syntax_named(essence).map_or_else(|| unsupported("application/json or application/yaml is needed"), Ok)
}

/// The syntax that a media type stands for.
pub(super) fn syntax_named(essence: &str) -> Option<Syntax> {
    match essence {
        "application/json" | "text/json" => Some(Syntax::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Some(Syntax::Yaml),
        other if other.ends_with("+json") => Some(Syntax::Json),
        other if other.ends_with("+yaml") => Some(Syntax::Yaml),
        _ => None,
    }
}

/// Reads a body to its end.
pub(super) async fn read(body: Incoming) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the document {}", too_large(MAX_BODY));
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body can't be read: {error}")))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// The parameters of a query, of which each may be there once and must be known.
pub(super) fn query(uri: &Uri, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    let wrong = |detail: String| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let list = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            return wrong(format!("the parameter {name:?} is not known here; known: {list}"));
        }
        if parameters.iter().any(|(other, _)| *other == name) {
            return wrong(format!("the parameter {name} is there twice"));
        }
        parameters.push((name.into_owned(), value.into_owned()));
    }
    Ok(parameters)
}

/// The value of a parameter.
pub(super) fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// Whether a parameter is `true`.
pub(super) fn flag(parameters: &[(String, String)], name: &str) -> Result<bool, Problem> {
    match value(parameters, name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let detail = format!("the parameter {name} is {other:?}, true or false is needed");
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(kind: &'static str) -> Option<Syntax> {
        syntax(&[(CONTENT_TYPE, HeaderValue::from_static(kind))].into_iter().collect()).ok()
    }

    #[test]
    fn only_json_and_yaml_are_read() {
        assert_eq!(syntax(&HeaderMap::new()).ok(), Some(Syntax::Json));
        assert_eq!(of("Application/JSON; charset=UTF-8"), Some(Syntax::Json));
        assert_eq!(of("application/yaml"), Some(Syntax::Yaml));
        assert_eq!(of("application/acl+yaml"), Some(Syntax::Yaml));
        assert_eq!(of("application/x-www-form-urlencoded"), None);
        assert_eq!(of("application/json; charset=latin1"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let query = |text: &str| query(&text.parse().unwrap(), &["dryRun"]).ok();
        assert_eq!(query("/policy"), Some(Vec::new()));
        let one = query("/policy?dryRun=true").unwrap();
        assert_eq!(flag(&one, "dryRun").ok(), Some(true));
        assert!(query("/policy?dryrun=true").is_none());
        assert!(query("/policy?dryRun=true&dryRun=false").is_none());
        assert!(flag(&query("/policy?dryRun").unwrap(), "dryRun").is_err());
    }
}
