//! The rules of others, read as far as it matters here.

use std::collections::{BTreeMap, BTreeSet};

use ms_acl_core::ruleset::Family;

use super::rule::Read;
use super::walk::{Action, Condition};
use crate::batch::message::{family_number, list_all_chains, list_all_rules};
use crate::netlink::{Attribute, Attributes, Connection, NetlinkError};
use crate::own::{JUMP_COMMENT, is_owned_name};
use crate::xtables::{Expression, jump_of};

/// The family of tables for both families of addresses.
const INET: u8 = 1;
/// Chains before this priority see packets before connections are tracked.
const CONNTRACK: i32 = -200;

mod hook {
    pub(super) const PREROUTING: u32 = 0;
    pub(super) const FORWARD: u32 = 2;
    pub(super) const OUTPUT: u32 = 3;
    pub(super) const POSTROUTING: u32 = 4;
}

/// Where packets enter a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The hook's number.
    pub hook: u32,
    /// Its place among the chains of the hook.
    pub priority: i32,
    /// `filter`, `nat` or `route`.
    pub kind: String,
}

/// A rule of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRule {
    /// When it applies.
    pub conditions: Vec<Condition>,
    /// What it does then.
    pub action: Action,
    /// Whether it is a jump of ours.
    pub ours: bool,
    /// Whether it tests that a packet came from where its source is.
    pub reverse_path: bool,
}

/// A chain of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignChain {
    /// The number of its family: 2, 10, or 1 for both.
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where packets enter it; `None` = from rules only.
    pub base: Option<Base>,
    /// Its rules.
    pub rules: Vec<ForeignRule>,
}

/// A use of a mark in the rules of a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The number of the chain's family.
    pub family: u8,
    /// Its table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Whether it is the connection's mark, not the packet's.
    pub connection: bool,
    /// The bits.
    pub bits: u32,
}

/// The rules of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignRules {
    /// The chains of the tables in which something is decided that matters here, by family, table and name.
    pub chains: BTreeMap<(u8, String, String), ForeignChain>,
    /// The marks that rules use, of all tables.
    pub uses: BTreeSet<Use>,
}

impl ForeignRules {
    /// A chain of a table.
    pub(super) fn chain(&self, (family, table): (u8, &str), name: &str) -> Option<&ForeignChain> {
        self.chains.get(&(family, table.to_owned(), name.to_owned()))
    }

    /// The base chains through which packets of a family leave, where their source may be changed.
    pub(super) fn source_changes(&self, family: Family) -> impl Iterator<Item = &ForeignChain> {
        self.bases(family, |base| base.hook == hook::POSTROUTING && base.kind == "nat")
    }

    /// The base chains that packets of a family pass before connections are tracked.
    pub(super) fn before_tracking(&self, family: Family) -> impl Iterator<Item = &ForeignChain> {
        let early = |base: &Base| base.hook == hook::PREROUTING && base.priority < CONNTRACK;
        self.bases(family, early)
    }

    /// The base chains in which our jumps may stand.
    pub(super) fn places(&self, family: Family) -> impl Iterator<Item = &ForeignChain> {
        self.chains.values().filter(move |chain| chain.family == family_number(family) && is_place(chain))
    }

    /// Whether any rule for a family tests that packets come from where their source is.
    pub(super) fn checks_reverse_path(&self, family: Family) -> bool {
        let of_family =
            self.chains.values().filter(|chain| [family_number(family), INET].contains(&chain.family));
        of_family.flat_map(|chain| &chain.rules).any(|rule| rule.reverse_path)
    }

    fn bases(&self, family: Family, wanted: impl Fn(&Base) -> bool) -> impl Iterator<Item = &ForeignChain> {
        self.chains.values().filter(move |chain| {
            [family_number(family), INET].contains(&chain.family) && chain.base.as_ref().is_some_and(&wanted)
        })
    }
}

