//! The change log: every rule change is one line.

use super::kernel::Applied;

/// How many causes a line names.
const NAMED: usize = 4;

/// Who caused what waits for the kernel.
#[derive(Debug, Default)]
pub(super) struct Causes {
    named: Vec<String>,
    more: usize,
}

impl Causes {
    pub(super) fn add(&mut self, cause: String) {
        if self.named.contains(&cause) {
            return;
        }
        if self.named.len() < NAMED {
            self.named.push(cause);
        } else {
            self.more += 1;
        }
    }

    /// All of them as a text; there are none from now on.
    pub(super) fn take(&mut self) -> String {
        let causes = std::mem::take(self);
        let text = causes.named.join("; ");
        if causes.more > 0 { format!("{text}; and {} more", causes.more) } else { text }
    }
}

/// Writes the line of a change.
pub(super) fn log(generation: u64, cause: &str, applied: &Applied) {
    let report = &applied.report;
    log::info!(
        target: "ms_acld::change",
        generation = generation,
        cause = cause,
        chains_added = report.chains_added,
        chains_removed = report.chains_removed,
        rules_added = report.rules_added,
        rules_removed = report.rules_removed,
        members_added = report.members_added,
        members_removed = report.members_removed,
        micros = applied.micros;
        "{}", if applied.repaired { "repaired" } else { "changed" }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once_and_not_without_end() {
        let mut causes = Causes::default();
        for cause in ["a", "b", "a", "c", "d", "e", "f"] {
            causes.add(cause.to_owned());
        }
        assert_eq!(causes.take(), "a; b; c; d; and 2 more");
        assert_eq!(causes.take(), "");
    }
}
