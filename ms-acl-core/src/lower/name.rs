//! Names of objects, as the API server checks them.

/// Whether a text is a DNS label of RFC 1123, as namespaces are named: at most 63 lower case letters,
/// digits and hyphens, no hyphen at an end.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether a text is a DNS subdomain of RFC 1123, as most objects are named: such labels with dots
/// between them, at most 253 characters in all.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains_are_those_of_rfc_1123() {
        for good in ["a", "a-b", "0", "web-1", &"x".repeat(63)] {
            assert!(is_label(good) && is_subdomain(good), "{good}");
        }
        assert!(is_subdomain("a.b-c.d") && is_subdomain(&"x".repeat(253)));
        assert!(!is_label("a.b") && !is_label(&"x".repeat(64)) && !is_subdomain(&"x".repeat(254)));
        for bad in ["", "-a", "a-", "A", "a_b", ".a", "a.", "a..b", "a b", "ä"] {
            assert!(!is_subdomain(bad), "{bad}");
        }
    }
}
