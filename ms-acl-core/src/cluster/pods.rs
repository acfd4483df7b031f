//! Pods by name, and who has an address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::intern::Interner;
use crate::model::PodFacts;

/// A pod's namespace and name, shared with the pod.
type PodKey = (Arc<str>, Arc<str>);

/// An address whose holder, or what is known of its holder, changed.
#[derive(Debug, Clone)]
pub(crate) struct HolderChange {
    pub(crate) address: IpAddr,
    pub(crate) before: Option<Arc<PodFacts>>,
    pub(crate) after: Option<Arc<PodFacts>>,
}

/// All pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Pods {
    by_name: BTreeMap<PodKey, Arc<PodFacts>>,
    holders: HashMap<IpAddr, Claims>,
    interner: Interner,
}

/// The pods that claim an address; nearly always one. The newest has it: an address is used again
/// at once, while the former pod's object is still there.
#[derive(Debug, Clone)]
enum Claims {
    One(Arc<PodFacts>),
    Many(Vec<Arc<PodFacts>>),
}

impl Claims {
    fn holder(&self) -> Option<&Arc<PodFacts>> {
        match self {
            Claims::One(pod) => Some(pod),
            Claims::Many(pods) => pods.iter().reduce(|a, b| if b.is_newer_than(a) { b } else { a }),
        }
    }
}

impl Pods {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<PodFacts>> {
        self.by_name.get(&(Arc::from(namespace), Arc::from(name)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<PodFacts>> {
        self.by_name.values()
    }

    pub(super) fn of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<PodFacts>> {
        let start = (Arc::from(namespace), Arc::from(""));
        self.by_name.range(start..).take_while(move |((ns, _), _)| **ns == *namespace).map(|(_, pod)| pod)
    }

    pub(super) fn holder(&self, address: IpAddr) -> Option<&Arc<PodFacts>> {
        self.holders.get(&address)?.holder()
    }

    /// Takes in a pod, new or changed; `None`: nothing changed that policy looks at.
    pub(super) fn put(&mut self, pod: PodFacts) -> Option<Vec<HolderChange>> {
        let key = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
        let old = self.by_name.get(&key).cloned();
        if old.as_deref() == Some(&pod) {
            return None;
        }
        let pod = Arc::new(self.interner.pod(pod));
        let key = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
        let changes = self.claim(old.as_ref(), Some(&pod));
        self.by_name.insert(key, pod);
        Some(changes)
    }

    /// Forgets a pod; `None`: it isn't known.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Vec<HolderChange>> {
        let old = self.by_name.remove(&(Arc::from(namespace), Arc::from(name)))?;
        Some(self.claim(Some(&old), None))
    }

    /// Puts a pod's claims in place of those of its former self.
    fn claim(&mut self, old: Option<&Arc<PodFacts>>, new: Option<&Arc<PodFacts>>) -> Vec<HolderChange> {
        let of = |pod: Option<&Arc<PodFacts>>| pod.map(|pod| pod.addresses.clone()).unwrap_or_default();
        let mut addresses: Vec<IpAddr> = of(old).into_iter().chain(of(new)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut changes = Vec::with_capacity(addresses.len());
        for address in addresses {
            let before = self.holder(address).cloned();
            self.withdraw(address, old);
            if let Some(pod) = new.filter(|pod| pod.addresses.contains(&address)) {
                let claims = match self.holders.remove(&address) {
                    None => Claims::One(Arc::clone(pod)),
                    Some(Claims::One(other)) => Claims::Many(vec![other, Arc::clone(pod)]),
                    Some(Claims::Many(mut pods)) => {
                        pods.push(Arc::clone(pod));
                        Claims::Many(pods)
                    }
                };
                self.holders.insert(address, claims);
            }
            let after = self.holder(address).cloned();
            let same = match (&before, &after) {
                (Some(before), Some(after)) => Arc::ptr_eq(before, after),
                (before, after) => before.is_none() && after.is_none(),
            };
            if !same {
                changes.push(HolderChange { address, before, after });
            }
        }
        changes
    }

    fn withdraw(&mut self, address: IpAddr, pod: Option<&Arc<PodFacts>>) {
        let Some(pod) = pod else { return };
        let claims = match self.holders.remove(&address) {
            Some(Claims::One(holder)) if Arc::ptr_eq(&holder, pod) => return,
            Some(Claims::Many(mut pods)) => {
                pods.retain(|other| !Arc::ptr_eq(other, pod));
                match pods.len() {
                    1 => Claims::One(pods.remove(0)),
                    _ => Claims::Many(pods),
                }
            }
            Some(claims) => claims,
            None => return,
        };
        self.holders.insert(address, claims);
    }
}
