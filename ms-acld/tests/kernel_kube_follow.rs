//! The daemon follows an API server: what it lists, what changes, what was missed.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use common::cluster::{NodeDaemon, PORT, acl, expect, rules};
use common::kube::{Api, network_policy};
use ms_acl_lab::apiserver::{Fault, Streaming};
use ms_acl_lab::net::Outcome::{Allowed, Dropped, Rejected};
use ms_acl_lab::net::{Cluster, PodSpec, Ports, Protocol};
use serde_json::{Value, json};

const WEB: &str = "default/web-0";
const CLIENT: &str = "default/client-0";
const OTHER: &str = "other/client-0";

fn build() -> Cluster {
    let cluster = Cluster::builder()
        .nodes(2)
        .pod(PodSpec::new(WEB, "node1"))
        .pod(PodSpec::new(CLIENT, "node1"))
        .pod(PodSpec::new(OTHER, "node2"))
        .build()
        .unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    cluster
}

fn tcp(cluster: &Cluster, from: &str, outcome: ms_acl_lab::net::Outcome) {
    expect(cluster, from, WEB, Protocol::Tcp, outcome);
}

/// Lets clients of the policy's own namespace in.
fn own_clients() -> Value {
    network_policy(
        "default/web",
        "web",
        &json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]}),
    )
}

fn faults(node: &NodeDaemon<'_>) -> String {
    node.status()["faults"].to_string()
}

#[test]
fn what_is_listed_and_what_changes_is_enforced() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.apply(own_clients());
    let node = api.start("node1");
    assert_eq!(node.status()["source"], "kube");
    assert_eq!(node.status()["faults"], json!([]));
    assert_eq!(node.status()["clusterPods"], 3);
    tcp(&cluster, CLIENT, Allowed);
    tcp(&cluster, OTHER, Rejected);

    // Each event is one generation.
    let before = node.status();
    api.server.apply(network_policy(
        "default/web",
        "web",
        &json!({"ingress": [{"from": [{"namespaceSelector":
        {"matchLabels": {"team": "b"}}}]}]}),
    ));
    api.server.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other",
        "labels": {"kubernetes.io/metadata.name": "other", "team": "b"}}}));
    let after = node.wait_inputs(&before, 2);
    assert_eq!(after["generation"].as_u64(), before["generation"].as_u64().map(|g| g + 2));
    tcp(&cluster, CLIENT, Rejected);
    tcp(&cluster, OTHER, Allowed);

    // Pods come and go.
    let before = node.status();
    assert!(api.server.delete("pods", "other", "client-0"));
    node.wait_inputs(&before, 1);
    tcp(&cluster, OTHER, Rejected);
    api.add_pod(cluster.pod(OTHER).unwrap());
    node.wait_inputs(&before, 2);
    tcp(&cluster, OTHER, Allowed);

    // ACLs find a Deployment's pods by their owners.
    node.put(&acl("default/web", "DENY", &json!([])));
    tcp(&cluster, OTHER, Dropped);
    node.put(&json!({"deployments": []}));
    let before = node.status();
    assert!(api.server.delete("networkpolicies", "default", "web"));
    node.wait_inputs(&before, 1);
    tcp(&cluster, CLIENT, Allowed);
    assert_eq!(node.status()["synced"], true);
}

#[test]
fn servers_with_and_without_streaming_lists_are_read() {
    let cluster = build();
    for streaming in [Streaming::Known, Streaming::Refused, Streaming::Ignored] {
        let api = Api::of(&cluster);
        api.server.set_faults(|faults| faults.streaming = streaming);
        api.server.apply(own_clients());
        let node = api.start("node1");
        tcp(&cluster, CLIENT, Allowed);
        tcp(&cluster, OTHER, Rejected);
        let paged = api.server.take_requests().iter().any(|request| request.contains("limit=500"));
        assert_eq!(paged, streaming != Streaming::Known);
        assert_eq!(node.status()["faults"], json!([]));
    }
}

#[test]
fn long_lists_are_read_page_by_page() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.set_faults(|faults| faults.streaming = Streaming::Refused);
    for number in 0..1234 {
        api.server.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "many",
            "name": format!("p{number}")}, "spec": {"nodeName": "node9"}, "status": {"phase": "Running",
            "podIPs": [{"ip": format!("10.77.{}.{}", number / 250, 1 + number % 250)}]}}));
    }
    let node = api.start("node1");
    assert_eq!(node.status()["clusterPods"], 1237);
    let pages = api.server.take_requests();
    assert_eq!(
        pages.iter().filter(|request| request.contains("/pods?") && request.contains("limit")).count(),
        3
    );
}

#[test]
fn what_was_missed_while_the_server_was_away_is_made_up_for() {
    let cluster = build();
    let mut api = Api::of(&cluster);
    api.server.apply(own_clients());
    api.server.apply(network_policy("default/client", "client", &json!({})));
    let node = api.start("node1");
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);

    api.away();
    let status = node.wait("the loss", |status| status["synced"] == false);
    assert!(status["faults"].to_string().contains("what is known of them stays in force"), "{status}");
    tcp(&cluster, CLIENT, Allowed);
    tcp(&cluster, OTHER, Rejected);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
    assert_eq!(node.send(common::Request::new("GET", "/readyz")).status, 200, "it goes on");

    api.server.delete("networkpolicies", "default", "client");
    api.server.apply(network_policy(
        "default/web",
        "web",
        &json!({"ingress": [{"from": [{"namespaceSelector": {}}]}]}),
    ));
    api.back();
    node.wait("the server again", |status| status["synced"] == true && status["faults"] == json!([]));
    node.wait("the missed changes", |_| {
        rules(&cluster, "node1").iter().all(|line| !line.contains("default/client"))
    });
    tcp(&cluster, OTHER, Allowed);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Allowed);
}

