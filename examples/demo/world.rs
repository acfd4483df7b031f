//! What the demo's cluster is made of: pods, their Deployments, and two policies that disagree.

use anyhow::Result;
use ms_acl_lab::net::{Cluster, NodeSpec, PodSpec};
use serde_json::{Value, json};

/// Namespace, Deployment, number, node.
const PODS: [(&str, &str, u8, &str); 6] = [
    ("default", "web", 1, "node1"),
    ("default", "web", 2, "node2"),
    ("default", "client", 1, "node1"),
    ("shop", "api", 1, "node1"),
    ("shop", "db", 1, "node2"),
    ("ops", "monitor", 1, "node2"),
];

/// The policy document of the seed.
pub(crate) const ACL: &str = r#"{
  "defaultAction": "ALLOW",
  "deployments": [
    {
      "namespace": "default",
      "name": "web",
      "rules": [
        {"action": "ALLOW", "srcCIDR": "10.0.0.0/24", "protocol": "tcp", "port": 80},
        {"action": "DENY", "srcCIDR": "0.0.0.0/0"}
      ]
    }
  ]
}"#;

/// Two nodes; the pods of node1 live in 10.0.0.0/24, the range that the document lets in.
pub(crate) fn cluster() -> Result<Cluster> {
    let node1 = NodeSpec::new("node1").pod_range("10.0.0.0/24".parse()?);
    let node2 = NodeSpec::new("node2").pod_range("10.0.1.0/24".parse()?);
    let pods = PODS
        .iter()
        .map(|(namespace, app, number, node)| PodSpec::new(format!("{namespace}/{app}-{number}"), *node));
    Ok(pods.fold(Cluster::builder().node(node1).node(node2), ms_acl_lab::net::ClusterBuilder::pod).build()?)
}

/// The manifests of the cluster, without policies.
pub(crate) fn manifests(cluster: &Cluster) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    for (namespace, app, number, node) in PODS {
        let pod = cluster.pod(&format!("{namespace}/{app}-{number}"))?;
        let ips: Vec<Value> = pod.addresses().map(|ip| json!({"ip": ip.to_string()})).collect();
        let set = format!("{app}-5c9d");
        if number == 1 {
            items.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
            items.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": app},
                "spec": {"selector": {"matchLabels": {"app": app}}}}));
            items.push(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": namespace, "name": set,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": app, "controller": true}]}}));
        }
        items.push(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": format!("{app}-{number}"),
            "labels": {"app": app, "pod-template-hash": "5c9d"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "controller": true}]},
            "spec": {"nodeName": node, "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]},
            "status": {"phase": "Running", "podIPs": ips}}));
    }
    items.sort_by_key(|item| item["kind"] != "Namespace");
    items.dedup_by(|a, b| a == b);
    for node in cluster.nodes() {
        let addresses: Vec<Value> =
            node.addresses.iter().map(|a| json!({"type": "InternalIP", "address": a.to_string()})).collect();
        items.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name}, "status": {"addresses": addresses}}));
    }
    Ok(items)
}

/// Two policies that disagree: the api may go out to the database and nowhere else in the cluster, but
/// the database lets only the monitor in.
pub(crate) fn policies() -> Vec<Value> {
    let policy = |name: &str, spec: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "shop", "name": name}, "spec": spec});
    vec![
        policy(
            "api-out",
            json!({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "http"}]}]}),
        ),
        policy(
            "db-in",
            json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}]}]}),
        ),
    ]
}
