//! Manifests in a folder, and the questions that commands answer about them.
#![allow(dead_code, reason = "each test target uses a part of this")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::run;

/// Namespaces `shop` (team=red) and `data` (team=blue), nodes `node1` and `node2`. On node1 `shop/web-1` (of
/// the Deployment `shop/web`, its port http is 8080) and `shop/api-1`; on node2 `data/db-1` (its port sql is
/// 5432), which has IPv4 only, and `kube-system/proxy` on the host network.
const CLUSTER: &str = "\
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: red}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: data, labels: {team: blue}}}
---
{apiVersion: v1, kind: Node, metadata: {name: node1}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node2}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {app: web}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {nodeName: node1, containers: [{ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.5}, {ip: 'fd00:1::5'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}}
spec: {nodeName: node1}
status: {phase: Running, podIPs: [{ip: 10.1.0.6}, {ip: 'fd00:1::6'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: data, labels: {app: db}}
spec: {nodeName: node2, containers: [{ports: [{name: sql, containerPort: 5432}]}]}
status: {phase: Running, podIP: 10.2.0.5}
---
apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: kube-system, labels: {app: proxy}}
spec: {nodeName: node2, hostNetwork: true}
status: {phase: Running, podIP: 192.168.0.2}
";

/// A folder of manifests, and an ACL document beside it.
pub(crate) struct World {
    root: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Done {
    /// The output of a command that had nothing to complain about.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!((self.code, self.errors.as_str()), (Some(0), ""), "{}", self.output);
        self.output
    }
}

impl World {
    /// The cluster without policies.
    pub(crate) fn new() -> Self {
        let world = World { root: tempfile::tempdir().unwrap() };
        fs::create_dir(world.folder()).unwrap();
        world.write("cluster.yaml", CLUSTER);
        world
    }

    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.root.path().join("cluster")
    }

    pub(crate) fn folder_text(&self) -> String {
        self.folder().to_str().unwrap().to_owned()
    }

    /// A path outside of the folder.
    pub(crate) fn beside(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> &Self {
        let aside = self.beside("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.folder().join(file)).unwrap();
        self
    }

    /// A NetworkPolicy `namespace/name` with a spec.
    pub(crate) fn policy(&self, name: &str, spec: &Value) -> &Self {
        let (namespace, name) = name.split_once('/').unwrap();
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec});
        self.write(&format!("policy-{namespace}-{name}.json"), &policy.to_string())
    }

    /// An ACL document with these rules for `shop/web`.
    pub(crate) fn acl(&self, rules: &Value) -> &Self {
        let document = json!({"deployments": [{"namespace": "shop", "name": "web", "rules": rules}]});
        fs::write(self.beside("acl.json"), document.to_string()).unwrap();
        self
    }

    /// Runs a command on the folder, with the ACL document if there is one.
    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Done {
        let (folder, acl) = (self.folder_text(), self.beside("acl.json"));
        let mut arguments = vec![command, folder.as_str()];
        if Path::new(&acl).exists() {
            arguments.extend(["--policy", &acl]);
        }
        arguments.extend(more);
        let (code, output, errors) = run(&arguments);
        Done { code, output, errors }
    }

    /// `explain` as text and as JSON; `flow` is `from -> to port`.
    #[track_caller]
    pub(crate) fn explain(&self, flow: &str, more: &[&str]) -> (String, Value) {
        let words: Vec<&str> = flow.split(' ').collect();
        let [from, "->", to, port] = words[..] else { panic!("{flow}") };
        let flow = ["--from", from, "--to", to, "--port", port];
        let arguments: Vec<&str> = flow.into_iter().chain(more.iter().copied()).collect();
        let text = self.run("explain", &arguments).fine();
        let arguments: Vec<&str> = arguments.into_iter().chain(["--json"]).collect();
        let json = self.run("explain", &arguments).fine();
        (text, serde_json::from_str(&json).unwrap())
    }
}
