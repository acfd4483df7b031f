//! Atomic batches of nf_tables: messages in, and for each of them a handle or a reason why not.

mod explain;
pub(crate) mod message;

use ms_acl_core::ruleset::Family;

use crate::netlink::{Connection, Message, NetlinkError, Refusal, flag, set_flags};
use crate::sys::Page;

pub(crate) use message::Place;

/// One message of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// A new rule, whose handle is wanted.
    Rule(Vec<u8>),
    /// Any other message.
    Message(Vec<u8>),
}

impl Operation {
    fn bytes(&self) -> &[u8] {
        match self {
            Operation::Rule(bytes) | Operation::Message(bytes) => bytes,
        }
    }
}

/// What an operation is about: for the error that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'t> {
    /// What was to be done: `add a rule`.
    pub(crate) action: &'static str,
    pub(crate) family: Family,
    pub(crate) chain: &'t str,
    /// The rule that was to be added.
    pub(crate) rule: Option<&'t ms_acl_core::ruleset::Rule>,
}

/// A batch that is being collected.
#[derive(Debug, Default)]
pub(crate) struct Batch<'t> {
    operations: Vec<(Operation, Subject<'t>)>,
    generation: Option<u32>,
}

/// One operation that the kernel refused.
#[derive(Debug, Clone)]
pub(crate) struct Refused<'t> {
    /// The operation's index.
    pub(crate) operation: usize,
    pub(crate) subject: Option<Subject<'t>>,
    pub(crate) refusal: Refusal,
    /// The part of the message that the kernel pointed at: `match set`.
    pub(crate) part: Option<String>,
}

/// Why a batch had no effect, or perhaps none.
#[derive(Debug)]
pub(crate) enum BatchError<'t> {
    /// The kernel refused these operations, so it did none of the batch.
    Refused(Vec<Refused<'t>>),
    /// It isn't known whether the batch was carried out.
    Unsure(NetlinkError),
    /// More bytes than a batch can have. It wasn't sent.
    TooLong,
}

impl<'t> Batch<'t> {
    /// A batch that the kernel refuses (ERESTART) if anybody has changed any rules since a generation.
    pub(crate) fn for_generation(generation: u32) -> Self {
        Batch { generation: Some(generation), ..Batch::default() }
    }

    /// Adds an operation and returns its index.
    pub(crate) fn push(&mut self, operation: Operation, subject: Subject<'t>) -> usize {
        self.operations.push((operation, subject));
        self.operations.len() - 1
    }

    /// The number of operations so far: the index of the next.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Sends everything in one datagram. Returns the handle of each operation's new rule, `None` where it
    /// isn't known.
    pub(crate) fn send(&mut self, connection: &mut Connection) -> Result<Vec<Option<u64>>, BatchError<'t>> {
        let echoed = self.ask_for_echoes();
        let lengths = self.operations.iter().map(|(operation, _)| operation.bytes().len());
        let mut page =
            Page::new(lengths.map(|length| length.next_multiple_of(8)).sum()).ok_or(BatchError::TooLong)?;
        let numbers: Vec<u32> =
            self.operations.iter().map(|(operation, _)| page.raw(operation.bytes())).collect();
        // Numbers rise by one from the first on.
        let first = numbers.first().copied().unwrap_or(0);
        let index = |sequence: u32| {
            let index = usize::try_from(sequence.checked_sub(first)?).ok()?;
            (index < numbers.len()).then_some(index)
        };

        let mut handles = vec![None; numbers.len()];
        let mut refused = Vec::new();
        let outcome = connection.batch(&page.finish(self.generation), |reply| {
            if let Some(refusal) = Refusal::read(reply) {
                refused.push(self.refused(index(reply.sequence), refusal));
            } else if let Some((index, handle)) = new_handle(reply, index) {
                handles[index] = Some(handle);
            }
        });
        if !refused.is_empty() {
            refused.dedup_by_key(|one| one.operation);
            return Err(BatchError::Refused(refused));
        }
        match outcome {
            Ok(()) => {
                for rules in echoed {
                    fill_in(&rules, &mut handles);
                }
                Ok(handles)
            }
            Err(error) => Err(BatchError::Unsure(error)),
        }
    }

    /// Asks the kernel to echo the first and the last new rule of each family. The handles of those in
    /// between follow from the two, and every echo costs a fifth of what the rule itself costs. Returns the
    /// indexes of each family's new rules.
    fn ask_for_echoes(&mut self) -> [Vec<usize>; 2] {
        Family::BOTH.map(|family| {
            let of_family = self.operations.iter().enumerate().filter(|(_, (operation, subject))| {
                matches!(operation, Operation::Rule(_)) && subject.family == family
            });
            let rules: Vec<usize> = of_family.map(|(index, _)| index).collect();
            for index in rules.first().into_iter().chain(rules.last()) {
                if let Some((Operation::Rule(bytes), _)) = self.operations.get_mut(*index) {
                    set_flags(bytes, flag::ECHO);
                }
            }
            rules
        })
    }

    fn refused(&self, index: Option<usize>, refusal: Refusal) -> Refused<'t> {
        let operation = index.and_then(|index| self.operations.get(index));
        let part = match (operation, refusal.offset) {
            (Some((Operation::Rule(bytes), _)), Some(offset)) => explain::part(bytes, offset),
            _ => None,
        };
        Refused {
            operation: index.unwrap_or(usize::MAX),
            subject: operation.map(|(_, subject)| *subject),
            refusal,
            part,
        }
    }
}

/// The handles of the rules between the first and the last of a table. A table counts its handles up, one a
/// rule, and nobody else adds to it while a batch is carried out: if the last one's is as far from the first
/// one's as their places are, so is every one in between.
fn fill_in(rules: &[usize], handles: &mut [Option<u64>]) {
    let (Some(first), Some(last)) = (rules.first(), rules.last()) else { return };
    let (Some(low), Some(high)) = (handles[*first], handles[*last]) else { return };
    let between = high.checked_sub(low).and_then(|between| usize::try_from(between).ok());
    if between == Some(rules.len() - 1) {
        for (index, handle) in rules.iter().zip(low..) {
            handles[*index] = Some(handle);
        }
    }
}

/// The operation and the handle that an echo of a new rule is about.
fn new_handle(reply: &Message<'_>, index: impl Fn(u32) -> Option<usize>) -> Option<(usize, u64)> {
    if !message::is(reply, message::command::NEW_RULE) {
        return None;
    }
    Some((index(reply.sequence)?, message::ListedRule::read(reply)?.handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_between_two_that_fit_are_filled_in() {
        let mut handles = vec![None, Some(7), None, None, Some(10), None];
        fill_in(&[1, 2, 3, 4], &mut handles);
        assert_eq!(handles, [None, Some(7), Some(8), Some(9), Some(10), None]);
    }

    #[test]
    fn handles_that_do_not_fit_stay_unknown() {
        for (first, last) in [(Some(7), Some(11)), (Some(7), Some(9)), (None, Some(10)), (Some(7), None)] {
            let mut handles = vec![first, None, None, last];
            fill_in(&[0, 1, 2, 3], &mut handles);
            assert_eq!(handles, [first, None, None, last]);
        }
        fill_in(&[], &mut []);
    }
}
