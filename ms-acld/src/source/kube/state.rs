//! What all watches are like together, as sentences.

use super::kinds::{Kind, Need};
use super::watch::WatchState;
use crate::source::{SourceFault, SourceState};

/// Where everything comes from.
pub(super) const ORIGIN: &str = "API server";

/// The state of a source by those of its watches.
pub(super) fn source_state<'a>(
    watches: impl IntoIterator<Item = (&'static Kind, &'a WatchState)>,
) -> SourceState {
    let mut state = SourceState { listed: true, live: true, ..SourceState::default() };
    for (kind, watch) in watches {
        let fault = |detail: String| SourceFault { object: None, origin: ORIGIN.to_owned(), detail };
        let plural = kind.plural;
        let why = watch.failure.as_deref();
        state.live &= watch.live || watch.absent;
        state.watch_restarts.push((kind.name, watch.restarts));
        if !watch.listed && !watch.absent {
            state.listed = false;
            state.unread.push(match why {
                Some(why) => format!("{plural} can't be listed: {why}"),
                None => format!("{plural} haven't been listed yet"),
            });
        }
        if let Some(why) = why {
            let stands = match kind.need {
                _ if watch.listed => "what is known of them stays in force",
                Need::Optional(instead) => instead,
                Need::Required => "nothing in the kernel is changed before they were listed once",
            };
            let verb = if watch.listed { "watched" } else { "listed" };
            state.faults.push(fault(format!("{plural} can't be {verb}: {why}; {stands}")));
        }
        if watch.nameless > 0 {
            let count = watch.nameless;
            let detail = format!(
                "{plural}: {count} without a name that can be read: passed over, and nothing that is missed counts as gone"
            );
            state.faults.push(fault(detail));
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::super::kinds::KINDS;
    use super::*;

    fn kind(name: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.name == name).unwrap()
    }

    fn live() -> WatchState {
        WatchState { listed: true, live: true, ..WatchState::default() }
    }

    fn failed(why: &str) -> WatchState {
        WatchState { failure: Some(why.to_owned()), ..WatchState::default() }
    }

    #[test]
    fn a_needed_kind_that_was_never_listed_is_unread() {
        let watches = [live(), failed("403 forbidden"), WatchState::default()];
        let state = source_state(["Node", "Pod", "Namespace"].map(kind).into_iter().zip(&watches));
        assert!(!state.listed && !state.live);
        assert_eq!(
            state.unread,
            ["pods can't be listed: 403 forbidden", "namespaces haven't been listed yet"]
        );
        assert_eq!(state.faults.len(), 1);
        assert!(state.faults[0].detail.ends_with("before they were listed once"));
    }

    #[test]
    fn a_kind_that_is_not_there_is_a_fault_and_the_rest_is_in_force() {
        let absent = WatchState { absent: true, ..failed("403 forbidden") };
        let state = source_state([(kind("Pod"), &live()), (kind("Deployment"), &absent)]);
        assert!(state.listed && state.live && state.unread.is_empty());
        assert_eq!(state.faults.len(), 1);
        let slow = failed("500 no");
        let state = source_state([(kind("Pod"), &live()), (kind("Deployment"), &slow)]);
        assert!(!state.listed && state.unread.len() == 1, "it may come any moment");
    }

    #[test]
    fn a_kind_that_is_lost_later_keeps_what_is_known() {
        let lost = WatchState { listed: true, ..failed("connection refused") };
        let state = source_state([(kind("Pod"), &live()), (kind("Deployment"), &lost)]);
        assert!(state.listed && !state.live && state.unread.is_empty());
        assert_eq!(
            state.faults[0].detail,
            "deployments can't be watched: connection refused; what is known of them stays in force"
        );
    }
}
