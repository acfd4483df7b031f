//! Sets: what is in them, and the names by which equal ones meet.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::name::Identity;
use crate::cluster::Cluster;
use crate::model::{NamespaceScope, PodFacts, PodScope, Protocol};
use crate::ruleset::{Family, Member, Set, SetKind, SetName, SetRole};

/// What a set holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// The addresses of pods.
    Pods(PodScope),
    /// The addresses of pods, each with the numbers that a named port has there.
    NamedPort(PortHolders, String, Protocol),
    /// Networks, disjoint and in order, none of them everything.
    Networks(Vec<IpNet>),
}

/// Whose named ports.
#[derive(Debug, Clone)]
pub(crate) enum PortHolders {
    /// Every pod's.
    Everybody,
    /// Those of these pods.
    Pods(PodScope),
    /// Those of pods with an address in these networks.
    Networks(Vec<IpNet>),
}

impl Content {
    fn kind(&self) -> SetKind {
        match self {
            Content::Pods(_) => SetKind::Addresses,
            Content::NamedPort(..) => SetKind::AddressPorts,
            Content::Networks(_) => SetKind::Networks,
        }
    }

    fn name(&self, role: SetRole, family: Family) -> SetName {
        let mut identity = Identity::new("set");
        match self {
            Content::Pods(scope) => {
                identity.text("pods");
                identity.scope(scope);
            }
            Content::NamedPort(holders, name, protocol) => {
                identity.text("port");
                match holders {
                    PortHolders::Everybody => identity.text("everybody"),
                    PortHolders::Pods(scope) => {
                        identity.text("pods");
                        identity.scope(scope);
                    }
                    PortHolders::Networks(nets) => {
                        identity.text("nets");
                        identity.nets(nets);
                    }
                }
                identity.text(name);
                identity.protocol(*protocol);
            }
            Content::Networks(nets) => {
                identity.text("nets");
                identity.nets(nets);
            }
        }
        identity.set_name(role, self.kind(), family)
    }

    fn title(&self) -> String {
        match self {
            Content::Pods(scope) => scope.to_string(),
            Content::NamedPort(holders, name, protocol) => {
                let holders = match holders {
                    PortHolders::Everybody => "all pods".to_owned(),
                    PortHolders::Pods(scope) => scope.to_string(),
                    PortHolders::Networks(nets) => format!("pods in {}", list(nets)),
                };
                format!("port {name}/{protocol} of {holders}")
            }
            Content::Networks(nets) => format!("networks {}", list(nets)),
        }
    }

    fn members(&self, cluster: &Cluster, family: Family) -> BTreeSet<Member> {
        match self {
            Content::Pods(scope) => pods_in(cluster, scope)
                .flat_map(|pod| own(cluster, pod, family))
                .map(Member::Address)
                .collect(),
            Content::NamedPort(PortHolders::Everybody, name, protocol) => {
                let pods = cluster.pods();
                pods.flat_map(|pod| ports(cluster, pod, family, name, *protocol)).collect()
            }
            Content::NamedPort(PortHolders::Pods(scope), name, protocol) => {
                let pods = pods_in(cluster, scope);
                pods.flat_map(|pod| ports(cluster, pod, family, name, *protocol)).collect()
            }
            Content::NamedPort(PortHolders::Networks(nets), name, protocol) => {
                let members = cluster.pods().flat_map(|pod| ports(cluster, pod, family, name, *protocol));
                let inside = |member: &Member| matches!(member, Member::AddressPort(address, ..) if nets.iter().any(|net| net.contains(address)));
                members.filter(inside).collect()
            }
            Content::Networks(nets) => nets.iter().copied().map(Member::Network).collect(),
        }
    }
}

/// A set that a chain names.
#[derive(Debug, Clone)]
pub(crate) struct SetSpec {
    /// Its name: equal for equal content in the same role and family.
    pub(crate) name: SetName,
    /// Its family.
    pub(crate) family: Family,
    /// The side of the decision it stands on.
    pub(crate) role: SetRole,
    /// What it holds.
    pub(crate) content: Content,
}

impl SetSpec {
    pub(super) fn new(role: SetRole, family: Family, content: Content) -> Self {
        SetSpec { name: content.name(role, family), family, role, content }
    }

    /// The set with its members of this moment.
    pub(crate) fn fill(&self, cluster: &Cluster) -> Set {
        Set {
            family: self.family,
            kind: self.content.kind(),
            role: self.role,
            members: self.content.members(cluster, self.family),
            title: self.content.title(),
        }
    }
}

fn pods_in<'a>(cluster: &'a Cluster, scope: &'a PodScope) -> Box<dyn Iterator<Item = &'a PodFacts> + 'a> {
    match &scope.namespaces {
        NamespaceScope::Named(name) => {
            Box::new(cluster.pods_of(name).filter(|pod| scope.pods.matches(&pod.labels)))
        }
        NamespaceScope::Selected(_) => Box::new(cluster.pods().filter(|pod| cluster.in_scope(pod, scope))),
    }
}

fn own<'a>(cluster: &'a Cluster, pod: &'a PodFacts, family: Family) -> impl Iterator<Item = IpAddr> + 'a {
    cluster.addresses_of(pod).filter(move |address| Family::of(*address) == family)
}

fn ports<'a>(
    cluster: &'a Cluster,
    pod: &'a PodFacts,
    family: Family,
    name: &'a str,
    protocol: Protocol,
) -> impl Iterator<Item = Member> + 'a {
    let same = move || pod.ports.iter().filter(move |port| port.name == name && port.protocol == protocol);
    own(cluster, pod, family)
        .flat_map(move |address| same().map(move |port| Member::AddressPort(address, protocol, port.port)))
}

fn list(nets: &[IpNet]) -> String {
    let mut text = nets.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if nets.len() > 4 {
        let _ = write!(text, " and {} more", nets.len() - 4);
    }
    text
}
