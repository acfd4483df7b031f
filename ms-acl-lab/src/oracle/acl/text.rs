//! The words of a policy document.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::Action;
use crate::oracle::block;

/// An action, in any case.
pub(super) fn action(text: &str) -> Option<Action> {
    match text.to_ascii_uppercase().as_str() {
        "ALLOW" | "ACCEPT" => Some(Action::Accept),
        "RETURN" => Some(Action::Return),
        "DENY" | "DROP" => Some(Action::Drop),
        "REJECT" => Some(Action::Reject),
        _ => None,
    }
}

/// A block, or an address that stands for itself.
pub(super) fn block(text: &str) -> Option<IpNet> {
    let host = |address: IpAddr| IpNet::from(address);
    text.parse().ok().or_else(|| text.parse().ok().map(host)).map(block::unmapped)
}

/// A port as a number; 0 = any port.
pub(super) fn port(value: &Value) -> Option<(u16, u16)> {
    let number = u16::try_from(value.as_u64()?).ok()?;
    Some((number, number))
}

/// In a list: a port as a number or its text, or a range as `first-last`.
pub(super) fn ports(value: &Value) -> Option<(u16, u16)> {
    let (first, last) = match value.as_str() {
        None => port(value)?,
        Some(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (number(first)?, number(last)?)
        }
    };
    (1 <= first && first <= last).then_some((first, last))
}

fn number(text: &str) -> Option<u16> {
    let only_digits = text.chars().all(|character| character.is_ascii_digit());
    text.parse().ok().filter(|_| only_digits)
}
