//! That random worlds really contain what they are to contain, each thing often enough to be tried a
//! hundred times in ten thousand worlds, and not so often that it drowns the rest.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ms_acl_core::object::{Container, IntOrString, NetworkPolicyPeer, NetworkPolicyPort, Pod};
use serde_json::Value;

use super::*;
use crate::oracle::{
    Gate, NodeTraffic, Protocol, RefuseWith, Verdict, acl, block, governs_egress, governs_ingress,
    is_valid_policy, judge, node_of,
};

type Has = fn(&World) -> bool;

fn any_pod(world: &World, is: impl Fn(&Pod) -> bool) -> bool {
    world.pods.iter().any(is)
}

fn peers(world: &World) -> impl Iterator<Item = &NetworkPolicyPeer> {
    world.network_policies.iter().flat_map(|policy| {
        let from = policy.spec.ingress.iter().flat_map(|rule| &rule.from);
        from.chain(policy.spec.egress.iter().flat_map(|rule| &rule.to))
    })
}

fn ports(world: &World) -> impl Iterator<Item = &NetworkPolicyPort> {
    world.network_policies.iter().flat_map(|policy| {
        let ingress = policy.spec.ingress.iter().flat_map(|rule| &rule.ports);
        ingress.chain(policy.spec.egress.iter().flat_map(|rule| &rule.ports))
    })
}

fn lists_of_peers(world: &World) -> impl Iterator<Item = &Vec<NetworkPolicyPeer>> {
    world.network_policies.iter().flat_map(|policy| {
        let from = policy.spec.ingress.iter().map(|rule| &rule.from);
        from.chain(policy.spec.egress.iter().map(|rule| &rule.to))
    })
}

fn blocks(world: &World) -> impl Iterator<Item = (&str, &Vec<String>)> {
    peers(world).filter_map(|peer| peer.ip_block.as_ref()).map(|block| (block.cidr.as_str(), &block.except))
}

fn families(pod: &Pod) -> (usize, usize) {
    let addresses = pod::addresses_of(pod);
    let unique: std::collections::BTreeSet<IpAddr> = addresses.into_iter().collect();
    let v4 = unique.iter().filter(|address| address.is_ipv4()).count();
    (v4, unique.len() - v4)
}

fn named(containers: &[Container]) -> bool {
    containers.iter().flat_map(|container| &container.ports).any(|port| !port.name.is_empty())
}

fn rules(world: &World) -> Vec<&Value> {
    let entries = world.acl["deployments"].as_array().into_iter().flatten();
    entries.flat_map(|entry| entry["rules"].as_array().into_iter().flatten()).collect()
}

fn any_rule(world: &World, is: impl Fn(&Value) -> bool) -> bool {
    rules(world).into_iter().any(is)
}

fn owner_kind(pod: &Pod) -> Option<&str> {
    Some(pod.metadata.controller()?.kind.as_str())
}

