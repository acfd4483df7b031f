//! What a reader would rather have: the header Accept (RFC 9110, section 12.5.1).

use hyper::header::{ACCEPT, HeaderMap};

/// How much a reader wants a representation: the best quality of the media ranges that `meant` says are for
/// it. They are given in lower case, without parameters.
pub(super) fn quality(headers: &HeaderMap, meant: impl Fn(&str) -> bool) -> f32 {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut best = 0.0_f32;
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let essence = parts.next().unwrap_or_default();
        if meant(&essence) {
            best = best.max(parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0));
        }
    }
    best
}

/// Whether a reader would rather have text for people than JSON.
pub(super) fn prefers_text(headers: &HeaderMap) -> bool {
    let text = quality(headers, |range| matches!(range, "text/plain" | "text/*"));
    let json = quality(headers, |range| matches!(range, "application/json" | "application/*" | "*/*"));
    text > json
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn text_is_for_those_who_ask_for_it() {
        let of = |accept: &'static str| {
            prefers_text(&[(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect())
        };
        assert!(
            !prefers_text(&HeaderMap::new()) && !of("*/*") && !of("application/json") && !of("text/html")
        );
        assert!(of("text/plain") && of("Text/Plain; charset=utf-8, application/json;q=0.9"));
        assert!(!of("text/plain;q=0.5, application/json"));
    }
}