/// Reads all rules that there are.
pub(super) fn read(connection: &mut Connection) -> Result<ForeignRules, NetlinkError> {
    let chains = connection.collect(&list_all_chains(), Vec::new, |all: &mut Vec<ForeignChain>, entry| {
        all.extend(read_chain(entry.family(), &entry.attributes()));
    })?;
    // Which tables matter is known by their base chains.
    let tables: BTreeSet<(u8, String)> = chains
        .iter()
        .filter(|chain| chain.base.as_ref().is_some_and(matters))
        .map(|chain| (chain.family, chain.table.clone()))
        .collect();
    let wanted = |chain: &ForeignChain| {
        tables.contains(&(chain.family, chain.table.clone()))
            && !is_ours(chain.family, &chain.table, &chain.name)
            || is_place(chain)
    };
    let chains: BTreeMap<(u8, String, String), ForeignChain> = chains
        .into_iter()
        .filter(wanted)
        .map(|chain| ((chain.family, chain.table.clone(), chain.name.clone()), chain))
        .collect();
    let start = || ForeignRules { chains: chains.clone(), uses: BTreeSet::new() };
    connection.collect(&list_all_rules(), start, |all, entry| {
        read_rule(all, entry.family(), &entry.attributes());
    })
}

/// Whether something that matters here is decided in the table of a base chain.
fn matters(base: &Base) -> bool {
    (base.hook == hook::POSTROUTING && base.kind == "nat")
        || ([hook::PREROUTING, hook::OUTPUT].contains(&base.hook) && base.priority < CONNTRACK)
}

/// Whether it is a base chain in which our jumps stand.
fn is_place(chain: &ForeignChain) -> bool {
    let hooks = [("FORWARD", hook::FORWARD), ("OUTPUT", hook::OUTPUT)];
    let at = chain.base.as_ref().map(|base| base.hook);
    chain.table == "filter"
        && chain.family != INET
        && hooks.contains(&(chain.name.as_str(), at.unwrap_or(u32::MAX)))
}

fn is_ours(family: u8, table: &str, chain: &str) -> bool {
    table == "filter" && family != INET && is_owned_name(chain)
}

fn read_chain(family: u8, attributes: &Attributes<'_>) -> Option<ForeignChain> {
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const TYPE: u16 = 7;
    const HOOK_NUMBER: u16 = 1;
    const HOOK_PRIORITY: u16 = 2;
    if ![2, 10, INET].contains(&family) {
        return None;
    }
    let base = attributes.get(HOOK).map(Attribute::nested).and_then(|hook| {
        Some(Base {
            hook: hook.get(HOOK_NUMBER)?.be32()?,
            priority: hook.get(HOOK_PRIORITY)?.be32()?.cast_signed(),
            kind: attributes.get(TYPE).and_then(Attribute::text).unwrap_or_default().to_owned(),
        })
    });
    Some(ForeignChain {
        family,
        table: attributes.get(TABLE)?.text()?.to_owned(),
        name: attributes.get(NAME)?.text()?.to_owned(),
        base,
        rules: Vec::new(),
    })
}

fn read_rule(all: &mut ForeignRules, family: u8, attributes: &Attributes<'_>) -> Option<()> {
    const TABLE: u16 = 1;
    const CHAIN: u16 = 2;
    const EXPRESSIONS: u16 = 4;
    let table = attributes.get(TABLE)?.text()?;
    let chain = attributes.get(CHAIN)?.text()?;
    if is_ours(family, table, chain) {
        return None;
    }
    let expressions = attributes.get(EXPRESSIONS).map_or(&[][..], |list| list.value);
    let mut read = Read::default();
    for expression in Expression::list(expressions) {
        read.take(family, expression);
    }
    let bits = [(false, read.mark_bits), (true, read.connmark_bits)];
    for (connection, bits) in bits.into_iter().filter(|(_, bits)| *bits != 0) {
        let (table, chain) = (table.to_owned(), chain.to_owned());
        all.uses.insert(Use { family, table, chain, connection, bits });
    }
    let place = all.chains.get_mut(&(family, table.to_owned(), chain.to_owned()))?;
    let (to, comment) = jump_of(expressions, None);
    let ours = is_place(place) && comment == Some(JUMP_COMMENT) && to.is_some_and(is_owned_name);
    place.rules.push(ForeignRule {
        conditions: read.conditions,
        action: read.action.unwrap_or(Action::Continue),
        ours,
        reverse_path: read.reverse_path,
    });
    Some(())
}
