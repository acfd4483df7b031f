//! When the kernel gets its turn. Plain times in, decisions out.

use std::time::{Duration, Instant};

/// Rule changes closer together than this are made at once: the kernel waits for the destructors of the
/// former batch otherwise.
const COALESCE: Duration = Duration::from_millis(20);
/// The first wait after a failure; it doubles up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often the sets' member counts are compared.
const COUNT: Duration = Duration::from_secs(1);
/// How long after a jump was put first again the next look has to wait: two who insist on their place don't
/// fight all day.
const AFTER_CONTEST: Duration = Duration::from_secs(1);
/// How long after any other look the next one has to wait.
const AFTER_LOOK: Duration = Duration::from_millis(50);

/// The engine's times.
#[derive(Debug)]
pub(super) struct Pace {
    resync: Duration,
    /// When the next change may be made.
    apply_from: Instant,
    /// When a change may be made that hasn't failed before.
    fresh_from: Instant,
    backoff: Duration,
    /// Whether somebody else changed something of ours.
    drift: bool,
    look_from: Instant,
    resync_at: Instant,
    count_at: Instant,
}

impl Pace {
    pub(super) fn new(resync: Duration, now: Instant) -> Self {
        Pace {
            resync,
            apply_from: now,
            fresh_from: now,
            backoff: FIRST_BACKOFF,
            drift: false,
            look_from: now,
            resync_at: now + resync,
            count_at: now + COUNT,
        }
    }

    /// How long to wait for inputs; `due` = something waits for the kernel.
    pub(super) fn wait(&self, now: Instant, due: bool) -> Duration {
        let mut next = self.resync_at.min(self.count_at);
        if due {
            next = next.min(self.apply_from);
        }
        if self.drift {
            next = next.min(self.look_from);
        }
        next.saturating_duration_since(now)
    }

    /// Whether a change may be made now.
    pub(super) fn may_apply(&self, now: Instant) -> bool {
        now >= self.apply_from
    }

    /// Whether the kernel has to be read back now.
    pub(super) fn must_look(&self, now: Instant) -> bool {
        now >= self.resync_at || (self.drift && now >= self.look_from)
    }

    /// Whether the sets' member counts have to be compared now.
    pub(super) fn must_count(&self, now: Instant) -> bool {
        now >= self.count_at
    }

    /// Somebody else changed something of ours.
    pub(super) fn drift(&mut self) {
        self.drift = true;
    }

    /// Whether somebody else's change hasn't been looked at yet.
    pub(super) fn has_drift(&self) -> bool {
        self.drift
    }

    /// A change was made.
    pub(super) fn applied(&mut self, now: Instant, rules: bool) {
        self.backoff = FIRST_BACKOFF;
        if rules {
            self.apply_from = now + COALESCE;
            self.fresh_from = self.apply_from;
        }
    }

    /// There is something new to apply: it doesn't wait for what failed.
    pub(super) fn fresh(&mut self) {
        self.apply_from = self.apply_from.min(self.fresh_from);
    }

    /// A change failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.fresh_from = now + COALESCE;
        self.apply_from = now + self.backoff;
        self.look_from = self.apply_from;
        self.resync_at = self.resync_at.max(self.apply_from);
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
    }

    /// The kernel was read back.
    pub(super) fn looked(&mut self, now: Instant, contested: bool) {
        self.drift = false;
        self.look_from = now + if contested { AFTER_CONTEST } else { AFTER_LOOK };
        self.resync_at = now + self.resync;
    }

    /// The member counts were compared.
    pub(super) fn counted(&mut self, now: Instant) {
        self.count_at = now + COUNT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_first_change_after_quiet_goes_at_once_and_the_next_ones_together() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_mins(1), start);
        assert!(pace.may_apply(start));
        assert_eq!(pace.wait(start, true), Duration::ZERO);
        pace.applied(start, true);
        assert!(!pace.may_apply(start + 19 * MS) && pace.may_apply(start + 20 * MS));
        assert_eq!(pace.wait(start + 5 * MS, true), 15 * MS);
        pace.applied(start + 20 * MS, false);
        assert!(pace.may_apply(start + 20 * MS), "members don't slow down what follows");
    }

    #[test]
    fn failures_are_tried_again_with_growing_distance() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_mins(1), start);
        let mut waits = Vec::new();
        for _ in 0..9 {
            pace.failed(start);
            waits.push(pace.wait(start, true).min(Duration::from_secs(5)));
        }
        assert_eq!(waits[..3], [50 * MS, 100 * MS, 200 * MS]);
        assert_eq!(pace.apply_from, start + LONGEST_BACKOFF);
        pace.fresh();
        assert_eq!(pace.apply_from, start + COALESCE, "what is new doesn't wait as long");
        pace.applied(start, true);
        pace.failed(start);
        assert_eq!(pace.apply_from, start + FIRST_BACKOFF);
    }

    #[test]
    fn drift_is_looked_at_at_once_but_not_all_the_time() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_mins(1), start);
        assert!(!pace.must_look(start));
        pace.drift();
        assert!(pace.must_look(start));
        pace.looked(start, true);
        pace.drift();
        assert!(!pace.must_look(start + 999 * MS) && pace.must_look(start + 1000 * MS));
        pace.looked(start, false);
        pace.drift();
        assert!(pace.must_look(start + 50 * MS));
        pace.looked(start, false);
        assert!(pace.must_look(start + Duration::from_mins(1)), "resync");
    }
}
