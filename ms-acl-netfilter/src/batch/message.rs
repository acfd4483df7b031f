//! The messages of nf_tables for chains and rules of the table `filter`, and what is read of its
//! listings.

use ms_acl_core::ruleset::{Family, Hook};

use crate::netlink::{Attribute, Attributes, Message, Writer, flag, subsystem};
use crate::own::CHAIN_TAG;
use crate::xtables::Encoded;

const TABLE: &str = "filter";

/// Commands of the nf_tables subsystem.
pub(crate) mod command {
    pub(crate) const NEW_TABLE: u16 = 0;
    pub(crate) const DELETE_TABLE: u16 = 2;
    pub(crate) const NEW_CHAIN: u16 = 3;
    pub(crate) const GET_CHAIN: u16 = 4;
    pub(crate) const DELETE_CHAIN: u16 = 5;
    pub(crate) const NEW_RULE: u16 = 6;
    pub(crate) const GET_RULE: u16 = 7;
    pub(crate) const DELETE_RULE: u16 = 8;
    pub(crate) const GET_GENERATION: u16 = 16;
}

mod chain {
    pub(super) const TABLE: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const HOOK: u16 = 4;
    pub(super) const USERDATA: u16 = 12;
    pub(super) const HOOK_NUMBER: u16 = 1;
}

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

/// Creates a chain of ours with its tag; one that exists already is no error.
pub(crate) fn new_chain(family: Family, name: &str) -> Vec<u8> {
    let mut writer = message(command::NEW_CHAIN, flag::CREATE, family);
    writer.text(chain::TABLE, TABLE);
    writer.text(chain::NAME, name);
    writer.bytes(chain::USERDATA, &tag());
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

/// Asks for the rules of one chain.
pub(crate) fn list_rules(family: Family, chain: &str) -> Vec<u8> {
    let mut writer = message(command::GET_RULE, 0, family);
    writer.text(rule::TABLE, TABLE);
    writer.text(rule::CHAIN, chain);
    writer.finish()
}

/// Asks for the number of the ruleset's generation: the smallest request there is.
pub(crate) fn get_generation() -> Vec<u8> {
    Writer::new(subsystem::NFTABLES, command::GET_GENERATION, 0, 0).finish()
}

/// A chain of the table `filter`, from a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedChain {
    pub(crate) name: String,
    /// Whether it carries our tag.
    pub(crate) tagged: bool,
    /// Whether packets enter it from the network stack.
    pub(crate) base: bool,
    /// Which of the three hooks it is, by its name and its hook's number.
    pub(crate) hook: Option<Hook>,
}

impl ListedChain {
    /// Reads an entry of a listing. `None` = a chain of another table.
    pub(crate) fn read(message: &Message<'_>) -> Option<Self> {
        let attributes = message.attributes();
        if attributes.get(chain::TABLE)?.text()? != TABLE {
            return None;
        }
        let name = attributes.get(chain::NAME)?.text()?.to_owned();
        let number = attributes.get(chain::HOOK).map(|hook| hook.nested().get(chain::HOOK_NUMBER)?.be32());
        let hook = [(Hook::Input, 1), (Hook::Forward, 2), (Hook::Output, 3)]
            .into_iter()
            .find(|(hook, at)| number == Some(Some(*at)) && hook.chain() == name)
            .map(|(hook, _)| hook);
        let tagged = attributes.get(chain::USERDATA).is_some_and(|userdata| is_tag(userdata.value));
        Some(ListedChain { name, tagged, base: number.is_some(), hook })
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

/// The user data of a chain of ours: type, length, text, NUL.
fn tag() -> Vec<u8> {
    let length = u8::try_from(CHAIN_TAG.len() + 1).unwrap_or(u8::MAX);
    [&[USERDATA_COMMENT, length], CHAIN_TAG.as_bytes(), &[0]].concat()
}

fn is_tag(userdata: &[u8]) -> bool {
    comment_in(userdata) == Some(CHAIN_TAG)
}

/// The comment in the user data of a chain or a rule: entries of a type, a length, and a value.
fn comment_in(mut userdata: &[u8]) -> Option<&str> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == USERDATA_COMMENT {
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
            Announced::Chain(family, attributes.get(chain::NAME)?.text()?)
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
        assert!(is_tag(&tag()));
        assert!(is_tag(&[&[0x80, 2, 1, 2][..], &tag()].concat()));
        assert!(!is_tag(&[0, 3, b'a', b'b', 0]));
        assert!(!is_tag(&[0, 200, b'm']));
        assert!(!is_tag(&[]));
    }
}
