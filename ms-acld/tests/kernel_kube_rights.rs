//! What the daemon does with less than all rights, and where a kind isn't there.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use common::cluster::{NodeDaemon, PORT, acl, expect, expect_same, handles};
use common::kube::{Api, network_policy};
use common::{LIMIT, Request};
use ms_acl_lab::apiserver::Fault;
use ms_acl_lab::net::Outcome::{Allowed, Dropped, Rejected};
use ms_acl_lab::net::{Cluster, Family, PodSpec, Ports, Protocol, Signal};
use serde_json::json;

const WEB: &str = "default/web-0";
const CLIENT: &str = "default/client-0";
const OTHER: &str = "other/client-0";

fn build() -> Cluster {
    let cluster = Cluster::builder()
        .nodes(1)
        .pod(PodSpec::new(WEB, "node1"))
        .pod(PodSpec::new(CLIENT, "node1"))
        .pod(PodSpec::new(OTHER, "node1"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    cluster
}

#[test]
fn without_deployments_and_replica_sets_the_rest_is_enforced() {
    let cluster = build();
    for status in [403, 404] {
        let api = Api::of(&cluster);
        let forbid = |fault: Option<Fault>| {
            for kind in ["deployments", "replicasets"] {
                api.server.set_fault(kind, fault.clone());
            }
        };
        forbid(Some(Fault::Status(status)));
        api.server.apply(network_policy("default/client", "client", &json!({})));
        // Two names that tell nothing, and one that tells the Deployment.
        let mut pod = api.server.get("pods", "default", "web-0").unwrap();
        pod["metadata"]["labels"]["pod-template-hash"] = "77".into();
        pod["metadata"]["ownerReferences"][0]["name"] = "web-77".into();
        api.server.apply(pod);
        let node = api.start("node1");
        let faults = node.status()["faults"].to_string();
        assert!(faults.contains("deployments can't be listed") && faults.contains("replicasets"), "{faults}");
        assert_eq!(node.send(Request::new("GET", "/readyz")).status, 200);
        expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
        let reply = node
            .send(Request::new("PUT", "/policy").body(&acl("default/web", "DENY", &json!([])).to_string()));
        assert_eq!(reply.status, 200, "{reply:?}");
        expect(&cluster, CLIENT, WEB, Protocol::Tcp, Dropped);
        node.put(&acl("default/none", "DENY", &json!([])));

        if status == 403 {
            // A right that is given later counts.
            forbid(None);
            node.wait("the right", |status| !status["faults"].to_string().contains("can't be listed"));
            // And one that is taken away takes nothing with it.
            node.put(&acl("other/client", "DENY", &json!([])));
            expect(&cluster, CLIENT, OTHER, Protocol::Tcp, Dropped);
            forbid(Some(Fault::Status(403)));
            api.server.compact();
            api.server.end_watches();
            let lost = "deployments can't be watched: 403";
            let status = node.wait("the loss", |status| status["faults"].to_string().contains(lost));
            assert_eq!(status["synced"], false);
            expect(&cluster, CLIENT, OTHER, Protocol::Tcp, Dropped);
        }
    }
}

#[test]
fn nothing_is_loosened_before_every_needed_kind_was_listed() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.apply(network_policy("default/client", "client", &json!({})));
    let mut node = api.start("node1");
    node.put(&acl("default/web", "DENY", &json!([])));
    node.daemon.process.signal(Signal::SIGKILL).unwrap();
    node.daemon.process.wait(LIMIT).unwrap();
    drop(node);
    let before = handles(&cluster, "node1");
    for kind in ["pods", "networkpolicies", "namespaces", "nodes"] {
        let expected = format!("{kind} can't be listed: 403");
        api.server.set_fault(kind, Some(Fault::Status(403)));
        let node = api.started("node1", &[]);
        let ready = || node.send(Request::new("GET", "/readyz"));
        node.wait("the fault", |status| status["faults"].to_string().contains(&expected));
        assert_eq!(ready().status, 503);
        assert!(ready().body.contains(&expected), "{:?}", ready());
        std::thread::sleep(std::time::Duration::from_millis(200));
        expect_same(&before, &handles(&cluster, "node1"), kind);
        api.server.set_faults(|faults| faults.kinds.clear());
    }
    let node = api.start("node1");
    expect_same(&before, &handles(&cluster, "node1"), "what is desired is there already");
    drop(node);
}

#[test]
fn a_token_that_is_wrong_is_told() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.set_faults(|faults| faults.token = Some("right".to_owned()));
    let start = |token: &str| {
        let kubeconfig = api.kubeconfig(Some(token));
        NodeDaemon::run(&cluster, "node1", |command| {
            command.args(["--source", "kube"]).env("KUBECONFIG", kubeconfig);
        })
    };
    let node = start("wrong");
    let status = node.wait("the fault", |status| status["faults"].to_string().contains("401"));
    assert!(!status.to_string().contains("wrong"), "{status}");
    drop(node);
    start("right").wait("synced", |status| status["synced"] == true);
}

#[test]
fn a_role_in_one_namespace_suffices() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.set_faults(|faults| faults.only_namespace = Some("default".to_owned()));
    api.server.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default",
        "labels": {"kubernetes.io/metadata.name": "default", "team": "a"}}}));
    api.server.apply(network_policy(
        "default/web",
        "web",
        &json!({"ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"team": "a"}}}]}]}),
    ));
    api.server.apply(network_policy("other/client", "client", &json!({})));
    let address = cluster.address("node1", Family::V4).unwrap().to_string();
    let more = ["--namespace", "default", "--host-ip", &address];
    let node = api.started("node1", &more);
    let status = node.wait("synced", |status| status["synced"] == true);
    assert_eq!(status["faults"], json!([]), "{status}");
    assert!(status["preflight"].to_string().contains("only the namespace default is watched"), "{status}");
    assert_eq!((status["clusterPods"].as_u64(), status["localPods"].as_u64()), (Some(2), Some(2)));
    // The policy of the other namespace isn't known, nor are its pods as peers.
    expect(&cluster, CLIENT, WEB, Protocol::Tcp, Allowed);
    expect(&cluster, OTHER, WEB, Protocol::Tcp, Rejected);
    expect(&cluster, CLIENT, OTHER, Protocol::Tcp, Allowed);
    // The Namespace is read again and again.
    api.server.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default",
        "labels": {"kubernetes.io/metadata.name": "default"}}}));
    node.wait("the label", |now| now["generation"] != status["generation"] && now["synced"] == true);
    expect(&cluster, CLIENT, WEB, Protocol::Tcp, Rejected);
    drop(node);

    // Where even that is forbidden, its name is known.
    api.server.set_faults(|faults| faults.own_namespace = false);
    api.server.apply(network_policy(
        "default/web",
        "web",
        &json!({"ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}]}]}),
    ));
    let node = api.started("node1", &more);
    let status = node.wait("synced", |status| status["synced"] == true);
    assert!(status["faults"].to_string().contains("namespaces can't be listed: 403"), "{status}");
    expect(&cluster, CLIENT, WEB, Protocol::Tcp, Allowed);
    expect(&cluster, OTHER, WEB, Protocol::Tcp, Rejected);
    let requests = api.server.take_requests();
    let wide = |request: &&String| {
        request.contains("/nodes") || request.contains("v1/pods") || request.contains("namespaces?")
    };
    assert_eq!(requests.iter().find(wide), None);
}
