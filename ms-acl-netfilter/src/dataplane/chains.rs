//! Deleting chains, also those that somebody else holds on to.

use std::collections::{BTreeMap, BTreeSet};

use ms_acl_core::ruleset::{ChainName, Family};

use super::rules::fault_of;
use super::{CommitFault, Dataplane, Kept, hooks};
use crate::batch::message::{delete_chain, delete_rule};
use crate::batch::{Batch, BatchError, Operation, Subject};
use crate::own::ADMIN_CHAIN;

pub(super) type Key = (Family, ChainName);

/// What became of chains that were to be deleted.
pub(super) struct Dropped {
    pub(super) deleted: usize,
    /// Those that stay, and why.
    pub(super) kept: Vec<(Key, String)>,
}

/// A chain that stays, for a report.
pub(super) fn kept_chain(((family, name), why): (Key, String)) -> Kept {
    Kept { what: format!("chain {name} of {family}"), why }
}

/// Why an attempt failed, and how it goes on.
enum Attempt {
    /// These are gone already, those can't go: the next attempt leaves them out.
    Again {
        gone: Vec<Key>,
        busy: Vec<(Key, String)>,
    },
    Failed(CommitFault),
}

impl Dataplane {
    /// Empties and deletes chains, in one batch. One that somebody else jumps to stays, empty. The
    /// operator's chain goes only while it has no rules, and is never emptied.
    pub(super) fn drop_chains(&mut self, chains: &[Key]) -> Result<Dropped, CommitFault> {
        let mut left: BTreeSet<&Key> = chains.iter().collect();
        let mut busy: BTreeMap<Key, String> = BTreeMap::new();
        while !left.is_empty() {
            match self.try_drop(&left, &busy) {
                Ok(()) => break,
                // Each attempt leaves out something more, so they come to an end.
                Err(Attempt::Again { gone, busy: more }) => {
                    left.retain(|key| !gone.contains(key));
                    busy.retain(|key, _| !gone.contains(key));
                    busy.extend(more);
                }
                Err(Attempt::Failed(fault)) => {
                    self.known.read = false;
                    return Err(fault);
                }
            }
        }
        for key in chains.iter().filter(|key| !busy.contains_key(key)) {
            self.known.chains.remove(key);
        }
        let deleted = left.len() - busy.len();
        for key in busy.keys() {
            if let Some(handles) = self.known.chains.get_mut(key) {
                *handles = (key.1.as_str() != ADMIN_CHAIN).then(Vec::new);
            }
        }
        Ok(Dropped { deleted, kept: busy.into_iter().collect() })
    }

    /// Deletes jumps of ours to these chains from the base chains, and says whether there were any.
    pub(super) fn drop_jumps_to(&mut self, chains: &[(Key, String)]) -> Result<bool, CommitFault> {
        let mut batch = Batch::default();
        for (family, hook) in self.known.base.clone() {
            let rules = self.read_base(family, hook.chain())?;
            for (rule, to) in hooks::jumps(&rules) {
                if chains.iter().any(|((other, name), _)| *other == family && name == to) {
                    let subject =
                        Subject { action: "delete a jump", family, chain: hook.chain(), rule: None };
                    let message = delete_rule(family, hook.chain(), Some(rule.handle));
                    batch.push(Operation::Message(message), subject);
                }
            }
        }
        if batch.is_empty() {
            return Ok(false);
        }
        batch.send(&mut self.nft).map_err(fault_of)?;
        Ok(true)
    }

    fn try_drop(&mut self, left: &BTreeSet<&Key>, busy: &BTreeMap<Key, String>) -> Result<(), Attempt> {
        let mut batch = Batch::default();
        let mut keys: Vec<&Key> = Vec::new();
        for key @ (family, name) in left.iter().filter(|key| key.1.as_str() != ADMIN_CHAIN) {
            let subject =
                Subject { action: "empty a chain", family: *family, chain: name.as_str(), rule: None };
            keys.push(key);
            batch.push(Operation::Message(delete_rule(*family, name.as_str(), None)), subject);
        }
        for key @ (family, name) in left.iter().filter(|key| !busy.contains_key(**key)) {
            let subject =
                Subject { action: "delete a chain", family: *family, chain: name.as_str(), rule: None };
            let with_rules = name.as_str() != ADMIN_CHAIN;
            keys.push(key);
            batch.push(Operation::Message(delete_chain(*family, name.as_str(), with_rules)), subject);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let refused = match batch.send(&mut self.nft) {
            Ok(_) => return Ok(()),
            Err(BatchError::Refused(refused)) => refused,
            Err(error) => return Err(Attempt::Failed(fault_of(error))),
        };
        let (mut gone, mut stuck) = (Vec::new(), Vec::new());
        for one in &refused {
            let Some(key) = keys.get(one.operation).copied() else { continue };
            match one.refusal.errno {
                libc::ENOENT => gone.push(key.clone()),
                libc::EBUSY if !busy.contains_key(key) => stuck.push((key.clone(), one.refusal.to_string())),
                _ => return Err(Attempt::Failed(fault_of(BatchError::Refused(refused)))),
            }
        }
        if gone.is_empty() && stuck.is_empty() {
            return Err(Attempt::Failed(fault_of(BatchError::Refused(refused))));
        }
        Err(Attempt::Again { gone, busy: stuck })
    }
}
