//! Carrying out a transaction, step by step.

use std::collections::BTreeSet;

use ms_acl_core::diff::{Step, Transaction};
use ms_acl_core::ruleset::{ChainName, Family, Member, Set, SetName};

use super::chains::{Dropped, kept_chain};
use super::{CommitError, CommitFault, CommitReport, Dataplane, Kept};
use crate::ipset::{ListedMember, is_kind};
use crate::own;

impl Dataplane {
    /// Carries out a transaction: its steps in their order, each completely before the next. Steps for a
    /// family that is left out are passed over. An error ends it at the step that failed; what was done
    /// before stays, and the next [`Dataplane::observe`] shows where things stand.
    pub fn commit(&mut self, transaction: &Transaction) -> Result<CommitReport, CommitError> {
        let mut done = CommitReport::default();
        for (step, what) in transaction.steps.iter().enumerate() {
            match self.step(what) {
                Ok(report) => done.merge(report),
                Err(fault) => return Err(CommitError { step, done, fault: Box::new(fault) }),
            }
        }
        Ok(done)
    }

    fn step(&mut self, step: &Step) -> Result<CommitReport, CommitFault> {
        if !self.known.read {
            self.read_lists()?;
        }
        match step {
            Step::CreateSet(name, set) if self.enforces(set.family) => self.create_set(name, set),
            Step::AddMembers(name, family, members) if self.enforces(*family) => {
                self.add_members(name, *family, members)
            }
            Step::RemoveMembers(name, family, members) if self.enforces(*family) => {
                self.remove_members(name, *family, members)
            }
            Step::CreateSet(..) | Step::AddMembers(..) | Step::RemoveMembers(..) => {
                Ok(CommitReport::default())
            }
            Step::Rules(steps) => self.change_rules(steps),
            Step::DeleteChains(chains) => self.delete_chains(chains),
            Step::DeleteSets(names) => self.delete_sets(names),
        }
    }

    pub(super) fn enforces(&self, family: Family) -> bool {
        self.families.contains(&family)
    }

    fn create_set(&mut self, name: &SetName, set: &Set) -> Result<CommitReport, CommitFault> {
        let own = own::set_of(name).ok_or_else(|| CommitFault::NotOurs(format!("the set {name}")))?;
        if (own.kind, own.family) != (set.kind, set.family) {
            let found = format!("to be of {:?} of {}", set.kind, set.family);
            return Err(CommitFault::SetMismatch { set: name.clone(), found });
        }
        let mut report = CommitReport::default();
        match self.ipset.create(name, set.kind, set.family, set.members.len(), true) {
            Ok(()) => {
                report.sets_added = 1;
                let members: Vec<Member> = set.members.iter().copied().collect();
                report.merge(self.add_members(name, set.family, &members)?);
            }
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                report.merge(self.adopt_set(name, set)?);
            }
            Err(source) => return Err(CommitFault::Set { action: "create", set: name.clone(), source }),
        }
        Ok(report)
    }

    /// Takes over a set that is there although it should be new: its content becomes the wanted one
    /// without ever being empty.
    fn adopt_set(&mut self, name: &SetName, set: &Set) -> Result<CommitReport, CommitFault> {
        let failed = |source| CommitFault::Set { action: "read", set: name.clone(), source };
        if let Some(header) = self.ipset.header(name).map_err(failed)?
            && !is_kind(&header, set.kind, set.family)
        {
            return Err(CommitFault::SetMismatch { set: name.clone(), found: header.to_string() });
        }
        let mut there: BTreeSet<Member> = BTreeSet::new();
        let mut strange = Vec::new();
        for member in self.ipset.members(name, set.kind, set.family).map_err(failed)? {
            match member {
                ListedMember::Fit(member) => {
                    there.insert(member);
                }
                ListedMember::Strange(member) => strange.push(member),
            }
        }
        self.ipset.remove_strange(name, set.family, &strange).map_err(failed)?;
        let missing: Vec<Member> = set.members.difference(&there).copied().collect();
        let extra: Vec<Member> = there.difference(&set.members).copied().collect();
        let mut report = self.add_members(name, set.family, &missing)?;
        report.merge(self.remove_members(name, set.family, &extra)?);
        Ok(report)
    }

    fn add_members(
        &mut self,
        name: &SetName,
        family: Family,
        members: &[Member],
    ) -> Result<CommitReport, CommitFault> {
        check_set(name)?;
        self.ipset.add(name, family, members).map_err(|source| CommitFault::Members {
            action: "add members to",
            set: name.clone(),
            source,
        })?;
        Ok(CommitReport { members_added: members.len(), ..CommitReport::default() })
    }

    fn remove_members(
        &mut self,
        name: &SetName,
        family: Family,
        members: &[Member],
    ) -> Result<CommitReport, CommitFault> {
        check_set(name)?;
        self.ipset.remove(name, family, members).map_err(|source| CommitFault::Members {
            action: "remove members from",
            set: name.clone(),
            source,
        })?;
        Ok(CommitReport { members_removed: members.len(), ..CommitReport::default() })
    }

    fn delete_chains(&mut self, chains: &[(Family, ChainName)]) -> Result<CommitReport, CommitFault> {
        let chains: Vec<(Family, ChainName)> =
            chains.iter().filter(|(family, _)| self.enforces(*family)).cloned().collect();
        for (family, name) in &chains {
            if !own::is_owned_name(name.as_str()) {
                return Err(CommitFault::NotOurs(format!("the {family} chain {name}")));
            }
        }
        let rules = chains.iter().filter_map(|key| Some(self.known.chains.get(key)?.as_ref()?.len())).sum();
        let mut outcome = self.drop_chains(&chains)?;
        if !outcome.kept.is_empty() && self.drop_jumps_to(&outcome.kept)? {
            // A jump of ours that nobody asked for any more stood in the way.
            let left: Vec<(Family, ChainName)> = outcome.kept.into_iter().map(|(key, _)| key).collect();
            let again = self.drop_chains(&left)?;
            outcome = Dropped { deleted: outcome.deleted + again.deleted, kept: again.kept };
        }
        Ok(CommitReport {
            chains_removed: outcome.deleted,
            rules_removed: rules,
            kept: outcome.kept.into_iter().map(kept_chain).collect(),
            ..CommitReport::default()
        })
    }

    fn delete_sets(&mut self, names: &[SetName]) -> Result<CommitReport, CommitFault> {
        for name in names {
            check_set(name)?;
        }
        let stay = self.ipset.destroy(names).map_err(|(set, source)| CommitFault::Set {
            action: "destroy",
            set,
            source,
        })?;
        let kept: Vec<Kept> = stay
            .into_iter()
            .map(|(name, refusal)| Kept { what: format!("set {name}"), why: refusal.to_string() })
            .collect();
        for name in names {
            if !kept.iter().any(|kept| kept.what == format!("set {name}")) {
                self.known.sets.remove(name);
            }
        }
        Ok(CommitReport { sets_removed: names.len() - kept.len(), kept, ..CommitReport::default() })
    }
}

fn check_set(name: &SetName) -> Result<(), CommitFault> {
    match own::set_of(name) {
        Some(_) => Ok(()),
        None => Err(CommitFault::NotOurs(format!("the set {name}"))),
    }
}
