//! Names of chains and sets that the kernel will take.

use std::fmt;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than the kernel or the tools take.
    #[error("the name {name:?} has {length} bytes, at most {limit} are possible")]
    TooLong {
        /// The text.
        name: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Outside of our own name scheme.
    #[error("the name {name:?} is not one of ours: MS- and then letters, digits and hyphens")]
    Foreign {
        /// The text.
        name: String,
    },
}

fn check(name: &str, limit: usize) -> Result<(), NameError> {
    let rest = name.strip_prefix("MS-").ok_or_else(|| NameError::Foreign { name: name.to_owned() })?;
    if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(NameError::Foreign { name: name.to_owned() });
    }
    if name.len() > limit {
        return Err(NameError::TooLong { name: name.to_owned(), length: name.len(), limit });
    }
    Ok(())
}

/// The name of a chain: `MS-` and letters, digits and hyphens, at most 28 bytes (iptables' limit).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName(Box<str>);

impl ChainName {
    /// The longest name in bytes.
    pub const MAX: usize = 28;

    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, Self::MAX)?;
        Ok(ChainName(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a set: `MS-` and letters, digits and hyphens, at most 31 bytes (ipset's limit).
/// Sets of both families live in one name space, so the family is part of our names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName(Box<str>);

impl SetName {
    /// The longest name in bytes.
    pub const MAX: usize = 31;

    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, Self::MAX)?;
        Ok(SetName(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_to_the_limits_of_the_tools() {
        assert!(ChainName::new("MS-FORWARD").is_ok());
        assert!(ChainName::new(&format!("MS-{}", "a".repeat(25))).is_ok());
        assert!(matches!(
            ChainName::new(&format!("MS-{}", "a".repeat(26))),
            Err(NameError::TooLong { length: 29, .. })
        ));
        assert!(SetName::new(&format!("MS-{}", "a".repeat(28))).is_ok());
        assert!(matches!(
            SetName::new(&format!("MS-{}", "a".repeat(29))),
            Err(NameError::TooLong { length: 32, .. })
        ));
    }

    #[test]
    fn a_name_outside_our_scheme_is_refused() {
        for name in ["", "MS-", "cali-FORWARD", "MS-a b", "MS-ü", "ms-x"] {
            assert!(matches!(ChainName::new(name), Err(NameError::Foreign { .. })), "{name}");
        }
    }
}
