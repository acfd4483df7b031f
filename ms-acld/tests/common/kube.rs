//! An API server outside of a lab cluster, and the daemon that reads it.
#![allow(dead_code, reason = "each test target uses a part of this")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use ms_acl_lab::apiserver::ApiServer;
use ms_acl_lab::net::{Cluster, Family, OUTSIDE, Pod};
use serde_json::{Value, json};

use super::cluster::{NodeDaemon, names, pod_manifest};

/// Where the API server listens, on the host outside.
const PORT: u16 = 6443;

/// An API server that knows a cluster.
pub(crate) struct Api<'c> {
    pub(crate) server: ApiServer,
    cluster: &'c Cluster,
    folder: tempfile::TempDir,
}

impl<'c> Api<'c> {
    /// A server with the cluster's nodes and pods, their namespaces, and for each pod `ns/name-n` a
    /// Deployment `ns/name` with a ReplicaSet `ns/name-rs`.
    pub(crate) fn of(cluster: &'c Cluster) -> Self {
        Self::with(cluster, ApiServer::start(listener(cluster)).unwrap())
    }

    /// The same over HTTPS.
    pub(crate) fn with_tls(cluster: &'c Cluster) -> Self {
        Self::with(cluster, ApiServer::start_tls(listener(cluster)).unwrap())
    }

    fn with(cluster: &'c Cluster, server: ApiServer) -> Self {
        let api = Api { server, cluster, folder: tempfile::tempdir().unwrap() };
        for node in cluster.nodes() {
            let addresses = node.addresses.iter();
            let addresses: Vec<Value> =
                addresses.map(|address| json!({"type": "InternalIP", "address": address})).collect();
            api.server.apply(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name},
                "spec": {"podCIDRs": node.pod_ranges}, "status": {"addresses": addresses}}));
        }
        for pod in cluster.pods() {
            let (namespace, app) = names(&pod.name);
            if api.server.get("namespaces", "", namespace).is_none() {
                api.server.apply(json!({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}}}));
            }
            if api.server.get("deployments", namespace, app).is_none() {
                api.server.apply(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"namespace": namespace, "name": app},
                    "spec": {"selector": {"matchLabels": {"app": app}}}}));
                api.server.apply(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "metadata": {"namespace": namespace, "name": format!("{app}-rs"),
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": app,
                            "uid": "x", "controller": true}]}}));
            }
            api.add_pod(pod);
        }
        api
    }

    pub(crate) fn add_pod(&self, pod: &Pod) {
        let mut manifest = pod_manifest(pod);
        let (_, app) = names(&pod.name);
        manifest["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "name": format!("{app}-rs"), "uid": "y", "controller": true}]);
        self.server.apply(manifest);
    }

    /// The server is away: nobody listens where it was.
    pub(crate) fn away(&mut self) {
        self.server.stop();
    }

    /// It is there again.
    pub(crate) fn back(&mut self) {
        self.server.listen(listener(self.cluster)).unwrap();
    }

    pub(crate) fn kubeconfig(&self, token: Option<&str>) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        self.server.write_kubeconfig(&path, token).unwrap();
        path
    }

    /// A folder as a pod finds it at /var/run/secrets/kubernetes.io/serviceaccount.
    pub(crate) fn service_account(&self, token: &str) -> PathBuf {
        let folder = self.folder.path().join("serviceaccount");
        std::fs::create_dir_all(&folder).unwrap();
        let authority = self.server.authority().unwrap();
        for (name, text) in [("token", token), ("ca.crt", authority), ("namespace", "ms-acl")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    pub(crate) fn policy_file(&self, node: &str) -> PathBuf {
        self.folder.path().join(format!("policy-{node}.json"))
    }

    /// Starts a daemon.
    pub(crate) fn started(&self, node: &str, more: &[&str]) -> NodeDaemon<'c> {
        let kubeconfig = self.kubeconfig(None);
        NodeDaemon::run(self.cluster, node, |command| {
            command.args(["--source", "kube"]).env("KUBECONFIG", kubeconfig);
            command.arg("--policy-file").arg(self.policy_file(node)).args(more);
        })
    }

    /// Starts a daemon and waits until the kernel holds what is desired.
    pub(crate) fn start(&self, node: &str) -> NodeDaemon<'c> {
        let started = self.started(node, &[]);
        started.wait("synced", |status| status["synced"] == true);
        started
    }
}

fn listener(cluster: &Cluster) -> TcpListener {
    let address = SocketAddr::new(cluster.address(OUTSIDE, Family::V4).unwrap(), PORT);
    cluster.run_in(OUTSIDE, || TcpListener::bind(address)).unwrap().unwrap()
}

/// A NetworkPolicy for the pods of an app.
pub(crate) fn network_policy(name: &str, app: &str, more: &Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    let mut policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"podSelector": {"matchLabels": {"app": app}}}});
    for (field, value) in more.as_object().into_iter().flatten() {
        policy["spec"][field] = value.clone();
    }
    policy
}
