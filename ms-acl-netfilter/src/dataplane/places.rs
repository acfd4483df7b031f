//! Tables and base chains that weren't there before us: they go when our rules go, and only if nobody else uses
//! them by then.

use ms_acl_core::ruleset::Family;

use super::rules::fault_of;
use super::{CommitFault, Dataplane, ObserveError};
use crate::batch::message::{
    GENERATION, ListedChain, ListedTable, delete_chain, delete_table, get_generation, get_table,
};
use crate::batch::{Batch, BatchError, Operation, Subject};
use crate::netlink::{Attribute, Connection, NetlinkError};

/// How often it is looked again when others changed rules meanwhile.
const ATTEMPTS: usize = 50;

/// What of these was deleted.
#[derive(Debug, Default)]
pub(super) struct Vacated {
    pub(super) base_chains: usize,
    pub(super) tables: usize,
    /// How often others were faster.
    pub(super) overtaken: usize,
}

impl Dataplane {
    /// Deletes the base chains of a family that we made, that hold no rule and let everything pass, and then
    /// the table if we made it and nothing else is in it. Whatever somebody else has put there stays.
    pub(super) fn vacate(&mut self, family: Family) -> Result<Vacated, CommitFault> {
        for overtaken in 0..ATTEMPTS {
            // What is read after this number was asked for is refused below if it has changed since: another's
            // rule or policy that comes in between isn't lost.
            let generation =
                generation(&mut self.nft).map_err(|source| ObserveError::Chains { family, source })?;
            let table =
                read_table(&mut self.nft, family).map_err(|source| ObserveError::Table { family, source })?;
            let Some(table) = table else { return Ok(Vacated::default()) };
            let idle: Vec<ListedChain> = self
                .list_chains(family)?
                .into_iter()
                .filter(|chain| chain.is_made_by_us() && chain.idle)
                .collect();

            let mut batch = Batch::for_generation(generation);
            for chain in &idle {
                let subject =
                    Subject { action: "delete a base chain", family, chain: &chain.name, rule: None };
                batch.push(Operation::Message(delete_chain(family, &chain.name, false)), subject);
            }
            let tables = usize::from(table.made_by_us && usize::try_from(table.uses) == Ok(idle.len()));
            if tables > 0 {
                let subject = Subject { action: "delete the table filter", family, chain: "", rule: None };
                batch.push(Operation::Message(delete_table(family)), subject);
            }
            if batch.is_empty() {
                return Ok(Vacated { overtaken, ..Vacated::default() });
            }
            match batch.send(&mut self.nft) {
                Ok(_) => return Ok(Vacated { base_chains: idle.len(), tables, overtaken }),
                Err(error) if was_overtaken(&error) => {}
                Err(error) => return Err(fault_of(error)),
            }
        }
        // Somebody writes all the time, so these are in use.
        Ok(Vacated { overtaken: ATTEMPTS, ..Vacated::default() })
    }
}

/// Whether somebody changed rules since the generation that a batch was for.
fn was_overtaken(error: &BatchError<'_>) -> bool {
    matches!(error, BatchError::Refused(all) if all.iter().any(|one| one.refusal.errno == libc::ERESTART))
}

/// The ruleset's generation: it rises with everybody's changes of any rules.
fn generation(nft: &mut Connection) -> Result<u32, NetlinkError> {
    let mut number = 0;
    nft.request(get_generation(), |reply| {
        number = reply.attributes().get(GENERATION).and_then(Attribute::be32).unwrap_or(0);
    })?;
    Ok(number)
}

/// A family's table `filter`, if there is one.
pub(super) fn read_table(nft: &mut Connection, family: Family) -> Result<Option<ListedTable>, NetlinkError> {
    let mut table = None;
    match nft.request(get_table(family), |reply| table = table.or_else(|| ListedTable::read(reply))) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(table),
    }
}
