use std::time::Duration;

use ms_acl_core::diff;
use ms_acl_core::object::Object;
use ms_acl_core::ruleset::{Family, Rulesets, SetName};
use ms_acl_netfilter::watch::Touched;
use ms_acl_netfilter::{
    CommitError, CommitFault, CommitReport, ObserveError, Observed, RemoveError, RemoveReport,
};
use serde_json::json;
use std::sync::Mutex;

use super::*;
use crate::source::SourcedEvent;
use plane::Plane;

/// A kernel that is a value.
#[derive(Default)]
struct State {
    held: Option<Rulesets>,
    /// How many commits shall fail.
    failures: usize,
    commits: usize,
}

struct Fake(Arc<Mutex<State>>);

impl Plane for Fake {
    fn families(&self) -> &[Family] {
        &Family::BOTH
    }

    fn observe(&mut self) -> Result<Observed, ObserveError> {
        let held = self.0.lock().unwrap().held.clone();
        let rulesets = held.unwrap_or_else(Rulesets::empty);
        Ok(Observed { rulesets, ..Observed::default() })
    }

    fn glance(&mut self, _: &Rulesets, touched: &Touched) -> Result<Option<Observed>, ObserveError> {
        if touched.is_empty() { self.observe().map(Some) } else { Ok(None) }
    }

    fn mend(&mut self) -> Result<Vec<String>, CommitFault> {
        Ok(Vec::new())
    }

    fn commit(&mut self, transaction: &diff::Transaction) -> Result<CommitReport, CommitError> {
        let mut state = self.0.lock().unwrap();
        if state.failures > 0 {
            state.failures -= 1;
            let fault = Box::new(CommitFault::TooLong);
            return Err(CommitError { step: 0, done: CommitReport::default(), fault });
        }
        state.commits += usize::from(!transaction.is_empty());
        let held = state.held.get_or_insert_with(Rulesets::empty);
        transaction.steps.iter().for_each(|step| diff::apply(step, held));
        Ok(CommitReport { rules_added: transaction.steps.len(), ..CommitReport::default() })
    }

    fn member_counts(&mut self) -> Result<BTreeMap<SetName, u32>, ObserveError> {
        let state = self.0.lock().unwrap();
        let graphs = state.held.iter().flat_map(|held| [&held.v4, &held.v6]);
        let sets = graphs.flat_map(|graph| &graph.sets);
        Ok(sets.map(|(name, set)| (name.clone(), u32::try_from(set.members.len()).unwrap())).collect())
    }

    fn remove_all(&mut self) -> Result<RemoveReport, RemoveError> {
        self.0.lock().unwrap().held = None;
        Ok(RemoveReport::default())
    }
}

struct Running {
    engine: EngineHandle,
    state: Arc<Mutex<State>>,
    thread: std::thread::JoinHandle<Ended>,
}

fn start(held: Option<Rulesets>) -> Running {
    let state = Arc::new(Mutex::new(State { held, ..State::default() }));
    let kernel = Kernel::of(Box::new(Fake(Arc::clone(&state)))).unwrap();
    let (outlet, snapshots) = status::Outlet::new(Fixed::default());
    let (engine, inputs) = channel(snapshots);
    let settings = Settings::new("n1");
    let loop_ = Engine::new(settings, kernel, Arc::default(), inputs, Duration::from_mins(1), outlet);
    let thread = std::thread::spawn(move || loop_.run());
    Running { engine, state, thread }
}

impl Running {
    fn wait(&self, condition: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        for _ in 0..500 {
            let snapshot = self.engine.snapshot();
            if condition(&snapshot) {
                return snapshot;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}", self.engine.snapshot())
    }

    fn held(&self) -> Rulesets {
        self.state.lock().unwrap().held.clone().unwrap_or_else(Rulesets::empty)
    }

    fn end(self) {
        self.engine.send(Input::Shutdown { remove: false });
        assert_eq!(self.thread.join().unwrap(), Ended::Asked);
    }
}

fn policy(name: &str) -> Object {
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"podSelector": {}}});
    Object::decode(policy).unwrap().unwrap()
}

fn pod(name: &str, address: &str) -> Object {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": "n1"},
        "status": {"podIP": address}});
    Object::decode(pod).unwrap().unwrap()
}

