//! Which part of a rule the kernel means by an offset.

use super::message::rule;
use crate::netlink::attribute_path;
use crate::xtables::Expression;

/// Names the part of a new rule's message in which an offset lies: `match set`, `expression 2`, `the
/// position`.
pub(super) fn part(message: &[u8], offset: u32) -> Option<String> {
    let offset = usize::try_from(offset).ok()?;
    let path = attribute_path(message, offset);
    match path.first().copied()? {
        rule::EXPRESSIONS => expression(message, offset),
        rule::TABLE => Some("the table".to_owned()),
        rule::CHAIN => Some("the chain".to_owned()),
        rule::COMPAT => Some("the protocol".to_owned()),
        rule::POSITION => Some("the position".to_owned()),
        _ => None,
    }
}

/// The expression around an offset, found by where the list's elements end.
fn expression(message: &[u8], offset: usize) -> Option<String> {
    let list = crate::netlink::Messages::of(message).next()?.attributes().get(rule::EXPRESSIONS)?.value;
    // The list is a part of the message: its place in it follows from what is behind it.
    let start = list.as_ptr().addr().checked_sub(message.as_ptr().addr())?;
    let inside = offset.checked_sub(start)?;
    let mut end = 0;
    for (number, found) in Expression::list(list).enumerate() {
        let length = u16::from_ne_bytes(list.get(end..end + 2)?.try_into().ok()?);
        end += usize::from(length).next_multiple_of(4);
        if inside < end {
            return Some(match found {
                Expression::Match { name, revision, .. } => format!("match {name} revision {revision}"),
                Expression::Target { name, revision, .. } => format!("target {name} revision {revision}"),
                Expression::Verdict { chain: Some(chain), .. } => format!("the jump to {chain}"),
                _ => format!("expression {}", number + 1),
            });
        }
    }
    None
}
