//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait after a failure; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(200);
/// A server that comes back isn't met by every node at once, and isn't waited for long.
const LONGEST: Duration = Duration::from_secs(10);
/// How long the server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(1);
/// What has worked for this long was no failure.
const WORKED: Duration = Duration::from_secs(5);

/// The waits of one watch.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    /// Something has worked for this long.
    pub(super) fn worked(&mut self, time: Duration) {
        if time >= WORKED {
            self.next = FIRST;
        }
    }

    /// The wait after a failure: no shorter than the server asks for.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(LONGEST);
        spread(wait).max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

/// Half of a time to all of it, at random, so that nodes that start together don't stay together.
pub(super) fn spread(time: Duration) -> Duration {
    // Each RandomState has keys of its own: this is the standard library's randomness.
    let [random, ..] = RandomState::new().hash_one(0).to_le_bytes();
    time / 2 + (time / 2) * u32::from(random) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_anew_after_success() {
        let mut backoff = Backoff::default();
        for expected in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let expected = Duration::from_millis(expected);
            let wait = backoff.failed(None);
            assert!(wait >= expected / 2 && wait <= expected, "{wait:?} {expected:?}");
        }
        backoff.worked(Duration::from_secs(1));
        assert!(backoff.failed(None) >= LONGEST / 2);
        backoff.worked(Duration::from_secs(5));
        assert!(backoff.failed(None) <= FIRST);
    }

    #[test]
    fn a_server_may_ask_for_more_time_but_not_for_hours() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed(Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(backoff.failed(Some(Duration::from_hours(3))), LONGEST_ASKED);
    }
}
