//! Whether this kernel has what it takes.

use ms_acl_core::ruleset::{Family, Match, Rule, States, Target};

use super::OpenError;
use crate::batch::message::{delete_chain, family_number, get_generation, new_chain, new_rule, new_table};
use crate::batch::{Batch, BatchError, Operation, Place, Subject};
use crate::ipset::{self, PROTOCOL};
use crate::netlink::{Connection, NetlinkError, Writer, subsystem};
use crate::xtables::{EXTENSIONS, ExtensionKind, SetIndexes, encode};

const COMPAT_GET: u16 = 0;
const COMPAT_NAME: u16 = 1;
const COMPAT_REVISION: u16 = 2;
const COMPAT_KIND: u16 = 3;

/// Checks the kernel: the families that can be had, and what is missing.
pub(super) fn check(
    nft: &mut Connection,
    ipset: &mut ipset::Client,
) -> Result<(Vec<Family>, Vec<String>), OpenError> {
    nft.request(get_generation(), |_| {}).map_err(|error| denied_or(error, OpenError::NoTables))?;
    let protocol = ipset.protocol().map_err(|error| denied_or(error, OpenError::NoSets))?;
    if protocol < PROTOCOL {
        return Err(OpenError::OldSets(protocol));
    }
    ask(nft, Family::V4, "comment", 0, ExtensionKind::Match)
        .map_err(|error| denied_or(error, OpenError::NoExtensions))?;

    let mut families = Vec::new();
    let mut faults = Vec::new();
    for family in Family::BOTH {
        let missing: Vec<&str> = EXTENSIONS
            .iter()
            .filter(|(name, _, _)| !matches!((*name, family), ("icmp", Family::V6) | ("icmp6", Family::V4)))
            .filter(|(name, revision, kind)| ask(nft, family, name, *revision, *kind).is_err())
            .map(|(name, _, _)| *name)
            .collect();
        if missing.is_empty() {
            match rehearse(nft, family) {
                Ok(()) => families.push(family),
                Err(why) => faults.push(format!("{family} is not enforced: {why}")),
            }
        } else {
            let missing = missing.join(", ");
            faults.push(format!("{family} is not enforced: this kernel lacks the extensions {missing}"));
        }
    }
    if families.is_empty() { Err(OpenError::NoFamily(faults)) } else { Ok((families, faults)) }
}

fn denied_or(error: NetlinkError, otherwise: fn(NetlinkError) -> OpenError) -> OpenError {
    match error.errno() {
        Some(libc::EPERM | libc::EACCES) => OpenError::NotPermitted,
        _ => otherwise(error),
    }
}

/// Rehearses a family: a batch that makes a table, a chain and a rule on connections, and then fails on
/// purpose, so that nothing of it happens. What fails besides is what the kernel lacks.
fn rehearse(nft: &mut Connection, family: Family) -> Result<(), String> {
    const CHAIN: &str = "MS-rehearsal";
    let subject = |action| Subject { action, family, chain: CHAIN, rule: None };
    let tracked = Rule::new(vec![Match::State(States::NEW)], Target::Return);
    let encoded = encode(family, &tracked, &SetIndexes::default()).map_err(|error| error.to_string())?;
    let mut batch = Batch::default();
    batch.push(Operation::Message(new_table(family)), subject("make the table filter"));
    batch.push(Operation::Message(new_chain(family, CHAIN)), subject("make a chain"));
    let rule = new_rule(family, CHAIN, Place::Last, &encoded);
    batch.push(Operation::Rule(rule), subject("make a rule on connections"));
    let absent = delete_chain(family, "MS-absent", true);
    let on_purpose = batch.push(Operation::Message(absent), subject("fail"));
    match batch.send(nft) {
        Err(BatchError::Refused(refused)) => match refused.iter().find(|one| one.operation != on_purpose) {
            Some(one) => {
                let action = one.subject.map_or("change rules", |subject| subject.action);
                Err(format!("this kernel can't {action}: {}", one.refusal))
            }
            None => Ok(()),
        },
        Err(BatchError::Unsure(error)) => Err(error.to_string()),
        Err(BatchError::TooLong) | Ok(_) => Err("a batch that must fail didn't".to_owned()),
    }
}

/// Asks whether the kernel has an extension in a revision; this loads its module.
fn ask(
    nft: &mut Connection,
    family: Family,
    name: &str,
    revision: u32,
    kind: ExtensionKind,
) -> Result<(), NetlinkError> {
    let mut message = Writer::new(subsystem::NFT_COMPAT, COMPAT_GET, 0, family_number(family));
    message.text(COMPAT_NAME, name);
    message.be32(COMPAT_REVISION, revision);
    message.be32(COMPAT_KIND, u32::from(kind == ExtensionKind::Target));
    nft.request(message.finish(), |_| {})
}
