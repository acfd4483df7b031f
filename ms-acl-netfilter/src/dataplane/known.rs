//! What was last seen of the kernel, and how it is read.

use std::collections::{BTreeMap, BTreeSet};

use ms_acl_core::ruleset::{ChainName, Family, Hook, SetName};

use crate::batch::message::{self, ListedChain, ListedRule};
use crate::ipset::StrangeMember;
use crate::netlink::{Connection, NetlinkError};
use crate::xtables::SetIndexes;

/// What a commit has to know of the kernel: handles and numbers.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether anything was read yet, and nothing has shown since that it is out of date. When it is not,
    /// the lists are read again before the next step, and handles only by `observe`.
    pub(super) read: bool,
    /// Families whose table `filter` exists.
    pub(super) tables: BTreeSet<Family>,
    /// Base chains that exist.
    pub(super) base: BTreeSet<(Family, Hook)>,
    /// Our chains, each with the handles of its rules in their order; `None` = not known any more, or
    /// none of our business (the operator's chain).
    pub(super) chains: BTreeMap<(Family, ChainName), Option<Vec<u64>>>,
    /// Chains that exist under names of our scheme and aren't ours, as far as anything shows.
    pub(super) foreign: BTreeSet<(Family, ChainName)>,
    /// The numbers of all sets that are named like ours.
    pub(super) sets: SetIndexes,
    /// Members of sets of ours that we never add.
    pub(super) strange: BTreeMap<(Family, SetName), Vec<StrangeMember>>,
}

/// A rule with its handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawRule {
    pub(super) handle: u64,
    pub(super) expressions: Vec<u8>,
    pub(super) comment: Option<String>,
}

/// The chains of a family's table `filter`.
pub(super) fn list_chains(nft: &mut Connection, family: Family) -> Result<Vec<ListedChain>, NetlinkError> {
    nft.collect(&message::list_chains(family), Vec::new, |all, entry| all.extend(ListedChain::read(entry)))
}

/// The rules of a chain; none if it doesn't exist.
pub(super) fn list_rules(
    nft: &mut Connection,
    family: Family,
    chain: &str,
) -> Result<Vec<RawRule>, NetlinkError> {
    let listed = nft.collect(&message::list_rules(family, chain), Vec::new, |all, entry| {
        let Some(rule) = ListedRule::read(entry) else { return };
        // A kernel that doesn't know the filter lists everything.
        if rule.chain == chain {
            all.push(RawRule {
                handle: rule.handle,
                expressions: rule.expressions.to_vec(),
                comment: rule.comment.map(str::to_owned),
            });
        }
    });
    match listed {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
        other => other,
    }
}
