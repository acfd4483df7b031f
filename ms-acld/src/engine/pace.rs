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
/// How long after a look the next one has to wait.
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
    /// Whether it couldn't be put right.
    unrepaired: bool,
    look_from: Instant,
    /// When something has to be looked at that was left as it was.
    look_at: Option<Instant>,
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
            unrepaired: false,
            look_from: now,
            look_at: None,
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
        if let Some(at) = self.look_at {
            next = next.min(at.max(self.look_from));
        }
        if self.unrepaired {
            next = next.min(self.apply_from.max(self.look_from));
        }
        next.saturating_duration_since(now)
    }

    /// Whether a change may be made now.
    pub(super) fn may_apply(&self, now: Instant) -> bool {
        now >= self.apply_from
    }

    /// Whether the kernel has to be read back now.
    pub(super) fn must_look(&self, now: Instant) -> bool {
        let wanted = self.drift
            || self.look_at.is_some_and(|at| now >= at)
            || (self.unrepaired && now >= self.apply_from);
        self.must_resync(now) || (wanted && now >= self.look_from)
    }

    /// Whether everything has to be read back now, whatever is known to have been touched.
    pub(super) fn must_resync(&self, now: Instant) -> bool {
        now >= self.resync_at
    }

    /// Whether the sets' member counts have to be compared now.
    pub(super) fn must_count(&self, now: Instant) -> bool {
        now >= self.count_at
    }

    /// Somebody else changed something of ours. What waits because it failed is tried again as well: it may be
    /// what keeps the kernel from being put right.
    pub(super) fn drift(&mut self) {
        self.drift = true;
        self.fresh();
    }

    /// What others changed couldn't be put right: it is tried again as late as any change that failed.
    pub(super) fn unrepaired(&mut self) {
        self.unrepaired = true;
    }

    /// Something was left as it is that has to be looked at again then.
    pub(super) fn look_at(&mut self, at: Option<Instant>) {
        self.look_at = at;
    }

    /// Whether somebody else's change hasn't been put right yet.
    pub(super) fn has_drift(&self) -> bool {
        self.drift || self.unrepaired
    }

    /// A change was made.
    pub(super) fn applied(&mut self, now: Instant, rules: bool) {
        self.backoff = FIRST_BACKOFF;
        if rules {
            self.apply_from = now + COALESCE;
            self.fresh_from = self.apply_from;
        }
    }

    /// There is something new to do: it doesn't wait for what failed.
    pub(super) fn fresh(&mut self) {
        self.apply_from = self.apply_from.min(self.fresh_from);
    }

    /// A change failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.fresh_from = now + COALESCE;
        self.apply_from = now + self.backoff;
        self.look_from = self.look_from.max(now + COALESCE);
        self.resync_at = self.resync_at.max(self.apply_from);
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
    }

    /// What others touched was read back, or everything.
    pub(super) fn looked(&mut self, now: Instant, everything: bool) {
        self.drift = false;
        self.unrepaired = false;
        self.look_from = now + AFTER_LOOK;
        if everything {
            self.resync_at = now + self.resync;
        }
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
        // A repair that failed is tried again like that; what others do meanwhile is looked at at once.
        pace.failed(start);
        pace.unrepaired();
        assert!(!pace.must_look(start + 99 * MS) && pace.must_look(start + 100 * MS));
        assert_eq!(pace.wait(start, false), 100 * MS);
        pace.drift();
        assert!(!pace.must_look(start + 19 * MS) && pace.must_look(start + COALESCE));
    }

    #[test]
    fn drift_is_looked_at_at_once_but_not_all_the_time() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_mins(1), start);
        assert!(!pace.must_look(start));
        pace.drift();
        assert!(pace.must_look(start));
        pace.looked(start, false);
        assert!(!pace.must_look(start + 50 * MS));
        pace.drift();
        assert!(!pace.must_look(start + 49 * MS) && pace.must_look(start + 50 * MS));
        pace.looked(start, false);
        pace.look_at(Some(start + 70 * MS));
        assert_eq!(pace.wait(start + 10 * MS, false), 60 * MS);
        assert!(!pace.must_look(start + 69 * MS) && pace.must_look(start + 70 * MS));
        pace.look_at(None);
        assert!(!pace.must_resync(start + 59_999 * MS) && pace.must_resync(start + Duration::from_mins(1)));
        assert!(pace.must_look(start + Duration::from_mins(1)), "resync");
    }
}
