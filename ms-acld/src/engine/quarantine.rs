//! What can be programmed while the kernel refuses a part: that part stays as it was, all else is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ms_acl_core::ruleset::{Chain, ChainName, Family, ObjectRef, Rule, Ruleset, Rulesets, SetName, Target};
use ms_acl_netfilter::ipset::MemberError;
use ms_acl_netfilter::{CommitFault, NetlinkError, Reason, RefusedOperation};

/// Chains that are nested too deeply are found one by one so often; then all that the kernel names are left out.
const ONE_BY_ONE: usize = 8;

/// Chains and sets that the kernel refuses.
#[derive(Debug, Default)]
pub(super) struct Parts {
    chains: BTreeSet<(Family, ChainName)>,
    sets: BTreeSet<SetName>,
    /// Groups to which dispatch can't lead.
    groups: BTreeSet<(Family, ChainName)>,
    /// How often chains were nested too deeply.
    too_deep: usize,
}

impl Parts {
    /// Takes in what a fault names. `false` = nothing that wasn't known.
    pub(super) fn add(&mut self, fault: &CommitFault) -> bool {
        let before = self.len();
        match fault {
            CommitFault::Refused(operations) => {
                // Once chains are nested too deeply, the kernel says so of everything that comes after.
                let too_deep = |operation: &&RefusedOperation| match &operation.reason {
                    Reason::Kernel(refusal) => refusal.is_too_deep(),
                    Reason::Encode(_) => false,
                };
                self.too_deep += usize::from(operations.iter().any(|operation| too_deep(&operation)));
                let first = operations.iter().find(too_deep).filter(|_| self.too_deep <= ONE_BY_ONE);
                let named = operations.iter().filter(|operation| first.is_none() || !too_deep(operation));
                for operation in named.chain(first) {
                    match &operation.leads_to {
                        // A line of the dispatch is one pod's, the chain is everybody's.
                        Some(group) if is_group(group) => {
                            self.groups.insert((operation.family, group.clone()));
                        }
                        _ => self
                            .chains
                            .extend(ChainName::new(&operation.chain).map(|name| (operation.family, name))),
                    }
                }
            }
            // An answer that was lost says nothing about the set.
            CommitFault::SetMismatch { set, .. }
            | CommitFault::Set { set, source: NetlinkError::Refused(_), .. }
            | CommitFault::Members {
                set,
                source: MemberError { source: NetlinkError::Refused(_), .. },
                ..
            } => {
                self.sets.insert(set.clone());
            }
            _ => {}
        }
        self.len() > before
    }

    fn len(&self) -> usize {
        self.chains.len() + self.sets.len() + self.groups.len()
    }

    /// The objects on whose account these parts are.
    pub(super) fn objects(&self, desired: &Rulesets) -> BTreeSet<ObjectRef> {
        let mut objects = BTreeSet::new();
        for graph in [&desired.v4, &desired.v6] {
            let behind = behind(graph, self.groups.iter().filter(|(family, _)| *family == graph.family));
            for (name, chain) in &graph.chains {
                let refused = self.chains.contains(&(graph.family, name.clone())) || behind.contains(name);
                let rules = chain.rules.iter().filter(|rule| refused || self.name_set(rule));
                objects.extend(rules.filter_map(|rule| rule.provenance.as_ref()?.object.clone()));
            }
        }
        objects
    }

    fn name_set(&self, rule: &Rule) -> bool {
        rule.sets().any(|set| self.sets.contains(set))
    }
}

/// These chains, and those that they lead to.
fn behind<'g>(graph: &Ruleset, groups: impl Iterator<Item = &'g (Family, ChainName)>) -> BTreeSet<ChainName> {
    let mut next: Vec<ChainName> = groups.map(|(_, name)| name.clone()).collect();
    let mut all = BTreeSet::new();
    while let Some(name) = next.pop() {
        let Some(chain) = graph.chains.get(&name) else { continue };
        next.extend(
            chain.rules.iter().filter_map(|rule| rule.leads_to().cloned()).filter(|to| !all.contains(to)),
        );
        all.insert(name);
    }
    all
}

