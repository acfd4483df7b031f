//! A former run's rules beside the desired ones, while a part of the cluster can't be read.
//!
//! A file that doesn't parse, or a kind that can't be listed, may hold objects on whose account the
//! kernel has rules from a former run. Until it can be read, nothing of that is taken away or
//! loosened, and all else is enforced as it is known: a [`Hold`] merges the graph that the kernel
//! held at the start with the desired one.
//!
//! | what | is held as |
//! |---|---|
//! | a pod whose object isn't known | its former policies |
//! | a known pod under policies that aren't known | they stay beside the known ones of the same gate |
//! | a pod whose Deployment isn't known | the entry of its former Deployment, as the document has it now |
//! | members of sets | the former ones stay, the known ones join them |
//! | what was known since the start and is gone again | gone |
//! | an address that was given up or passed on since the start | inherits nothing |

mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::compile::gate::comment;
use crate::model::{Policy, Settings};
use crate::ruleset::{Comment, Family, GateKind, Member, Rulesets};
use merge::Known;

/// The former graphs, and what has become known since they were read.
#[derive(Debug, Clone)]
pub struct Hold {
    former: Rulesets,
    /// The desired graphs as of the last merge.
    desired: Rulesets,
    /// Who has which address, as far as it is known.
    holders: BTreeMap<IpAddr, (Arc<str>, Arc<str>)>,
    /// Addresses that were somebody's since the start and then weren't, or somebody else's.
    passed_on: BTreeSet<IpAddr>,
    /// The policies that were known at any time since the start.
    policies: BTreeSet<Comment>,
}

impl Hold {
    /// Begins with what the kernel held at the start.
    pub fn new(former: Rulesets) -> Self {
        Hold {
            former,
            desired: Rulesets::empty(),
            holders: BTreeMap::new(),
            passed_on: BTreeSet::new(),
            policies: BTreeSet::new(),
        }
    }

    /// The former graphs and the desired ones together. To be asked after every change, or what came and
    /// went in between counts as never known.
    pub fn merge(&mut self, cluster: &Cluster, settings: &Settings, desired: &Rulesets) -> Rulesets {
        self.take_note(cluster);
        self.forget(desired);
        self.desired = desired.clone();
        let local = cluster.pods().filter(|pod| *pod.node == *settings.node);
        let known = Known {
            cluster,
            settings,
            addresses: &self.holders,
            passed_on: &self.passed_on,
            policies: &self.policies,
            local: local.flat_map(|pod| cluster.addresses_of(pod)).collect(),
            acl: acl_entries(cluster),
        };
        let mut merged = Rulesets::empty();
        for family in Family::BOTH {
            *merged.family_mut(family) =
                merge::family(self.former.family(family), desired.family(family), &known);
        }
        merged
    }

    /// Which objects there are, and whose addresses changed.
    fn take_note(&mut self, cluster: &Cluster) {
        let policies = cluster.network_policies();
        self.policies.extend(policies.map(|policy| comment(GateKind::Kubernetes, &policy.object)));
        let holders: BTreeMap<IpAddr, _> = cluster
            .pods()
            .flat_map(|pod| {
                let name = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
                cluster.addresses_of(pod).map(move |address| (address, name.clone()))
            })
            .collect();
        let lost = self.holders.iter().filter(|(address, name)| holders.get(*address) != Some(*name));
        let lost: BTreeSet<IpAddr> = lost.map(|(address, _)| *address).collect();
        for address in &lost {
            self.drop_members(|member| address_of(member) == Some(*address));
        }
        self.passed_on.extend(lost);
        self.holders = holders;
    }

    /// Members that the desired graphs had and lost since the last time are no former ones any more.
    fn forget(&mut self, desired: &Rulesets) {
        for family in Family::BOTH {
            let (before, after) = (self.desired.family(family), desired.family(family));
            let former = self.former.family_mut(family);
            for (name, set) in &before.sets {
                let Some(after) = after.sets.get(name).filter(|after| !Arc::ptr_eq(after, set)) else {
                    continue;
                };
                if let Some(former) = former.sets.get_mut(name) {
                    let former = Arc::make_mut(former);
                    for lost in set.members.difference(&after.members) {
                        former.members.remove(lost);
                    }
                }
            }
        }
    }

    fn drop_members(&mut self, gone: impl Fn(&Member) -> bool) {
        for family in Family::BOTH {
            for set in self.former.family_mut(family).sets.values_mut() {
                if set.members.iter().any(&gone) {
                    Arc::make_mut(set).members.retain(|member| !gone(member));
                }
            }
        }
    }
}

fn address_of(member: &Member) -> Option<IpAddr> {
    match member {
        Member::Address(address) | Member::AddressPort(address, ..) => Some(*address),
        Member::Network(_) => None,
    }
}

fn acl_entries(cluster: &Cluster) -> BTreeMap<Comment, Arc<Policy>> {
    let entries = cluster.acl().policies().iter();
    entries.map(|policy| (comment(GateKind::Acl, &policy.object), Arc::clone(policy))).collect()
}
