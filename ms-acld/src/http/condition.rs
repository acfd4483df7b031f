//! Conditional requests: If-Match and If-None-Match (RFC 9110, section 13).

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::answer::Problem;

/// Whether a writer may change what now has these tags, one for each representation.
pub(super) fn may_write(headers: &HeaderMap, tags: &[&str]) -> Result<(), Problem> {
    let failed = |detail: &str| Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail));
    if let Some(listed) = list(headers, &IF_MATCH)
        && !listed.iter().any(|tag| tag == "*" || tags.contains(&tag.as_str()))
    {
        return failed("the policy has changed since: none of If-Match is its entity tag");
    }
    if let Some(listed) = list(headers, &IF_NONE_MATCH)
        && listed.iter().any(|tag| tag == "*" || tags.contains(&strong(tag)))
    {
        return failed("the policy is one of If-None-Match already");
    }
    Ok(())
}

/// Whether a reader has the representation with this tag already.
pub(super) fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let listed = list(headers, &IF_NONE_MATCH).unwrap_or_default();
    listed.iter().any(|other| other == "*" || strong(other) == tag)
}

/// Weak tags match strong ones where a cache asks.
fn strong(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    // Our tags have no comma in them, so one within a quoted tag only splits tags that can't match.
    let tags = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    Some(tags.map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        [(name, HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn a_writer_must_name_the_tag_of_now() {
        let may = |name, value| may_write(&headers(name, value), &["\"a\"", "\"a-yaml\""]).is_ok();
        assert!(may_write(&HeaderMap::new(), &["\"a\""]).is_ok());
        assert!(may(IF_MATCH, "\"a\"") && may(IF_MATCH, "\"x\", \"a-yaml\"") && may(IF_MATCH, "*"));
        assert!(
            !may(IF_MATCH, "\"x\"") && !may(IF_MATCH, "W/\"a\"") && !may(IF_MATCH, "") && !may(IF_MATCH, "a")
        );
        assert!(!may(IF_NONE_MATCH, "*") && !may(IF_NONE_MATCH, "W/\"a\"") && may(IF_NONE_MATCH, "\"x\""));
    }

    #[test]
    fn a_reader_has_what_it_names() {
        assert!(has_already(&headers(IF_NONE_MATCH, "\"x\", W/\"a\""), "\"a\""));
        assert!(!has_already(&headers(IF_NONE_MATCH, "\"x\""), "\"a\""));
        assert!(!has_already(&HeaderMap::new(), "\"a\""));
    }
}
