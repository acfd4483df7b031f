//! Gates and groups: what of a direction is equal for several pods stands in the kernel once.

use std::sync::Arc;

use super::name::Identity;
use super::policy;
use super::sets::{self, Content};
use crate::cluster::Cluster;
use crate::model::{Action, Settings};
use crate::resolve::{Gate, LocalPod, ResolvedPolicy, Tier};
use crate::ruleset::{
    Chain, ChainName, Comment, Direction, GateKind, Match, Provenance, Rule, Ruleset, SetKey, SetRole,
    States, Target,
};

/// The chain of the group that a pod's direction belongs to, built into the graph where it is new;
/// `None` = ungoverned.
pub(super) fn group(
    graph: &mut Ruleset,
    cluster: &Cluster,
    settings: &Settings,
    (pod, direction): (&LocalPod, Direction),
) -> Option<ChainName> {
    let gates = pod.gates(direction);
    if gates.is_empty() {
        return None;
    }
    let chains: Vec<ChainName> =
        gates.iter().map(|gate| self::gate(graph, cluster, settings, (gate, direction))).collect();
    let mut identity = Identity::new("group");
    identity.direction(direction);
    for chain in &chains {
        identity.chain(chain);
    }
    let name = identity.chain_name(match direction {
        Direction::Egress => 'E',
        Direction::Ingress => 'I',
    });
    if !graph.chains.contains_key(&name) {
        let invalid = Rule::new(vec![Match::State(States::INVALID)], Target::Drop);
        let jumps = chains.into_iter().map(|chain| Rule::new(Vec::new(), Target::Jump(chain)));
        let rules = std::iter::once(invalid).chain(jumps).collect();
        let kinds: Vec<String> = gates.iter().map(|gate| gate.kind.to_string()).collect();
        let title = format!("{direction} of pods under {}", kinds.join(" and "));
        graph.chains.insert(name.clone(), Arc::new(Chain { rules, title, ..Chain::default() }));
    }
    Some(name)
}

/// The chain of a gate, built into the graph where it is new.
fn gate(
    graph: &mut Ruleset,
    cluster: &Cluster,
    settings: &Settings,
    (gate, direction): (&Gate, Direction),
) -> ChainName {
    let mut identity = Identity::new("gate");
    identity.direction(direction);
    identity.gate(gate.kind);
    for (index, tier) in gate.tiers.iter().enumerate() {
        identity.number(tier.policies.len());
        for resolved in &tier.policies {
            if let Some(name) = policy_name(resolved, direction, index) {
                identity.chain(&name);
            }
        }
        identity.action(tier.otherwise);
    }
    let name = identity.chain_name('G');
    if graph.chains.contains_key(&name) {
        return name;
    }
    let marks = settings.marks;
    let clear = Target::SetMark { value: 0, mask: marks.pass | marks.next };
    let mut rules = vec![Rule::new(Vec::new(), clear)];
    if gate.kind == GateKind::Kubernetes {
        rules.extend(outside_range(graph, cluster, settings, direction));
    }
    for (index, tier) in gate.tiers.iter().enumerate() {
        for resolved in &tier.policies {
            let Some(chain) = policy_name(resolved, direction, index) else { continue };
            if !graph.chains.contains_key(&chain) {
                let built = policy::chain(graph, cluster, resolved, direction);
                graph.chains.insert(chain.clone(), Arc::new(built));
            }
            let comment = Some(comment(gate.kind, resolved));
            rules.push(Rule { comment, ..Rule::new(Vec::new(), Target::Jump(chain)) });
            let passed = Match::Mark { value: marks.pass, mask: marks.pass };
            rules.push(Rule::new(vec![passed], Target::Return));
        }
        rules.extend(otherwise(gate.kind, tier, direction));
    }
    let title = format!("{direction} gate {}", gate.kind);
    graph.chains.insert(name.clone(), Arc::new(Chain { rules, title, ..Chain::default() }));
    name
}

fn policy_name(resolved: &ResolvedPolicy, direction: Direction, tier: usize) -> Option<ChainName> {
    let section = resolved.policy.section(direction)?;
    Some(policy::name(resolved, direction, section, tier))
}

fn comment(gate: GateKind, resolved: &ResolvedPolicy) -> Comment {
    let object = &resolved.policy.object;
    let kind = match gate {
        GateKind::Acl => "acl",
        GateKind::EgressFirewall => "egressfw",
        GateKind::Kubernetes => "netpol",
    };
    Comment::new(&format!("{kind} {}/{}", object.namespace, object.name))
}

/// Flows whose other end lies outside of the range that Kubernetes policy controls pass its gate.
fn outside_range(
    graph: &mut Ruleset,
    cluster: &Cluster,
    settings: &Settings,
    direction: Direction,
) -> Option<Rule> {
    let range = settings.pod_ip_range(graph.family);
    let outside = match (&range[..], direction) {
        ([], _) => return None,
        ([net], Direction::Egress) => Match::NotDestination(*net),
        ([net], Direction::Ingress) => Match::NotSource(*net),
        (_, direction) => {
            let set = sets::ensure(graph, cluster, SetRole::Refuse, &Content::Networks(range));
            let key = match direction {
                Direction::Egress => SetKey::Destination,
                Direction::Ingress => SetKey::Source,
            };
            Match::NotInSet(set, key)
        }
    };
    Some(Rule::new(vec![outside], Target::Return))
}

/// What happens when no policy of the tier had a matching rule.
fn otherwise(gate: GateKind, tier: &Tier, direction: Direction) -> Option<Rule> {
    if tier.otherwise == Action::Allow {
        return None;
    }
    let object = match &tier.policies[..] {
        [only] => Some(only.policy.object.clone()),
        _ => None,
    };
    let provenance = Provenance { object, direction, gate, rule: None, label: None };
    Some(Rule {
        provenance: Some(Arc::new(provenance)),
        ..Rule::new(Vec::new(), policy::target(tier.otherwise))
    })
}
