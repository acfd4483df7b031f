//! What is ours: the name scheme of chains and sets, and the marks on chains and jumps.

use ms_acl_core::ruleset::{ChainName, Family, SetKind, SetName, SetRole};

/// The comment on every jump of ours in a base chain.
pub const JUMP_COMMENT: &str = "ms-acl";
/// The tag in the user data of every chain of ours.
pub const CHAIN_TAG: &str = "ms-acl";
/// The tag in the user data of a table and of base chains that weren't there before us: they go with our rules,
/// unless somebody else uses them by then.
pub const PLACE_TAG: &str = "made by ms-acl";
/// The operator's chain: created empty, never changed.
pub const ADMIN_CHAIN: &str = "MS-ADMIN";

const FIXED: [&str; 10] = [
    "MS-FORWARD",
    "MS-OUTPUT",
    "MS-INPUT",
    "MS-EGRESS",
    "MS-INGRESS",
    ADMIN_CHAIN,
    "MS-ACCEPT",
    "MS-PASS",
    "MS-ALLOW",
    "MS-REJECT",
];
/// The kinds of chains with a hash in their name: group, gate, policy, dispatch, either direction.
const KINDS: &str = "EIGPD";
/// The length of a hash in a name: 100 bits in base 32.
const HASH: usize = 20;

/// Whether a chain's name is one that we give: `MS-FORWARD` and its like, or `MS-`, a kind, a hash of 20
/// base-32 characters and at most three more letters or digits for a part of a chain, after a hyphen
/// or not.
pub fn is_owned_name(name: &str) -> bool {
    if FIXED.contains(&name) {
        return true;
    }
    let Some(rest) = name.strip_prefix("MS-") else { return false };
    let Some((kind, rest)) = rest.split_once('-') else { return false };
    let Some(suffix) = strip_hash(rest) else { return false };
    let part = suffix.strip_prefix('-').unwrap_or(suffix);
    name.len() <= ChainName::MAX
        && kind.len() == 1
        && KINDS.contains(kind)
        && (suffix.is_empty() || (1..=3).contains(&part.len()))
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What a set's name says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedSet {
    /// The side of the decision it stands on.
    pub role: SetRole,
    /// What its members are.
    pub kind: SetKind,
    /// The family of its addresses.
    pub family: Family,
}

/// Reads a set's name: `MS-`, role (p permit, r refuse), kind (a addresses, n networks, p addresses with
/// ports), family (4 or 6), a hyphen and a hash, and perhaps a hyphen and up to four digits. `None` = not a
/// name that we give.
pub fn owned_set(name: &str) -> Option<OwnedSet> {
    let rest = name.strip_prefix("MS-")?;
    let (letters, rest) = rest.split_once('-')?;
    let suffix = strip_hash(rest)?;
    if !suffix.is_empty() {
        let digits = suffix.strip_prefix('-')?;
        if !(1..=4).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    let [role, kind, family] = letters.as_bytes() else { return None };
    Some(OwnedSet {
        role: match role {
            b'p' => SetRole::Permit,
            b'r' => SetRole::Refuse,
            _ => return None,
        },
        kind: match kind {
            b'a' => SetKind::Addresses,
            b'n' => SetKind::Networks,
            b'p' => SetKind::AddressPorts,
            _ => return None,
        },
        family: match family {
            b'4' => Family::V4,
            b'6' => Family::V6,
            _ => return None,
        },
    })
}

/// As [`owned_set`], for a checked name.
pub(crate) fn set_of(name: &SetName) -> Option<OwnedSet> {
    owned_set(name.as_str())
}

fn strip_hash(text: &str) -> Option<&str> {
    let (hash, rest) = text.split_at_checked(HASH)?;
    hash.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "abcdefghijklmnop2345";

    #[test]
    fn chains_of_the_scheme_are_ours() {
        for name in ["MS-FORWARD", "MS-ADMIN", "MS-REJECT"] {
            assert!(is_owned_name(name), "{name}");
        }
        for kind in KINDS.chars() {
            assert!(is_owned_name(&format!("MS-{kind}-{HASH}")));
            assert!(is_owned_name(&format!("MS-{kind}-{HASH}b")));
            assert!(is_owned_name(&format!("MS-{kind}-{HASH}-12")));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        let hash_upper = HASH.to_uppercase();
        for name in [
            "MS-FORWARD2".to_owned(),
            "MS-E-abc".to_owned(),
            format!("MS-X-{HASH}"),
            format!("MS-EG-{HASH}"),
            format!("MS--{HASH}"),
            format!("MS-E-{hash_upper}"),
            format!("MS-E-{}1", &HASH[..19]),
            format!("MS-E-{HASH}-"),
            format!("MS-E-{HASH}abcd"),
            format!("MS-E-{HASH}-abc"),
            format!("ms-E-{HASH}"),
            "MS-E-ääääääääääääääääääää".to_owned(),
            "FORWARD".to_owned(),
        ] {
            assert!(!is_owned_name(&name), "{name}");
        }
    }

    #[test]
    fn a_sets_name_says_what_it_is() {
        assert_eq!(
            owned_set(&format!("MS-pa4-{HASH}")),
            Some(OwnedSet { role: SetRole::Permit, kind: SetKind::Addresses, family: Family::V4 })
        );
        assert_eq!(
            owned_set(&format!("MS-rp6-{HASH}-12")),
            Some(OwnedSet { role: SetRole::Refuse, kind: SetKind::AddressPorts, family: Family::V6 })
        );
        for name in [
            "MS-pa4-abc".to_owned(),
            format!("MS-pa4-{HASH}-"),
            format!("MS-pa4-{HASH}-x"),
            format!("MS-pa5-{HASH}"),
            format!("MS-xa4-{HASH}"),
            format!("MS-px4-{HASH}"),
            format!("MS-pan4-{HASH}"),
            format!("XX-pa4-{HASH}"),
        ] {
            assert_eq!(owned_set(&name), None, "{name}");
        }
    }
}
