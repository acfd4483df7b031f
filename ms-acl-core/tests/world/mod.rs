//! A small cluster to ask questions about: who reaches whom.
#![allow(dead_code, reason = "each test target uses a part of it")]

use std::net::IpAddr;
use std::sync::Arc;

use ms_acl_core::cluster::Cluster;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::{Protocol, Settings};
use ms_acl_core::object::Object;
use ms_acl_core::ruleset::ObjectRef;
use ms_acl_core::verdict::{Answer, Flow, Nodes, Verdict};
use serde_json::{Value, json};

/// A cluster and the settings of its nodes.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) settings: Settings,
}

impl World {
    pub(crate) fn new() -> Self {
        World { cluster: Cluster::new(), settings: Settings::new("n1") }
    }

    pub(crate) fn apply(&mut self, value: Value) -> &mut Self {
        match Object::decode(value) {
            Ok(Some(object)) => self.cluster.apply(object),
            Ok(None) => panic!("an unknown kind"),
            Err(error) => self.cluster.apply_undecodable(&error),
        }
        self
    }

    pub(crate) fn delete(&mut self, kind: &'static str, name: &str) -> &mut Self {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        self.cluster.delete(&ObjectRef::new(kind, namespace, name));
        self
    }

    pub(crate) fn namespace(&mut self, name: &str, labels: Value) -> &mut Self {
        self.apply(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
        )
    }

    /// A running pod; `name` is `namespace/name`; the node is n1 for 10.0.1.x and fd00:1::x, n2 otherwise.
    pub(crate) fn pod(&mut self, name: &str, labels: Value, address: &str) -> &mut Self {
        self.pod_with(name, labels, &[address], json!({}))
    }

    /// The same with several addresses and with other fields of `spec`.
    pub(crate) fn pod_with(
        &mut self,
        name: &str,
        labels: Value,
        addresses: &[&str],
        spec: Value,
    ) -> &mut Self {
        let (namespace, name) = name.split_once('/').unwrap();
        let near = addresses.iter().any(|a| a.starts_with("10.0.1.") || a.starts_with("fd00:1:"));
        let mut spec = spec;
        spec["nodeName"] = json!(if near { "n1" } else { "n2" });
        let ips: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        self.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": spec, "status": {"phase": "Running", "podIPs": ips}}))
    }

    pub(crate) fn policy(&mut self, name: &str, spec: Value) -> &mut Self {
        let (namespace, name) = name.split_once('/').unwrap();
        self.apply(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec}))
    }

    pub(crate) fn acl(&mut self, document: Value) -> &mut Self {
        let tree = serde_json::from_value(document).unwrap();
        self.cluster.set_acl(Arc::new(AclDocument::parse(tree).unwrap()));
        self
    }

    /// What becomes of a flow; `port` as `80`, `53/udp`, `9/sctp` or `icmp`.
    pub(crate) fn ask(&self, from: &str, to: &str, port: &str) -> Answer {
        let (port, protocol) =
            port.split_once('/').unwrap_or((port, if port == "icmp" { "icmp" } else { "tcp" }));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => Protocol::Icmp,
        };
        let flow = Flow {
            from: self.address(from),
            to: self.address(to),
            protocol,
            port: port.parse().unwrap_or(0),
        };
        Nodes::new(&self.cluster, &self.settings).judge(flow, &|_| Vec::new())
    }

    /// An address, or the first address of `namespace/pod`.
    fn address(&self, name: &str) -> IpAddr {
        name.parse().unwrap_or_else(|_| {
            let (namespace, name) = name.split_once('/').unwrap();
            self.cluster.pod(namespace, name).unwrap().addresses[0]
        })
    }

    #[track_caller]
    pub(crate) fn allows(&self, from: &str, to: &str, port: &str) {
        assert_eq!(self.ask(from, to, port).verdict, Verdict::Allow, "{from} -> {to} {port}");
    }

    #[track_caller]
    pub(crate) fn rejects(&self, from: &str, to: &str, port: &str) {
        assert_eq!(self.ask(from, to, port).verdict, Verdict::Reject, "{from} -> {to} {port}");
    }

    #[track_caller]
    pub(crate) fn drops(&self, from: &str, to: &str, port: &str) {
        assert_eq!(self.ask(from, to, port).verdict, Verdict::Drop, "{from} -> {to} {port}");
    }

    /// What is wrong, as text.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.cluster.diagnostics().iter().map(ToString::to_string).collect()
    }
}

/// Namespaces `a` (team=red) and `b` (team=blue); in each pods `web` (app=web, tier=front) and `db`
/// (app=db) of which `a`'s live on n1 and `b`'s on n2; `a/web` also has an IPv6 address.
pub(crate) fn two_teams() -> World {
    let mut world = World::new();
    world.namespace("a", json!({"team": "red"})).namespace("b", json!({"team": "blue"}));
    let ports = |number: u16| {
        json!({"containers": [{"ports": [{"name": "http", "containerPort": number}, {"name": "dns", "containerPort": number + 1},
            {"name": "dns", "containerPort": number + 2, "protocol": "UDP"}]}]})
    };
    world.pod_with("a/web", json!({"app": "web", "tier": "front"}), &["10.0.1.1", "fd00:1::1"], ports(8080));
    world.pod_with("a/db", json!({"app": "db"}), &["10.0.1.2"], ports(9090));
    world.pod_with("b/web", json!({"app": "web", "tier": "front"}), &["10.0.2.1"], ports(7070));
    world.pod_with("b/db", json!({"app": "db"}), &["10.0.2.2"], ports(6060));
    world
}
