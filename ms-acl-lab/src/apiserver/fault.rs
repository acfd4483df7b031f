//! What goes wrong, on demand.

use std::collections::BTreeMap;
use std::time::Duration;

/// How a server behaves. Everything may be changed while it serves.
#[derive(Debug, Clone)]
pub struct Faults {
    /// How it takes `sendInitialEvents`.
    pub streaming: Streaming,
    /// How often a watch that allows bookmarks gets one.
    pub bookmarks: Duration,
    /// How long every answer takes.
    pub delay: Duration,
    /// What is wrong with each kind, by its plural.
    pub kinds: BTreeMap<String, Fault>,
    /// The token that everybody must show.
    pub token: Option<String>,
    /// The only namespace in which anything is allowed, as a Role gives it: this Namespace may be read by its
    /// name, and nothing else that is cluster-wide.
    pub only_namespace: Option<String>,
    /// Whether the Namespace itself may be read where one namespace only is allowed.
    pub own_namespace: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            streaming: Streaming::Known,
            bookmarks: Duration::from_mins(1),
            delay: Duration::ZERO,
            kinds: BTreeMap::new(),
            token: None,
            only_namespace: None,
            own_namespace: true,
        }
    }
}

/// How a server takes streaming lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streaming {
    /// It has them.
    Known,
    /// It says that it doesn't have them, as from 1.27 on where the feature gate is off.
    Refused,
    /// It has never heard of them: everything is sent, and no end is marked.
    Ignored,
}

/// What is wrong with a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered with this status.
    Status(u16),
    /// 429, with the seconds after which another attempt is worth it.
    TooMany(u32),
    /// No request is answered.
    Hang,
    /// The answer is no JSON.
    Garbage,
}