/// The desired graphs with these parts as they are held, and with nothing that would need them. A pod
/// whose chains can't be had keeps its former ones; one that had none is refused.
pub(super) fn without(desired: &Rulesets, held: &Rulesets, parts: &Parts) -> Rulesets {
    let mut possible = desired.clone();
    for family in Family::BOTH {
        let graph = family_without(desired.family(family), held.family(family), parts);
        *possible.family_mut(family) = graph;
    }
    possible
}

fn family_without(desired: &Ruleset, held: &Ruleset, parts: &Parts) -> Ruleset {
    let fit = fit(held);
    let blocked = blocked(desired, &fit, parts);
    let missing = |name: &ChainName| {
        (blocked.contains(name) && !fit.contains(name))
            || parts.groups.contains(&(desired.family, name.clone()))
    };
    let mut possible = Ruleset::new(desired.family);
    for (name, chain) in &desired.chains {
        if !blocked.contains(name) {
            let former = held.chains.get(name);
            let chain = if chain.rules.iter().any(|rule| rule.leads_to().is_some_and(&missing)) {
                Arc::new(dispatch_without(chain, former, &missing, &fit))
            } else {
                Arc::clone(chain)
            };
            possible.chains.insert(name.clone(), chain);
        } else if let Some(former) = held.chains.get(name).filter(|_| fit.contains(name)) {
            possible.chains.insert(name.clone(), Arc::clone(former));
        }
    }
    for (name, set) in &desired.sets {
        match held.sets.get(name) {
            Some(former) if parts.sets.contains(name) => {
                possible.sets.insert(name.clone(), Arc::clone(former));
            }
            None if parts.sets.contains(name) => {}
            _ => {
                possible.sets.insert(name.clone(), Arc::clone(set));
            }
        }
    }
    for (hook, name) in &desired.hooks {
        if possible.chains.contains_key(name) {
            possible.hooks.insert(*hook, name.clone());
        }
    }
    // What stays as it was needs what it names.
    possible.complete_from(held);
    possible
}

/// The chains that can't be had as desired: refused ones, those that name a refused set, and those that
/// lead to one which isn't there at all. Dispatch goes on without such a line.
fn blocked(desired: &Ruleset, fit: &BTreeSet<ChainName>, parts: &Parts) -> BTreeSet<ChainName> {
    let mut blocked: BTreeSet<ChainName> = desired
        .chains
        .iter()
        .filter(|(name, chain)| {
            parts.chains.contains(&(desired.family, (*name).clone()))
                || chain.rules.iter().any(|rule| parts.name_set(rule))
        })
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let needs_blocked = |rule: &Rule| {
            rule.leads_to().is_some_and(|to| blocked.contains(to) && !fit.contains(to) && !is_group(to))
        };
        let more: Vec<ChainName> = desired
            .chains
            .iter()
            .filter(|(name, chain)| !blocked.contains(*name) && chain.rules.iter().any(needs_blocked))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return blocked;
        }
        blocked.extend(more);
    }
}

/// The chains that are there and can stay as they are: not one that names a set which isn't ours, whatever somebody
/// else has in it, nor one that leads to such a chain.
fn fit(held: &Ruleset) -> BTreeSet<ChainName> {
    let mut fit: BTreeSet<ChainName> = held.chains.keys().cloned().collect();
    loop {
        let stays = |rule: &Rule| {
            rule.sets().all(|set| held.sets.contains_key(set))
                && rule.leads_to().is_none_or(|to| fit.contains(to))
        };
        let rest: BTreeSet<ChainName> =
            fit.iter().filter(|name| held.chains[*name].rules.iter().all(stays)).cloned().collect();
        if rest.len() == fit.len() {
            return fit;
        }
        fit = rest;
    }
}

