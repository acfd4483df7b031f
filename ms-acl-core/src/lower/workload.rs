//! Pods and the workloads that own them → what policy looks at.

use std::net::IpAddr;
use std::sync::Arc;

use super::cidr;
use crate::model::{Diagnostic, NamedPort, PodFacts, PodOwner, Protocol, Severity};
use crate::object::{OwnerReference, Pod, ReplicaSet};
use crate::ruleset::ObjectRef;

/// Lowers a pod. A part of it that can't be read is left out and reported.
pub fn pod(pod: &Pod) -> (PodFacts, Vec<Diagnostic>) {
    let meta = &pod.metadata;
    let mut diagnostics = Vec::new();
    let mut fault = |path: String, detail: String| {
        let object = ObjectRef::new("Pod", &meta.namespace, &meta.name);
        diagnostics.push(Diagnostic { object, path, severity: Severity::Error, detail });
    };

    let mut addresses: Vec<IpAddr> = Vec::new();
    let ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
    if !ended {
        let listed = pod.status.pod_ips.iter().enumerate();
        let listed = listed.map(|(index, entry)| (format!("/status/podIPs/{index}/ip"), entry.ip.as_str()));
        for (path, text) in listed.chain([("/status/podIP".to_owned(), pod.status.pod_ip.as_str())]) {
            match cidr::address(text) {
                Some(address) if !addresses.contains(&address) => addresses.push(address),
                Some(_) => {}
                None if text.is_empty() || pod.spec.host_network => {}
                None => fault(path, format!("{text:?} is not an address")),
            }
        }
    }

    let mut ports = Vec::new();
    for (list, containers) in
        [("containers", &pod.spec.containers), ("initContainers", &pod.spec.init_containers)]
    {
        for (index, container) in containers.iter().enumerate() {
            for (number, port) in container.ports.iter().enumerate().filter(|(_, port)| !port.name.is_empty())
            {
                let protocol = match port.protocol.as_str() {
                    "" | "TCP" => Protocol::Tcp,
                    "UDP" => Protocol::Udp,
                    "SCTP" => Protocol::Sctp,
                    other => {
                        let path = format!("/spec/{list}/{index}/ports/{number}/protocol");
                        fault(path, format!("{other:?} is not a protocol: TCP, UDP and SCTP are"));
                        continue;
                    }
                };
                let value = u16::try_from(port.container_port).ok().filter(|value| *value > 0);
                let Some(value) = value else {
                    let path = format!("/spec/{list}/{index}/ports/{number}/containerPort");
                    fault(path, format!("{} is not a port: 1 to 65535 are", port.container_port));
                    continue;
                };
                ports.push(NamedPort { name: port.name.clone(), protocol, port: value });
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();

    let (addresses, host_addresses) =
        if pod.spec.host_network { (Vec::new(), addresses) } else { (addresses, Vec::new()) };
    let owner = match meta.controller() {
        None => PodOwner::Nobody,
        Some(owner) if is_of_apps(owner, "ReplicaSet") => PodOwner::ReplicaSet {
            name: owner.name.as_str().into(),
            template_hash: meta.labels.get("pod-template-hash").map(|hash| hash.as_str().into()),
        },
        Some(_) => PodOwner::Other,
    };
    let facts = PodFacts {
        namespace: meta.namespace.as_str().into(),
        name: meta.name.as_str().into(),
        labels: Arc::new(meta.labels.clone()),
        node: pod.spec.node_name.as_str().into(),
        addresses: addresses.into(),
        host_network: pod.spec.host_network,
        host_addresses: host_addresses.into(),
        ports: ports.into(),
        owner,
        created: created(&meta.creation_timestamp),
    };
    (facts, diagnostics)
}

/// The digits of an RFC 3339 time in UTC, to the second, as one number that grows with time.
fn created(timestamp: &str) -> u64 {
    let digits = timestamp.bytes().filter(u8::is_ascii_digit).take(14);
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// The Deployment that controls a ReplicaSet, if one does.
pub fn deployment_of(replica_set: &ReplicaSet) -> Option<String> {
    replica_set
        .metadata
        .controller()
        .filter(|owner| is_of_apps(owner, "Deployment"))
        .map(|owner| owner.name.clone())
}

/// Whether an owner is of this kind. Kinds belong to groups: another group's Deployment is another
/// thing. `extensions` is what `apps` was before, and old owner references say it still; one that is
/// written by hand may name no group.
fn is_of_apps(owner: &OwnerReference, kind: &str) -> bool {
    let group = owner.api_version.split_once('/').map_or(owner.api_version.as_str(), |(group, _)| group);
    owner.kind == kind && matches!(group, "apps" | "extensions" | "")
}

/// The Deployment whose ReplicaSet this is, by the name that a Deployment gives to its ReplicaSets:
/// its own, a hyphen and the hash of the pod template.
pub fn deployment_by_name<'a>(replica_set: &'a str, template_hash: &str) -> Option<&'a str> {
    replica_set.strip_suffix(template_hash)?.strip_suffix('-').filter(|name| !name.is_empty())
}
