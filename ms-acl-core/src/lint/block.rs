//! Blocks of addresses: over pods, empty, of one family, outside of the range that is judged.

use ipnet::IpNet;

use super::space::Space;
use super::{Check, Finding, RuleOf, Scene, finding, list_in_words, pods_in_words};
use crate::model::{Block, Peer, Peers, PodFacts, PortRange, Severity};
use crate::ruleset::{Direction, Family, ObjectRef};

pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let ranges = pod_ranges(scene);
    let mut findings = Vec::new();
    for rule in scene.rules() {
        let Peers::Of(peers) = &rule.rule.peers else { continue };
        for (index, peer) in peers.iter().enumerate() {
            let Peer::Block(block) = peer else { continue };
            let path = format!("{}/ipBlock", rule.peer_path(index));
            if !leaves(block, block.net) {
                let detail =
                    format!("the holes of {} leave nothing of it: this peer matches nobody", block.net);
                let remedy = "remove the peer, or the holes that are too much";
                findings.push(rule.finding(Check::EmptyBlock, Severity::Warning, path, (detail, remedy)));
                continue;
            }
            findings.extend(over_pods(scene, &rule, &path, block, &ranges));
            findings.extend(outside_range(scene, &rule, &path, block));
        }
        findings.extend(one_family_only(scene, &rule, peers));
    }
    findings.extend(pods_outside_range(scene));
    findings
}

/// Whether the holes of a block leave anything of a part of it.
fn leaves(block: &Block, part: IpNet) -> bool {
    let mut space = Space::new(Family::of(part.addr()));
    space.take(&block.except, &[PortRange::ALL], 0);
    space.take(&[part], &[PortRange::ALL], 1).fresh
}

/// The ranges of pods' addresses that Nodes declare.
fn pod_ranges(scene: &Scene<'_>) -> Vec<IpNet> {
    let specs = scene.cluster.nodes().map(|node| &node.spec);
    let texts = specs.flat_map(|spec| spec.pod_cidrs.iter().chain([&spec.pod_cidr]));
    let mut ranges: Vec<IpNet> =
        texts.filter_map(|text| text.parse::<IpNet>().ok()).map(|net| net.trunc()).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// A block that holds pods' addresses. One of everything is meant to, most likely.
fn over_pods(
    scene: &Scene<'_>,
    rule: &RuleOf<'_>,
    path: &str,
    block: &Block,
    ranges: &[IpNet],
) -> Option<Finding> {
    let inside = |pod: &PodFacts| {
        let mut addresses = scene.cluster.addresses_of(pod);
        addresses.any(|address| {
            block.net.contains(&address) && !block.except.iter().any(|hole| hole.contains(&address))
        })
    };
    let pods: Vec<&PodFacts> = scene.live().filter(|pod| inside(pod)).collect();
    let common = |range: &IpNet| match (block.net.contains(range), range.contains(&block.net)) {
        (true, _) => Some(*range),
        (_, true) => Some(block.net),
        _ => None,
    };
    let ranges: Vec<String> = ranges
        .iter()
        .filter_map(common)
        .filter(|part| leaves(block, *part))
        .map(|part| part.to_string())
        .collect();
    let what = match (&pods[..], &ranges[..]) {
        ([], []) => return None,
        ([], _) => format!("the nodes' pod ranges {}", list_in_words(ranges)),
        (pods, _) => pods_in_words(pods),
    };
    let everything = block.net.prefix_len() == 0;
    let severity = if everything { Severity::Note } else { Severity::Warning };
    let detail = format!(
        "{} holds the addresses of {what}: pods change their addresses, and a block matches whoever has one",
        block.net
    );
    let remedy = if everything {
        "if only the outside is meant, put the pods' ranges into except"
    } else {
        "select pods by podSelector and namespaceSelector, and put their ranges into except"
    };
    Some(rule.finding(Check::BlockOverPods, severity, path.to_owned(), (detail, remedy)))
}

/// A rule whose peers are blocks of one family, on pods that have both.
fn one_family_only(scene: &Scene<'_>, rule: &RuleOf<'_>, peers: &[Peer]) -> Option<Finding> {
    let nets: Option<Vec<IpNet>> = peers
        .iter()
        .map(|peer| match peer {
            Peer::Block(block) => Some(block.net),
            Peer::Pods(_) => None,
        })
        .collect();
    let nets = nets?;
    let family = Family::of(nets.first()?.addr());
    if nets.iter().any(|net| Family::of(net.addr()) != family) {
        return None;
    }
    let both = |pod: &&&PodFacts| {
        let has = |family| scene.cluster.addresses_of(pod).any(|address| Family::of(address) == family);
        has(Family::V4) && has(Family::V6)
    };
    let pods: Vec<&PodFacts> = rule.pods.iter().filter(both).copied().collect();
    if pods.is_empty() {
        return None;
    }
    let (severity, other) = if nets.iter().any(|net| net.prefix_len() == 0) {
        (Severity::Warning, "the /0 of the other family")
    } else {
        (Severity::Note, "blocks of the other family")
    };
    let detail = format!(
        "names only {family} blocks: of {}, with both families, flows of the other stay refused",
        pods_in_words(&pods)
    );
    let remedy = format!("add {other}, if they shall pass too");
    let list = if rule.direction == Direction::Egress { "to" } else { "from" };
    let path = format!("{}/{list}", rule.path());
    Some(rule.finding(Check::OneFamilyOnly, severity, path, (detail, &remedy)))
}

/// A block of which Kubernetes policy judges nothing, because of the settings.
fn outside_range(scene: &Scene<'_>, rule: &RuleOf<'_>, path: &str, block: &Block) -> Option<Finding> {
    let range = scene.settings.pod_ip_range(Family::of(block.net.addr()));
    let judged = range.iter().any(|net| net.contains(&block.net) || block.net.contains(net));
    if range.is_empty() || judged {
        return None;
    }
    let detail =
        format!("{} lies outside of the pod IP range: flows with it pass whatever this rule says", block.net);
    let remedy = "widen --pod-ip-range, or govern the outside by a Deployment ACL";
    Some(rule.finding(Check::OutsidePodIpRange, Severity::Warning, path.to_owned(), (detail, remedy)))
}

/// Pods whose traffic Kubernetes policy doesn't judge, because of the settings.
fn pods_outside_range(scene: &Scene<'_>) -> Option<Finding> {
    let outside = |pod: &&PodFacts| {
        scene.cluster.addresses_of(pod).any(|address| {
            let range = scene.settings.pod_ip_range(Family::of(address));
            !range.is_empty() && !range.iter().any(|net| net.contains(&address))
        })
    };
    let pods: Vec<&PodFacts> = scene.live().filter(outside).collect();
    if pods.is_empty() {
        return None;
    }
    let detail = format!(
        "addresses of {} lie outside of it: flows with them pass whatever NetworkPolicies say",
        pods_in_words(&pods)
    );
    let place = (&ObjectRef::new("Settings", "", "pod-ip-range"), String::new());
    let remedy = "widen --pod-ip-range so that it holds every pod";
    Some(finding(Check::OutsidePodIpRange, Severity::Warning, place, (detail, remedy)))
}
