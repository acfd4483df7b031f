//! The messages of nf_tables for chains and rules of the table `filter`, and what is read of its
//! listings.

use ms_acl_core::ruleset::{Family, Hook};

use crate::netlink::{Attribute, Attributes, Message, Writer, flag, subsystem};
use crate::own::{CHAIN_TAG, PLACE_TAG};
use crate::xtables::Encoded;

const TABLE: &str = "filter";

/// Commands of the nf_tables subsystem.
pub(crate) mod command {
    pub(crate) const NEW_TABLE: u16 = 0;
    pub(crate) const GET_TABLE: u16 = 1;
    pub(crate) const DELETE_TABLE: u16 = 2;
    pub(crate) const NEW_CHAIN: u16 = 3;
    pub(crate) const GET_CHAIN: u16 = 4;
    pub(crate) const DELETE_CHAIN: u16 = 5;
    pub(crate) const NEW_RULE: u16 = 6;
    pub(crate) const GET_RULE: u16 = 7;
    pub(crate) const DELETE_RULE: u16 = 8;
    pub(crate) const GET_GENERATION: u16 = 16;
}

mod table {
    pub(super) const NAME: u16 = 1;
    pub(super) const FLAGS: u16 = 2;
    pub(super) const USES: u16 = 3;
    pub(super) const USERDATA: u16 = 6;
    /// A flag: nothing in the table judges packets.
    pub(super) const DORMANT: u32 = 1;
}

mod chain {
    pub(super) const TABLE: u16 = 1;
    pub(super) const HANDLE: u16 = 2;
    pub(super) const NAME: u16 = 3;
    pub(super) const HOOK: u16 = 4;
    pub(super) const POLICY: u16 = 5;
    pub(super) const USES: u16 = 6;
    pub(super) const TYPE: u16 = 7;
    pub(super) const USERDATA: u16 = 12;
    pub(super) const HOOK_NUMBER: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    /// The policy that lets pass.
    pub(super) const ACCEPT: u32 = 1;
}

/// The number of the ruleset's generation, in the answer to a question for it.
pub(crate) const GENERATION: u16 = 1;

pub(super) mod rule {
    pub(crate) const TABLE: u16 = 1;
    pub(crate) const CHAIN: u16 = 2;
    pub(crate) const HANDLE: u16 = 3;
    pub(crate) const EXPRESSIONS: u16 = 4;
    pub(crate) const COMPAT: u16 = 5;
    pub(crate) const POSITION: u16 = 6;
    pub(super) const USERDATA: u16 = 7;
    pub(super) const COMPAT_PROTOCOL: u16 = 1;
    pub(super) const COMPAT_FLAGS: u16 = 2;
}

/// The type of the comment in a chain's user data, as libnftnl numbers it. A tag in it is seen in
/// `nft list`, and an `nft list ruleset | nft -f` keeps it.
const USERDATA_COMMENT: u8 = 0;
/// The type of the name that a chain of ours was made with. Nobody else knows it, and no tool shows it.
const USERDATA_NAME: u8 = 0x80;

/// The kernel's number of a family.
pub(crate) fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// The family that has a number.
pub(crate) fn family_of(number: u8) -> Option<Family> {
    Family::BOTH.into_iter().find(|family| family_number(*family) == number)
}

fn message(command: u16, flags: u16, family: Family) -> Writer {
    Writer::new(subsystem::NFTABLES, command, flags, family_number(family))
}

/// Creates the table `filter` with a tag that says who made it; one that exists already is no error and stays
/// as it is.
pub(crate) fn new_table(family: Family) -> Vec<u8> {
    let mut writer = message(command::NEW_TABLE, flag::CREATE, family);
    writer.text(table::NAME, TABLE);
    writer.bytes(table::USERDATA, &comment(PLACE_TAG));
    writer.finish()
}

/// Asks for the table `filter`.
pub(crate) fn get_table(family: Family) -> Vec<u8> {
    let mut writer = message(command::GET_TABLE, 0, family);
    writer.text(table::NAME, TABLE);
    writer.finish()
}

/// Deletes the table `filter`, if nothing is in it.
pub(crate) fn delete_table(family: Family) -> Vec<u8> {
    let mut writer = message(command::DELETE_TABLE, flag::NOT_RECURSIVE, family);
    writer.text(table::NAME, TABLE);
    writer.finish()
}

