//! Rules as the kernel holds them, in the dialect of iptables-nft: pure functions between a
//! [`Rule`](ms_acl_core::ruleset::Rule) and the bytes of `NFTA_RULE_EXPRESSIONS`.
//!
//! Addresses, the protocol and plain verdicts are native expressions; everything else is an xtables
//! extension (`match` and `target` expressions), because that is what every version of iptables
//! prints, compares and restores. The order is the one in which iptables prints: protocol and
//! addresses, the other matches as they stand in the rule, the comment, a counter, the target.
//!
//! [`decode()`] reads that dialect and the one that the iptables tool of today writes, which uses
//! native expressions in more places: a stranger's `iptables-save | iptables-restore` leaves the
//! same rules in other bytes.

mod decode;
mod encode;
pub(crate) mod expression;
mod extension;

use std::collections::BTreeMap;

use ms_acl_core::ruleset::SetName;

pub use decode::decode;
pub(crate) use decode::jump_of;
pub use encode::{EncodeError, Encoded, encode};
pub(crate) use expression::Expression;
pub(crate) use extension::{EXTENSIONS, ExtensionKind};

/// The kernel's numbers of sets: rules name sets by them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetIndexes {
    by_name: BTreeMap<SetName, u16>,
    by_index: BTreeMap<u16, SetName>,
}

impl SetIndexes {
    /// Notes that a set has a number.
    pub fn insert(&mut self, name: SetName, index: u16) {
        self.remove(&name);
        if let Some(former) = self.by_index.insert(index, name.clone()) {
            self.by_name.remove(&former);
        }
        self.by_name.insert(name, index);
    }

    /// Forgets a set.
    pub fn remove(&mut self, name: &SetName) {
        if let Some(index) = self.by_name.remove(name) {
            self.by_index.remove(&index);
        }
    }

    /// A set's number.
    pub fn index(&self, name: &SetName) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    /// The set that has a number.
    pub fn name(&self, index: u16) -> Option<&SetName> {
        self.by_index.get(&index)
    }
}