/// A dispatch chain in which the lines to missing groups are as they were, or refuse.
fn dispatch_without(
    chain: &Chain,
    former: Option<&Arc<Chain>>,
    missing: &dyn Fn(&ChainName) -> bool,
    fit: &BTreeSet<ChainName>,
) -> Chain {
    let former: BTreeMap<String, &Rule> = former
        .into_iter()
        .flat_map(|chain| &chain.rules)
        .map(|rule| (format!("{:?}", rule.matches), rule))
        .collect();
    let rules = chain.rules.iter().map(|rule| {
        if !rule.leads_to().is_some_and(missing) {
            return rule.clone();
        }
        let former = former.get(&format!("{:?}", rule.matches));
        match former.filter(|former| former.leads_to().is_none_or(|to| fit.contains(to))) {
            Some(former) => (*former).clone(),
            None => Rule { target: Target::Drop, ..rule.clone() },
        }
    });
    Chain { rules: rules.collect(), ..chain.clone() }
}

/// Whether a chain is a group's, to which dispatch leads.
fn is_group(name: &ChainName) -> bool {
    name.as_str().starts_with("MS-E-") || name.as_str().starts_with("MS-I-")
}

#[cfg(test)]
mod tests {
    use ms_acl_core::cluster::Cluster;
    use ms_acl_core::compile::compile;
    use ms_acl_core::model::Settings;
    use ms_acl_core::object::Object;
    use ms_acl_core::render::iptables_save;
    use serde_json::json;

    use super::*;

