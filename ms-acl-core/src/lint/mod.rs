//! The traps: what is in force as it was written, and hardly what its author meant.
//!
//! [`lint`] looks at a whole cluster and the settings; [`network_policy`] looks at one object as it
//! was written, for what is gone once it is lowered. Each [`Finding`] names the place and a remedy. The
//! outcome is in a fixed order and depends on the objects only.
//!
//! A file for each kind of trap:
//! what is invalid or doesn't fit together ([`Check::InvalidObject`] and the like), selectors, named ports,
//! blocks of addresses, ordered ACL lists, egress that cuts DNS or the API server, pods on the host network, and what
//! is written twice or needn't be.

mod acl;
mod block;
mod egress;
mod host_network;
mod named_port;
mod object;
mod redundant;
mod selector;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::cluster::Cluster;
use crate::model::{
    Diagnostic, NamespaceScope, PodFacts, PodScope, Policy, PolicyRule, Section, Settings, Severity, Subject,
};
use crate::ruleset::{Direction, ObjectRef};

pub use object::network_policy;

/// Which trap. Its name in text and JSON is the variant's in `kebab-case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// An object isn't in force as it was written.
    InvalidObject,
    /// An ACL entry names a Deployment that doesn't exist.
    MissingDeployment,
    /// Several Deployments select a pod that nobody owns.
    AmbiguousDeployment,
    /// A network is written with host bits.
    HostBits,
    /// Two pods claim one address.
    AddressClaimedTwice,
    /// Rules of a type that the policy doesn't declare.
    IgnoredRules,
    /// A selector matches no pod, or no namespace.
    SelectorMatchesNothing,
    /// Two items of a peer list look as if they were meant as one.
    EitherNotBoth,
    /// A policy selects pods on the host network, which it can't govern or match.
    HostNetworkPods,
    /// A named port that no pod in question has.
    UnresolvedNamedPort,
    /// A named port beside a block of addresses.
    NamedPortWithBlock,
    /// A block of addresses that are pods'.
    BlockOverPods,
    /// A block whose holes leave nothing.
    EmptyBlock,
    /// A rule for one family, on pods that have both.
    OneFamilyOnly,
    /// Something that lies outside of the range that Kubernetes policy judges.
    OutsidePodIpRange,
    /// An ACL rule that earlier ones leave nothing.
    UnreachableRule,
    /// An ACL list that ends in a refusal of one family and leaves the other to the default action.
    FamilyLeftOpen,
    /// An ACL entry under a refusing default action that has egress rules only.
    IngressUngoverned,
    /// Egress is restricted and name resolution isn't allowed.
    MissingDns,
    /// Egress is restricted and the API server isn't allowed.
    ApiServerCut,
    /// Two policies say the same.
    IdenticalPolicies,
    /// A rule beside one that allows everything.
    RedundantRule,
}

impl Check {
    /// Its name: `unresolved-named-port`.
    pub fn as_str(self) -> &'static str {
        match self {
            Check::InvalidObject => "invalid-object",
            Check::MissingDeployment => "missing-deployment",
            Check::AmbiguousDeployment => "ambiguous-deployment",
            Check::HostBits => "host-bits",
            Check::AddressClaimedTwice => "address-claimed-twice",
            Check::IgnoredRules => "ignored-rules",
            Check::SelectorMatchesNothing => "selector-matches-nothing",
            Check::EitherNotBoth => "either-not-both",
            Check::HostNetworkPods => "host-network-pods",
            Check::UnresolvedNamedPort => "unresolved-named-port",
            Check::NamedPortWithBlock => "named-port-with-block",
            Check::BlockOverPods => "block-over-pods",
            Check::EmptyBlock => "empty-block",
            Check::OneFamilyOnly => "one-family-only",
            Check::OutsidePodIpRange => "outside-pod-ip-range",
            Check::UnreachableRule => "unreachable-rule",
            Check::FamilyLeftOpen => "family-left-open",
            Check::IngressUngoverned => "ingress-ungoverned",
            Check::MissingDns => "missing-dns",
            Check::ApiServerCut => "api-server-cut",
            Check::IdenticalPolicies => "identical-policies",
            Check::RedundantRule => "redundant-rule",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A trap that was found. As JSON: `check`, `severity`, `object`, `path`, `detail`, `remedy`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The place, how much it matters, and what follows from it.
    pub diagnostic: Diagnostic,
    /// Which trap.
    pub check: Check,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Finding {
    /// Two lines: the diagnostic with the check's name, and the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]\n    remedy: {}", self.diagnostic, self.check, self.remedy)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut finding = serializer.serialize_struct("Finding", 6)?;
        finding.serialize_field("check", self.check.as_str())?;
        finding.serialize_field("severity", &self.diagnostic.severity.to_string())?;
        finding.serialize_field("object", &self.diagnostic.object.to_string())?;
        finding.serialize_field("path", &self.diagnostic.path)?;
        finding.serialize_field("detail", &self.diagnostic.detail)?;
        finding.serialize_field("remedy", &self.remedy)?;
        finding.end()
    }
}

/// Looks for traps. Ordered by object, place and check.
pub fn lint(cluster: &Cluster, settings: &Settings) -> Vec<Finding> {
    let scene = Scene::new(cluster, settings);
    let checks: [fn(&Scene<'_>) -> Vec<Finding>; 8] = [
        object::check,
        selector::check,
        host_network::check,
        named_port::check,
        block::check,
        acl::check,
        egress::check,
        redundant::check,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(&scene)).collect();
    sort(&mut findings);
    findings
}

/// Orders findings by object, place and check, and leaves out what is there twice: for those who put the
/// findings of [`lint`] and [`network_policy`] together.
pub fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.diagnostic.object.clone(), f.diagnostic.path.clone(), f.check);
        key(a).cmp(&key(b)).then_with(|| a.cmp(b))
    });
    findings.dedup();
}

