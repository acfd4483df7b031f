//! Restricted egress that cuts what nearly every pod needs: name resolution, and maybe the API server.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::acl::{Kind, networks, ports};
use super::space::Space;
use super::{Check, Finding, Scene, finding, is_live, list_in_words, pods_in_words};
use crate::model::{
    Peer, Peers, PodFacts, Policy, PortMatch, PortRange, PortSpec, Ports, Protocol, Section, Severity,
    Subject,
};
use crate::ruleset::{Family, GateKind, ObjectRef};
use crate::verdict::node_addresses;

/// The port on which names are resolved, where the DNS pods don't say another.
const DNS: u16 = 53;
/// The ports on which API servers are reached after translation.
const API_SERVER: [u16; 2] = [6443, 443];

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let api_servers = api_servers(scene);
    let dns_ports = dns_ports(scene);
    let mut findings = Vec::new();
    for unit in units(scene) {
        findings.extend(dns(scene, &unit, &dns_ports));
        findings.extend(api_server(scene, &unit, &api_servers));
    }
    findings
}

/// Policies that together restrict the egress of pods at one gate.
struct Unit<'a> {
    /// The policies' sections, in order.
    sections: Vec<(&'a Policy, &'a Section)>,
    /// The pods, as far as known.
    pods: Vec<&'a PodFacts>,
    /// The place of the first policy.
    path: String,
}

impl<'a> Unit<'a> {
    fn is_acl(&self) -> bool {
        self.sections.iter().any(|(_, section)| section.gate == GateKind::Acl)
    }

    fn object(&self) -> Option<&'a ObjectRef> {
        Some(&self.sections.first()?.0.object)
    }

    /// Whose egress it restricts, in words, and by which other policies too.
    fn whose(&self) -> String {
        let pods = if self.pods.is_empty() { "the pods".to_owned() } else { pods_in_words(&self.pods) };
        let others: Vec<String> =
            self.sections.iter().skip(1).map(|(policy, _)| policy.object.to_string()).collect();
        if others.is_empty() { pods } else { format!("{pods} (also under {})", list_in_words(others)) }
    }

    fn finding(&self, check: Check, severity: Severity, detail: String, remedy: &str) -> Option<Finding> {
        Some(finding(check, severity, (self.object()?, self.path.clone()), (detail, remedy)))
    }
}

/// One unit for each set of policies that some pod is under, each ACL entry, and each policy whose
/// pods aren't known.
fn units<'a>(scene: &'a Scene<'a>) -> Vec<Unit<'a>> {
    let egress = |policy: &'a Policy| policy.egress.as_ref().map(|section| (policy, section));
    let restricting: Vec<(&'a Policy, &'a Section, &'a [&'a PodFacts])> = scene
        .policies
        .iter()
        .filter_map(|(policy, pods)| egress(policy).map(|(policy, section)| (policy, section, &pods[..])))
        .collect();
    let mut under: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, (_, _, pods)) in restricting.iter().enumerate() {
        for pod in pods.iter().filter(|pod| is_live(scene.cluster, pod)) {
            under.entry((&pod.namespace, &pod.name)).or_default().push(index);
        }
    }
    let mut groups: BTreeMap<Vec<usize>, Vec<&PodFacts>> = BTreeMap::new();
    for ((namespace, name), policies) in under {
        groups.entry(policies).or_default().extend(scene.cluster.pod(namespace, name));
    }
    for (index, (policy, _, pods)) in restricting.iter().enumerate() {
        if !pods.iter().any(|pod| is_live(scene.cluster, pod)) {
            groups.entry(covering(&restricting, index, policy)).or_default();
        }
    }
    let of_policies = groups.into_iter().map(|(policies, pods)| {
        let sections = policies.iter().filter_map(|index| restricting.get(*index));
        Unit {
            sections: sections.map(|(policy, section, _)| (*policy, *section)).collect(),
            pods,
            path: "/spec/egress".to_owned(),
        }
    });
    let by_deployment = scene.pods_by_deployment();
    let of_acl = scene.acl().filter_map(|(path, policy)| {
        let (policy, section) = egress(policy)?;
        let key = (policy.object.namespace.as_str(), policy.object.name.as_str());
        let pods = by_deployment.get(&key).into_iter().flatten().copied();
        let pods = pods.filter(|pod| is_live(scene.cluster, pod)).collect();
        Some(Unit { sections: vec![(policy, section)], pods, path })
    });
    of_policies.chain(of_acl).collect()
}

