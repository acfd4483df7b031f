//! NetworkPolicies of every shape.

use std::net::IpAddr;

use ms_acl_core::object::{
    IntOrString, IpBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
    NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};

use super::pod::{MORE_PORT_NAMES, PORT_NAMES, PORTS};
use super::selector::{NAMESPACE, POD, selector};
use super::{Dice, Shape, address, broken, workload};

/// All policies of a cluster; blocks lie around these addresses.
pub(super) fn policies(
    dice: &mut Dice,
    shape: &Shape,
    namespaces: &[String],
    around: &[IpAddr],
) -> Vec<NetworkPolicy> {
    let mut policies: Vec<NetworkPolicy> = Vec::new();
    for number in 0..dice.between(0, shape.max_policies) {
        let name = match dice.below(10) {
            0 => "app-x".to_owned(),
            1 => "pp-x".to_owned(),
            2 => "n".repeat(253),
            _ => format!("policy-{number}"),
        };
        let metadata = workload::named(&dice.pick(namespaces), &name);
        let mut policy = NetworkPolicy { metadata, spec: spec(dice, around) };
        if !shape.valid_only && dice.chance(6) {
            broken::break_policy(dice, &mut policy);
        }
        let taken = |other: &NetworkPolicy| other.metadata == policy.metadata;
        if !policies.iter().any(taken) {
            policies.push(policy);
        }
    }
    policies
}

fn spec(dice: &mut Dice, around: &[IpAddr]) -> NetworkPolicySpec {
    let types: [&[&str]; 7] = [
        &[],
        &[],
        &["Ingress"],
        &["Egress"],
        &["Ingress", "Egress"],
        &["Egress", "Ingress"],
        &["Egress", "Egress"],
    ];
    let types = dice.pick(&types);
    NetworkPolicySpec {
        pod_selector: selector(dice, POD),
        policy_types: types.iter().map(|&name| name.to_owned()).collect(),
        ingress: dice
            .several(0, 3, |dice| NetworkPolicyIngressRule { from: peers(dice, around), ports: ports(dice) }),
        egress: dice
            .several(0, 3, |dice| NetworkPolicyEgressRule { to: peers(dice, around), ports: ports(dice) }),
    }
}

fn peers(dice: &mut Dice, around: &[IpAddr]) -> Vec<NetworkPolicyPeer> {
    match dice.below(40) {
        0..=9 => Vec::new(),
        // More selectors than a set each would be spent on.
        10 => dice.several(10, 16, |dice| NetworkPolicyPeer {
            pod_selector: Some(selector(dice, POD)),
            namespace_selector: dice.chance(60).then(|| selector(dice, NAMESPACE)),
            ..NetworkPolicyPeer::default()
        }),
        _ => dice.several(1, 3, |dice| peer(dice, around)),
    }
}

fn peer(dice: &mut Dice, around: &[IpAddr]) -> NetworkPolicyPeer {
    let mut peer = NetworkPolicyPeer::default();
    match dice.below(6) {
        0..=1 => peer.pod_selector = Some(selector(dice, POD)),
        2 => peer.namespace_selector = Some(selector(dice, NAMESPACE)),
        3 => {
            peer.pod_selector = Some(selector(dice, POD));
            peer.namespace_selector = Some(selector(dice, NAMESPACE));
        }
        _ => peer.ip_block = Some(ip_block(dice, around)),
    }
    peer
}

fn ip_block(dice: &mut Dice, around: &[IpAddr]) -> IpBlock {
    let outer = address::block(dice, around);
    let except = address::holes(dice, outer, around);
    let except = except.into_iter().map(|hole| address::spelled_block(dice, hole)).collect();
    IpBlock { cidr: address::spelled_block(dice, outer), except }
}

fn ports(dice: &mut Dice) -> Vec<NetworkPolicyPort> {
    match dice.below(20) {
        0..=7 => Vec::new(),
        8 => (0..20).map(|step| number(None, 8000 + 3 * step, None)).collect(),
        9 => many_names(dice),
        _ => dice.several(1, 3, port),
    }
}

/// More names than a set each would be spent on.
fn many_names(dice: &mut Dice) -> Vec<NetworkPolicyPort> {
    let protocol = dice.pick(&[None, Some("UDP")]);
    let names = MORE_PORT_NAMES.iter().chain(&PORT_NAMES).map(|&name| NetworkPolicyPort {
        protocol: protocol.map(str::to_owned),
        port: Some(IntOrString::String(name.to_owned())),
        end_port: None,
    });
    names.collect()
}

fn port(dice: &mut Dice) -> NetworkPolicyPort {
    let protocol = dice.pick(&[None, None, Some("TCP"), Some("UDP"), Some("UDP"), Some("SCTP")]);
    match dice.below(10) {
        0 => NetworkPolicyPort { protocol: protocol.map(str::to_owned), port: None, end_port: None },
        1..=3 => {
            let name = if dice.chance(8) { "nope" } else { dice.pick(&PORT_NAMES) };
            let port = Some(IntOrString::String(name.to_owned()));
            NetworkPolicyPort { protocol: protocol.map(str::to_owned), port, end_port: None }
        }
        4..=6 => {
            let mut ends = [dice.pick(&PORTS), dice.pick(&PORTS)].map(i64::from);
            ends.sort_unstable();
            number(protocol, ends[0], Some(ends[1]))
        }
        _ => number(protocol, i64::from(dice.pick(&PORTS)), None),
    }
}

fn number(protocol: Option<&str>, first: i64, last: Option<i64>) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: protocol.map(str::to_owned),
        port: Some(IntOrString::Int(first)),
        end_port: last,
    }
}
