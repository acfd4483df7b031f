//! A lab cluster with a daemon on a node, and the manifests that describe it.
#![allow(dead_code, reason = "each test target uses a part of this")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ms_acl_lab::net::{Cluster, Family, Outcome, Pod, Probe, Protocol};
use serde_json::{Value, json};

use super::{Daemon, PROGRAM, Reply, Request, wait_for};

/// The port that all pods serve.
pub(crate) const PORT: u16 = 80;
/// Where the daemon serves its API on every node.
const API: &str = "127.0.0.1:18080";

/// A folder with the cluster's manifests, and where the daemons keep their policy.
pub(crate) struct Manifests {
    root: tempfile::TempDir,
}

impl Manifests {
    /// One file for each pod of a cluster and for each Deployment: a pod `ns/name-n` belongs to the
    /// Deployment `ns/name`.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let manifests = Manifests { root: tempfile::tempdir().unwrap() };
        fs::create_dir(manifests.folder()).unwrap();
        for pod in cluster.pods() {
            manifests.write(&file_of(&pod.name), &pod_manifest(pod));
            let (namespace, app) = names(&pod.name);
            let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"namespace": namespace, "name": app},
                "spec": {"selector": {"matchLabels": {"app": app}}}});
            manifests.write(&format!("deployment-{namespace}-{app}.json"), &deployment);
        }
        manifests
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("cluster")
    }

    pub(crate) fn policy_file(&self, node: &str) -> PathBuf {
        self.root.path().join(format!("policy-{node}.json"))
    }

    /// Writes a manifest whole: aside, then renamed.
    pub(crate) fn write(&self, name: &str, manifest: &Value) {
        self.write_text(name, &manifest.to_string());
    }

    pub(crate) fn write_text(&self, name: &str, text: &str) {
        let aside = self.root.path().join("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.folder().join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.folder().join(name)).unwrap();
    }

    pub(crate) fn add_pod(&self, pod: &Pod) {
        self.write(&file_of(&pod.name), &pod_manifest(pod));
    }
}

/// The file of a pod.
pub(crate) fn file_of(pod: &str) -> String {
    format!("pod-{}.json", pod.replace('/', "-"))
}

/// The namespace and the Deployment of a pod.
pub(crate) fn names(pod: &str) -> (&str, &str) {
    let (namespace, name) = pod.split_once('/').unwrap();
    (namespace, name.rsplit_once('-').map_or(name, |(app, _)| app))
}

/// A pod as the API server tells it.
pub(crate) fn pod_manifest(pod: &Pod) -> Value {
    let (namespace, app) = names(&pod.name);
    let name = pod.name.split_once('/').unwrap().1;
    let addresses: Vec<Value> = pod.addresses().map(|address| json!({"ip": address})).collect();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": app}},
        "spec": {"nodeName": pod.node}, "status": {"phase": "Running", "podIPs": addresses}})
}

/// A daemon on a node of a cluster.
pub(crate) struct NodeDaemon<'c> {
    pub(crate) daemon: Daemon,
    cluster: &'c Cluster,
    node: String,
}

impl<'c> NodeDaemon<'c> {
    /// Starts a daemon and waits until the kernel holds what is desired.
    pub(crate) fn start(cluster: &'c Cluster, node: &str, manifests: &Manifests, more: &[&str]) -> Self {
        let started = Self::started(cluster, node, manifests, more);
        started.wait("synced", |status| status["synced"] == true);
        started
    }

    /// Starts a daemon.
    pub(crate) fn started(cluster: &'c Cluster, node: &str, manifests: &Manifests, more: &[&str]) -> Self {
        Self::run(cluster, node, |command| {
            command.arg("--source").arg(format!("dir:{}", manifests.folder().display()));
            command.arg("--policy-file").arg(manifests.policy_file(node));
            command.args(more);
        })
    }