/// Creates a base chain of the table `filter` with a tag that says who made it; one that exists already is no
/// error, and its policy is never touched, because none is sent.
pub(crate) fn new_base_chain(family: Family, hook: Hook) -> Vec<u8> {
    let mut writer = message(command::NEW_CHAIN, flag::CREATE, family);
    writer.text(chain::TABLE, TABLE);
    writer.text(chain::NAME, hook.chain());
    writer.nest(chain::HOOK, |nest| {
        nest.be32(chain::HOOK_NUMBER, hook_number(hook));
        nest.be32(chain::HOOK_PRIORITY, 0);
    });
    writer.text(chain::TYPE, "filter");
    writer.bytes(chain::USERDATA, &comment(PLACE_TAG));
    writer.finish()
}

/// The kernel's number of a hook.
fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
    }
}

/// Creates a chain of ours with its tag; one that exists already is no error.
pub(crate) fn new_chain(family: Family, name: &str) -> Vec<u8> {
    let mut writer = message(command::NEW_CHAIN, flag::CREATE, family);
    writer.text(chain::TABLE, TABLE);
    writer.text(chain::NAME, name);
    let name = entry(USERDATA_NAME, name.as_bytes());
    writer.bytes(chain::USERDATA, &[comment(CHAIN_TAG), name].concat());
    writer.finish()
}

/// Gives a chain another name.
pub(crate) fn rename_chain(family: Family, handle: u64, name: &str) -> Vec<u8> {
    let mut writer = message(command::NEW_CHAIN, 0, family);
    writer.text(chain::TABLE, TABLE);
    writer.be64(chain::HANDLE, handle);
    writer.text(chain::NAME, name);
    writer.finish()
}

/// Wakes the table `filter`: what is in it judges packets again.
pub(crate) fn wake_table(family: Family) -> Vec<u8> {
    let mut writer = message(command::NEW_TABLE, 0, family);
    writer.text(table::NAME, TABLE);
    writer.be32(table::FLAGS, 0);
    writer.finish()
}

/// Deletes a chain. `with_rules` = and the rules that are in it; else a chain with rules is refused.
pub(crate) fn delete_chain(family: Family, name: &str, with_rules: bool) -> Vec<u8> {
    let flags = if with_rules { 0 } else { flag::NOT_RECURSIVE };
    let mut writer = message(command::DELETE_CHAIN, flags, family);
    writer.text(chain::TABLE, TABLE);
    writer.text(chain::NAME, name);
    writer.finish()
}

/// Where a new rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the first rule of the chain.
    First,
    /// Before the rule that has this handle.
    Before(u64),
    /// After the last rule of the chain.
    Last,
}

/// Adds a rule.
pub(crate) fn new_rule(family: Family, chain: &str, place: Place, encoded: &Encoded) -> Vec<u8> {
    let append = if place == Place::Last { flag::APPEND } else { 0 };
    let mut writer = message(command::NEW_RULE, flag::CREATE | append, family);
    writer.text(rule::TABLE, TABLE);
    writer.text(rule::CHAIN, chain);
    if let Place::Before(handle) = place {
        writer.be64(rule::POSITION, handle);
    }
    writer.nest(rule::EXPRESSIONS, |list| list.raw(&encoded.expressions));
    if let Some(protocol) = encoded.protocol {
        writer.nest(rule::COMPAT, |compat| {
            compat.be32(rule::COMPAT_PROTOCOL, u32::from(protocol));
            compat.be32(rule::COMPAT_FLAGS, 0);
        });
    }
    writer.finish()
}

/// Deletes a rule, or all rules of a chain.
pub(crate) fn delete_rule(family: Family, chain: &str, handle: Option<u64>) -> Vec<u8> {
    let mut writer = message(command::DELETE_RULE, 0, family);
    writer.text(rule::TABLE, TABLE);
    writer.text(rule::CHAIN, chain);
    if let Some(handle) = handle {
        writer.be64(rule::HANDLE, handle);
    }
    writer.finish()
}

/// Asks for the chains of a family, of all its tables.
pub(crate) fn list_chains(family: Family) -> Vec<u8> {
    message(command::GET_CHAIN, 0, family).finish()
}

/// Asks for one chain.
pub(crate) fn get_chain(family: Family, chain: &str) -> Vec<u8> {
    let mut writer = message(command::GET_CHAIN, 0, family);
    writer.text(chain::TABLE, TABLE);
    writer.text(chain::NAME, chain);
    writer.finish()
}

