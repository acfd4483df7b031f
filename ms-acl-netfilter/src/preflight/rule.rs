//! A rule of somebody else, read as far as it matters here: what isn't understood is a condition that may hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::walk::{Action, Condition};
use crate::xtables::{Expression, expression as value};

/// What the register holds.
#[derive(Debug, Clone, Copy)]
enum Loaded {
    Payload { base: u32, offset: u32, length: u32 },
    Meta(u32),
}

/// What is known of a rule so far.
#[derive(Debug, Default)]
pub(super) struct Read {
    loaded: Option<Loaded>,
    mask: Option<Vec<u8>>,
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Option<Action>,
    pub(super) mark_bits: u32,
    pub(super) connmark_bits: u32,
    pub(super) reverse_path: bool,
}

impl Read {
    /// Takes the next expression.
    pub(super) fn take(&mut self, family: u8, expression: Expression<'_>) {
        match expression {
            Expression::Payload { base, offset, length } => {
                self.load(Loaded::Payload { base, offset, length });
            }
            Expression::Meta { key } => self.load(Loaded::Meta(key)),
            Expression::Bitwise { mask, xor } => {
                self.mask = xor.iter().all(|byte| *byte == 0).then(|| mask.to_vec());
                if self.mask.is_none() {
                    self.loaded = None;
                }
            }
            Expression::Compare { operation, value } => self.compare(family, operation, value),
            Expression::Counter | Expression::Log { .. } => {}
            Expression::Verdict { code, chain } => self.action = Some(verdict(code, chain)),
            Expression::Match { name, info, .. } => self.xt_match(name, info),
            Expression::Target { name, info, .. } => self.xt_target(name, info),
            Expression::Range { .. } => self.conditions.push(Condition::Unknown),
            Expression::Other { name, ends } => self.other(name, ends),
        }
    }

    fn load(&mut self, what: Loaded) {
        self.loaded = Some(what);
        self.mask = None;
    }

