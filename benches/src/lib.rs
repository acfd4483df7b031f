//! Seeded worlds of realistic shape for the benches: namespaces of skewed sizes, pods that come in
//! Deployments with five labels each, policies as real collections have them.
#![forbid(unsafe_code)]

use ms_acl_core::cluster::Cluster;
use ms_acl_core::object::Object;
use serde_json::{Value, json};

/// How large a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The number of pods in the cluster.
    pub pods: usize,
    /// The number of NetworkPolicies.
    pub policies: usize,
    /// The number of namespaces.
    pub namespaces: usize,
    /// The number of pods on the node.
    pub local: usize,
}

/// 10,000 pods, 1,000 policies, 200 namespaces, 110 local pods.
pub const K10: Size = Size { pods: 10_000, policies: 1_000, namespaces: 200, local: 110 };
/// 100,000 pods, 10,000 policies, 2,000 namespaces, 250 local pods.
pub const K100: Size = Size { pods: 100_000, policies: 10_000, namespaces: 2_000, local: 250 };

/// The node whose rules are compiled.
pub const NODE: &str = "node-0";

/// A small generator of numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.0 >> 11) % end).unwrap_or_default()
    }
}

/// A world's objects.
#[derive(Debug)]
pub struct World {
    /// Its size.
    pub size: Size,
    /// The name of the namespace with the most pods.
    pub largest: String,
    objects: Vec<Object>,
}

/// The number of a pod's namespace: a few namespaces hold most of the pods.
fn skewed(numbers: &mut Numbers, namespaces: usize) -> usize {
    let level = numbers.below(4);
    let among = [namespaces / 100, namespaces / 20, namespaces / 4, namespaces][level];
    numbers.below(among.max(1))
}

/// A pod of a Deployment. `number` gives its address; the first `local` pods of a world are local.
pub fn pod(size: Size, number: usize, generation: usize) -> Value {
    let mut numbers = Numbers::new(number as u64 + 1);
    let namespace = skewed(&mut numbers, size.namespaces);
    let app = numbers.below(12);
    let node = if number.is_multiple_of(size.pods / size.local) { 0 } else { 1 + numbers.below(400) };
    let (a, b, c) = (number >> 16 & 0x3f, number >> 8 & 0xff, number & 0xff);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": format!("team-{namespace}"), "name": format!("app-{app}-6d5f9c7b8-{number:05x}"),
            "labels": {"app": format!("app-{app}"), "tier": (["front", "back", "data"][app % 3]), "version": format!("v{}", (app + generation) % 4),
                "app.kubernetes.io/part-of": format!("suite-{}", app % 5), "pod-template-hash": "6d5f9c7b8"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("app-{app}-6d5f9c7b8"), "controller": true}],
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": format!("node-{node}"), "containers": [{"ports": [
            {"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": format!("10.{}.{b}.{c}", 64 + a)}]}
    })
}

/// A policy of one of the common kinds. `generation` changes its ports.
pub fn policy(size: Size, number: usize, generation: usize) -> Value {
    let mut numbers = Numbers::new(number as u64 + 77);
    let namespace = number % size.namespaces;
    let app = format!("app-{}", numbers.below(12));
    let port = 8000 + numbers.below(100) + generation % 7;
    let of_app = json!({"matchLabels": {"app": app}});
    let spec = match number / size.namespaces % 5 {
        0 => json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
        1 => {
            json!({"podSelector": of_app, "ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "front"}}}], "ports": [{"port": port}, {"port": "http"}]}]})
        }
        2 => {
            json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": format!("t{}", numbers.below(40))}}}], "ports": [{"port": port}]}]})
        }
        3 => json!({"podSelector": of_app, "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team-0"}}, "podSelector": {"matchLabels": {"app": "app-1"}}}],
             "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]},
            {"to": [{"podSelector": {}}], "ports": [{"port": port}]}]}),
        _ => {
            json!({"podSelector": of_app, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.64.3.0/24", "10.65.0.0/16"]}}], "ports": [{"port": port, "endPort": port + 10}]}]})
        }
    };
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": format!("team-{namespace}"), "name": format!("policy-{number}")}, "spec": spec})
}

/// A namespace; `generation` changes its team.
pub fn namespace(number: usize, generation: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("team-{number}"),
        "labels": {"team": format!("t{}", (number + generation) % 40), "env": (["prod", "dev"][number % 2])}}})
}

/// An object of a kind that the core knows.
///
/// # Panics
/// Where it isn't one: the worlds are made of such objects only.
pub fn object(value: Value) -> Object {
    Object::decode(value).ok().flatten().expect("an object that the core knows")
}

impl World {
    /// The world of a size.
    pub fn new(size: Size) -> World {
        let mut objects = Vec::new();
        objects.extend((0..size.namespaces).map(|number| object(namespace(number, 0))));
        objects.extend((0..size.pods).map(|number| object(pod(size, number, 0))));
        objects.extend((0..size.policies).map(|number| object(policy(size, number, 0))));
        World { size, largest: "team-0".to_owned(), objects }
    }

    /// The cluster that it is.
    pub fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::new();
        for object in &self.objects {
            cluster.apply(object.clone());
        }
        cluster
    }
}
