//! Texts, labels and ports that many pods have in common are kept once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::model::{Labels, NamedPort, PodFacts, PodOwner};

/// Shared values. Those that nobody uses any more are forgotten now and then, so that it doesn't
/// grow with the number of events.
#[derive(Debug, Clone, Default)]
pub(super) struct Interner {
    texts: Shared<str>,
    labels: Shared<Labels>,
    ports: Shared<[NamedPort]>,
}

impl Interner {
    /// The same pod, with the values that others have too in common with them.
    pub(super) fn pod(&mut self, pod: PodFacts) -> PodFacts {
        let owner = match pod.owner {
            PodOwner::ReplicaSet { name, template_hash } => PodOwner::ReplicaSet {
                name: self.texts.get(name),
                template_hash: template_hash.map(|hash| self.texts.get(hash)),
            },
            other => other,
        };
        PodFacts {
            namespace: self.texts.get(pod.namespace),
            node: self.texts.get(pod.node),
            labels: self.labels.get(pod.labels),
            ports: self.ports.get(pod.ports),
            owner,
            ..pod
        }
    }
}

#[derive(Debug)]
struct Shared<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// The number of values at which those that nobody uses are looked for.
    sweep_at: usize,
}

/// Fewer values than this are never swept.
const FEW: usize = 1024;

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { values: self.values.clone(), sweep_at: self.sweep_at }
    }
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Shared { values: HashSet::new(), sweep_at: FEW }
    }
}

impl<T: ?Sized + Eq + Hash> Shared<T> {
    fn get(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.values.get(&value) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (2 * self.values.len()).max(FEW);
        }
        self.values.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_nobody_uses_are_forgotten() {
        let mut shared = Shared::<str>::default();
        let kept = shared.get("kept".into());
        for number in 0..10 * FEW {
            shared.get(number.to_string().into());
        }
        assert!(shared.values.len() <= FEW + 1);
        assert!(Arc::ptr_eq(&kept, &shared.get("kept".into())));
    }
}