fn batch(objects: Vec<Object>, unread: &[&str]) -> Input {
    let events = objects
        .into_iter()
        .map(|object| SourcedEvent { event: Event::Apply(object), origin: "x.yaml".into() })
        .collect();
    let unread = unread.iter().map(|&file| file.to_owned()).collect();
    let state = SourceState { unread, live: true, listed: true, ..SourceState::default() };
    Input::Objects(Batch { events, inputs: 1, cause: "a test".to_owned(), state, ..Batch::default() })
}

#[test]
fn nothing_is_programmed_before_the_source_has_been_read() {
    let running = start(None);
    let snapshot = running.wait(|snapshot| snapshot.status.generation == 1);
    assert_eq!(snapshot.not_ready, ["the source hasn't been read yet"]);
    running.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    let snapshot = running.wait(|snapshot| snapshot.status.synced);
    assert_eq!((snapshot.status.generation, snapshot.status.applied), (1, 1));
    assert_eq!(snapshot.not_ready, Vec::<String>::new());
    assert!(running.held().v4.rule_count() > 0);
    running.end();
}

#[test]
fn what_the_kernel_holds_already_is_not_written_again() {
    let first = start(None);
    first.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    first.wait(|snapshot| snapshot.status.synced);
    let held = first.held();
    first.end();
    let second = start(Some(held));
    second.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    second.wait(|snapshot| snapshot.status.synced);
    assert_eq!(second.state.lock().unwrap().commits, 0);
    second.end();
}

#[test]
fn what_a_file_that_was_never_read_may_stand_for_stays_untouched() {
    let first = start(None);
    first.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    first.wait(|snapshot| snapshot.status.synced);
    let held = first.held();
    first.end();
    let second = start(Some(held.clone()));
    second.engine.send(batch(vec![pod("a", "10.0.0.1")], &["p.yaml: does not parse"]));
    let snapshot = second.wait(|snapshot| snapshot.status.applied == 1);
    assert_eq!(snapshot.not_ready, ["p.yaml: does not parse"]);
    assert!(!snapshot.status.synced);
    second.engine.send(Input::Drift { touched: None });
    std::thread::sleep(Duration::from_millis(100));
    assert!(second.held() == held, "nothing is missing, and nothing is repaired that isn't broken");
    second.engine.send(batch(vec![policy("p")], &[]));
    second.wait(|snapshot| snapshot.status.synced && snapshot.not_ready.is_empty());
    assert_eq!(second.state.lock().unwrap().commits, 0);
    second.end();
}

#[test]
fn what_is_known_is_enforced_beside_what_was_never_read() {
    let first = start(None);
    first.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    first.wait(|snapshot| snapshot.status.synced);
    let before = first.held();
    first.end();
    let unread = &["p.yaml: does not parse"];
    let second = start(Some(before.clone()));
    second.engine.send(batch(vec![pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), policy("q")], unread));
    second.wait(|snapshot| snapshot.status.applied == 1);
    let both = second.held();
    let governed = |graphs: &Rulesets, address: &str| {
        let text = ms_acl_core::render::iptables_save(&graphs.v4);
        text.contains(&format!("-A MS-INGRESS -d {address}/32"))
    };
    assert!(governed(&both, "10.0.0.1") && governed(&both, "10.0.0.2"));
    let names = |graphs: &Rulesets| graphs.v4.chains.keys().cloned().collect::<Vec<_>>();
    let policies = |graphs: &Rulesets| {
        names(graphs).into_iter().filter(|name| name.as_str().starts_with("MS-P-")).collect::<Vec<_>>()
    };
    assert!(policies(&before).iter().all(|name| policies(&both).contains(name)), "the unread policy stays");
    assert!(policies(&both).len() > policies(&before).len(), "the new one joins it");

    // What is known goes when it is gone, and the end of the hold leaves what is known.
    second.engine.send(Input::Objects(Batch {
        events: vec![SourcedEvent { event: Event::Delete(policy("q").reference()), origin: "".into() }],
        inputs: 1,
        cause: "a test".to_owned(),
        state: SourceState {
            unread: unread.iter().map(|&file| file.to_owned()).collect(),
            live: true,
            listed: true,
            ..SourceState::default()
        },
        ..Batch::default()
    }));
    second.wait(|snapshot| snapshot.status.applied == 2);
    assert_eq!(policies(&second.held()), policies(&before));
    assert!(!governed(&second.held(), "10.0.0.2"));
    second.engine.send(batch(Vec::new(), &[]));
    second.wait(|snapshot| snapshot.status.synced);
    assert!(!governed(&second.held(), "10.0.0.1"));
    second.end();
}

