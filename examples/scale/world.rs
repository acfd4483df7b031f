//! A large cluster, as its API server tells it.

use serde_json::{Value, json};

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) pods: usize,
    pub(crate) namespaces: usize,
    pub(crate) policies: usize,
    pub(crate) nodes: usize,
}

/// The node that is measured.
pub(crate) const NODE: &str = "node1";

impl Size {
    /// The number of pods on each node.
    pub(crate) fn pods_of_a_node(self) -> usize {
        self.pods.div_ceil(self.nodes)
    }

    /// The namespace of a pod. Pods of one node are in different namespaces.
    fn namespace(self, pod: usize) -> String {
        format!("team-{}", pod % self.namespaces)
    }

    /// The node of a pod: the first pods are on the node that is measured.
    fn node(self, pod: usize) -> String {
        match pod / self.pods_of_a_node() {
            0 => NODE.to_owned(),
            node => format!("worker-{node}"),
        }
    }

    /// A pod's namespace and name.
    pub(crate) fn name(self, pod: usize) -> (String, String) {
        (self.namespace(pod), format!("app-{}-7d9c5b8f6d-{pod:05x}", pod % 7))
    }

    /// A pod with its `life`-th address, with about as much around it as a real one has.
    pub(crate) fn pod(self, pod: usize, life: usize) -> Value {
        let (namespace, name) = self.name(pod);
        let number = (pod + life * 131_071) % (1 << 22);
        let ip = format!("10.{}.{}.{}", 64 + (number >> 16), (number >> 8) & 255, number & 255);
        let environment: Vec<Value> = (0..12)
            .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("a value of setting {n}")}))
            .collect();
        let condition = |kind: &str| {
            json!({"type": kind, "status": "True", "lastProbeTime": null,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:tier": {}}, "f:ownerReferences":
            {".": {}, "k:{\"uid\":\"00000000-0000-0000-0000-000000000000\"}": {}}}, "f:spec": {"f:containers":
            {"k:{\"name\":\"main\"}": {".": {}, "f:env": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:ports": {},
            "f:resources": {}, "f:terminationMessagePath": {}}}, "f:dnsPolicy": {}, "f:restartPolicy": {}}});
        let manager = |name: &str| {
            json!({"manager": name, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": fields})
        };
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "generateName": "app-7d9c5b8f6d-",
                "labels": {"app": format!("app-{}", pod % 7), "tier": if pod.is_multiple_of(2) { "front" } else { "back" },
                    "pod-template-hash": "7d9c5b8f6d"},
                "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "checksum/config": "f".repeat(64)},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                    "blockOwnerDeletion": true, "name": format!("app-{}-7d9c5b8f6d", pod % 7),
                    "uid": "00000000-0000-0000-0000-000000000000"}],
                "managedFields": [manager("kube-controller-manager"), manager("kubelet")]},
            "spec": {"nodeName": self.node(pod), "serviceAccountName": "default", "restartPolicy": "Always",
                "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "enableServiceLinks": true,
                "containers": [{"name": "main", "image": "registry.example/app:1.2.3", "env": environment,
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                    "volumeMounts": [{"name": "token", "readOnly": true, "mountPath": "/var/run/secrets"}]}],
                "volumes": [{"name": "token", "projected": {"defaultMode": 420, "sources": []}}]},
            "status": {"phase": "Running", "hostIP": "192.168.0.1", "podIP": ip, "podIPs": [{"ip": ip}], "qosClass": "Burstable",
                "conditions": conditions,
                "containerStatuses": [{"name": "main", "ready": true, "restartCount": 0, "started": true,
                    "image": "registry.example/app:1.2.3", "imageID": format!("sha256:{}", "0".repeat(64)),
                    "containerID": format!("containerd://{}", "0".repeat(64)),
                    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": {}}]}})
    }

    /// Everything, Pods last.
    pub(crate) fn objects(self) -> impl Iterator<Item = Value> {
        let namespaces = (0..self.namespaces).map(|n| {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("team-{n}"),
                "labels": {"kubernetes.io/metadata.name": format!("team-{n}"), "division": format!("d{}", n % 50)}}})
        });
        let nodes = (0..self.nodes).map(move |n| {
            let name = self.node(n * self.pods_of_a_node());
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.{}.{}", n / 250, 1 + n % 250)}]}})
        });
        let policies = (0..self.policies).map(move |n| {
            // Own front ends, or a division, or a network.
            let peers = match n % 3 {
                0 => json!([{"podSelector": {"matchLabels": {"tier": "front"}}}]),
                1 => json!([{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"division": format!("d{}", n % 50)}}}]),
                _ => json!([{"podSelector": {}}, {"ipBlock": {"cidr": "172.16.0.0/12", "except": ["172.16.5.0/24"]}}]),
            };
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"namespace": format!("team-{}", n % self.namespaces), "name": format!("policy-{n}")},
                "spec": {"podSelector": {"matchLabels": {"app": format!("app-{}", n % 7)}}, "policyTypes": ["Ingress"],
                    "ingress": [{"from": peers, "ports": [{"protocol": "TCP", "port": "http"}]}]}})
        });
        let pods = (0..self.pods).map(move |pod| self.pod(pod, 0));
        namespaces.chain(nodes).chain(policies).chain(pods)
    }
}
