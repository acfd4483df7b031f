//! Taking everything of ours away.

use ms_acl_core::ruleset::{ChainName, Family, SetName};

use super::chains::kept_chain;
use super::hooks;
use super::observe::FamilyView;
use super::rules::fault_of;
use super::{CommitFault, Dataplane, Kept, RemoveError, RemoveReport};
use crate::batch::message::delete_rule;
use crate::batch::{Batch, BatchError, Operation, Subject};
use crate::own::{self, ADMIN_CHAIN};

/// How often the jumps are looked for again when they changed meanwhile.
const ATTEMPTS: usize = 5;

impl Dataplane {
    /// Removes every jump, chain and set of ours, and nothing else, whatever state they are in. The
    /// operator's chain goes only while it is empty. What somebody else uses is emptied, kept and named.
    pub fn remove_all(&mut self) -> Result<RemoveReport, RemoveError> {
        let families = std::mem::replace(&mut self.families, Family::BOTH.to_vec());
        let outcome = self.remove_both();
        self.families = families;
        self.known = super::Known::default();
        outcome
    }

    fn remove_both(&mut self) -> Result<RemoveReport, RemoveError> {
        let mut report = RemoveReport::default();
        let headers = self.read_lists()?;
        let mut chains: Vec<(Family, ChainName)> = Vec::new();
        for family in Family::BOTH {
            let view = self.read_family(family)?;
            chains.extend(view.own_chains().map(|name| (family, name.clone())));
            match view.admin_has_rules() {
                Some(false) => chains.extend(ChainName::new(ADMIN_CHAIN).map(|name| (family, name))),
                Some(true) => report.kept.push(Kept {
                    what: format!("chain {ADMIN_CHAIN} of {family}"),
                    why: "it has rules of the operator; nothing of ours enters it any more".to_owned(),
                }),
                None => {}
            }
            report.jumps += self.remove_jumps(family, view)?;
        }
        let dropped = self.drop_chains(&chains).map_err(remove_error)?;
        report.chains = dropped.deleted;
        report.kept.extend(dropped.kept.into_iter().map(kept_chain));

        let sets: Vec<SetName> = headers
            .iter()
            .filter_map(|header| SetName::new(&header.name).ok())
            .filter(|name| own::set_of(name).is_some())
            .collect();
        let stay = self
            .ipset
            .destroy(&sets)
            .map_err(|(_, source)| RemoveError::Netlink { what: "the sets", source })?;
        report.sets = sets.len() - stay.len();
        report.kept.extend(
            stay.into_iter()
                .map(|(name, refusal)| Kept { what: format!("set {name}"), why: refusal.to_string() }),
        );
        Ok(report)
    }

    /// Deletes our jumps in all base chains of a family, first of all: from then on packets pass as if we
    /// weren't there.
    fn remove_jumps(&mut self, family: Family, view: FamilyView) -> Result<usize, RemoveError> {
        let mut view = view;
        for attempt in 1.. {
            let named = view.bases.iter().map(|(hook, rules)| (hook.chain(), rules));
            let others = view.other_bases.iter().map(|(name, rules)| (name.as_str(), rules));
            let mut batch = Batch::default();
            for (chain, rules) in named.chain(others) {
                for (rule, _) in hooks::jumps(rules) {
                    let subject = Subject { action: "delete a jump", family, chain, rule: None };
                    batch.push(Operation::Message(delete_rule(family, chain, Some(rule.handle))), subject);
                }
            }
            if batch.is_empty() {
                return Ok(0);
            }
            match batch.send(&mut self.nft) {
                Ok(handles) => return Ok(handles.len()),
                Err(BatchError::Refused(refused))
                    if attempt < ATTEMPTS && refused.iter().all(|one| one.refusal.errno == libc::ENOENT) => {}
                Err(error) => return Err(remove_error(fault_of(error))),
            }
            view = self.read_family(family)?;
        }
        Ok(0)
    }
}

fn remove_error(fault: CommitFault) -> RemoveError {
    match fault {
        CommitFault::Observe(error) => RemoveError::Observe(error),
        CommitFault::Refused(mut operations) if !operations.is_empty() => {
            RemoveError::Refused(Box::new(operations.swap_remove(0)))
        }
        CommitFault::Unsure(source) => RemoveError::Netlink { what: "chains and jumps", source },
        other => RemoveError::Other(Box::new(other)),
    }
}
