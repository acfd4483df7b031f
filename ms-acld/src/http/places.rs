//! The places that connections have. There are so many; who is silent gives way to who comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How many connections there may be.
const PLACES: usize = 256;
/// How many more there may be of callers on this host: probes and operators get through.
const RESERVED: usize = 32;
/// How long a connection without a request is left alone where its place is wanted.
const GRACE: Duration = Duration::from_secs(1);

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    /// Told whenever a place is given back.
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: BTreeMap<u64, Arc<Place>>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Place {
    /// How many requests are being answered, and when the last one was.
    activity: Mutex<(usize, Instant)>,
    /// Told when it has to end.
    leave: Notify,
}

/// A place that is given back when this is dropped.
pub(super) struct Seat {
    places: Arc<Places>,
    number: u64,
    pub(super) place: Arc<Place>,
}

impl Places {
    /// A place for a caller. Where all are taken, the connection that has been silent longest has to go;
    /// `None` = all of them are busy.
    pub(super) fn take(self: &Arc<Self>, is_local: bool) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        if taken.places.len() >= PLACES {
            let silent = taken.places.iter().filter_map(|(number, place)| Some((place.silent()?, *number)));
            match silent.max().filter(|(silent, _)| *silent >= GRACE) {
                Some((_, number)) => {
                    if let Some(place) = taken.places.remove(&number) {
                        place.leave.notify_one();
                    }
                }
                None if is_local && taken.places.len() < PLACES + RESERVED => {}
                None => return None,
            }
        }
        let number = taken.next;
        taken.next += 1;
        let place = Arc::new(Place { activity: Mutex::new((0, Instant::now())), leave: Notify::new() });
        taken.places.insert(number, Arc::clone(&place));
        Some(Seat { places: Arc::clone(self), number, place })
    }

    /// Until no place is taken.
    pub(super) async fn all_given_back(&self) {
        loop {
            let given_back = self.given_back.notified();
            if lock(&self.taken).places.is_empty() {
                return;
            }
            given_back.await;
        }
    }
}

impl Place {
    /// A request is answered until what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.update(|(open, last)| (open + 1, last));
        Answering(Arc::clone(self))
    }

    /// Until its place is wanted by another.
    pub(super) async fn wanted(&self) {
        self.leave.notified().await;
    }

    /// How long it may still be without a request.
    pub(super) fn left(&self, limit: Duration) -> Duration {
        self.silent().map_or(limit, |silent| limit.saturating_sub(silent))
    }

    /// How long it has been without a request; `None` = it isn't.
    fn silent(&self) -> Option<Duration> {
        let (open, last) = *lock(&self.activity);
        (open == 0).then(|| last.elapsed())
    }

    fn update(&self, change: impl FnOnce((usize, Instant)) -> (usize, Instant)) {
        let mut activity = lock(&self.activity);
        *activity = change(*activity);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.places.taken).places.remove(&self.number);
        self.places.given_back.notify_waiters();
    }
}

/// A request that is being answered.
pub(super) struct Answering(Arc<Place>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.update(|(open, _)| (open - 1, Instant::now()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_give_way_and_the_busy_stay() {
        let places = Arc::new(Places::default());
        let mut seats: Vec<Seat> = (0..PLACES).map(|_| places.take(false).unwrap()).collect();
        assert!(places.take(false).is_none(), "nobody has been silent for long");
        let local = places.take(true).unwrap();
        let answering = seats[0].place.begin();
        for seat in &seats[..2] {
            seat.place.update(|(open, last)| (open, last.checked_sub(2 * GRACE).unwrap_or(last)));
        }
        seats.push(places.take(false).unwrap());
        assert!(places.take(false).is_none(), "the other one that is old is busy");
        drop(answering);
        drop((local, seats));
        assert!(lock(&places.taken).places.is_empty());
    }
}