/// Asks for the rules of one chain.
pub(crate) fn list_rules(family: Family, chain: &str) -> Vec<u8> {
    let mut writer = message(command::GET_RULE, 0, family);
    writer.text(rule::TABLE, TABLE);
    writer.text(rule::CHAIN, chain);
    writer.finish()
}

/// Asks for the chains of all tables of all families.
pub(crate) fn list_all_chains() -> Vec<u8> {
    Writer::new(subsystem::NFTABLES, command::GET_CHAIN, 0, 0).finish()
}

/// Asks for the rules of all tables of all families.
pub(crate) fn list_all_rules() -> Vec<u8> {
    Writer::new(subsystem::NFTABLES, command::GET_RULE, 0, 0).finish()
}

/// Asks for the number of the ruleset's generation: the smallest request there is.
pub(crate) fn get_generation() -> Vec<u8> {
    Writer::new(subsystem::NFTABLES, command::GET_GENERATION, 0, 0).finish()
}

/// The table `filter`, as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedTable {
    /// Whether we made it.
    pub(crate) made_by_us: bool,
    /// Whether nothing in it judges packets.
    pub(crate) dormant: bool,
    /// How many chains, sets and other things are in it.
    pub(crate) uses: u32,
}

impl ListedTable {
    /// Reads the answer to a question for it.
    pub(crate) fn read(message: &Message<'_>) -> Option<Self> {
        let attributes = message.attributes();
        if !is(message, command::NEW_TABLE) || attributes.get(table::NAME)?.text()? != TABLE {
            return None;
        }
        let number = |kind| attributes.get(kind).and_then(Attribute::be32);
        Some(ListedTable {
            made_by_us: attributes.get(table::USERDATA).is_some_and(|data| is_tag(data, PLACE_TAG)),
            dormant: number(table::FLAGS).unwrap_or(0) & table::DORMANT != 0,
            uses: number(table::USES).unwrap_or(u32::MAX),
        })
    }
}

/// A chain of the table `filter`, from a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedChain {
    pub(crate) name: String,
    pub(crate) handle: u64,
    pub(crate) kind: ListedKind,
    /// Whether nothing is in it, and as a base chain it lets everything pass.
    pub(crate) idle: bool,
}

/// How packets get into a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListedKind {
    /// From the network stack.
    Base {
        /// Which of the three hooks it is, by its name and its hook's number.
        hook: Option<Hook>,
        /// Whether we made it.
        made_by_us: bool,
    },
    /// From a rule.
    Plain {
        /// Whether it carries our tag.
        tagged: bool,
        /// The name that we made it with, if that isn't its name any more.
        former_name: Option<String>,
    },
}

impl ListedChain {
    /// Reads an entry of a listing. `None` = a chain of another table.
    pub(crate) fn read(message: &Message<'_>) -> Option<Self> {
        let attributes = message.attributes();
        if attributes.get(chain::TABLE)?.text()? != TABLE {
            return None;
        }
        let name = attributes.get(chain::NAME)?.text()?.to_owned();
        let place = attributes.get(chain::HOOK).map(|hook| hook.nested().get(chain::HOOK_NUMBER)?.be32());
        let hook = [Hook::Input, Hook::Forward, Hook::Output]
            .into_iter()
            .find(|hook| place == Some(Some(hook_number(*hook))) && hook.chain() == name);
        let carries = |tag| attributes.get(chain::USERDATA).is_some_and(|data| is_tag(data, tag));
        let number = |kind| attributes.get(kind).and_then(Attribute::be32);
        let made_as = attributes.get(chain::USERDATA).and_then(|data| text_in(data.value, USERDATA_NAME));
        let tagged = carries(CHAIN_TAG);
        Some(ListedChain {
            handle: attributes.get(chain::HANDLE).and_then(Attribute::be64)?,
            kind: match place {
                Some(_) => ListedKind::Base { hook, made_by_us: carries(PLACE_TAG) },
                None => ListedKind::Plain {
                    tagged,
                    former_name: made_as.filter(|made_as| tagged && *made_as != name).map(str::to_owned),
                },
            },
            name,
            idle: number(chain::USES) == Some(0)
                && number(chain::POLICY).is_none_or(|policy| policy == chain::ACCEPT),
        })
    }

    /// Which of the three hooks it is.
    pub(crate) fn hook(&self) -> Option<Hook> {
        match self.kind {
            ListedKind::Base { hook, .. } => hook,
            ListedKind::Plain { .. } => None,
        }
    }

