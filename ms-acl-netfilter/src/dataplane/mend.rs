//! Drift that no difference of rule graphs can say: chains that were renamed, a table that was put to sleep, members
//! that no set of ours can have.

use ms_acl_core::ruleset::Family;

use super::observe::FamilyView;
use super::places::read_table;
use super::rules::fault_of;
use super::{CommitFault, Dataplane, ObserveError, hooks};
use crate::batch::message::{ListedChain, rename_chain, wake_table};
use crate::batch::{Batch, Operation, Subject};
use crate::own::is_owned_name;

impl Dataplane {
    /// Puts right what a transaction can't: gives chains of ours back the names that we made them with, where
    /// nothing else has these by now, wakes a table that is dormant and holds nothing but what is ours, and removes
    /// members that the last [look](Dataplane::observe) found strange. None of it changes a rule, so handles and
    /// counters stay. Returns what was done, a sentence each; look again afterwards.
    pub fn mend(&mut self) -> Result<Vec<String>, CommitFault> {
        let mut done = Vec::new();
        for family in self.families.clone() {
            let Some(table) =
                read_table(&mut self.nft, family).map_err(|source| ObserveError::Table { family, source })?
            else {
                continue;
            };
            let chains = self.list_chains(family)?;
            self.restore_names(family, &chains, &mut done)?;
            if table.dormant && table.made_by_us && usize::try_from(table.uses) == Ok(chains.len()) {
                let view = self.read_family(family)?;
                if is_ours_alone(&chains, &view) {
                    self.wake(family)?;
                    done.push(format!("the {family} table filter was dormant, so that nothing was enforced"));
                }
            }
        }
        for ((family, set), members) in std::mem::take(&mut self.known.strange) {
            self.ipset.remove_strange(&set, family, &members).map_err(|source| CommitFault::Set {
                action: "remove strange members from",
                set: set.clone(),
                source,
            })?;
            done.push(format!("the set {set} had {} members that no set of ours has", members.len()));
        }
        Ok(done)
    }

    fn restore_names(
        &mut self,
        family: Family,
        chains: &[ListedChain],
        done: &mut Vec<String>,
    ) -> Result<(), CommitFault> {
        let renamed: Vec<(&ListedChain, &str)> =
            chains.iter().filter_map(|chain| Some((chain, chain.former_name()?))).collect();
        // A name that another chain of ours has got meanwhile is free once that one has its own again.
        let holder = |name: &str| chains.iter().find(|other| other.name == name);
        let free = |name: &str| holder(name).is_none_or(|other| other.former_name().is_some());
        let wanted: Vec<(&ListedChain, &str)> =
            renamed.into_iter().filter(|(_, name)| is_owned_name(name) && free(name)).collect();
        let in_the_way = |chain: &ListedChain| wanted.iter().any(|(_, name)| *name == chain.name);
        let aside: Vec<(u64, String)> = wanted
            .iter()
            .filter(|(chain, _)| in_the_way(chain))
            .map(|(chain, _)| (chain.handle, format!("MS-renamed-{}", chain.handle)))
            .collect();
        self.rename(family, &aside)?;
        let back: Vec<(u64, String)> =
            wanted.iter().map(|(chain, name)| (chain.handle, (*name).to_owned())).collect();
        self.rename(family, &back)?;
        done.extend(
            wanted
                .iter()
                .map(|(chain, name)| format!("the {family} chain {name} had been renamed to {}", chain.name)),
        );
        Ok(())
    }

    /// Gives chains other names, all at once.
    fn rename(&mut self, family: Family, names: &[(u64, String)]) -> Result<(), CommitFault> {
        let mut batch = Batch::default();
        for (handle, name) in names {
            let subject = Subject { action: "rename a chain", family, chain: name, rule: None };
            batch.push(Operation::Message(rename_chain(family, *handle, name)), subject);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.known.read = false;
        batch.send(&mut self.nft).map_err(fault_of)?;
        Ok(())
    }

    fn wake(&mut self, family: Family) -> Result<(), CommitFault> {
        let mut batch = Batch::default();
        let subject = Subject { action: "wake the table filter", family, chain: "", rule: None };
        batch.push(Operation::Message(wake_table(family)), subject);
        batch.send(&mut self.nft).map_err(fault_of)?;
        Ok(())
    }
}

/// Whether a table holds nothing of others: no chain, and no rule in the base chains that we made.
fn is_ours_alone(chains: &[ListedChain], view: &FamilyView) -> bool {
    let only_jumps = |rules: &[hooks::BaseRule]| hooks::jumps(rules).count() == rules.len();
    chains.iter().all(|chain| chain.is_made_by_us() || view.owns(&chain.name))
        && view.bases.values().chain(view.other_bases.values()).all(|rules| only_jumps(rules))
        && view.admin_has_rules() != Some(true)
}