/// What a world may have, with the least and the greatest share of worlds that have it, in per cent.
const FEATURES: &[(&str, usize, usize, Has)] = &[
    ("a running pod", 80, 100, |w| any_pod(w, |pod| pod.status.phase == "Running")),
    ("a pending pod with an address", 5, 60, |w| {
        any_pod(w, |pod| pod.status.phase == "Pending" && families(pod) != (0, 0))
    }),
    ("a pending pod without one", 5, 70, |w| {
        any_pod(w, |pod| pod.status.phase == "Pending" && families(pod) == (0, 0))
    }),
    ("a pod without a node", 5, 60, |w| any_pod(w, |pod| pod.spec.node_name.is_empty())),
    ("a succeeded pod", 10, 60, |w| any_pod(w, |pod| pod.status.phase == "Succeeded")),
    ("a failed pod", 10, 60, |w| any_pod(w, |pod| pod.status.phase == "Failed")),
    ("a pod in an unknown phase", 10, 60, |w| any_pod(w, |pod| pod.status.phase == "Unknown")),
    ("a pod of the host network", 10, 70, |w| any_pod(w, |pod| pod.spec.host_network)),
    ("a pod of IPv4 only", 40, 100, |w| any_pod(w, |pod| families(pod) == (1, 0))),
    ("a pod of IPv6 only", 30, 100, |w| any_pod(w, |pod| families(pod) == (0, 1))),
    ("a pod of both families", 50, 100, |w| any_pod(w, |pod| families(pod) == (1, 1))),
    ("a pod with two addresses of a family", 1, 30, |w| {
        any_pod(w, |pod| families(pod).0 > 1 || families(pod).1 > 1)
    }),
    ("an address that two pods claim", 10, 80, |w| {
        let mut seen = std::collections::BTreeSet::new();
        w.pods.iter().any(|pod| {
            let own: std::collections::BTreeSet<_> = pod::addresses_of(pod).into_iter().collect();
            own.into_iter().any(|address| !seen.insert(address))
        })
    }),
    ("an address that is written oddly", 3, 60, |w| {
        any_pod(w, |pod| {
            pod.status.pod_ips.iter().any(|listed| {
                block::address(&listed.ip).is_some_and(|address| address.to_string() != listed.ip)
            })
        })
    }),
    ("a named port", 60, 100, |w| any_pod(w, |pod| named(&pod.spec.containers))),
    ("a named port of an init container", 30, 100, |w| any_pod(w, |pod| named(&pod.spec.init_containers))),
    ("a port that is none", 2, 40, |w| {
        any_pod(w, |pod| {
            let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
            ports.into_iter().any(|port| !(1..=65535).contains(&port.container_port))
        })
    }),
    ("a pod of a ReplicaSet", 40, 100, |w| any_pod(w, |pod| owner_kind(pod) == Some("ReplicaSet"))),
    ("a pod of a ReplicaSet that isn't known", 10, 90, |w| {
        any_pod(w, |pod| {
            pod.metadata.controller().is_some_and(|owner| {
                owner.kind == "ReplicaSet"
                    && !w.replica_sets.iter().any(|set| {
                        set.metadata.name == owner.name && set.metadata.namespace == pod.metadata.namespace
                    })
            })
        })
    }),
    ("a pod of something else", 10, 90, |w| any_pod(w, |pod| owner_kind(pod) == Some("StatefulSet"))),
    ("a pod of nobody", 60, 100, |w| any_pod(w, |pod| owner_kind(pod).is_none())),
    ("an owner of another API group", 5, 80, |w| {
        any_pod(w, |pod| pod.metadata.controller().is_some_and(|o| o.api_version.starts_with("example.com/")))
    }),
    ("a namespace without an object", 20, 90, |w| {
        w.pods.iter().any(|pod| !w.namespaces.iter().any(|ns| ns.metadata.name == pod.metadata.namespace))
    }),
    ("several nodes", 40, 90, |w| w.nodes.len() > 1),
    ("a node whose object isn't known", 2, 40, |w| {
        any_pod(w, |pod| {
            let node = &pod.spec.node_name;
            !node.is_empty() && !w.nodes.iter().any(|known| known.metadata.name == *node)
        })
    }),
    ("a local address that no Node object lists", 20, 95, |w| !w.local_addresses.is_empty()),
    ("own-node traffic is judged", 20, 60, |w| w.settings.node_traffic == NodeTraffic::Enforce),
    ("refusals in silence", 15, 50, |w| w.settings.refuse_with == RefuseWith::Drop),
    ("a range for Kubernetes policy", 20, 60, |w| !w.settings.pod_ip_range.is_empty()),
    ("a NetworkPolicy", 60, 95, |w| !w.network_policies.is_empty()),
    ("several policies for one namespace", 20, 90, |w| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        w.network_policies.iter().for_each(|p| *counts.entry(&p.metadata.namespace).or_default() += 1);
        counts.values().any(|count| *count > 1)
    }),
    ("an invalid policy", 5, 40, |w| w.network_policies.iter().any(|policy| !is_valid_policy(policy))),
    ("types that are left out", 20, 90, |w| {
        w.network_policies.iter().any(|policy| policy.spec.policy_types.is_empty())
    }),
    ("both types", 20, 90, |w| w.network_policies.iter().any(|policy| policy.spec.policy_types.len() == 2)),
    ("rules of a type that isn't listed", 10, 90, |w| {
        w.network_policies.iter().any(|policy| {
            policy.spec.policy_types == ["Egress"] && !policy.spec.ingress.is_empty()
                || policy.spec.policy_types == ["Ingress"] && !policy.spec.egress.is_empty()
        })
    }),
    ("a rule for everybody", 20, 95, |w| lists_of_peers(w).any(Vec::is_empty)),
    ("pods of the own namespace", 20, 95, |w| {
        peers(w).any(|peer| peer.pod_selector.is_some() && peer.namespace_selector.is_none())
    }),
    ("pods of selected namespaces", 15, 95, |w| {
        peers(w).any(|peer| peer.pod_selector.is_some() && peer.namespace_selector.is_some())
    }),
    ("all pods of selected namespaces", 15, 95, |w| {
        peers(w).any(|peer| peer.pod_selector.is_none() && peer.namespace_selector.is_some())
    }),
    ("more selectors than sets of their own", 2, 50, |w| lists_of_peers(w).any(|peers| peers.len() >= 10)),
    ("a block", 30, 95, |w| blocks(w).next().is_some()),
    ("a block with holes", 15, 90, |w| blocks(w).any(|(_, except)| !except.is_empty())),
    ("a block of everything", 5, 80, |w| blocks(w).any(|(cidr, _)| cidr.ends_with("/0"))),
    ("a block of IPv6", 15, 90, |w| blocks(w).any(|(cidr, _)| cidr.contains(':'))),
    ("a block with host bits", 15, 90, |w| {
        blocks(w).filter_map(|(cidr, _)| block::block(cidr)).any(|block| block.trunc() != block)
    }),
    ("a block that is written oddly", 1, 40, |w| {
        blocks(w).any(|(cidr, _)| block::block(cidr).is_some_and(|block| block.to_string() != *cidr))
    }),
    ("a port by number", 30, 95, |w| ports(w).any(|port| matches!(port.port, Some(IntOrString::Int(_))))),
    ("a port by name", 20, 95, |w| ports(w).any(|port| matches!(port.port, Some(IntOrString::String(_))))),
    ("a range of ports", 20, 95, |w| ports(w).any(|port| port.end_port.is_some())),
    ("all ports of a protocol", 5, 80, |w| ports(w).any(|port| port.port.is_none())),
    ("UDP", 20, 95, |w| ports(w).any(|port| port.protocol.as_deref() == Some("UDP"))),
    ("SCTP", 10, 95, |w| ports(w).any(|port| port.protocol.as_deref() == Some("SCTP"))),
    ("more ports than a line holds", 5, 60, |w| {
        w.network_policies.iter().any(|policy| policy.spec.ingress.iter().any(|rule| rule.ports.len() > 15))
    }),
    ("a policy document", 50, 95, |w| w.acl.is_object()),
    ("an invalid document", 1, 10, |w| !w.acl.is_null() && acl::read(&w.acl).is_err()),
    ("an ACL rule for ingress", 20, 90, |w| any_rule(w, |rule| rule.get("dstCIDR").is_none())),
    ("an ACL rule for egress", 10, 80, |w| {
        any_rule(w, |rule| rule["direction"].as_str().is_some_and(|text| text.eq_ignore_ascii_case("egress")))
    }),
    ("an ACL rule with a default action of its own", 10, 80, |w| {
        w.acl["deployments"].as_array().is_some_and(|all| all.iter().any(|e| !e["defaultAction"].is_null()))
    }),
    ("an ACL entry without rules", 5, 70, |w| {
        w.acl["deployments"].as_array().is_some_and(|all| all.iter().any(|e| e["rules"].is_null()))
    }),
    ("an ACL rule about ICMP", 5, 60, |w| {
        any_rule(w, |rule| rule["protocol"].as_str().is_some_and(|text| text.eq_ignore_ascii_case("icmp")))
    }),
    ("an ACL rule with ports", 10, 80, |w| any_rule(w, |rule| rule["ports"].is_array())),
    ("an ACL rule that logs", 3, 60, |w| any_rule(w, |rule| rule["log"] == true)),
];