    /// Whether it is a base chain that we made.
    pub(crate) fn is_made_by_us(&self) -> bool {
        matches!(self.kind, ListedKind::Base { made_by_us: true, .. })
    }

    /// The name that we made it with, if that isn't its name any more.
    pub(crate) fn former_name(&self) -> Option<&str> {
        match &self.kind {
            ListedKind::Plain { former_name, .. } => former_name.as_deref(),
            ListedKind::Base { .. } => None,
        }
    }
}

/// A rule of the table `filter`, from a listing, an echo or a notification.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListedRule<'a> {
    pub(crate) chain: &'a str,
    pub(crate) handle: u64,
    pub(crate) expressions: &'a [u8],
    /// A comment in its user data, where other tools put it.
    pub(crate) comment: Option<&'a str>,
}

impl<'a> ListedRule<'a> {
    /// Reads an entry. `None` = a rule of another table.
    pub(crate) fn read(message: &Message<'a>) -> Option<Self> {
        let attributes: Attributes<'a> = message.attributes();
        if attributes.get(rule::TABLE)?.text()? != TABLE {
            return None;
        }
        Some(ListedRule {
            chain: attributes.get(rule::CHAIN)?.text()?,
            handle: attributes.get(rule::HANDLE).and_then(Attribute::be64)?,
            expressions: attributes.get(rule::EXPRESSIONS).map_or(&[], |list| list.value),
            comment: attributes.get(rule::USERDATA).and_then(|userdata| comment_in(userdata.value)),
        })
    }
}

/// User data that is a comment.
fn comment(text: &str) -> Vec<u8> {
    entry(USERDATA_COMMENT, text.as_bytes())
}

/// An entry of user data: type, length, text, NUL.
fn entry(kind: u8, text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[kind, length], text, &[0]].concat()
}

fn is_tag(userdata: Attribute<'_>, tag: &str) -> bool {
    comment_in(userdata.value) == Some(tag)
}

/// The comment in the user data of a chain or a rule.
fn comment_in(userdata: &[u8]) -> Option<&str> {
    text_in(userdata, USERDATA_COMMENT)
}

/// A text in user data: entries of a type, a length, and a value.
fn text_in(mut userdata: &[u8], wanted: u8) -> Option<&str> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).ok();
        }
        userdata = rest;
    }
    None
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced<'a> {
    /// A table `filter` was made, changed or deleted.
    Table(Family),
    /// A chain of it was made, changed or deleted, or a rule in it.
    Chain(Family, &'a str),
    /// A chain of it that carries our tag and hasn't the name that we made it with.
    Renamed(Family, &'a str),
}

/// Reads a notification. `None` = about something that isn't in a table `filter` of ours.
pub(crate) fn announced<'a>(message: &Message<'a>) -> Option<Announced<'a>> {
    let family = family_of(message.family())?;
    let attributes = message.attributes();
    if message.kind >> 8 != subsystem::NFTABLES || attributes.get(rule::TABLE)?.text()? != TABLE {
        return None;
    }
    Some(match message.kind & 0xff {
        command::NEW_TABLE | command::DELETE_TABLE => Announced::Table(family),
        command::NEW_CHAIN | command::DELETE_CHAIN => {
            let name = attributes.get(chain::NAME)?.text()?;
            match attributes.get(chain::USERDATA).and_then(|data| text_in(data.value, USERDATA_NAME)) {
                Some(made_as) if made_as != name => Announced::Renamed(family, name),
                _ => Announced::Chain(family, name),
            }
        }
        command::NEW_RULE | command::DELETE_RULE => {
            Announced::Chain(family, attributes.get(rule::CHAIN)?.text()?)
        }
        _ => return None,
    })
}

/// Whether a message is a certain one of nf_tables.
pub(crate) fn is(message: &Message<'_>, command: u16) -> bool {
    message.kind == subsystem::NFTABLES << 8 | command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_tag_is_recognised_among_other_user_data() {
        let tag = comment(CHAIN_TAG);
        assert_eq!(comment_in(&tag), Some(CHAIN_TAG));
        assert_eq!(comment_in(&[&[0x80, 2, 1, 2][..], &tag].concat()), Some(CHAIN_TAG));
        assert_eq!(comment_in(&[0, 3, b'a', b'b', 0]), Some("ab"));
        assert_eq!(comment_in(&[0, 200, b'm']), None);
        assert_eq!(comment_in(&[]), None);
    }
}