#[test]
fn a_file_that_breaks_later_is_told_by_readyz_and_heals() {
    let running = start(None);
    running.engine.send(batch(vec![pod("a", "10.0.0.1")], &[]));
    running.wait(|snapshot| snapshot.status.synced && snapshot.not_ready.is_empty());
    let stale = |stale: &[&str]| {
        let stale = stale.iter().map(|&file| file.to_owned()).collect();
        let state = SourceState { stale, live: true, listed: true, ..SourceState::default() };
        Input::Objects(Batch { inputs: 1, state, ..Batch::default() })
    };
    running.engine.send(stale(&["a.yaml: does not parse"]));
    let snapshot = running.wait(|snapshot| !snapshot.not_ready.is_empty());
    assert_eq!(snapshot.not_ready, ["a.yaml: does not parse"]);
    running.engine.send(stale(&[]));
    running.wait(|snapshot| snapshot.not_ready.is_empty());
    running.end();
}

#[test]
fn an_unread_file_does_not_stop_the_others_where_there_is_nothing_to_lose() {
    let running = start(None);
    running.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &["q.yaml: does not parse"]));
    let snapshot = running.wait(|snapshot| snapshot.status.applied == 1);
    assert!(!snapshot.status.synced && snapshot.not_ready.len() == 1);
    assert!(running.held().v4.rule_count() > 0);
    running.end();
}

#[test]
fn what_the_kernel_refuses_is_tried_again_and_nothing_is_lost() {
    let running = start(None);
    running.state.lock().unwrap().failures = 3;
    running.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    let snapshot = running.wait(|snapshot| snapshot.failed == 1);
    assert!(snapshot.status.last_error.as_deref().unwrap().contains("too many rules"));
    assert_eq!(snapshot.status.applied, 0);
    running.engine.send(batch(vec![pod("b", "10.0.0.2")], &[]));
    let snapshot = running.wait(|snapshot| snapshot.status.synced && snapshot.status.applied == 2);
    assert_eq!(snapshot.status.last_error, None);
    let held = running.held();
    running.end();
    let other = start(None);
    other.engine.send(batch(vec![pod("b", "10.0.0.2"), pod("a", "10.0.0.1"), policy("p")], &[]));
    other.wait(|snapshot| snapshot.status.synced);
    assert!(diff::diff(&held, &other.held()).is_empty());
    other.end();
}

#[test]
fn what_somebody_else_removed_is_put_back() {
    let running = start(None);
    running.engine.send(batch(vec![policy("p"), pod("a", "10.0.0.1")], &[]));
    running.wait(|snapshot| snapshot.status.synced);
    let before = running.held();
    running.state.lock().unwrap().held.as_mut().unwrap().v4.hooks.clear();
    running.engine.send(Input::Drift { touched: None });
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(10));
        if running.held() == before {
            break;
        }
    }
    assert!(running.held() == before);
    let status = serde_json::to_value(&running.engine.snapshot().status).unwrap();
    assert_eq!(status["driftRepairs"], 1);
    running.end();
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let running = start(None);
    running.engine.send(batch(vec![pod("a", "10.0.0.1")], &[]));
    running.wait(|snapshot| snapshot.status.synced);
    let text = r#"{"deployments": [{"namespace": "default", "name": "web"}]}"#;
    let document = Arc::new(crate::policy::parse(crate::text::Syntax::Json, text.as_bytes()).unwrap());
    let (reply, answer) = tokio::sync::oneshot::channel();
    running.engine.send(Input::Preview { document, reply });
    let preview = answer.blocking_recv().unwrap();
    assert_eq!((preview.generation, preview.changes), (1, Changes::default()));
    assert_eq!(preview.warnings[0].path, "/deployments/0");
    assert_eq!(running.engine.snapshot().status.generation, 1);
    running.end();
}
