//! Who else wants the place of our jump: it is put back first at most once a second, and the contest is told while
//! it lasts.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ms_acl_core::ruleset::{Family, Hook};
use ms_acl_netfilter::Contest;

/// How long a place is left to others after our jump was put back there: two who insist don't fight all day.
const AFTER_MOVE: Duration = Duration::from_secs(1);
/// A jump that had to be put back this often within [`LATELY`] is contested.
const MOVES: usize = 3;
const LATELY: Duration = Duration::from_secs(10);

/// A base chain.
pub(super) type Place = (Family, Hook);

/// What is known of contests.
#[derive(Debug, Default)]
pub(super) struct Contests {
    /// When each jump was last put back first.
    moved: BTreeMap<Place, Instant>,
    /// When any was, the last ones.
    lately: VecDeque<(Instant, Place)>,
    /// Places that others hold now: with how many rules, and until when they are left to them.
    waiting: BTreeMap<Place, (usize, Instant)>,
}

impl Contests {
    /// Takes in what a look at some places found. Returns the places that are left as they are for now; the jumps
    /// of the others are put back now.
    pub(super) fn found(
        &mut self,
        now: Instant,
        found: &[Contest],
        looked_at: impl Fn(&Place) -> bool,
    ) -> Vec<Place> {
        self.waiting.retain(|place, _| !looked_at(place));
        self.lately.retain(|(at, _)| now.saturating_duration_since(*at) < LATELY);
        for contest in found {
            let place = (contest.family, contest.hook);
            let until = self.moved.get(&place).map(|at| *at + AFTER_MOVE).filter(|until| now < *until);
            if let Some(until) = until {
                self.waiting.insert(place, (contest.rules, until));
            } else {
                self.moved.insert(place, now);
                self.lately.push_back((now, place));
            }
        }
        self.waiting.keys().copied().collect()
    }

    /// The places that are left to others for now.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Place> {
        self.waiting.keys().copied()
    }

    /// When the next of these may be looked at.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.waiting.values().map(|(_, until)| *until).min()
    }

    /// What goes on, a sentence each; nothing = no contest.
    pub(super) fn sentences(&self, now: Instant) -> Vec<String> {
        let mut places: BTreeMap<Place, usize> = BTreeMap::new();
        let lately = self.lately.iter().filter(|(at, _)| now.saturating_duration_since(*at) < LATELY);
        for (_, place) in lately {
            *places.entry(*place).or_default() += 1;
        }
        places.retain(|place, moves| *moves >= MOVES || self.waiting.contains_key(place));
        for place in self.waiting.keys() {
            places.entry(*place).or_default();
        }
        let sentence = |(place, moves): (Place, usize)| {
            let (family, hook) = place;
            let rules = self.waiting.get(&place).map_or(String::new(), |(rules, _)| {
                format!("; {rules} of its rules are before our jump now")
            });
            format!(
                "somebody else keeps putting rules before our jump in {family} {}: it was put back first {moves} \
                 times in the last {} s, at most once a second{rules}",
                hook.chain(),
                LATELY.as_secs()
            )
        };
        places.into_iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (Family::V4, Hook::Forward);

    fn found() -> [Contest; 1] {
        [Contest { family: PLACE.0, hook: PLACE.1, rules: 2 }]
    }

    #[test]
    fn a_place_is_taken_back_at_once_and_then_once_a_second() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut contests = Contests::default();
        assert_eq!(contests.found(start, &found(), |_| true), []);
        assert!(contests.sentences(start).is_empty(), "once isn't a contest");
        assert_eq!(contests.found(after(100), &found(), |_| true), [PLACE]);
        assert_eq!(contests.look_at(), Some(after(1000)));
        let told = contests.sentences(after(100));
        assert!(told[0].contains("ipv4 FORWARD") && told[0].contains("2 of its rules"), "{told:?}");
        assert_eq!(contests.found(after(1000), &found(), |_| true), []);
        assert_eq!(contests.look_at(), None);
        // Nobody holds it now, but it has been taken too often lately for that to be trusted.
        assert_eq!(contests.found(after(2000), &found(), |_| true), []);
        assert_eq!(contests.sentences(after(2001)).len(), 1);
        assert!(contests.sentences(after(12_000)).is_empty());
    }

    #[test]
    fn a_look_elsewhere_changes_nothing_here() {
        let start = Instant::now();
        let mut contests = Contests::default();
        contests.found(start, &found(), |_| true);
        contests.found(start, &found(), |_| true);
        let elsewhere = |place: &Place| *place != PLACE;
        assert_eq!(contests.found(start, &[], elsewhere), [PLACE]);
        assert_eq!(contests.found(start, &[], |_| true), []);
    }
}
