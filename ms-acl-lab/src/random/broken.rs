//! Ways in which a NetworkPolicy can be invalid.

use ms_acl_core::object::{
    IntOrString, IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicy, NetworkPolicyEgressRule,
    NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};

use super::Dice;

/// Makes a policy invalid in one way.
pub(super) fn break_policy(dice: &mut Dice, policy: &mut NetworkPolicy) {
    let spec = &mut policy.spec;
    match dice.below(11) {
        10 => dice.pick(&["Bad", "a_b", "a..b", "-a"]).clone_into(&mut policy.metadata.name),
        0 => spec.policy_types = vec!["Ingress".to_owned(), "Egress".to_owned(), "Ingress".to_owned()],
        1 => spec.pod_selector = selector(dice),
        2..=5 => {
            let (from, ports) = (Vec::new(), vec![port(dice)]);
            if dice.chance(50) {
                spec.ingress.push(NetworkPolicyIngressRule { from, ports });
            } else {
                spec.egress.push(NetworkPolicyEgressRule { to: from, ports });
            }
        }
        _ => {
            let (from, ports) = (vec![peer(dice)], Vec::new());
            if dice.chance(50) {
                spec.ingress.push(NetworkPolicyIngressRule { from, ports });
            } else {
                spec.egress.push(NetworkPolicyEgressRule { to: from, ports });
            }
        }
    }
}

fn port(dice: &mut Dice) -> NetworkPolicyPort {
    let number = |number: i64| Some(IntOrString::Int(number));
    let name = |name: &str| Some(IntOrString::String(name.to_owned()));
    let (port, end_port) = dice.pick(&[
        (number(0), None),
        (number(65536), None),
        (number(80), Some(79)),
        (number(80), Some(65536)),
        (name("http"), Some(80)),
        (None, Some(80)),
        (name("80"), None),
        (name("HTTP"), None),
        (name("a--b"), None),
        (name("far-too-long-name"), None),
    ]);
    let protocol = dice.chance(15).then(|| dice.pick(&["tcp", "ICMP", ""]).to_owned());
    NetworkPolicyPort { protocol, port, end_port }
}

fn peer(dice: &mut Dice) -> NetworkPolicyPeer {
    let block = |cidr: &str, except: &[&str]| {
        let except = except.iter().map(|&hole| hole.to_owned()).collect();
        Some(IpBlock { cidr: cidr.to_owned(), except })
    };
    let everyone = Some(LabelSelector::default());
    let nobody = NetworkPolicyPeer::default();
    match dice.below(10) {
        0 => nobody,
        1 => NetworkPolicyPeer { ip_block: block("10.0.0.0/8", &[]), pod_selector: everyone, ..nobody },
        2 => NetworkPolicyPeer { ip_block: block("10.0.0.0/8", &[]), namespace_selector: everyone, ..nobody },
        3 => NetworkPolicyPeer { ip_block: block("10.0.0.0/8", &["10.0.0.0/8"]), ..nobody },
        4 => NetworkPolicyPeer { ip_block: block("10.0.0.0/8", &["11.0.0.0/9"]), ..nobody },
        5 => NetworkPolicyPeer { ip_block: block("0.0.0.0/0", &["fd00::/8"]), ..nobody },
        6 => NetworkPolicyPeer { ip_block: block("10.0.0.1", &[]), ..nobody },
        7 => NetworkPolicyPeer { ip_block: block("10.0.0.0/33", &[]), ..nobody },
        8 => NetworkPolicyPeer { namespace_selector: Some(selector(dice)), ..nobody },
        _ => NetworkPolicyPeer { pod_selector: Some(selector(dice)), ..nobody },
    }
}

fn selector(dice: &mut Dice) -> LabelSelector {
    let requirement = |key: &str, operator: &str, values: &[&str]| LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    };
    let broken = dice.pick(&[
        requirement("app", "In", &[]),
        requirement("app", "NotIn", &[]),
        requirement("app", "Exists", &["web"]),
        requirement("app", "DoesNotExist", &["web"]),
        requirement("app", "in", &["web"]),
        requirement("", "Exists", &[]),
        requirement("a b", "DoesNotExist", &[]),
        requirement("app", "NotIn", &["not a label"]),
    ]);
    LabelSelector { match_expressions: vec![broken], ..LabelSelector::default() }
}
