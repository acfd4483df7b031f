//! From bytes to a rule.

use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ms_acl_core::model::{PortRange, Protocol};
use ms_acl_core::ruleset::{ChainName, Comment, Family, Match, NflogPrefix, Rule, Target};

use super::SetIndexes;
use super::encode::{address_offset, protocol_number};
use super::expression::{self, AT_LEAST, AT_MOST, EQUAL, Expression, NOT_EQUAL};
use super::extension::{self, Decoded};

/// Reads a rule from the value of `NFTA_RULE_EXPRESSIONS`, and the comment that other tools put into the
/// rule's user data. Whatever it can't read becomes a rule
/// whose target is [`Target::Unreadable`]: a rule of ours that somebody changed is replaced.
pub fn decode(family: Family, expressions: &[u8], comment: Option<&str>, sets: &SetIndexes) -> Rule {
    let mut parts = Parts::new(family, sets);
    parts.comment = comment.map(Comment::new);
    let mut list = Expression::list(expressions).peekable();
    while let Some(next) = list.next() {
        if parts.take(next, &mut list).is_none() {
            return Rule::new(Vec::new(), Target::Unreadable);
        }
    }
    parts.rule()
}

/// What is known of the rule so far.
struct Parts<'s> {
    family: Family,
    sets: &'s SetIndexes,
    source: Option<Match>,
    destination: Option<Match>,
    protocol: Option<Protocol>,
    rest: Vec<Match>,
    comment: Option<Comment>,
    target: Option<Target>,
}

impl<'s> Parts<'s> {
    fn new(family: Family, sets: &'s SetIndexes) -> Self {
        Parts {
            family,
            sets,
            source: None,
            destination: None,
            protocol: None,
            rest: Vec::new(),
            comment: None,
            target: None,
        }
    }

    /// The rule, its matches in canonical order. Without a target it isn't one of ours.
    fn rule(self) -> Rule {
        let Some(target) = self.target else { return Rule::new(Vec::new(), Target::Unreadable) };
        let mut matches: Vec<Match> = Vec::with_capacity(self.rest.len() + 3);
        matches.extend(self.source);
        matches.extend(self.destination);
        matches.extend(self.protocol.map(Match::Protocol));
        matches.extend(self.rest);
        Rule { matches, target, comment: self.comment, provenance: None }
    }

    /// Takes an expression, and those after it that belong to it.
    fn take<'a>(
        &mut self,
        next: Expression<'a>,
        list: &mut Peekable<impl Iterator<Item = Expression<'a>>>,
    ) -> Option<()> {
        if self.target.is_some() {
            // Nothing of ours stands behind a target.
            return None;
        }
        match next {
            Expression::Counter => {}
            Expression::Meta { key: expression::META_PROTOCOL } => self.take_protocol(&Test::read(list)?)?,
            Expression::Meta { key: expression::META_MARK } => {
                let (value, mask) = Test::read(list)?.masked_u32()?;
                self.rest.push(Match::Mark { value, mask });
            }
            Expression::Payload { base: expression::BASE_NETWORK, offset, length } => {
                self.take_address(offset, length, &Test::read(list)?)?;
            }
            Expression::Payload { base: expression::BASE_TRANSPORT, offset, length } => {
                self.take_transport(offset, length, &Test::read(list)?)?;
            }
            Expression::Match { name, revision, info } => {
                let (family, sets) = (self.family, self.sets);
                match extension::decode_match(family, self.protocol, sets, name, revision, info)? {
                    Decoded::Matches(matches) => self.rest.extend(matches),
                    Decoded::Comment(comment) => once(&mut self.comment, comment)?,
                }
            }
            Expression::Target { name, revision, info } => {
                self.target = Some(extension::decode_target(self.family, name, revision, info)?);
            }
            Expression::Verdict { code, chain } => self.target = Some(verdict(code, chain)?),
            Expression::Log { group, prefix } => {
                self.target = Some(Target::Nflog { group, prefix: NflogPrefix::new(prefix) });
            }
            _ => return None,
        }
        Some(())
    }

    fn take_protocol(&mut self, test: &Test<'_>) -> Option<()> {
        let number = *test.plain(EQUAL)?.first()?;
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp]
            .into_iter()
            .find(|protocol| protocol_number(self.family, *protocol) == number)?;
        once(&mut self.protocol, protocol)
    }

    fn take_address(&mut self, offset: u32, length: u32, test: &Test<'_>) -> Option<()> {
        let Masked { value, mask, operation } = test.masked()?;
        let whole = usize::from(self.family.bits() / 8);
        if usize::try_from(length) != Ok(value.len()) || value.len() > whole {
            return None;
        }
        let prefix = match mask {
            Some(mask) if mask.len() == value.len() && value.len() == whole => prefix_of(mask)?,
            Some(_) => return None,
            None => u8::try_from(value.len() * 8).ok()?,
        };
        let mut octets = [0; 16];
        octets[..value.len()].copy_from_slice(value);
        let address = match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(octets)),
        };
        let net = IpNet::new(address, prefix).ok().filter(|net| net.trunc() == *net)?;
        let is_source = offset == address_offset(self.family, true);
        let is_destination = offset == address_offset(self.family, false);
        match (is_source, is_destination, operation) {
            (true, _, EQUAL) => once(&mut self.source, Match::Source(net)),
            (true, _, NOT_EQUAL) => once(&mut self.source, Match::NotSource(net)),
            (_, true, EQUAL) => once(&mut self.destination, Match::Destination(net)),
            (_, true, NOT_EQUAL) => once(&mut self.destination, Match::NotDestination(net)),
            _ => None,
        }
    }

    /// Ports and TCP flags as the tool writes them today.
    fn take_transport(&mut self, offset: u32, length: u32, test: &Test<'_>) -> Option<()> {
        match (offset, length, self.protocol?) {
            (2, 2, Protocol::Tcp | Protocol::Udp) => {
                // The tool writes flags before ports, whatever came first in the text; we print ports
                // first, as it does itself.
                let flags = matches!(self.rest.last(), Some(Match::TcpFlags { .. }));
                let at = self.rest.len() - usize::from(flags);
                self.rest.insert(at, Match::Port(test.ports()?));
            }
            (13, 1, Protocol::Tcp) => {
                let Masked { value, mask, operation } = test.masked()?;
                let inverted = match operation {
                    EQUAL => false,
                    NOT_EQUAL => true,
                    _ => return None,
                };
                let (mask, set) = (*mask?.first()?, *value.first()?);
                self.rest.push(Match::TcpFlags { mask, set, inverted });
            }
            _ => return None,
        }
        Some(())
    }
}

