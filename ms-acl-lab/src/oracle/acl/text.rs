//! The words of a policy document.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::Action;

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
    text.parse().ok().or_else(|| text.parse().ok().map(host))
}

/// A port as a number, or a range as `first-last`; (0, 0) = any port.
pub(super) fn ports(value: &Value) -> Option<(u16, u16)> {
    if let Some(number) = value.as_u64() {
        let number = u16::try_from(number).ok()?;
        return Some((number, number));
    }
    let (first, last) = value.as_str()?.split_once('-')?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last).then_some((first, last))
}
