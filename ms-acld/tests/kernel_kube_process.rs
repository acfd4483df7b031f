//! The process: how it starts and ends while the API server is away, hangs or comes back.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::time::{Duration, Instant};

use common::cluster::{NodeDaemon, PORT, acl, expect, expect_same, handles, rules};
use common::kube::{Api, network_policy};
use common::{LIMIT, PROGRAM, Request};
use ms_acl_lab::apiserver::Fault;
use ms_acl_lab::net::Outcome::{Allowed, Dropped, Rejected};
use ms_acl_lab::net::{Cluster, PodSpec, Ports, Process, Protocol, Signal};
use serde_json::{Value, json};

const WEB: &str = "default/web-0";
const CLIENT: &str = "default/client-0";

fn build() -> Cluster {
    let cluster =
        Cluster::builder().nodes(1).pod(PodSpec::new(WEB, "node1")).pod(PodSpec::new(CLIENT, "node1"));
    let cluster = cluster.build().unwrap();
    cluster.serve_pods(&Ports::all(&[PORT])).unwrap();
    cluster
}

#[test]
fn a_restart_while_the_server_is_away_keeps_the_old_rules() {
    let cluster = build();
    let mut api = Api::of(&cluster);
    api.server.apply(network_policy("default/client", "client", &json!({})));
    let mut node = api.start("node1");
    node.put(&acl("default/web", "DENY", &json!([])));
    node.daemon.process.signal(Signal::SIGKILL).unwrap();
    node.daemon.process.wait(LIMIT).unwrap();
    drop(node);
    let before = handles(&cluster, "node1");

    api.away();
    let node = api.started("node1", &[]);
    let status =
        node.wait("the fault", |status| status["faults"].to_string().contains("pods can't be listed"));
    assert_eq!((&status["synced"], &status["generation"]), (&json!(false), &json!(1)));
    expect_same(&before, &handles(&cluster, "node1"), "nothing is touched");
    expect(&cluster, CLIENT, WEB, Protocol::Tcp, Dropped);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
    let before = handles(&cluster, "node1");
    // A change of the document has to wait as well: it may loosen what nobody has read yet.
    let reply = node.send(Request::new("PUT", "/policy").body("{}"));
    assert_eq!(reply.status, 202, "{reply:?}");
    expect_same(&before, &handles(&cluster, "node1"), "still nothing is touched");

    api.server.delete("networkpolicies", "default", "client");
    api.back();
    node.wait("synced", |status| status["synced"] == true);
    expect(&cluster, CLIENT, WEB, Protocol::Tcp, Allowed);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Allowed);
}

#[test]
fn a_first_start_waits_for_the_server() {
    let cluster = build();
    let mut api = Api::of(&cluster);
    api.server.apply(network_policy("default/client", "client", &json!({})));
    api.away();
    let node = api.started("node1", &[]);
    node.wait("the fault", |status| status["faults"].to_string().contains("can't be listed"));
    assert_eq!(node.send(Request::new("GET", "/readyz")).status, 503);
    assert_eq!(node.send(Request::new("GET", "/healthz")).status, 200);
    assert!(rules(&cluster, "node1").is_empty());
    api.back();
    node.wait("synced", |status| status["synced"] == true);
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
}

#[test]
fn sigterm_ends_it_within_two_seconds_whatever_the_server_does() {
    let cluster = build();
    let mut api = Api::of(&cluster);
    let quick = |node: NodeDaemon<'_>, what: &str| {
        let (code, time) = node.daemon.terminate();
        assert_eq!(code, Some(0), "{what}");
        assert!(time < Duration::from_secs(2), "{what}: {time:?}");
    };
    quick(api.start("node1"), "while it watches");
    api.server.set_fault("pods", Some(Fault::Hang));
    quick(api.started("node1", &[]), "while a list hangs");
    api.away();
    let node = api.started("node1", &[]);
    node.wait("the fault", |status| status["faults"].to_string().contains("can't be listed"));
    quick(node, "while nobody is there");
}