/// The chain that a rule sends packets to, and the rule's comment, whatever else the rule says.
pub(crate) fn jump_of<'a>(
    expressions: &'a [u8],
    comment: Option<&'a str>,
) -> (Option<&'a str>, Option<&'a str>) {
    let (mut chain, mut comment) = (None, comment);
    for found in Expression::list(expressions) {
        match found {
            Expression::Verdict { code: expression::JUMP | expression::GOTO, chain: Some(name) } => {
                chain = Some(name);
            }
            Expression::Match { name: "comment", info, .. } => {
                comment = comment.or_else(|| extension::text_of(info));
            }
            _ => {}
        }
    }
    (chain, comment)
}

/// Sets what may be set once.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

fn verdict(code: i32, chain: Option<&str>) -> Option<Target> {
    let chain = chain.map(ChainName::new);
    Some(match (code, chain) {
        (expression::ACCEPT, None) => Target::Accept,
        (expression::DROP, None) => Target::Drop,
        (expression::RETURN, None) => Target::Return,
        (expression::JUMP, Some(chain)) => Target::Jump(chain.ok()?),
        (expression::GOTO, Some(chain)) => Target::Goto(chain.ok()?),
        _ => return None,
    })
}

/// The prefix length of a mask of leading ones.
fn prefix_of(mask: &[u8]) -> Option<u8> {
    let ones: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
    let total: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let broken = mask.windows(2).any(|pair| pair[0] != 0xff && pair[1] != 0);
    if ones != total || broken { None } else { u8::try_from(ones).ok() }
}

/// A loaded value under a mask, compared with a value.
struct Masked<'a> {
    value: &'a [u8],
    mask: Option<&'a [u8]>,
    operation: u32,
}

/// How a loaded value is tested.
#[derive(Default)]
struct Test<'a> {
    mask: Option<&'a [u8]>,
    compares: Vec<(u32, &'a [u8])>,
    range: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Test<'a> {
    /// Takes the expressions that test the register.
    fn read(list: &mut Peekable<impl Iterator<Item = Expression<'a>>>) -> Option<Self> {
        let mut test = Test::default();
        while let Some(next) = list.peek().copied() {
            match next {
                Expression::Bitwise { mask, xor } => {
                    let first = test.compares.is_empty() && test.range.is_none();
                    if !first || xor.iter().any(|byte| *byte != 0) {
                        return None;
                    }
                    once(&mut test.mask, mask)?;
                }
                Expression::Compare { operation, value } => test.compares.push((operation, value)),
                Expression::Range { operation: EQUAL, from, to } => once(&mut test.range, (from, to))?,
                _ => break,
            }
            list.next();
        }
        Some(test)
    }

    /// The one comparison: its value, the mask before it, the operation.
    fn masked(&self) -> Option<Masked<'a>> {
        match (&self.compares[..], self.range) {
            ([(operation, value)], None) => Some(Masked { value, mask: self.mask, operation: *operation }),
            _ => None,
        }
    }

    /// The one comparison without a mask.
    fn plain(&self, wanted: u32) -> Option<&'a [u8]> {
        match self.masked()? {
            Masked { value, mask: None, operation } if operation == wanted => Some(value),
            _ => None,
        }
    }

    /// Value and mask of a number in this machine's order that is compared for equality.
    fn masked_u32(&self) -> Option<(u32, u32)> {
        let Masked { value, mask, operation } = self.masked()?;
        if operation != EQUAL {
            return None;
        }
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
        Some((number(value)?, mask.map_or(Some(u32::MAX), number)?))
    }

    /// One port, or a range of them in any of the ways to write it.
    fn ports(&self) -> Option<PortRange> {
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u16::from_be_bytes);
        if self.mask.is_some() {
            return None;
        }
        let (lowest, highest) = (&[0, 0][..], &[0xff, 0xff][..]);
        let (first, last) = match (&self.compares[..], self.range) {
            ([(EQUAL, port)], None) => (*port, *port),
            ([(AT_LEAST, first), (AT_MOST, last)], None) => (*first, *last),
            ([(AT_MOST, last)], None) => (lowest, *last),
            ([(AT_LEAST, first)], None) => (*first, highest),
            ([], Some(range)) => range,
            _ => return None,
        };
        PortRange::new(number(first)?, number(last)?).ok()
    }
}
