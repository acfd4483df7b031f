//! What is desired, as far as it is known.

use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::compile::compile;
use ms_acl_core::diff::Transaction;
use ms_acl_core::hold::Hold;
use ms_acl_core::model::Settings;
use ms_acl_core::program::Program;
use ms_acl_core::ruleset::Rulesets;

/// What is desired.
pub(super) enum Desired {
    /// The source hasn't told everything yet.
    Listing(Box<Cluster>),
    /// The source can't tell everything: what the kernel held at the start stays beside what is known.
    Held(Box<Held>),
    /// The graphs follow every event.
    Program(Box<Program>),
}

/// A cluster of which a part can't be read, over rules of a former run.
pub(super) struct Held {
    cluster: Cluster,
    settings: Settings,
    hold: Hold,
    merged: Rulesets,
    local_pods: usize,
}

impl Desired {
    /// Takes in an event.
    pub(super) fn apply(&mut self, event: Event) {
        match self {
            Desired::Program(program) => program.apply(event),
            Desired::Held(held) => {
                take_in(&mut held.cluster, event);
                held.merge();
            }
            Desired::Listing(cluster) => take_in(cluster, event),
        }
    }

    /// Takes in events that came together.
    pub(super) fn apply_all(&mut self, events: impl IntoIterator<Item = Event>) {
        match self {
            Desired::Held(held) => {
                events.into_iter().for_each(|event| take_in(&mut held.cluster, event));
                held.merge();
            }
            _ => events.into_iter().for_each(|event| self.apply(event)),
        }
    }

    /// The source has told everything that it can. With `former`, rules of a former run, some of them may
    /// stand for what it can't tell.
    pub(super) fn settle(&mut self, settings: &Settings, former: Option<&Rulesets>) {
        let mut cluster = match self {
            Desired::Program(_) => return,
            Desired::Held(_) if former.is_some() => return,
            Desired::Listing(cluster) => std::mem::take(&mut **cluster),
            Desired::Held(held) => std::mem::take(&mut held.cluster),
        };
        cluster.set_incomplete(former.is_some());
        *self = match former {
            Some(former) => Desired::Held(Box::new(Held::new(cluster, settings.clone(), former.clone()))),
            None => Desired::Program(Box::new(Program::new(cluster, settings.clone()))),
        };
    }

    /// The cluster, as it is known.
    pub(super) fn cluster(&self) -> &Cluster {
        match self {
            Desired::Listing(cluster) => cluster,
            Desired::Held(held) => &held.cluster,
            Desired::Program(program) => program.cluster(),
        }
    }

    /// The graphs that the kernel shall hold; `None` = not known yet.
    pub(super) fn rulesets(&self) -> Option<&Rulesets> {
        match self {
            Desired::Listing(_) => None,
            Desired::Held(held) => Some(&held.merged),
            Desired::Program(program) => Some(program.rulesets()),
        }
    }

    /// The number of this node's pods that have an address of their own.
    pub(super) fn local_pods(&self) -> usize {
        match self {
            Desired::Listing(_) => 0,
            Desired::Held(held) => held.local_pods,
            Desired::Program(program) => program.local_pods(),
        }
    }

    /// What has to be done since the last time, in order; `None`: only the graphs are known.
    pub(super) fn take(&mut self) -> Option<Transaction> {
        match self {
            Desired::Program(program) => Some(program.take()),
            Desired::Listing(_) | Desired::Held(_) => None,
        }
    }
}

impl Held {
    fn new(cluster: Cluster, settings: Settings, former: Rulesets) -> Self {
        let hold = Hold::new(former);
        let mut held = Held { cluster, settings, hold, merged: Rulesets::empty(), local_pods: 0 };
        held.merge();
        held
    }

    /// From scratch: it is rare, and simple is safe.
    fn merge(&mut self) {
        let compiled = compile(&self.cluster, &self.settings);
        self.local_pods = compiled.local_pods;
        self.merged = self.hold.merge(&self.cluster, &self.settings, &compiled.rulesets);
    }
}

fn take_in(cluster: &mut Cluster, event: Event) {
    match event {
        Event::Apply(object) => cluster.apply(object),
        Event::Undecodable(error) => cluster.apply_undecodable(&error),
        Event::Delete(object) => cluster.delete(&object),
        Event::Acl(document) => cluster.set_acl(document),
    }
}