/// What the checks look at.
struct Scene<'a> {
    cluster: &'a Cluster,
    settings: &'a Settings,
    /// The NetworkPolicies that are in force as they were written, each with the pods that it selects,
    /// on the host network and without an address too.
    policies: Vec<(&'a Arc<Policy>, Vec<&'a PodFacts>)>,
}

impl<'a> Scene<'a> {
    fn new(cluster: &'a Cluster, settings: &'a Settings) -> Self {
        let diagnostics = cluster.diagnostics();
        let wrong = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let invalid: BTreeSet<&ObjectRef> = wrong.map(|diagnostic| &diagnostic.object).collect();
        let valid = cluster.network_policies().filter(|policy| !invalid.contains(&policy.object));
        let policies = valid.map(|policy| {
            let Subject::Pods(scope) = &policy.subject else { return (policy, Vec::new()) };
            let pods = cluster.pods_of(&policy.object.namespace);
            (policy, pods.filter(|pod| cluster.in_scope(pod, scope)).collect())
        });
        Scene { cluster, settings, policies: policies.collect() }
    }

    /// The pods that have an address of their own.
    fn live(&self) -> impl Iterator<Item = &'a PodFacts> {
        let cluster = self.cluster;
        cluster.pods().filter(|pod| is_live(cluster, pod))
    }

    /// The pods of a scope, on the host network and without an address too.
    fn pods_in<'s>(&'s self, scope: &'s PodScope) -> Box<dyn Iterator<Item = &'s PodFacts> + 's> {
        let cluster = self.cluster;
        match &scope.namespaces {
            NamespaceScope::Named(name) => {
                Box::new(cluster.pods_of(name).filter(|pod| scope.pods.matches(&pod.labels)))
            }
            NamespaceScope::Selected(_) => {
                Box::new(cluster.pods().filter(|pod| cluster.in_scope(pod, scope)))
            }
        }
    }

    /// Every rule of every NetworkPolicy, with its policy and the pods that the policy selects.
    fn rules(&self) -> impl Iterator<Item = RuleOf<'_>> {
        self.policies.iter().flat_map(|(policy, pods)| {
            Direction::BOTH.into_iter().flat_map(move |direction| {
                let section = policy.section(direction).map(|section| &section.rules);
                section.into_iter().flatten().map(move |rule| RuleOf { policy, direction, rule, pods })
            })
        })
    }

    /// The entries of the ACL document with their place in it.
    fn acl(&self) -> impl Iterator<Item = (String, &'a Policy)> {
        let policies = self.cluster.acl().policies().iter().enumerate();
        policies.map(|(index, policy)| (format!("/deployments/{index}"), &**policy))
    }

    /// The pods of each Deployment.
    fn pods_by_deployment(&self) -> BTreeMap<(&'a str, &'a str), Vec<&'a PodFacts>> {
        let mut pods: BTreeMap<(&str, &str), Vec<&PodFacts>> = BTreeMap::new();
        for pod in self.cluster.pods() {
            if let Some(name) = self.cluster.deployment_of(pod) {
                pods.entry((&pod.namespace, name)).or_default().push(pod);
            }
        }
        pods
    }
}

/// A rule of a NetworkPolicy and what is around it.
struct RuleOf<'s> {
    policy: &'s Policy,
    direction: Direction,
    rule: &'s PolicyRule,
    pods: &'s [&'s PodFacts],
}

impl RuleOf<'_> {
    /// Its place: `/spec/ingress/0`.
    fn path(&self) -> String {
        format!("/spec/{}/{}", self.direction, self.rule.index)
    }

    /// The place of one of its peers: `/spec/ingress/0/from/1`.
    fn peer_path(&self, index: usize) -> String {
        let list = match self.direction {
            Direction::Egress => "to",
            Direction::Ingress => "from",
        };
        format!("{}/{list}/{index}", self.path())
    }

    /// A finding about it.
    fn finding(&self, check: Check, severity: Severity, path: String, texts: (String, &str)) -> Finding {
        finding(check, severity, (&self.policy.object, path), texts)
    }
}

/// A finding, with what follows and what to do.
fn finding(
    check: Check,
    severity: Severity,
    (object, path): (&ObjectRef, String),
    (detail, remedy): (String, &str),
) -> Finding {
    let diagnostic = Diagnostic { object: object.clone(), path, severity, detail };
    Finding { diagnostic, check, remedy: remedy.to_owned() }
}

fn is_live(cluster: &Cluster, pod: &PodFacts) -> bool {
    cluster.addresses_of(pod).next().is_some()
}

/// A policy's sections with their direction.
fn sections(policy: &Policy) -> impl Iterator<Item = (Direction, &Section)> {
    Direction::BOTH.into_iter().filter_map(|direction| Some((direction, policy.section(direction)?)))
}

/// At most this many names are listed.
const FEW: usize = 3;

/// Pods in words: `pod a/x`, `pods a/x, a/y and 3 more`.
fn pods_in_words(pods: &[&PodFacts]) -> String {
    let names = pods.iter().map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
    let noun = if pods.len() == 1 { "pod" } else { "pods" };
    format!("{noun} {}", list_in_words(names))
}

/// Names in words: `x, y, z and 3 more`.
fn list_in_words(names: Vec<String>) -> String {
    let count = names.len();
    let named = names.into_iter().take(FEW).collect::<Vec<_>>().join(", ");
    if count > FEW { format!("{named} and {} more", count - FEW) } else { named }
}
