//! What a chain stands for, by its name.

use super::{ACCEPT, ADMIN, ALLOW, EGRESS, INGRESS, PASS, REJECT};
use crate::ruleset::{ChainName, Direction};

/// What a chain stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Base chains jump to it.
    Hook,
    /// The operator's own.
    Admin,
    /// From a pod's address to its group.
    Dispatch(Option<Direction>),
    /// The gates of pods for which a direction is equal.
    Group(Direction),
    /// A gate.
    Gate,
    /// One policy's rules.
    Policy,
    /// What a rule leads to in the end: pass, accept, reject.
    End,
}

impl Role {
    /// The role of a chain of this name.
    pub(crate) fn of(name: &ChainName) -> Role {
        match name.as_str() {
            EGRESS => return Role::Dispatch(Some(Direction::Egress)),
            INGRESS => return Role::Dispatch(Some(Direction::Ingress)),
            ADMIN => return Role::Admin,
            PASS | ALLOW | REJECT | ACCEPT => return Role::End,
            _ => {}
        }
        let kind = name.as_str().strip_prefix("MS-").and_then(|rest| rest.split_once('-'));
        match kind {
            Some(("D", _)) => Role::Dispatch(None),
            Some(("E", _)) => Role::Group(Direction::Egress),
            Some(("I", _)) => Role::Group(Direction::Ingress),
            Some(("G", _)) => Role::Gate,
            Some(("P", _)) => Role::Policy,
            _ => Role::Hook,
        }
    }

    /// Whether it is the chain of a group.
    pub(crate) fn is_group(self) -> bool {
        matches!(self, Role::Group(_))
    }
}