#[test]
fn every_feature_is_drawn_in_a_sensible_share_of_worlds() {
    const WORLDS: u64 = 2_000;
    let worlds: Vec<World> = (0..WORLDS).map(|seed| world_from_seed(seed, &Shape::default())).collect();
    let mut wrong = Vec::new();
    for (name, least, most, has) in FEATURES {
        let share = worlds.iter().filter(|world| has(world)).count() * 100 / worlds.len();
        if share < *least || share > *most {
            wrong.push(format!("{name}: {share} %, not {least} to {most}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A share of flows, in tenths of a per cent.
fn share(counts: &BTreeMap<String, usize>, name: &str) -> usize {
    let all: usize = counts.iter().filter(|(key, _)| key.starts_with("flow")).map(|(_, count)| count).sum();
    counts.get(name).copied().unwrap_or(0) * 1000 / all
}

#[test]
fn every_verdict_comes_in_a_sensible_share_of_flows() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..400 {
        let world = world_from_seed(seed, &Shape::default());
        for flow in some_flows(&world, &mut Dice::from_seed(seed), 60) {
            let answer = judge(&world, &flow);
            let verdict = match answer.verdict {
                Verdict::Allow if answer.accepted => "accepted",
                Verdict::Allow => "let pass",
                Verdict::Drop => "dropped",
                Verdict::Reject => "rejected",
            };
            let mut count = |name: String| *counts.entry(name).or_default() += 1;
            count("flow".to_owned());
            count(verdict.to_owned());
            count(format!("{:?}", flow.protocol));
            count(format!("{:?} {verdict}", flow.protocol));
            count(if flow.from.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned());
            for answer in [&answer.egress, &answer.ingress].into_iter().flatten() {
                match answer.gate {
                    Some(Gate::Acl) => count("decided by an ACL".to_owned()),
                    Some(Gate::Kubernetes) => count("decided by Kubernetes policy".to_owned()),
                    Some(Gate::LinkLocal) => count("dropped as link-local".to_owned()),
                    None => {}
                }
                if answer.gate == Some(Gate::Kubernetes) && answer.verdict == Verdict::Allow {
                    count("let pass by a rule".to_owned());
                }
            }
            let (from, to) = (node_of(&world, flow.from), node_of(&world, flow.to));
            if from.is_some() && to.is_some() {
                count(if from == to { "on one node" } else { "across nodes" }.to_owned());
            }
            if governs_egress(&world, flow.from) && governs_ingress(&world, flow.to) {
                count("judged at both ends".to_owned());
            }
            if from.is_none() || to.is_none() {
                count("with the outside".to_owned());
            }
        }
    }
    let mut wrong = Vec::new();
    for (name, least, most) in [
        ("let pass", 250, 700),
        ("accepted", 20, 300),
        ("dropped", 40, 400),
        ("rejected", 80, 500),
        ("IPv4", 300, 700),
        ("IPv6", 300, 700),
        ("Tcp", 300, 600),
        ("Udp", 100, 300),
        ("Sctp", 80, 300),
        ("Icmp", 50, 300),
        ("Icmp accepted", 2, 100),
        ("Icmp rejected", 5, 200),
        ("Sctp let pass", 20, 200),
        ("Udp rejected", 10, 200),
        ("decided by an ACL", 30, 500),
        ("decided by Kubernetes policy", 100, 900),
        ("dropped as link-local", 3, 100),
        ("let pass by a rule", 20, 400),
        ("on one node", 100, 700),
        ("across nodes", 50, 500),
        ("judged at both ends", 20, 500),
        ("with the outside", 100, 700),
    ] {
        let share = share(&counts, name);
        if share < least || share > most {
            wrong.push(format!("{name}: {share} of a thousand flows, not {least} to {most}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_kind_of_edit_happens() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..500 {
        let History { mut world, edits } = history(&mut Dice::from_seed(seed), &Shape::default(), 10);
        for edit in edits {
            let mut count = |name: &str| *counts.entry(name.to_owned()).or_default() += 1;
            if let Edit::Pod(pod) = &edit {
                let same = |old: &&Pod| {
                    old.metadata.name == pod.metadata.name && old.metadata.namespace == pod.metadata.namespace
                };
                match world.pods.iter().find(same) {
                    None => count("a pod comes"),
                    Some(old) => {
                        if old.metadata.labels != pod.metadata.labels {
                            count("a pod is relabelled");
                        }
                        if pod::addresses_of(old) != pod::addresses_of(pod) {
                            count("a pod has other addresses");
                        }
                        if old.status.phase != pod.status.phase {
                            count("a pod's phase changes");
                        }
                        if old.spec.node_name != pod.spec.node_name {
                            count("a pod is on another node");
                        }
                    }
                }
            }
            if let Edit::Namespace(namespace) = &edit
                && world.namespaces.iter().any(|old| {
                    old.metadata.name == namespace.metadata.name
                        && old.metadata.labels != namespace.metadata.labels
                })
            {
                count("a namespace is relabelled");
            }
            count(match &edit {
                Edit::Pod(_) => "Pod",
                Edit::Namespace(_) => "Namespace",
                Edit::ReplicaSet(_) => "ReplicaSet",
                Edit::Deployment(_) => "Deployment",
                Edit::NetworkPolicy(policy) if is_valid_policy(policy) => "NetworkPolicy",
                Edit::NetworkPolicy(_) => "an invalid NetworkPolicy",
                Edit::Acl(_) => "Acl",
                Edit::Delete { kind, .. } => match kind.as_str() {
                    "Pod" => "a Pod goes",
                    "Namespace" => "a Namespace goes",
                    "NetworkPolicy" => "a NetworkPolicy goes",
                    _ => "a workload goes",
                },
            });
            edit.happen(&mut world);
        }
    }
    for name in [
        "Pod",
        "Namespace",
        "ReplicaSet",
        "Deployment",
        "NetworkPolicy",
        "an invalid NetworkPolicy",
        "Acl",
        "a pod comes",
        "a pod is relabelled",
        "a pod has other addresses",
        "a pod's phase changes",
        "a pod is on another node",
        "a namespace is relabelled",
        "a Pod goes",
        "a Namespace goes",
        "a NetworkPolicy goes",
        "a workload goes",
    ] {
        assert!(counts.get(name).is_some_and(|count| *count >= 10), "{name}: {counts:#?}");
    }
}

/// Edges: just inside and just outside of blocks, just before and behind ranges.
#[test]
fn flows_lie_at_the_edges_of_blocks_and_ranges() {
    let (mut inside, mut outside, mut at_range, mut beside) = (0, 0, 0, 0);
    for seed in 0..500 {
        let world = world_from_seed(seed, &Shape::default());
        let all: Vec<_> = blocks(&world).filter_map(|(cidr, _)| block::block(cidr)).collect();
        let ranges: Vec<(i64, i64)> = ports(&world)
            .filter_map(|port| match port.port {
                Some(IntOrString::Int(first)) => Some((first, port.end_port.unwrap_or(first))),
                _ => None,
            })
            .collect();
        for flow in some_flows(&world, &mut Dice::from_seed(seed), 60) {
            for address in [flow.from, flow.to] {
                let edge = |block: &&ipnet::IpNet| [block.network(), block.broadcast()].contains(&address);
                inside += usize::from(all.iter().any(|block| edge(&block)));
                let neighbour = |block: &&ipnet::IpNet| flow::neighbours(**block).contains(&address);
                outside += usize::from(all.iter().any(|block| neighbour(&block)));
            }
            if flow.protocol != Protocol::Icmp {
                let port = i64::from(flow.port);
                at_range += usize::from(ranges.iter().any(|(first, last)| port == *first || port == *last));
                beside +=
                    usize::from(ranges.iter().any(|(first, last)| port == first - 1 || port == last + 1));
            }
        }
    }
    for (name, count) in
        [("inside", inside), ("outside", outside), ("at a range's end", at_range), ("beside a range", beside)]
    {
        assert!(count > 500, "{name}: {count}");
    }
}
