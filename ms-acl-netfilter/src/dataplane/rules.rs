//! A step that changes rules: one atomic batch of both families.

use std::collections::{BTreeMap, BTreeSet};

use ms_acl_core::diff::{ChainEdit, RuleStep};
use ms_acl_core::ruleset::{ChainName, Family, Hook, Match, Rule, SetName};

use super::hooks::{self, Plan};
use super::{CommitFault, CommitReport, Dataplane, ObserveError, RefusedOperation};
use crate::batch::message::{delete_chain, delete_rule, new_base_chain, new_chain, new_rule, new_table};
use crate::batch::{Batch, BatchError, Operation, Place, Subject};
use crate::ipset::{SetHeader, is_kind};
use crate::own::{self, ADMIN_CHAIN, is_owned_name};
use crate::xtables::encode;

/// More sets than this are asked for all at once.
const ASKED_ONE_BY_ONE: usize = 16;

/// A jump that a batch changes.
struct HookChange<'t> {
    family: Family,
    hook: Hook,
    /// The jump to make; `None` = no jump of ours stays.
    rule: Option<(&'t ChainName, Rule)>,
    plan: Plan,
}

impl Dataplane {
    /// Does all steps in one batch: chains first, then new rules, then deletions.
    pub(super) fn change_rules(&mut self, steps: &[RuleStep]) -> Result<CommitReport, CommitFault> {
        let mut created: Vec<(Family, &ChainName)> = Vec::new();
        let mut edits: Vec<&ChainEdit> = Vec::new();
        let mut hooks: Vec<HookChange<'_>> = Vec::new();
        for step in steps {
            match step {
                RuleStep::CreateChain(family, name, _) if self.enforces(*family) => {
                    if !is_owned_name(name.as_str()) {
                        return Err(CommitFault::NotOurs(format!("the {family} chain {name}")));
                    }
                    if !self.known.chains.contains_key(&(*family, name.clone())) {
                        created.push((*family, name));
                    }
                }
                RuleStep::Edit(edit) if self.enforces(edit.family) => edits.push(edit),
                RuleStep::Hook(family, hook, chain) if self.enforces(*family) => {
                    hooks.push(self.hook_change(*family, *hook, Some(chain))?);
                }
                RuleStep::Unhook(family, hook) if self.enforces(*family) => {
                    hooks.push(self.hook_change(*family, *hook, None)?);
                }
                _ => {}
            }
        }
        self.check_edits(&edits, &created)?;
        self.number_sets(&edits)?;

        let mut batch = Batch::default();
        self.write_takeovers(&mut batch, &created);
        self.write_chains(&mut batch, &created, &hooks);
        let first_inserts = self.write_inserts(&mut batch, &edits, &hooks)?;
        self.write_deletes(&mut batch, &edits, &hooks);
        if batch.is_empty() {
            return Ok(CommitReport::default());
        }
        let handles = match batch.send(&mut self.nft) {
            Ok(handles) => handles,
            Err(error) => {
                // The kernel did nothing of a batch that it refused, so what was known still holds, unless
                // something that should be there isn't.
                let sure = match &error {
                    BatchError::Refused(all) => all.iter().all(|one| one.refusal.errno != libc::ENOENT),
                    BatchError::TooLong => true,
                    BatchError::Unsure(_) => false,
                };
                self.known.read &= sure;
                return Err(stale(&error).unwrap_or_else(|| fault_of(error)));
            }
        };

        for (family, name) in &created {
            let key = (*family, (*name).clone());
            self.known.foreign.remove(&key);
            self.known.chains.insert(key, Some(Vec::new()));
        }
        for (edit, first) in edits.iter().zip(first_inserts) {
            let new = handles.get(first..first + edit.inserts.len()).unwrap_or_default();
            self.remember(edit, new);
        }
        for change in &hooks {
            self.known.tables.insert(change.family);
            self.known.base.insert((change.family, change.hook));
        }
        Ok(CommitReport {
            chains_added: created.len(),
            rules_added: edits.iter().map(|edit| edit.inserts.len()).sum(),
            rules_removed: edits.iter().map(|edit| edit.deletes.len()).sum(),
            ..CommitReport::default()
        })
    }

