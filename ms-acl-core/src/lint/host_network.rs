//! Pods on the host network: policies select them and can't govern or match them.

use super::{Check, Finding, Scene, finding, pods_in_words};
use crate::model::{Peer, Peers, PodFacts, PodScope, Severity, Subject};

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (policy, pods) in &scene.policies {
        let Subject::Pods(scope) = &policy.subject else { continue };
        if let Some((severity, pods)) = among(pods, scope) {
            let detail = format!(
                "selects {pods}, on the host network, where no policy governs: traffic there looks like the node's"
            );
            let remedy = "govern the node by other means, or take the pods off the host network";
            let place = (&policy.object, "/spec/podSelector".to_owned());
            findings.push(finding(Check::HostNetworkPods, severity, place, (detail, remedy)));
        }
    }
    for rule in scene.rules() {
        let Peers::Of(peers) = &rule.rule.peers else { continue };
        for (index, peer) in peers.iter().enumerate() {
            let Peer::Pods(scope) = peer else { continue };
            let pods: Vec<&PodFacts> = scene.pods_in(scope).collect();
            if let Some((severity, pods)) = among(&pods, scope) {
                let detail =
                    format!("means {pods} too, on the host network: no selector matches their traffic");
                let remedy = "name the nodes' addresses by ipBlock";
                let path = rule.peer_path(index);
                findings.push(rule.finding(Check::HostNetworkPods, severity, path, (detail, remedy)));
            }
        }
    }
    findings
}

/// The pods on the host network among those of a scope, in words. Where the scope means everything,
/// or others too, they may well be there by the way.
fn among(pods: &[&PodFacts], scope: &PodScope) -> Option<(Severity, String)> {
    let host: Vec<&PodFacts> = pods.iter().copied().filter(|pod| pod.host_network).collect();
    if host.is_empty() {
        return None;
    }
    let only = host.len() == pods.len();
    let severity = if only && !scope.pods.is_everything() { Severity::Warning } else { Severity::Note };
    Some((severity, pods_in_words(&host)))
}
