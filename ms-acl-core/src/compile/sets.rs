//! Sets: what is in them, and the names by which equal ones meet.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::name::Identity;
use crate::cluster::Cluster;
use crate::model::{NamespaceScope, PodFacts, PodScope, Protocol};
use crate::ruleset::{Family, Member, Set, SetKind, SetName, SetRole};

/// What a set holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// The addresses of pods.
    Pods(Scopes),
    /// The addresses of pods, each with the numbers that named ports have there.
    NamedPorts(PortHolders, PortNames, Protocol),
    /// Networks, disjoint and in order, none of them everything.
    Networks(Vec<IpNet>),
}

/// Whose named ports.
#[derive(Debug, Clone)]
pub(crate) enum PortHolders {
    /// Every pod's.
    Everybody,
    /// Those of these pods.
    Pods(Scopes),
    /// Those of pods with an address in these networks.
    Networks(Arc<[IpNet]>),
}

/// Pods in any of these scopes: at least one, sorted, without repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scopes(Arc<[PodScope]>);

impl PortHolders {
    /// Whether they may be at an address.
    pub(crate) fn hold(&self, address: IpAddr) -> bool {
        match self {
            PortHolders::Everybody | PortHolders::Pods(_) => true,
            PortHolders::Networks(nets) => nets.iter().any(|net| net.contains(&address)),
        }
    }
}

/// Names of ports: at least one, sorted, without repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortNames(Arc<[String]>);

impl PortNames {
    pub(super) fn any<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        PortNames(names.into_iter().map(str::to_owned).collect())
    }

    /// The ports of a pod, of one protocol, that have one of the names.
    pub(crate) fn of<'a>(&'a self, pod: &'a PodFacts, protocol: Protocol) -> impl Iterator<Item = u16> + 'a {
        let ports = pod.ports.iter().filter(move |port| port.protocol == protocol);
        ports.filter(|port| self.0.binary_search(&port.name).is_ok()).map(|port| port.port)
    }
}

impl fmt::Display for PortNames {
    /// The first few.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&list(&self.0))
    }
}

impl Scopes {
    pub(super) fn one(scope: &PodScope) -> Self {
        Scopes([scope.clone()].into())
    }

    pub(super) fn any(scopes: BTreeSet<&PodScope>) -> Self {
        Scopes(scopes.into_iter().cloned().collect())
    }

    /// The scopes.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, PodScope> {
        self.0.iter()
    }

    /// Whether they are one scope.
    pub(crate) fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// The only namespace that they look at, where they are one scope that names it.
    pub(crate) fn only_namespace(&self) -> Option<&str> {
        match &self.0[..] {
            [PodScope { namespaces: NamespaceScope::Named(name), .. }] => Some(name),
            _ => None,
        }
    }

    fn pods<'a>(&'a self, cluster: &'a Cluster) -> Box<dyn Iterator<Item = &'a PodFacts> + 'a> {
        match self.only_namespace() {
            Some(name) => Box::new(cluster.pods_of(name).filter(|pod| self.hold(cluster, pod))),
            None => Box::new(cluster.pods().filter(|pod| self.hold(cluster, pod))),
        }
    }

    fn hold(&self, cluster: &Cluster, pod: &PodFacts) -> bool {
        self.iter().any(|scope| cluster.in_scope(pod, scope))
    }

    fn identify(&self, identity: &mut Identity) {
        identity.text("pods");
        if !self.is_one() {
            identity.text("any");
            identity.number(self.0.len());
        }
        self.iter().for_each(|scope| identity.scope(scope));
    }
}

impl fmt::Display for Scopes {
    /// The first few.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&list(&self.0))
    }
}

impl Content {
    fn kind(&self) -> SetKind {
        match self {
            Content::Pods(_) => SetKind::Addresses,
            Content::NamedPorts(..) => SetKind::AddressPorts,
            Content::Networks(_) => SetKind::Networks,
        }
    }

    fn name(&self, role: SetRole, family: Family) -> SetName {
        let mut identity = Identity::new("set");
        match self {
            Content::Pods(scopes) => scopes.identify(&mut identity),
            Content::NamedPorts(holders, names, protocol) => {
                identity.text("port");
                match holders {
                    PortHolders::Everybody => identity.text("everybody"),
                    PortHolders::Pods(scopes) => scopes.identify(&mut identity),
                    PortHolders::Networks(nets) => {
                        identity.text("nets");
                        identity.nets(nets);
                    }
                }
                if names.0.len() > 1 {
                    identity.text("any");
                    identity.number(names.0.len());
                }
                names.0.iter().for_each(|name| identity.text(name));
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
            Content::Pods(scopes) => scopes.to_string(),
            Content::NamedPorts(holders, names, protocol) => {
                let holders = match holders {
                    PortHolders::Everybody => "all pods".to_owned(),
                    PortHolders::Pods(scopes) => scopes.to_string(),
                    PortHolders::Networks(nets) => format!("pods in {}", list(nets)),
                };
                format!("port {names}/{protocol} of {holders}")
            }
            Content::Networks(nets) => format!("networks {}", list(nets)),
        }
    }

    fn members(&self, cluster: &Cluster, family: Family) -> BTreeSet<Member> {
        match self {
            Content::Pods(scopes) => {
                scopes.pods(cluster).flat_map(|pod| own(cluster, pod, family)).map(Member::Address).collect()
            }
            Content::NamedPorts(holders, names, protocol) => {
                let pods: Box<dyn Iterator<Item = &PodFacts>> = match holders {
                    PortHolders::Pods(scopes) => scopes.pods(cluster),
                    PortHolders::Everybody | PortHolders::Networks(_) => Box::new(cluster.pods()),
                };
                let of_pod = |pod| {
                    let addresses = own(cluster, pod, family).filter(|address| holders.hold(*address));
                    addresses.flat_map(move |address| {
                        names
                            .of(pod, *protocol)
                            .map(move |port| Member::AddressPort(address, *protocol, port))
                    })
                };
                pods.flat_map(of_pod).collect()
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

fn own<'a>(cluster: &'a Cluster, pod: &'a PodFacts, family: Family) -> impl Iterator<Item = IpAddr> + 'a {
    cluster.addresses_of(pod).filter(move |address| Family::of(*address) == family)
}

fn list<T: fmt::Display>(all: &[T]) -> String {
    let mut text = all.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if all.len() > 4 {
        let _ = write!(text, " and {} more", all.len() - 4);
    }
    text
}