    fn compare(&mut self, family: u8, operation: u32, value: &[u8]) {
        let not = match operation {
            value::EQUAL => false,
            value::NOT_EQUAL => true,
            _ => return self.conditions.push(Condition::Unknown),
        };
        let condition = self.loaded.and_then(|loaded| match loaded {
            Loaded::Payload { base: value::BASE_NETWORK, offset, length } => {
                self.address(family, offset, length, value, not)
            }
            Loaded::Meta(value::META_MARK) => {
                let number = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?));
                let mask = self.mask.as_deref().map_or(Some(u32::MAX), number)?;
                let wanted = number(value)?;
                self.mark_bits |= if mask == u32::MAX { wanted } else { mask };
                Some(Condition::Mark(wanted, mask, not))
            }
            Loaded::Meta(value::META_IN_NAME) => Some(Condition::CameIn(interface(value)?, not)),
            Loaded::Meta(value::META_OUT_NAME) => Some(Condition::GoesOut(interface(value)?, not)),
            Loaded::Payload { .. } | Loaded::Meta(_) => None,
        });
        self.conditions.push(condition.unwrap_or(Condition::Unknown));
    }

    fn address(&self, family: u8, offset: u32, length: u32, value: &[u8], not: bool) -> Option<Condition> {
        let (net, source) = match (family, offset) {
            (2, 12 | 16) => {
                let mut octets = [0; 4];
                octets.get_mut(..value.len())?.copy_from_slice(value);
                (IpAddr::V4(Ipv4Addr::from(octets)), offset == 12)
            }
            (10, 8 | 24) => {
                let mut octets = [0; 16];
                octets.get_mut(..value.len())?.copy_from_slice(value);
                (IpAddr::V6(Ipv6Addr::from(octets)), offset == 8)
            }
            // In tables for both families it depends on a test before, which isn't followed here.
            _ => return None,
        };
        if usize::try_from(length) != Ok(value.len()) {
            return None;
        }
        let bits = match &self.mask {
            Some(mask) => prefix(mask)?,
            None => u8::try_from(value.len() * 8).ok()?,
        };
        let net = IpNet::new(net, bits).ok()?;
        Some(if source { Condition::Source(net, not) } else { Condition::Destination(net, not) })
    }

    fn xt_match(&mut self, name: &str, info: &[u8]) {
        match name {
            "comment" => return,
            "mark" | "connmark" => {
                let condition = (|| {
                    let (value, mask) = (number_at(info, 0)?, number_at(info, 4)?);
                    let bits = if mask == u32::MAX { value } else { mask };
                    if name == "connmark" {
                        self.connmark_bits |= bits;
                        return None;
                    }
                    self.mark_bits |= bits;
                    Some(Condition::Mark(value, mask, *info.get(8)? != 0))
                })();
                return self.conditions.push(condition.unwrap_or(Condition::Unknown));
            }
            "rpfilter" => self.reverse_path = true,
            _ => {}
        }
        self.conditions.push(Condition::Unknown);
    }

    fn xt_target(&mut self, name: &str, info: &[u8]) {
        const NOTRACK: u8 = 1;
        const SAVE: u8 = 1;
        const RESTORE: u8 = 2;
        let number = |at| number_at(info, at).unwrap_or(0);
        self.action = Some(match name {
            "MASQUERADE" | "SNAT" | "NETMAP" => Action::ChangeSource,
            "NOTRACK" => Action::Untrack,
            "CT" if info.first().is_some_and(|flags| flags & NOTRACK != 0) => Action::Untrack,
            "MARK" => {
                let (value, mask) = (number(0), number(4));
                self.mark_bits |= if mask == u32::MAX { value } else { mask | value };
                Action::SetMark
            }
            "CONNMARK" => {
                let (value, of_connection, of_packet) = (number(0), number(4), number(8));
                match info.get(12) {
                    Some(&RESTORE) => self.mark_bits |= if of_packet == u32::MAX { 0 } else { of_packet },
                    Some(&SAVE) => self.connmark_bits |= of_connection,
                    _ => self.connmark_bits |= of_connection | value,
                }
                Action::SetMark
            }
            _ if (Expression::Target { name, revision: 0, info }).can_divert() => Action::End,
            _ => Action::Continue,
        });
    }

    fn other(&mut self, name: &str, ends: bool) {
        match name {
            "masq" | "snat" => self.action = Some(Action::ChangeSource),
            "notrack" => self.action = Some(Action::Untrack),
            // Puts a value into the register, or a mark onto the packet.
            "immediate" | "bitwise" | "byteorder" => self.loaded = None,
            "meta" => {
                self.loaded = None;
                self.action.get_or_insert(Action::SetMark);
            }
            _ if ends => self.action = Some(Action::End),
            "limit" | "quota" | "last" => self.conditions.push(Condition::Unknown),
            _ => {
                self.loaded = None;
                self.conditions.push(Condition::Unknown);
            }
        }
    }
}

fn verdict(code: i32, chain: Option<&str>) -> Action {
    match (code, chain) {
        (value::JUMP, Some(to)) => Action::Jump(to.to_owned()),
        (value::GOTO, Some(to)) => Action::Goto(to.to_owned()),
        (value::RETURN, _) => Action::Return,
        _ => Action::End,
    }
}

/// An interface's name, or with a `+` how it begins.
fn interface(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|byte| *byte == 0);
    let name = std::str::from_utf8(&value[..end.unwrap_or(value.len())]).ok()?;
    Some(if end.is_some() { name.to_owned() } else { format!("{name}+") })
}

/// The length of a mask of leading ones.
fn prefix(mask: &[u8]) -> Option<u8> {
    let ones = mask.iter().map(|byte| byte.count_ones()).sum::<u32>();
    let leading =
        mask.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).take_while(|bit| *bit == 1);
    (u32::try_from(leading.count()) == Ok(ones)).then(|| u8::try_from(ones).ok())?
}

fn number_at(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?))
}