/// A policy and those that select all that it selects, whoever that is.
fn covering(all: &[(&Policy, &Section, &[&PodFacts])], own: usize, policy: &Policy) -> Vec<usize> {
    let covers = |other: &Policy| {
        other.object.namespace == policy.object.namespace
            && (other.subject == policy.subject
                || matches!(&other.subject, Subject::Pods(scope) if scope.pods.is_everything()))
    };
    let others = all.iter().enumerate();
    others.filter(|(index, (other, _, _))| *index == own || covers(other)).map(|(index, _)| index).collect()
}

/// The ports on which the cluster's DNS pods listen, which is what policy sees after translation: those
/// that they name so, or else 53.
fn dns_ports(scene: &Scene<'_>) -> Vec<u16> {
    let is_dns = |pod: &&PodFacts| pod.labels.get("k8s-app").is_some_and(|app| app == "kube-dns");
    let ports = scene.live().filter(is_dns).flat_map(|pod| pod.ports.iter());
    let mut ports: Vec<u16> = ports
        .filter(|port| port.protocol == Protocol::Udp && port.name.starts_with("dns"))
        .map(|port| port.port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() { vec![DNS] } else { ports }
}

fn dns(scene: &Scene<'_>, unit: &Unit<'_>, numbers: &[u16]) -> Option<Finding> {
    let passes = |protocol| numbers.iter().any(|number| passes_somewhere(scene, unit, protocol, *number));
    let (udp, tcp) = (passes(Protocol::Udp), passes(Protocol::Tcp));
    let whose = unit.whose();
    let port = list_in_words(numbers.iter().map(ToString::to_string).collect());
    let remedy = format!(
        "allow {port}/udp and {port}/tcp, at best only to the DNS pods (namespaceSelector and podSelector in one item)"
    );
    let (severity, detail) = match (udp, tcp) {
        (true, true) => return None,
        (true, false) => (
            Severity::Note,
            format!(
                "allows {port}/udp and nowhere {port}/tcp: {whose} can't resolve names whose answers are too long for UDP"
            ),
        ),
        (false, true) => (
            Severity::Warning,
            format!(
                "allows {port}/tcp and nowhere {port}/udp, with which names are resolved (no protocol means TCP): {whose} can't resolve names"
            ),
        ),
        (false, false) if allows_nothing(unit) => {
            (Severity::Note, format!("allows no egress at all: {whose} can't resolve names either"))
        }
        (false, false) => (
            Severity::Warning,
            format!("restricts egress and allows port {port} nowhere: {whose} can't resolve names"),
        ),
    };
    unit.finding(Check::MissingDns, severity, detail, &remedy)
}

fn allows_nothing(unit: &Unit<'_>) -> bool {
    unit.sections.iter().all(|(_, section)| section.rules.iter().all(|rule| !rule.action.passes()))
}

/// Whether some address may be reached on a port.
fn passes_somewhere(scene: &Scene<'_>, unit: &Unit<'_>, protocol: Protocol, port: u16) -> bool {
    if unit.is_acl() {
        let mut sections = unit.sections.iter();
        return sections.any(|(_, section)| list_passes_somewhere(section, Some(protocol), port));
    }
    let mut rules = unit.sections.iter().flat_map(|(_, section)| &section.rules);
    rules.any(|rule| rule.peers != Peers::Of(Vec::new()) && has_port(scene, &rule.ports, protocol, port))
}

/// The same for an ordered list.
fn list_passes_somewhere(section: &Section, kind: Kind, port: u16) -> bool {
    let wanted = PortRange::single(port);
    let holds =
        |rule: &crate::model::PolicyRule| ports(&rule.ports, kind).iter().any(|range| range.contains(port));
    // All other ports are taken from the start, so that what is free is free for this one.
    let mut spaces = Family::BOTH.map(Space::new);
    let others: Vec<PortRange> = [
        port.checked_sub(1).and_then(|last| PortRange::new(0, last).ok()),
        port.checked_add(1).and_then(|first| PortRange::new(first, u16::MAX).ok()),
    ]
    .into_iter()
    .flatten()
    .collect();
    for space in &mut spaces {
        space.take(&networks(&Peers::Any), &others, usize::MAX);
    }
    for (order, rule) in section.rules.iter().enumerate().filter(|(_, rule)| holds(rule)) {
        for space in &mut spaces {
            if space.take(&networks(&rule.peers), &[wanted], order).fresh && rule.action.passes() {
                return true;
            }
        }
    }
    section.otherwise.passes() && spaces.iter().any(Space::has_free)
}

/// Whether ports hold one of a protocol. A name holds those that some pod gives to it; one that no
/// pod has is another check's matter, and counts if it sounds like name resolution.
fn has_port(scene: &Scene<'_>, ports: &Ports, protocol: Protocol, number: u16) -> bool {
    let holds = |port: &PortMatch| match &port.port {
        PortSpec::Any => true,
        PortSpec::Range(range) => range.contains(number),
        PortSpec::Named(name) => {
            let all = scene.cluster.pods().flat_map(|pod| pod.ports.iter());
            let numbers: Vec<u16> =
                all.filter(|own| own.name == *name && own.protocol == protocol).map(|own| own.port).collect();
            numbers.contains(&number)
                || (numbers.is_empty()
                    && number == DNS
                    && (name.starts_with("dns") || name.starts_with("domain")))
        }
    };
    match ports {
        Ports::Any => true,
        Ports::Of(ports) => ports.iter().any(|port| port.protocol == protocol && holds(port)),
    }
}

/// The addresses of API servers, as far as objects tell: those of control plane nodes, and of nodes on
/// which an API server's pod runs.
fn api_servers(scene: &Scene<'_>) -> Vec<IpAddr> {
    let labelled = scene.cluster.nodes().filter(|node| {
        let labels = &node.metadata.labels;
        ["control-plane", "master"]
            .iter()
            .any(|role| labels.contains_key(&format!("node-role.kubernetes.io/{role}")))
    });
    let of_pods = scene.cluster.pods_of("kube-system").filter(|pod| {
        pod.host_network && pod.labels.get("component").is_some_and(|component| component == "kube-apiserver")
    });
    let names =
        labelled.map(|node| node.metadata.name.clone()).chain(of_pods.map(|pod| pod.node.to_string()));
    let mut addresses: Vec<IpAddr> =
        names.flat_map(|name| node_addresses(scene.cluster, &name).collect::<Vec<_>>()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn api_server(scene: &Scene<'_>, unit: &Unit<'_>, known: &[IpAddr]) -> Option<Finding> {
    let reached = if known.is_empty() {
        API_SERVER.iter().any(|port| passes_outside(scene, unit, *port))
    } else {
        known.iter().any(|address| API_SERVER.iter().any(|port| passes_to(scene, unit, *address, *port)))
    };
    if reached {
        return None;
    }
    let whose = unit.whose();
    let detail = if known.is_empty() {
        format!(
            "allows 443/tcp and 6443/tcp to no address that isn't a pod's: {whose} can't reach the API server"
        )
    } else {
        let addresses = list_in_words(known.iter().map(ToString::to_string).collect());
        format!("allows neither 443/tcp nor 6443/tcp to the API server's {addresses}: {whose} can't reach it")
    };
    let needs = unit.pods.iter().any(|pod| &*pod.namespace == "kube-system")
        || unit.object().is_some_and(|object| object.namespace == "kube-system");
    let severity = if needs { Severity::Warning } else { Severity::Note };
    let remedy = "if they need it, allow its port after translation (6443 as a rule) to the control plane nodes' addresses by ipBlock";
    unit.finding(Check::ApiServerCut, severity, detail, remedy)
}

/// Whether some address that isn't a pod's may be reached on a TCP port.
fn passes_outside(scene: &Scene<'_>, unit: &Unit<'_>, port: u16) -> bool {
    if unit.is_acl() {
        return passes_somewhere(scene, unit, Protocol::Tcp, port);
    }
    let outside = |peers: &Peers| match peers {
        Peers::Any => true,
        Peers::Of(peers) => peers.iter().any(|peer| matches!(peer, Peer::Block(_))),
    };
    let mut rules = unit.sections.iter().flat_map(|(_, section)| &section.rules);
    rules.any(|rule| outside(&rule.peers) && has_port(scene, &rule.ports, Protocol::Tcp, port))
}

/// Whether an address that isn't a pod's may be reached on a TCP port.
fn passes_to(scene: &Scene<'_>, unit: &Unit<'_>, address: IpAddr, port: u16) -> bool {
    let range = scene.settings.pod_ip_range(Family::of(address));
    if !unit.is_acl() && !range.is_empty() && !range.iter().any(|net| net.contains(&address)) {
        return true;
    }
    let is_peer = |peers: &Peers| match peers {
        Peers::Any => true,
        Peers::Of(peers) => peers.iter().any(|peer| match peer {
            Peer::Block(block) => {
                block.net.contains(&address) && !block.except.iter().any(|hole| hole.contains(&address))
            }
            Peer::Pods(_) => false,
        }),
    };
    let mut rules = unit.sections.iter().flat_map(|(_, section)| &section.rules);
    let first = rules.find(|rule| is_peer(&rule.peers) && has_port(scene, &rule.ports, Protocol::Tcp, port));
    let otherwise = || unit.sections.iter().all(|(_, section)| section.otherwise.passes());
    first.map_or_else(otherwise, |rule| rule.action.passes())
}
