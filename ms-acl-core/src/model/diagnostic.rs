//! What is wrong, or worth knowing, about an object.

use std::fmt;

use crate::ruleset::ObjectRef;

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// In force, but hardly what its author meant.
    Warning,
    /// Not in force as it was written.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A finding about one object. It never stops the other objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic {
    /// The object.
    pub object: ObjectRef,
    /// The place in it, as a JSON pointer; empty = the object as a whole.
    pub path: String,
    /// How much it matters.
    pub severity: Severity,
    /// A sentence that says what is wrong and what follows from it.
    pub detail: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.object)?;
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.detail)
    }
}