#[test]
fn in_a_pod_it_uses_the_service_account() {
    let cluster = build();
    let api = Api::with_tls(&cluster);
    api.server.set_faults(|faults| faults.token = Some("of the pod".to_owned()));
    api.server.apply(network_policy("default/client", "client", &json!({})));
    let mut command = cluster.command_in("node1", "sh").unwrap();
    // The namespace's tool gives it mounts of its own.
    let script = "mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && cp -r $1 /run/secrets/kubernetes.io && shift && exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(api.service_account("of the pod"));
    command.args([
        PROGRAM,
        "run",
        "--node-name",
        "node1",
        "--api-bind",
        "127.0.0.1:18080",
        "--source",
        "kube",
    ]);
    let address = api.server.address();
    command.env("KUBERNETES_SERVICE_HOST", address.ip().to_string());
    command.env("KUBERNETES_SERVICE_PORT", address.port().to_string()).env_remove("KUBECONFIG");
    let node = NodeDaemon::of(&cluster, "node1", command);
    let status = node.wait("synced", |status| status["synced"] == true);
    assert_eq!(status["faults"], json!([]));
    expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
}

#[test]
fn a_server_that_cannot_be_trusted_is_told() {
    let cluster = build();
    let api = Api::with_tls(&cluster);
    let kubeconfig = api.kubeconfig(None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stranger = ms_acl_lab::apiserver::ApiServer::start_tls(listener).unwrap();
    std::fs::write(kubeconfig.with_extension("ca.crt"), stranger.authority().unwrap()).unwrap();
    let node = NodeDaemon::run(&cluster, "node1", |command| {
        command.args(["--source", "kube"]).env("KUBECONFIG", &kubeconfig);
    });
    node.wait("the fault", |status| status["faults"].to_string().contains("certificate"));
    drop(node);
    // With the right authority in its place it is the same server.
    let node = api.start("node1");
    assert_eq!(node.status()["faults"], json!([]));
}

#[test]
fn it_needs_no_right_but_net_admin() {
    let cluster = build();
    let api = Api::of(&cluster);
    api.server.apply(network_policy("default/client", "client", &json!({})));
    // As the DaemonSet starts it: root without root's rights. As the systemd unit does: nobody with one right.
    let daemon_set = ["--bounding-set", "-all,+net_admin", "--inh-caps", "-all", "--no-new-privs"];
    let unit = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set",
        "-all,+net_admin",
        "--inh-caps",
        "-all,+net_admin",
        "--ambient-caps",
        "+net_admin",
    ];
    for limits in [&daemon_set[..], &unit] {
        let mut command = cluster.command_in("node1", "setpriv").unwrap();
        command.args(limits).args([PROGRAM, "run", "--node-name", "node1", "--api-bind", "127.0.0.1:18080"]);
        let kubeconfig = api.kubeconfig(None);
        command.args(["--source", "kube", "--on-exit", "remove"]).env("KUBECONFIG", kubeconfig);
        let node = NodeDaemon::of(&cluster, "node1", command);
        let status = node.wait("synced", |status| status["synced"] == true);
        assert_eq!(status["faults"], json!([]), "{limits:?}");
        // Looking at the node takes no more than that either. The lab's pods can forge their addresses.
        let status =
            node.wait("a look at the node", |status| !status["preflight"].as_array().unwrap().is_empty());
        let forged = |line: &Value| line.as_str().unwrap().contains("from addresses that aren't its own");
        assert!(status["preflight"].as_array().unwrap().iter().all(forged), "{status}");
        expect(&cluster, WEB, CLIENT, Protocol::Tcp, Rejected);
        assert_eq!(node.daemon.terminate().0, Some(0));
        expect(&cluster, WEB, CLIENT, Protocol::Tcp, Allowed);
    }
}

#[test]
fn without_an_api_server_to_look_for_it_says_so_at_once() {
    let started = Instant::now();
    for (name, value) in [("KUBECONFIG", "/nonexistent/kubeconfig"), ("HOME", "/nonexistent")] {
        let mut command = std::process::Command::new("unshare");
        command.args(["-n", PROGRAM, "run", "--source", "kube", "--api-bind", "127.0.0.1:0"]);
        command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env(name, value);
        let mut process = Process::spawn(command).unwrap();
        assert_eq!(process.wait(LIMIT).unwrap().code(), Some(1));
        let log = process.output().unwrap();
        assert!(log.contains("no API server is known"), "{log}");
    }
    assert!(started.elapsed() < LIMIT);
}
