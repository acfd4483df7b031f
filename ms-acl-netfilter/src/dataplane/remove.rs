//! Taking everything of ours away.

use ms_acl_core::ruleset::{ChainName, Family, SetName};

use super::chains::{Key, kept_chain};
use super::hooks;
use super::observe::FamilyView;
use super::rules::fault_of;
use super::{CommitFault, Dataplane, Foreign, Kept, RemoveError, RemoveReport};
use crate::batch::message::delete_rule;
use crate::batch::{Batch, BatchError, Operation, Subject};
use crate::own::{self, ADMIN_CHAIN};

/// How often the jumps are looked for again when they changed meanwhile.
const ATTEMPTS: usize = 5;

impl Dataplane {
    /// Removes every jump, chain and set of ours, and nothing else, whatever state they are in. The
    /// operator's chain goes only while it is empty. What somebody else uses is emptied, kept and named. The
    /// table and the base chains that weren't there before us go too, if nobody else uses them by now.
    pub fn remove_all(&mut self) -> Result<RemoveReport, RemoveError> {
        let families = std::mem::replace(&mut self.families, Family::BOTH.to_vec());
        let outcome = self.remove_both();
        self.families = families;
        self.known = super::Known::default();
        outcome
    }

    /// Each part on its own: what fails in one of them doesn't keep the others. The first failure is returned
    /// when all has been tried.
    fn remove_both(&mut self) -> Result<RemoveReport, RemoveError> {
        let mut report = RemoveReport::default();
        // Chains of ours are known by their names.
        let mended = self.mend().map(drop).map_err(remove_error);
        let headers = self.read_lists();
        let families = Family::BOTH.map(|family| self.remove_family(family, &mut report));
        let sets = headers.map_err(RemoveError::from).and_then(|headers| {
            let names = headers.iter().filter_map(|header| SetName::new(&header.name).ok());
            let ours: Vec<SetName> = names.filter(|name| own::set_of(name).is_some()).collect();
            self.remove_sets(&ours, &mut report)
        });
        let places = Family::BOTH.map(|family| {
            let vacated = self.vacate(family).map_err(remove_error)?;
            report.base_chains += vacated.base_chains;
            report.tables += vacated.tables;
            report.overtaken += vacated.overtaken;
            Ok(())
        });
        report.kept.sort();
        [mended]
            .into_iter()
            .chain(families)
            .chain([sets])
            .chain(places)
            .collect::<Result<Vec<()>, RemoveError>>()?;
        Ok(report)
    }

    /// The jumps and chains of a family.
    fn remove_family(&mut self, family: Family, report: &mut RemoveReport) -> Result<(), RemoveError> {
        let view = self.read_family(family)?;
        let mut chains: Vec<Key> = view.own_chains().map(|name| (family, name.clone())).collect();
        match view.admin_has_rules() {
            Some(false) => chains.extend(ChainName::new(ADMIN_CHAIN).map(|name| (family, name))),
            Some(true) => report.kept.push(Kept {
                what: format!("chain {ADMIN_CHAIN} of {family}"),
                why: "it has rules of the operator; nothing of ours enters it any more".to_owned(),
            }),
            None => {}
        }
        report.kept.extend(view.impostors(family).map(|Foreign { what, why }| Kept { what, why }));
        report.jumps += self.remove_jumps(family, view)?;
        let dropped = self.drop_chains(&chains).map_err(remove_error)?;
        report.chains += dropped.deleted;
        report.kept.extend(dropped.kept.into_iter().map(kept_chain));
        Ok(())
    }

    fn remove_sets(&mut self, sets: &[SetName], report: &mut RemoveReport) -> Result<(), RemoveError> {
        let stay = self
            .ipset
            .destroy(sets)
            .map_err(|(_, source)| RemoveError::Netlink { what: "the sets", source })?;
        report.sets = sets.len() - stay.len();
        let kept = stay.into_iter().map(|(name, refusal)| (format!("set {name}"), refusal.to_string()));
        report.kept.extend(kept.map(|(what, why)| Kept { what, why }));
        Ok(())
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