    /// Pods a and b, each under a policy of its name that lets in pods with the label `from`.
    fn graphs(policies: &[(&str, &str)]) -> Rulesets {
        let mut cluster = Cluster::new();
        let mut apply = |value| cluster.apply(Object::decode(value).unwrap().unwrap());
        for (name, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
            apply(json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
                "spec": {"nodeName": "n"}, "status": {"podIP": address}}));
        }
        for (name, from) in policies {
            apply(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"podSelector": {"matchLabels": {"app": name}},
                    "ingress": [{"from": [{"podSelector": {"matchLabels": {"from": from}}}]}]}}));
        }
        compile(&cluster, &Settings::new("n")).rulesets
    }

    fn set_of(graphs: &Rulesets, policy: &str) -> SetName {
        let chain = policy_chain(graphs, policy);
        graphs.v4.chains[&chain].rules[0].sets().next().unwrap().clone()
    }

    fn policy_chain(graphs: &Rulesets, policy: &str) -> ChainName {
        let of_policy = |chain: &Chain| {
            chain.rules.iter().any(|rule| {
                let object = rule.provenance.as_ref().and_then(|from| from.object.as_ref());
                object.is_some_and(|object| object.name == policy)
            })
        };
        let mut chains = graphs.v4.chains.iter().filter(|(name, _)| name.as_str().starts_with("MS-P-"));
        chains.find(|(_, chain)| of_policy(chain)).unwrap().0.clone()
    }

    fn refusing(set: &SetName) -> Parts {
        let mut parts = Parts::default();
        let fault = CommitFault::SetMismatch { set: set.clone(), found: String::new() };
        assert!(parts.add(&fault) && !parts.add(&fault));
        parts
    }

    fn dispatch_line(graphs: &Rulesets, address: &str) -> String {
        let text = iptables_save(&graphs.v4);
        let line = text.lines().find(|line| {
            line.starts_with("-A MS-INGRESS")
                && line.contains(&format!(" -d {address}/32"))
                && !line.contains(" -s ")
        });
        line.unwrap_or_default().to_owned()
    }

    fn dangles(graph: &Ruleset) -> bool {
        graph.chains.values().flat_map(|chain| &chain.rules).any(|rule| {
            rule.leads_to().is_some_and(|to| !graph.chains.contains_key(to))
                || rule.sets().any(|set| !graph.sets.contains_key(set))
        })
    }

    #[test]
    fn a_new_policy_that_is_refused_refuses_its_pods_and_no_others() {
        let desired = graphs(&[("a", "x"), ("b", "y")]);
        let parts = refusing(&set_of(&desired, "a"));
        let possible = without(&desired, &Rulesets::empty(), &parts);
        assert!(dispatch_line(&possible, "10.0.0.1").ends_with("-j DROP"));
        assert_eq!(dispatch_line(&possible, "10.0.0.2"), dispatch_line(&desired, "10.0.0.2"));
        assert!(!dangles(&possible.v4));
        assert_eq!(possible.v4.hooks, desired.v4.hooks);
        let objects: Vec<String> = parts.objects(&desired).iter().map(ToString::to_string).collect();
        assert_eq!(objects, ["NetworkPolicy default/a"]);
    }

    #[test]
    fn a_changed_policy_that_is_refused_stays_as_it_was() {
        let held = graphs(&[("a", "w")]);
        let desired = graphs(&[("a", "x"), ("b", "y")]);
        let possible = without(&desired, &held, &refusing(&set_of(&desired, "a")));
        let chain = policy_chain(&held, "a");
        assert_eq!(possible.v4.chains[&chain], held.v4.chains[&chain]);
        assert_eq!(dispatch_line(&possible, "10.0.0.1"), dispatch_line(&held, "10.0.0.1"));
        assert_eq!(dispatch_line(&possible, "10.0.0.2"), dispatch_line(&desired, "10.0.0.2"));
        assert!(!dangles(&possible.v4));
    }

    #[test]
    fn what_names_a_set_that_somebody_else_has_made_does_not_stay() {
        let desired = graphs(&[("a", "x"), ("b", "y")]);
        let set = set_of(&desired, "a");
        let mut held = desired.clone();
        held.v4.sets.remove(&set);
        let possible = without(&desired, &held, &refusing(&set));
        assert!(dispatch_line(&possible, "10.0.0.1").ends_with("-j DROP"));
        assert_eq!(dispatch_line(&possible, "10.0.0.2"), dispatch_line(&desired, "10.0.0.2"));
        assert!(!possible.v4.chains.contains_key(&policy_chain(&desired, "a")));
        assert!(!dangles(&possible.v4));
    }

    #[test]
    fn a_refused_chain_counts_like_a_refused_set() {
        let desired = graphs(&[("a", "x"), ("b", "y")]);
        let parts = Parts { chains: [(Family::V4, policy_chain(&desired, "b"))].into(), ..Parts::default() };
        let possible = without(&desired, &Rulesets::empty(), &parts);
        assert!(dispatch_line(&possible, "10.0.0.2").ends_with("-j DROP"));
        assert_eq!(dispatch_line(&possible, "10.0.0.1"), dispatch_line(&desired, "10.0.0.1"));
        assert!(!dangles(&possible.v4));
    }

    #[test]
    fn a_line_of_the_dispatch_that_is_refused_is_one_group_s_and_no_other_s() {
        let desired = graphs(&[("a", "x"), ("b", "y")]);
        let line = dispatch_line(&desired, "10.0.0.1");
        let group = ChainName::new(line.split(' ').next_back().unwrap()).unwrap();
        let refused = |reason| RefusedOperation {
            action: "add a rule",
            family: Family::V4,
            chain: "MS-INGRESS".to_owned(),
            rule: None,
            leads_to: Some(group.clone()),
            reason,
            part: None,
        };
        let encode = Reason::Encode(ms_acl_netfilter::xtables::EncodeError::Ports);
        let mut parts = Parts::default();
        assert!(parts.add(&CommitFault::Refused(vec![refused(encode)])));
        // Also where it isn't the chain's fault that nothing can lead to it.
        for held in [Rulesets::empty(), graphs(&[("b", "y")])] {
            let possible = without(&desired, &held, &parts);
            assert!(dispatch_line(&possible, "10.0.0.1").ends_with("-j DROP"));
            assert_eq!(dispatch_line(&possible, "10.0.0.2"), dispatch_line(&desired, "10.0.0.2"));
            assert!(!dangles(&possible.v4));
        }
        assert_eq!(dispatch_line(&without(&desired, &desired, &parts), "10.0.0.1"), line);
        let objects: Vec<String> = parts.objects(&desired).iter().map(ToString::to_string).collect();
        assert_eq!(objects, ["NetworkPolicy default/a"]);
    }

    #[test]
    fn nothing_refused_changes_nothing() {
        let desired = graphs(&[("a", "x"), ("b", "y")]);
        assert_eq!(without(&desired, &Rulesets::empty(), &Parts::default()), desired);
    }
}
