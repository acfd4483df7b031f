//! What is written twice, or needn't be.

use super::{Check, Finding, Scene, finding, sections};
use crate::model::{Peers, Ports, Severity};

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, (policy, _)) in scene.policies.iter().enumerate() {
        let same = scene.policies[..index].iter().find(|(earlier, _)| {
            earlier.subject == policy.subject
                && earlier.object.namespace == policy.object.namespace
                && earlier.ingress == policy.ingress
                && earlier.egress == policy.egress
        });
        if let Some((earlier, _)) = same {
            let detail = format!("says the same as {}", earlier.object);
            let place = (&policy.object, String::new());
            let remedy = "remove one of the two";
            findings.push(finding(Check::IdenticalPolicies, Severity::Note, place, (detail, remedy)));
        }
        for (direction, section) in sections(policy) {
            let everything =
                section.rules.iter().find(|rule| rule.peers == Peers::Any && rule.ports == Ports::Any);
            if let Some(rule) = everything
                && section.rules.len() > 1
            {
                let detail =
                    format!("allows everything, so the other {direction} rules of the policy change nothing");
                let place = (&policy.object, format!("/spec/{direction}/{}", rule.index));
                let remedy = "remove this rule, or the others";
                findings.push(finding(Check::RedundantRule, Severity::Note, place, (detail, remedy)));
            }
        }
    }
    findings
}
