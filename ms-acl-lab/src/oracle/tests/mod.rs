//! One test per sentence of the semantics.
#![expect(clippy::needless_pass_by_value, reason = "tests write values where they are used")]

mod acl;
mod blocks;
mod flows;
mod isolation;
mod lifecycle;
mod peers;
mod ports;

use serde_json::{Value, json};

use super::*;

/// A running pod `namespace/name` on node n1.
fn pod(name: &str, ip: &str, labels: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIPs": [{"ip": ip}]}})
}

/// A NetworkPolicy `namespace/name`.
fn policy(name: &str, spec: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// Web, api and db in namespace a, web in namespace b, and these policies.
fn world(policies: &[Value]) -> World {
    serde_json::from_value(json!({
        "nodes": [{"metadata": {"name": "n1"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]}}],
        "namespaces": [{"metadata": {"name": "b", "labels": {"team": "red"}}}],
        "pods": [
            pod("a/web", "10.0.0.1", json!({"app": "web"})),
            pod("a/api", "10.0.0.2", json!({"app": "api"})),
            pod("a/db", "10.0.0.3", json!({"app": "db"})),
            pod("b/web", "10.0.0.4", json!({"app": "web"})),
        ],
        "network_policies": policies,
    }))
    .unwrap()
}

/// A Deployment of namespace a that selects all its pods.
fn deployment_of_all(name: &str) -> ms_acl_core::object::Deployment {
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
    let deployment = json!({"metadata": {"namespace": "a", "name": name}, "spec": {"selector": selector}});
    serde_json::from_value(deployment).unwrap()
}

const WEB: &str = "10.0.0.1";
const API: &str = "10.0.0.2";
const DB: &str = "10.0.0.3";
const OTHER_WEB: &str = "10.0.0.4";
const OUTSIDE: &str = "203.0.113.7";

fn flow(from: &str, to: &str, protocol: Protocol, port: u16) -> Flow {
    Flow { from: from.parse().unwrap(), to: to.parse().unwrap(), protocol, port }
}

/// Whether TCP port 80 is reached.
fn reaches(world: &World, from: &str, to: &str) -> bool {
    reaches_port(world, from, to, Protocol::Tcp, 80)
}

fn reaches_port(world: &World, from: &str, to: &str, protocol: Protocol, port: u16) -> bool {
    judge(world, &flow(from, to, protocol, port)).verdict == Verdict::Allow
}
