//! Selectors that match nothing, and peers that say either where both was meant.

use super::{Check, Finding, RuleOf, Scene, finding};
use crate::model::{NamespaceScope, Peer, Peers, PodScope, Severity, Subject};
use crate::ruleset::Direction;

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (policy, pods) in &scene.policies {
        if let (Subject::Pods(scope), true) = (&policy.subject, pods.is_empty()) {
            let (severity, why) = nothing(scene, scope);
            let detail = format!("selects {scope}, and {why}: the policy isolates nobody");
            let remedy = "compare the labels with those of the pods, or remove the policy";
            let place = (&policy.object, "/spec/podSelector".to_owned());
            findings.push(finding(Check::SelectorMatchesNothing, severity, place, (detail, remedy)));
        }
    }
    for rule in scene.rules() {
        let Peers::Of(peers) = &rule.rule.peers else { continue };
        for (index, peer) in peers.iter().enumerate() {
            if let Peer::Pods(scope) = peer {
                findings.extend(peer_matches_nothing(scene, &rule, index, scope));
            }
        }
        findings.extend(either_not_both(&rule, peers));
    }
    findings
}

fn peer_matches_nothing(
    scene: &Scene<'_>,
    rule: &RuleOf<'_>,
    index: usize,
    scope: &PodScope,
) -> Option<Finding> {
    if scene.pods_in(scope).next().is_some() {
        return None;
    }
    let (severity, why) = nothing(scene, scope);
    let (direction, field) = match &scope.namespaces {
        NamespaceScope::Selected(selector) if !namespaces(scene, selector).is_empty() => {
            (rule.direction, "podSelector")
        }
        NamespaceScope::Selected(_) => (rule.direction, "namespaceSelector"),
        NamespaceScope::Named(_) => (rule.direction, "podSelector"),
    };
    let does = match direction {
        Direction::Egress => "opens the way to nobody",
        Direction::Ingress => "lets nobody in",
    };
    let detail = format!("means {scope}, and {why}: this peer {does}");
    let remedy = "compare the labels with those of the pods and namespaces, or remove the peer";
    let path = format!("{}/{field}", rule.peer_path(index));
    Some(rule.finding(Check::SelectorMatchesNothing, severity, path, (detail, remedy)))
}

fn namespaces<'a>(scene: &Scene<'a>, selector: &crate::model::Selector) -> Vec<&'a str> {
    let all = scene.cluster.namespaces().into_iter();
    all.filter(|name| scene.cluster.namespace_matches(name, selector)).collect()
}

/// Why a scope has no pods. Where no pods are known at all, that is no more than worth knowing.
fn nothing(scene: &Scene<'_>, scope: &PodScope) -> (Severity, String) {
    let none_known = (Severity::Note, "no pod is known there".to_owned());
    match &scope.namespaces {
        NamespaceScope::Named(name) => match scene.cluster.pods_of(name).next() {
            Some(_) => (Severity::Warning, format!("no pod of namespace {name} has such labels")),
            None => none_known,
        },
        NamespaceScope::Selected(selector) => {
            let matching = namespaces(scene, selector);
            if scene.cluster.pods().next().is_none() {
                none_known
            } else if matching.is_empty() {
                (Severity::Warning, format!("no namespace matches {selector}"))
            } else if matching.iter().all(|name| scene.cluster.pods_of(name).next().is_none()) {
                none_known
            } else {
                (Severity::Warning, "no pod there has such labels".to_owned())
            }
        }
    }
}

/// `- namespaceSelector: …` and `- podSelector: …` one after the other: two items, so either will do.
fn either_not_both(rule: &RuleOf<'_>, peers: &[Peer]) -> Option<Finding> {
    let index = peers.windows(2).position(|pair| {
        let kinds = pair.iter().map(kind).collect::<Option<Vec<_>>>();
        kinds.is_some_and(|kinds| kinds[0] != kinds[1])
    })?;
    let detail = format!(
        "items {index} and {} are two peers, and either will do: all pods of the selected namespaces, and the selected pods of the policy's own",
        index + 1
    );
    let remedy = "if a pod must match both, write namespaceSelector and podSelector in one item";
    let list = rule.peer_path(index);
    Some(rule.finding(Check::EitherNotBoth, Severity::Note, list, (detail, remedy)))
}

/// Half of a scope that could be meant to be one: namespaces only, or pods only.
#[derive(PartialEq)]
enum Half {
    Namespaces,
    Pods,
}

fn kind(peer: &Peer) -> Option<Half> {
    match peer {
        Peer::Pods(PodScope { namespaces: NamespaceScope::Selected(_), pods }) if pods.is_everything() => {
            Some(Half::Namespaces)
        }
        Peer::Pods(PodScope { namespaces: NamespaceScope::Named(_), pods }) if !pods.is_everything() => {
            Some(Half::Pods)
        }
        _ => None,
    }
}
