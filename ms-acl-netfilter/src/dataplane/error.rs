//! What can go wrong, in one line each.

use std::fmt;

use ms_acl_core::render::iptables_rule;
use ms_acl_core::ruleset::{ChainName, Family, Rule, SetName};

use super::CommitReport;
use crate::batch::Refused;
use crate::ipset::MemberError;
use crate::netlink::{NetlinkError, Refusal};
use crate::xtables::EncodeError;

/// Why the kernel can't be programmed at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No netlink socket.
    #[error("can't open a netlink socket: {0}")]
    Socket(#[source] std::io::Error),
    /// Not permitted.
    #[error("not permitted to change firewall rules: CAP_NET_ADMIN is missing in this network namespace")]
    NotPermitted,
    /// No nf_tables.
    #[error("this kernel has no nf_tables (CONFIG_NF_TABLES): {0}")]
    NoTables(#[source] NetlinkError),
    /// No ipset.
    #[error("this kernel has no sets of addresses (CONFIG_IP_SET): {0}")]
    NoSets(#[source] NetlinkError),
    /// An ipset that is too old.
    #[error("this kernel's ipset speaks protocol {0}, 7 is needed (Linux 4.20)")]
    OldSets(u8),
    /// No xtables extensions in nf_tables.
    #[error("this kernel has no xtables extensions for nf_tables (CONFIG_NFT_COMPAT): {0}")]
    NoExtensions(#[source] NetlinkError),
    /// Neither family can be had.
    #[error("neither IPv4 nor IPv6 can be enforced: {}", .0.join("; "))]
    NoFamily(Vec<String>),
}

/// Why the kernel's state couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The table.
    #[error("can't read the {family} table filter: {source}")]
    Table {
        /// The family.
        family: Family,
        /// The cause.
        source: NetlinkError,
    },
    /// The list of chains.
    #[error("can't list the {family} chains: {source}")]
    Chains {
        /// The family.
        family: Family,
        /// The cause.
        source: NetlinkError,
    },
    /// The rules of a chain.
    #[error("can't read the {family} chain {chain}: {source}")]
    Chain {
        /// The family.
        family: Family,
        /// The chain.
        chain: String,
        /// The cause.
        source: NetlinkError,
    },
    /// The list of sets.
    #[error("can't list the sets: {source}")]
    Sets {
        /// The cause.
        source: NetlinkError,
    },
    /// The members of a set.
    #[error("can't read the set {set}: {source}")]
    Set {
        /// The set.
        set: SetName,
        /// The cause.
        source: NetlinkError,
    },
}

/// Why a transaction wasn't carried out to its end. The steps before are done; of a step that changes
/// rules, nothing is.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct CommitError {
    /// The index of the step that failed.
    pub step: usize,
    /// What was done before.
    pub done: CommitReport,
    /// What went wrong.
    #[source]
    pub fault: Box<CommitFault>,
}

/// What went wrong in a step.
#[derive(Debug, thiserror::Error)]
pub enum CommitFault {
    /// The kernel doesn't hold what the transaction starts from: observe and try again.
    #[error("the {family} chain {chain} isn't as it was last seen: read it back first")]
    Stale {
        /// The family.
        family: Family,
        /// The chain.
        chain: String,
    },
    /// A name that we don't give, or something of somebody else.
    #[error("{0} isn't ours to change")]
    NotOurs(String),
    /// Operations of one batch that were refused, at least one; none of the batch was done.
    #[error("{}{}", .0.first().map(ToString::to_string).unwrap_or_default(), more(.0))]
    Refused(Vec<RefusedOperation>),
    /// It isn't known whether a batch was done: observe and try again.
    #[error("it isn't known whether the rules were changed: {0}")]
    Unsure(#[source] NetlinkError),
    /// More rules at once than one batch can have.
    #[error("too many rules for one batch")]
    TooLong,
    /// A set that couldn't be created or read.
    #[error("can't {action} the set {set}: {source}")]
    Set {
        /// What was tried.
        action: &'static str,
        /// The set.
        set: SetName,
        /// The cause.
        source: NetlinkError,
    },
    /// A set that exists and is of another type.
    #[error("the set {set} exists and is {found}, which is not what we make under this name")]
    SetMismatch {
        /// The set.
        set: SetName,
        /// Its type, family and limit.
        found: String,
    },
    /// Members that couldn't be changed.
    #[error("can't {action} the set {set}: {source}")]
    Members {
        /// What was tried.
        action: &'static str,
        /// The set.
        set: SetName,
        /// The cause, with the member.
        source: MemberError,
    },
    /// The kernel's state couldn't be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

/// One operation of a batch that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOperation {
    /// What was to be done: `add a rule`.
    pub action: &'static str,
    /// The family.
    pub family: Family,
    /// The chain; empty if the kernel didn't say.
    pub chain: String,
    /// The rule, as the arguments of iptables.
    pub rule: Option<String>,
    /// The chain that the rule leads to.
    pub leads_to: Option<ChainName>,
    /// Why not.
    pub reason: Reason,
    /// The part of the rule that the kernel pointed at.
    pub part: Option<String>,
}

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// By the kernel.
    Kernel(Refusal),
    /// By ourselves: there is no way to write the rule.
    Encode(EncodeError),
}

impl RefusedOperation {
    pub(super) fn by_kernel(refused: &Refused<'_>) -> Self {
        let subject = refused.subject;
        RefusedOperation {
            action: subject.map_or("change rules", |subject| subject.action),
            family: subject.map_or(Family::V4, |subject| subject.family),
            chain: subject.map(|subject| subject.chain.to_owned()).unwrap_or_default(),
            rule: subject.and_then(|subject| Some(rule_text(subject.family, subject.rule?))),
            leads_to: subject.and_then(|subject| subject.rule?.leads_to().cloned()),
            reason: Reason::Kernel(refused.refusal.clone()),
            part: refused.part.clone(),
        }
    }

    pub(super) fn by_encoder(family: Family, chain: &str, rule: &Rule, error: EncodeError) -> Self {
        RefusedOperation {
            action: "add a rule",
            family,
            chain: chain.to_owned(),
            rule: Some(rule_text(family, rule)),
            leads_to: rule.leads_to().cloned(),
            reason: Reason::Encode(error),
            part: None,
        }
    }
}

impl fmt::Display for RefusedOperation {
    /// `can't add a rule to the ipv4 chain MS-X: EINVAL, invalid (match set revision 4): -s … -j DROP`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't {}", self.action)?;
        if !self.chain.is_empty() {
            write!(f, ", {} chain {}", self.family, self.chain)?;
        }
        match &self.reason {
            Reason::Kernel(refusal) => write!(f, ": {refusal}")?,
            Reason::Encode(error) => write!(f, ": {error}")?,
        }
        if let Some(part) = &self.part {
            write!(f, " (at {part})")?;
        }
        match &self.rule {
            Some(rule) => write!(f, ": {rule}"),
            None => Ok(()),
        }
    }
}

/// A rule as the arguments of iptables.
fn rule_text(family: Family, rule: &Rule) -> String {
    iptables_rule(rule, family).trim_start().to_owned()
}

fn more(operations: &[RefusedOperation]) -> String {
    match operations.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    }
}

/// Why our rules couldn't be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The kernel's state couldn't be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The kernel refused.
    #[error("{0}")]
    Refused(Box<RefusedOperation>),
    /// Anything else.
    #[error(transparent)]
    Other(Box<CommitFault>),
    /// The answer was lost.
    #[error("can't remove {what}: {source}")]
    Netlink {
        /// What was to be removed.
        what: &'static str,
        /// The cause.
        source: NetlinkError,
    },
}