    /// Looks at a base chain now, because others change it, and plans the jump.
    fn hook_change<'t>(
        &mut self,
        family: Family,
        hook: Hook,
        chain: Option<&'t ChainName>,
    ) -> Result<HookChange<'t>, CommitFault> {
        let rules = self.read_base(family, hook.chain())?;
        let plan = match chain {
            Some(chain) => hooks::plan(&rules, chain, self.options.position),
            None => {
                Plan { insert: None, delete: hooks::jumps(&rules).map(|(rule, _)| rule.handle).collect() }
            }
        };
        Ok(HookChange { family, hook, rule: chain.map(|chain| (chain, hooks::jump(chain))), plan })
    }

    /// Every edit must start from what was last seen, and be inside of its chain.
    fn check_edits(&self, edits: &[&ChainEdit], created: &[(Family, &ChainName)]) -> Result<(), CommitFault> {
        let mut seen = BTreeSet::new();
        for edit in edits {
            let key = (edit.family, edit.chain.clone());
            if edit.chain.as_str() == ADMIN_CHAIN || !is_owned_name(edit.chain.as_str()) {
                return Err(CommitFault::NotOurs(format!("the {} chain {}", edit.family, edit.chain)));
            }
            let before = match self.known.chains.get(&key) {
                Some(handles) => handles.as_ref().map(Vec::len),
                None => created.contains(&(edit.family, &edit.chain)).then_some(0),
            };
            let inside = edit.inserts.iter().all(|(at, _)| *at <= edit.before)
                && edit.inserts.is_sorted_by_key(|(at, _)| *at)
                && edit.deletes.iter().all(|at| *at < edit.before);
            if before != Some(edit.before) || !inside || !seen.insert(key) {
                return Err(CommitFault::Stale { family: edit.family, chain: edit.chain.to_string() });
            }
        }
        Ok(())
    }

    /// Asks for the numbers of the sets that new rules name. A number that was seen earlier may be another set's
    /// by now, and the set may be one that somebody else made under the same name.
    fn number_sets(&mut self, edits: &[&ChainEdit]) -> Result<(), CommitFault> {
        let rules = edits.iter().flat_map(|edit| edit.inserts.iter().map(|(_, rule)| rule));
        let names = rules.flat_map(|rule| &rule.matches).filter_map(|found| match found {
            Match::InSet(name, _) | Match::NotInSet(name, _) => Some(name),
            _ => None,
        });
        let names: Vec<&SetName> = names.collect::<BTreeSet<_>>().into_iter().collect();
        let failed = |source| ObserveError::Sets { source };
        let mut headers = Vec::new();
        if names.len() > ASKED_ONE_BY_ONE {
            headers = self.ipset.headers().map_err(failed)?;
        } else {
            for name in &names {
                headers.extend(self.ipset.header(name).map_err(failed)?);
            }
        }
        let headers: BTreeMap<&str, &SetHeader> =
            headers.iter().map(|header| (header.name.as_str(), header)).collect();
        for name in names {
            let header = headers.get(name.as_str());
            if let (Some(header), Some(own)) = (header, own::set_of(name))
                && !is_kind(header, own.kind, own.family)
            {
                return Err(CommitFault::SetMismatch { set: name.clone(), found: header.to_string() });
            }
            match header.and_then(|header| header.index) {
                Some(index) => self.known.sets.insert(name.clone(), index),
                None => self.known.sets.remove(name),
            }
        }
        Ok(())
    }

    fn handles(&self, edit: &ChainEdit) -> &[u64] {
        let handles = self.known.chains.get(&(edit.family, edit.chain.clone()));
        handles.and_then(Option::as_deref).unwrap_or_default()
    }

    /// Chains that exist under a wanted name without being ours: what an `iptables-save | iptables-restore`
    /// and a flushed base chain leave of us. They are made anew, with our tag, if nobody else jumps to
    /// them; else the kernel refuses and the error names them.
    fn write_takeovers<'t>(&self, batch: &mut Batch<'t>, created: &[(Family, &'t ChainName)]) {
        let taken: Vec<(Family, &str)> = created
            .iter()
            .filter(|(family, name)| self.known.foreign.contains(&(*family, (*name).clone())))
            .map(|(family, name)| (*family, name.as_str()))
            .collect();
        for (family, chain) in taken.iter().copied() {
            let subject = Subject { action: "take over a chain", family, chain, rule: None };
            batch.push(Operation::Message(delete_rule(family, chain, None)), subject);
        }
        for (family, chain) in taken {
            let subject = Subject { action: "take over a chain", family, chain, rule: None };
            batch.push(Operation::Message(delete_chain(family, chain, true)), subject);
        }
    }

    /// Table, base chains and chains that don't exist yet.
    fn write_chains<'t>(
        &self,
        batch: &mut Batch<'t>,
        created: &[(Family, &'t ChainName)],
        hooks: &[HookChange<'t>],
    ) {
        for family in Family::BOTH {
            let bases: BTreeSet<Hook> =
                hooks.iter().filter(|hook| hook.family == family).map(|change| change.hook).collect();
            let chains = created.iter().filter(|(other, _)| *other == family);
            if !self.known.tables.contains(&family) && (!bases.is_empty() || chains.clone().next().is_some())
            {
                let subject = Subject { action: "create the table filter", family, chain: "", rule: None };
                batch.push(Operation::Message(new_table(family)), subject);
            }
            for hook in bases {
                if !self.known.base.contains(&(family, hook)) {
                    let subject =
                        Subject { action: "create a base chain", family, chain: hook.chain(), rule: None };
                    batch.push(Operation::Message(new_base_chain(family, hook)), subject);
                }
            }
            for (_, name) in chains {
                let subject = Subject { action: "create a chain", family, chain: name.as_str(), rule: None };
                batch.push(Operation::Message(new_chain(family, name.as_str())), subject);
            }
        }
    }

    /// New rules and new jumps. Returns the index of each edit's first operation.
    fn write_inserts<'t>(
        &self,
        batch: &mut Batch<'t>,
        edits: &[&'t ChainEdit],
        hooks: &'t [HookChange<'t>],
    ) -> Result<Vec<usize>, CommitFault> {
        let mut first = Vec::with_capacity(edits.len());
        let mut refused = Vec::new();
        for edit in edits {
            let (family, chain) = (edit.family, edit.chain.as_str());
            let handles = self.handles(edit);
            first.push(batch.len());
            for (at, rule) in &edit.inserts {
                match encode(family, rule, &self.known.sets) {
                    Ok(encoded) => {
                        let place = handles.get(*at).map_or(Place::Last, |handle| Place::Before(*handle));
                        let subject = Subject { action: "add a rule", family, chain, rule: Some(rule) };
                        batch.push(Operation::Rule(new_rule(family, chain, place, &encoded)), subject);
                    }
                    Err(error) => refused.push(RefusedOperation::by_encoder(family, chain, rule, error)),
                }
            }
        }
        for change in hooks {
            let (Some((_, rule)), Some(place)) = (&change.rule, change.plan.insert) else { continue };
            let (family, chain) = (change.family, change.hook.chain());
            match encode(family, rule, &self.known.sets) {
                Ok(encoded) => {
                    let subject = Subject { action: "add a jump", family, chain, rule: Some(rule) };
                    batch.push(Operation::Rule(new_rule(family, chain, place, &encoded)), subject);
                }
                Err(error) => refused.push(RefusedOperation::by_encoder(family, chain, rule, error)),
            }
        }
        if refused.is_empty() { Ok(first) } else { Err(CommitFault::Refused(refused)) }
    }

    fn write_deletes<'t>(&self, batch: &mut Batch<'t>, edits: &[&'t ChainEdit], hooks: &'t [HookChange<'t>]) {
        for edit in edits {
            let (family, chain) = (edit.family, edit.chain.as_str());
            let handles = self.handles(edit);
            for handle in edit.deletes.iter().filter_map(|at| handles.get(*at)) {
                let subject = Subject { action: "delete a rule", family, chain, rule: None };
                batch.push(Operation::Message(delete_rule(family, chain, Some(*handle))), subject);
            }
        }
        for change in hooks {
            let (family, chain) = (change.family, change.hook.chain());
            for handle in &change.plan.delete {
                let subject = Subject { action: "delete a jump", family, chain, rule: None };
                batch.push(Operation::Message(delete_rule(family, chain, Some(*handle))), subject);
            }
        }
    }

    /// The handles after an edit; unknown if an echo was lost.
    fn remember(&mut self, edit: &ChainEdit, new: &[Option<u64>]) {
        let key = (edit.family, edit.chain.clone());
        let Some(Some(old)) = self.known.chains.get(&key) else { return };
        let mut inserts = edit.inserts.iter().map(|(at, _)| *at).zip(new).peekable();
        let mut deletes = edit.deletes.iter().peekable();
        let mut handles: Option<Vec<u64>> = Some(Vec::with_capacity(old.len() + new.len()));
        for at in 0..=old.len() {
            while let Some((_, handle)) = inserts.next_if(|(place, _)| *place == at) {
                match (&mut handles, handle) {
                    (Some(handles), Some(handle)) => handles.push(*handle),
                    _ => handles = None,
                }
            }
            let deleted = deletes.next_if(|gone| **gone == at).is_some();
            if let (Some(handles), Some(handle), false) = (&mut handles, old.get(at), deleted) {
                handles.push(*handle);
            }
        }
        self.known.chains.insert(key, handles);
    }
}

/// Whether a batch was refused because a chain or a rule that it starts from isn't there any more: then the
/// refusal says nothing about what was to be done.
fn stale(error: &BatchError<'_>) -> Option<CommitFault> {
    let BatchError::Refused(all) = error else { return None };
    let gone = all.iter().filter(|one| one.refusal.errno == libc::ENOENT).find_map(|one| {
        let subject = one.subject?;
        let part = one.part.as_deref();
        let starting_point =
            subject.rule.is_none() || matches!(part, Some("the table" | "the chain" | "the position"));
        starting_point.then_some(subject)
    })?;
    Some(CommitFault::Stale { family: gone.family, chain: gone.chain.to_owned() })
}

pub(super) fn fault_of(error: BatchError<'_>) -> CommitFault {
    match error {
        BatchError::Refused(refused) => {
            CommitFault::Refused(refused.iter().map(RefusedOperation::by_kernel).collect())
        }
        BatchError::Unsure(source) => CommitFault::Unsure(source),
        BatchError::TooLong => CommitFault::TooLong,
    }
}
