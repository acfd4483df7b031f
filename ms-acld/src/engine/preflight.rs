//! Looking for what keeps the rules from governing pods: at the start, when pods come, and at every resync.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use log::{info, warn};
use ms_acl_core::cluster::Cluster;
use ms_acl_core::model::{PodFacts, Settings};
use ms_acl_core::ruleset::Family;
use ms_acl_netfilter::preflight::{Ask, PodAt, Preflight, judge};

use super::{EngineHandle, Input};

/// How often it is asked whether a look is due.
const TICK: Duration = Duration::from_millis(200);
/// How long after a look the next one is due because pods came or went.
const AFTER_LOOK: Duration = Duration::from_secs(5);
/// How many pods of other nodes stand for all of them, in each family.
const OTHERS: usize = 3;

/// What a look has to know of a cluster.
pub(super) fn ask(cluster: &Cluster, settings: &Settings) -> Ask {
    let at = |pod: &PodFacts| {
        let name = format!("{}/{}", pod.namespace, pod.name);
        cluster.addresses_of(pod).map(|address| PodAt { name: name.clone(), address }).collect::<Vec<_>>()
    };
    let marks = settings.marks;
    let mut ask =
        Ask { pods: Vec::new(), others: Vec::new(), mark_mask: marks.all(), connmark_mask: marks.seen };
    let mut wanted = [OTHERS; 2];
    for pod in cluster.pods().filter(|pod| !pod.addresses.is_empty()) {
        if *pod.node == *settings.node {
            ask.pods.extend(at(pod));
        } else if wanted != [0; 2] {
            for other in at(pod) {
                let left = &mut wanted[usize::from(Family::of(other.address) == Family::V6)];
                if *left > 0 {
                    *left -= 1;
                    ask.others.push(other);
                }
            }
        }
    }
    ask
}

/// Looks until the engine has ended. The rules of others are read at the start, once ours are there, and at every
/// resync; all else also when pods come or go.
pub(crate) fn watch(engine: &EngineHandle, resync: Duration) -> anyhow::Result<()> {
    let mut preflight = Preflight::open().context("can't look at this node")?;
    let mut known = BTreeSet::new();
    let mut last: Option<(Instant, usize, bool)> = None;
    let mut rules_read: Option<Instant> = None;
    loop {
        let snapshot = engine.snapshot();
        let (pods, synced) = (snapshot.status.local_pods(), snapshot.not_ready.is_empty());
        let read_rules = rules_read.is_none_or(|at| at.elapsed() >= resync)
            || last.is_some_and(|(_, _, was_synced)| synced && !was_synced);
        let look = last.is_none_or(|(at, before, _)| {
            pods != before && (before == 0 || at.elapsed() >= AFTER_LOOK.min(resync))
        });
        if read_rules || look {
            let Some(ask) = engine.ask_and_wait(|reply| Input::Pods { reply }) else { return Ok(()) };
            let read = if read_rules { preflight.read_rules() } else { Ok(()) };
            rules_read = if read_rules { Some(Instant::now()) } else { rules_read };
            let findings = match read.and_then(|()| preflight.look(&ask)) {
                Ok(facts) => judge(&facts),
                Err(error) => vec![format!("this node can't be looked at: {error}")],
            };
            tell(&findings, &mut known);
            if !engine.send(Input::Preflight { findings }) {
                return Ok(());
            }
            last = Some((Instant::now(), pods, synced));
        }
        thread::sleep(TICK);
    }
}

/// Logs what is new, and what is over.
fn tell(findings: &[String], known: &mut BTreeSet<String>) {
    let now: BTreeSet<String> = findings.iter().cloned().collect();
    for new in now.difference(known) {
        warn!("{new}");
    }
    for over in known.difference(&now) {
        info!("no longer so: {over}");
    }
    *known = now;
}
