//! Which pod has an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Key;
use crate::model::PodFacts;

/// All claims of pods to addresses. The newest pod wins: an address is used again at once, while
/// the former pod's object is still there.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressBook(BTreeMap<IpAddr, BTreeSet<(String, Key)>>);

impl AddressBook {
    pub(super) fn add(&mut self, key: &Key, pod: &PodFacts) {
        for address in &pod.addresses {
            self.0.entry(*address).or_default().insert((pod.created.clone(), key.clone()));
        }
    }

    pub(super) fn remove(&mut self, key: &Key, pod: &PodFacts) {
        for address in &pod.addresses {
            if let Some(claims) = self.0.get_mut(address) {
                claims.remove(&(pod.created.clone(), key.clone()));
                if claims.is_empty() {
                    self.0.remove(address);
                }
            }
        }
    }

    /// The pod that has the address.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&Key> {
        self.0.get(&address)?.last().map(|(_, key)| key)
    }
}
