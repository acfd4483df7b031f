//! Objects that are invalid, don't fit together, or say what isn't heard.

use super::{Check, Finding, Scene, finding};
use crate::lower::acl::AclDocument;
use crate::model::{Diagnostic, Severity};
use crate::object::{IpBlock, NetworkPolicy};
use crate::ruleset::ObjectRef;

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = scene.cluster.diagnostics().into_iter().map(known).collect();
    for warning in scene.cluster.acl().warnings() {
        let object = object_at(scene, &warning.path);
        let place = (&object, warning.path.clone());
        let remedy = "write the network that is meant";
        findings.push(finding(Check::HostBits, Severity::Warning, place, (warning.detail.clone(), remedy)));
    }
    findings.extend(claimed_twice(scene));
    findings
}

/// What the cluster itself found.
fn known(diagnostic: Diagnostic) -> Finding {
    let (check, remedy) = match (diagnostic.severity, diagnostic.object.kind) {
        (Severity::Error, _) => {
            (Check::InvalidObject, "correct what is named; the API server refuses such an object too")
        }
        (_, AclDocument::KIND) => {
            (Check::MissingDeployment, "correct namespace and name, or create the Deployment")
        }
        _ => (
            Check::AmbiguousDeployment,
            "make the Deployments' selectors distinct, or let a Deployment own the pod",
        ),
    };
    Finding { diagnostic, check, remedy: remedy.to_owned() }
}

/// The ACL entry that a place in the document belongs to.
fn object_at(scene: &Scene<'_>, path: &str) -> ObjectRef {
    let entry = scene
        .acl()
        .find(|(entry, _)| path.strip_prefix(entry.as_str()).is_some_and(|rest| rest.starts_with('/')));
    entry.map_or_else(
        || ObjectRef::new(AclDocument::KIND, "", "document"),
        |(_, policy)| policy.object.clone(),
    )
}

fn claimed_twice(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in scene.cluster.pods() {
        for address in &pod.addresses {
            let holder = scene.cluster.pod_at(*address);
            if let Some(holder) =
                holder.filter(|holder| holder.namespace != pod.namespace || holder.name != pod.name)
            {
                let object = ObjectRef::new("Pod", &*pod.namespace, &*pod.name);
                let detail = format!(
                    "claims {address}, which the newer pod {}/{} has: no policy treats it as this pod's",
                    holder.namespace, holder.name
                );
                let place = (&object, "/status/podIPs".to_owned());
                let remedy = "nothing, if this pod is about to go; else two pods have one address";
                findings.push(finding(
                    Check::AddressClaimedTwice,
                    Severity::Warning,
                    place,
                    (detail, remedy),
                ));
            }
        }
    }
    findings
}

/// Looks for traps in a NetworkPolicy as it was written: those that are gone once it is lowered.
pub fn network_policy(policy: &NetworkPolicy) -> Vec<Finding> {
    let object = ObjectRef::new("NetworkPolicy", &policy.metadata.namespace, &policy.metadata.name);
    let spec = &policy.spec;
    let mut findings = Vec::new();
    let declares = |name: &str| spec.policy_types.iter().any(|kind| kind == name);
    for (name, list, count) in
        [("Ingress", "ingress", spec.ingress.len()), ("Egress", "egress", spec.egress.len())]
    {
        if count > 0 && !spec.policy_types.is_empty() && !declares(name) {
            let detail = format!(
                "policyTypes doesn't list {name}, so these rules are ignored and {list} isn't restricted by this policy"
            );
            let remedy = format!("add {name} to policyTypes, or remove the rules");
            let place = (&object, format!("/spec/{list}"));
            findings.push(finding(Check::IgnoredRules, Severity::Warning, place, (detail, &remedy)));
        }
    }
    let from = spec.ingress.iter().enumerate().flat_map(|(index, rule)| {
        let peers = rule.from.iter().enumerate();
        peers.map(move |(peer, item)| (format!("/spec/ingress/{index}/from/{peer}"), item))
    });
    let to = spec.egress.iter().enumerate().flat_map(|(index, rule)| {
        let peers = rule.to.iter().enumerate();
        peers.map(move |(peer, item)| (format!("/spec/egress/{index}/to/{peer}"), item))
    });
    for (path, peer) in from.chain(to) {
        findings.extend(peer.ip_block.iter().flat_map(|block| host_bits(&object, &path, block)));
    }
    findings
}

fn host_bits(object: &ObjectRef, path: &str, block: &IpBlock) -> Vec<Finding> {
    let cidr = std::iter::once((format!("{path}/ipBlock/cidr"), &block.cidr));
    let holes = block.except.iter().enumerate();
    let holes = holes.map(|(index, hole)| (format!("{path}/ipBlock/except/{index}"), hole));
    let all = cidr.chain(holes);
    let masked = all.filter_map(|(path, text)| {
        let net: ipnet::IpNet = text.parse().ok()?;
        (net.trunc() != net).then(|| {
            let detail = format!("{text} has host bits: it means {}", net.trunc());
            let texts = (detail, "write the network that is meant, or a /32 or /128 for a single address");
            finding(Check::HostBits, Severity::Warning, (object, path), texts)
        })
    });
    masked.collect()
}