#[test]
fn after_410_everything_is_listed_again_and_what_vanished_goes() {
    let cluster = build();
    let mut api = Api::of(&cluster);
    api.server.apply(own_clients());
    api.server.apply(network_policy("default/client", "client", &json!({})));
    let node = api.start("node1");
    let before = node.status();
    for streaming in [Streaming::Known, Streaming::Refused] {
        api.server.set_faults(|faults| faults.streaming = streaming);
        api.away();
        node.wait("the loss", |status| status["synced"] == false);
        api.server.delete("networkpolicies", "default", "client");
        api.server.delete("pods", "default", "client-0");
        api.server.compact();
        api.back();
        node.wait("a new listing", |status| status["synced"] == true && status["clusterPods"] == 2);
        expect(&cluster, WEB, CLIENT, Protocol::Tcp, Allowed);
        tcp(&cluster, CLIENT, Rejected);

        api.server.apply(network_policy("default/client", "client", &json!({})));
        api.add_pod(cluster.pod(CLIENT).unwrap());
        node.wait("them again", |status| {
            status["clusterPods"] == 3 && status["policies"] == 2 && status["applied"] == status["generation"]
        });
        tcp(&cluster, CLIENT, Allowed);
        expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
    }
    // What is the same in a new listing is no input: two objects went and came, twice.
    assert_eq!(node.status()["generation"].as_u64(), before["generation"].as_u64().map(|g| g + 8));
}

#[test]
fn watches_that_end_in_time_go_on_without_a_word() {
    let cluster = build();
    let api = Api::of(&cluster);
    let node = api.start("node1");
    api.server.take_requests();
    for (count, pause) in [(1, 0), (2, 1200)] {
        std::thread::sleep(std::time::Duration::from_millis(pause));
        api.server.end_watches();
        api.server.apply(network_policy(&format!("default/web{count}"), "web", &json!({})));
        node.wait("the policy", |status| status["policies"] == count && status["synced"] == true);
        tcp(&cluster, CLIENT, Rejected);
        assert_eq!(node.status()["faults"], json!([]));
    }
    let requests = api.server.take_requests();
    assert!(requests.iter().all(|request| !request.contains("sendInitialEvents")), "{requests:?}");
}

#[test]
fn an_object_that_does_not_decode_stops_nobody_else() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.apply(own_clients());
    let node = api.start("node1");
    // Its last valid version stays.
    let mut broken = own_clients();
    broken["spec"]["ingress"] = json!("nonsense");
    let before = node.status();
    api.server.apply(broken);
    // Without one, whom it selects is refused.
    api.server.apply(network_policy("default/client", "client", &json!({"ingress": 7})));
    let status = node.wait_inputs(&before, 2);
    assert!(status["faults"].to_string().contains("its last valid version stays"), "{status}");
    tcp(&cluster, CLIENT, Allowed);
    tcp(&cluster, OTHER, Rejected);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
    assert!(faults(&node).contains("NetworkPolicy default/client"));

    // What has no name, and lines that are no events.
    api.server.put_text("pods", "default", "nameless", r#"{"metadata":{"name":7,"namespace":"default"}}"#);
    node.wait("a fault", |status| status["faults"].to_string().contains("without a name"));
    api.server.send_line("networkpolicies", "no JSON at all");
    api.server.delete("networkpolicies", "default", "client");
    node.wait("a valid world", |status| status["policies"] == 1 && status["synced"] == true);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Allowed);
    api.server.delete("pods", "default", "nameless");
    api.server.apply(own_clients());
    node.wait("no fault", |status| status["faults"] == json!([]) && status["synced"] == true);
}

#[test]
fn a_server_that_is_overloaded_fails_or_is_slow_loosens_nothing() {
    let cluster = build();
    let mut api = Api::of(&cluster);
    api.server.apply(own_clients());
    let node = api.start("node1");
    for fault in [Fault::TooMany(1), Fault::Status(500), Fault::Garbage, Fault::Status(401)] {
        api.away();
        for kind in ["pods", "networkpolicies", "namespaces", "nodes"] {
            api.server.set_fault(kind, Some(fault.clone()));
        }
        api.server.compact();
        api.back();
        node.wait("the fault", |status| status["synced"] == false);
        tcp(&cluster, CLIENT, Allowed);
        tcp(&cluster, OTHER, Rejected);
        api.server.set_faults(|faults| faults.kinds.clear());
        node.wait("the end of it", |status| status["synced"] == true);
    }
    api.server.set_faults(|faults| faults.delay = std::time::Duration::from_millis(500));
    api.away();
    api.server.delete("networkpolicies", "default", "web");
    api.server.compact();
    api.back();
    node.wait("a slow server", |status| status["policies"] == 0 && status["synced"] == true);
    tcp(&cluster, OTHER, Allowed);
}