    /// Starts a daemon with these arguments.
    pub(crate) fn run(cluster: &'c Cluster, node: &str, arguments: impl FnOnce(&mut Command)) -> Self {
        let mut command = cluster.command_in(node, PROGRAM).unwrap();
        command.args(["run", "--node-name", node, "--api-bind", API]);
        arguments(&mut command);
        Self::of(cluster, node, command)
    }

    /// Starts the daemon that a command makes in a node's namespace.
    pub(crate) fn of(cluster: &'c Cluster, node: &str, command: Command) -> Self {
        NodeDaemon { daemon: Daemon::of(command), cluster, node: node.to_owned() }
    }

    pub(crate) fn send(&self, request: Request) -> Reply {
        let address = self.daemon.address;
        self.cluster.run_in(&self.node, move || request.send(address)).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        self.send(Request::new("GET", "/status")).json()
    }

    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.status()).filter(&wanted))
    }

    /// Waits until `count` more inputs than at `before` are in force.
    pub(crate) fn wait_inputs(&self, before: &Value, count: u64) -> Value {
        let wanted = before["generation"].as_u64().unwrap() + count;
        self.wait("inputs in force", |status| status["applied"].as_u64() >= Some(wanted))
    }

    /// Puts a document that must be in force when the answer comes.
    pub(crate) fn put(&self, document: &Value) -> Value {
        let reply = self.send(Request::new("PUT", "/policy").body(&document.to_string()));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
}

/// A document with one Deployment's rules.
pub(crate) fn acl(name: &str, default: &str, rules: &Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"deployments": [{"namespace": namespace, "name": name, "defaultAction": default, "rules": rules}]})
}

/// Asks in both families whether `from` reaches `to`, and expects one outcome.
pub(crate) fn expect(cluster: &Cluster, from: &str, to: &str, protocol: Protocol, outcome: Outcome) {
    let probes = Family::BOTH.map(|family| {
        let from = cluster.endpoint(from, family).unwrap();
        Probe::new(from, cluster.address(to, family).unwrap(), protocol, PORT)
    });
    let outcomes = cluster.probe(&probes).unwrap();
    assert_eq!(outcomes, [outcome; 2], "{from} -> {to} by {protocol}");
}

/// The number of packets that the rules of our chains have met, and the rules themselves.
pub(crate) fn rules(cluster: &Cluster, node: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for program in ["iptables-save", "ip6tables-save"] {
        let text = cluster.output_in(node, program, &["-c"]).unwrap();
        lines.extend(text.lines().filter(|line| line.contains("MS-")).map(str::to_owned));
    }
    lines
}

/// Everything that `nft` tells of our rules, handles and counters included, but not the counters of
/// OUTPUT: asking the daemon is traffic.
pub(crate) fn handles(cluster: &Cluster, node: &str) -> Vec<String> {
    let text = cluster.output_in(node, "nft", &["-a", "list", "ruleset"]).unwrap();
    let mut output = false;
    let lines = text.lines().map(|line| {
        if line.contains("chain ") {
            output = line.contains("OUTPUT");
        }
        match line.split_once(" counter packets ") {
            Some((before, after)) if output => {
                let after = after.splitn(4, ' ').last().unwrap_or_default();
                format!("{before} {after}")
            }
            _ => line.to_owned(),
        }
    });
    lines.collect()
}

/// Fails with the lines that differ.
pub(crate) fn expect_same(before: &[String], after: &[String], what: &str) {
    let gone: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(gone.is_empty() && new.is_empty(), "{what}: gone {gone:#?}, new {new:#?}");
}

/// A text with its packet and byte counters, and comments with times, taken out.
pub(crate) fn without_counters(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| {
        let line = line.split_once("] ").filter(|_| line.starts_with('[')).map_or(line, |(_, rest)| rest);
        line.rsplit_once(" [").map_or(line, |(rest, _)| rest).to_owned()
    });
    words.collect::<Vec<_>>().join("\n")
}

/// Makes a file for a test.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
