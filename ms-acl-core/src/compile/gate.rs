//! Gates and groups: what of a direction is equal for several pods stands in the kernel once.

use std::sync::Arc;

use super::name::Identity;
use super::networks;
use super::policy;
use super::sets::{Content, SetSpec};
use crate::model::{Action, Block, Marks, Settings};
use crate::resolve::{Gate, Tier};
use crate::ruleset::{
    Chain, ChainName, Comment, Direction, Family, GateKind, Match, ObjectRef, Provenance, Rule, SetKey,
    SetRole, States, Target,
};

/// The names of the chains that one direction of a pod needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupNames {
    /// The group's chain: pods with equal gates share it.
    pub(crate) group: ChainName,
    /// The chains of its gates, in order.
    pub(crate) gates: Vec<GateNames>,
}

/// The names of the chains that one gate needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GateNames {
    /// The gate's chain.
    pub(crate) gate: ChainName,
    /// The chains of its policies: for each tier, in order.
    pub(crate) policies: Vec<Vec<ChainName>>,
}

/// The names of the chains for one direction's gates; `None` = ungoverned.
pub(crate) fn names(gates: &[Gate], direction: Direction) -> Option<GroupNames> {
    if gates.is_empty() {
        return None;
    }
    let gates: Vec<GateNames> = gates.iter().map(|gate| gate_names(gate, direction)).collect();
    let mut identity = Identity::new("group");
    identity.direction(direction);
    for gate in &gates {
        identity.chain(&gate.gate);
    }
    let kind = match direction {
        Direction::Egress => 'E',
        Direction::Ingress => 'I',
    };
    Some(GroupNames { group: identity.chain_name(kind), gates })
}

/// The names of the chains of one gate.
pub(crate) fn gate_names(gate: &Gate, direction: Direction) -> GateNames {
    let mut identity = Identity::new("gate");
    identity.direction(direction);
    identity.gate(gate.kind);
    let mut policies = Vec::with_capacity(gate.tiers.len());
    for (index, tier) in gate.tiers.iter().enumerate() {
        let name = |resolved| policy::name(resolved, direction, gate.kind, index);
        let names: Vec<ChainName> = tier.policies.iter().map(name).collect();
        identity.number(names.len());
        for name in &names {
            identity.chain(name);
        }
        identity.action(tier.otherwise);
        policies.push(names);
    }
    GateNames { gate: identity.chain_name('G'), policies }
}

/// The chain of a group.
pub(crate) fn group_chain(names: &GroupNames, gates: &[Gate], direction: Direction) -> Chain {
    let invalid = Rule::new(vec![Match::State(States::INVALID)], Target::Drop);
    let jumps = names.gates.iter().map(|gate| Rule::new(Vec::new(), Target::Jump(gate.gate.clone())));
    let rules = std::iter::once(invalid).chain(jumps).collect();
    let kinds: Vec<String> = gates.iter().map(|gate| gate.kind.to_string()).collect();
    let title = format!("{direction} of pods under {}", kinds.join(" and "));
    Chain { rules, title, ..Chain::default() }
}

/// The chain of a gate, and the sets that it names.
pub(crate) fn gate_chain(
    names: &GateNames,
    gate: &Gate,
    settings: &Settings,
    (direction, family): (Direction, Family),
) -> (Chain, Vec<SetSpec>) {
    let marks = settings.marks;
    let mut sets = Vec::new();
    let mut rules = vec![clear(marks)];
    if gate.kind == GateKind::Kubernetes {
        rules.extend(outside_range(settings, direction, family, &mut sets));
    }
    for (tier, chains) in gate.tiers.iter().zip(&names.policies) {
        for (resolved, chain) in tier.policies.iter().zip(chains) {
            rules.extend(ask(chain, Some(comment(gate.kind, &resolved.policy.object)), marks));
        }
        rules.extend(otherwise(gate.kind, tier, direction));
    }
    let title = format!("{direction} gate {}", gate.kind);
    (Chain { rules, title, ..Chain::default() }, sets)
}

/// A gate begins without the marks of the one before.
pub(crate) fn clear(marks: Marks) -> Rule {
    Rule::new(Vec::new(), Target::SetMark { value: 0, mask: marks.pass | marks.next })
}

/// A gate asks a policy: what it lets pass is done with this gate.
pub(crate) fn ask(policy: &ChainName, comment: Option<Comment>, marks: Marks) -> [Rule; 2] {
    let passed = Match::Mark { value: marks.pass, mask: marks.pass };
    [
        Rule { comment, ..Rule::new(Vec::new(), Target::Jump(policy.clone())) },
        Rule::new(vec![passed], Target::Return),
    ]
}

/// The text on a gate's jump to a policy's chain: by it a person, and a later run, knows whose it is.
pub(crate) fn comment(gate: GateKind, object: &ObjectRef) -> Comment {
    let kind = match gate {
        GateKind::Acl => "acl",
        GateKind::EgressFirewall => "egressfw",
        GateKind::Kubernetes => "netpol",
    };
    Comment::new(&format!("{kind} {}/{}", object.namespace, object.name))
}

/// Flows whose other end lies outside of the range that Kubernetes policy controls pass its gate.
fn outside_range(
    settings: &Settings,
    direction: Direction,
    family: Family,
    sets: &mut Vec<SetSpec>,
) -> Option<Rule> {
    let blocks: Vec<Block> =
        settings.pod_ip_range(family).into_iter().map(|net| Block { net, except: Vec::new() }).collect();
    let range = networks::union(&blocks, family);
    if range.iter().any(|net| net.prefix_len() == 0) {
        return None;
    }
    let outside = match (&range[..], direction) {
        ([], _) => return None,
        ([net], Direction::Egress) => Match::NotDestination(*net),
        ([net], Direction::Ingress) => Match::NotSource(*net),
        (_, direction) => {
            let spec = SetSpec::new(SetRole::Refuse, family, Content::Networks(range));
            let key = match direction {
                Direction::Egress => SetKey::Destination,
                Direction::Ingress => SetKey::Source,
            };
            let outside = Match::NotInSet(spec.name.clone(), key);
            sets.push(spec);
            outside
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
