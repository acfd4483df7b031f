//! Manifests that are wrong, as the daemon's status tells.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

mod common;

use std::fs;

use common::{Daemon, alone};
use serde_json::Value;

const POLICY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME}\nspec: {podSelector: {}}\n";

fn policy(name: &str) -> String {
    POLICY.replace("NAME", name)
}

fn pod(address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{nodeName: node1}}\nstatus: {{podIP: {address}}}\n"
    )
}

fn faults(status: &Value) -> Vec<(String, String)> {
    let text = |fault: &Value, field: &str| fault[field].as_str().unwrap_or_default().to_owned();
    let faults = status["faults"].as_array().unwrap().iter();
    faults.map(|fault| (text(fault, "source"), text(fault, "detail"))).collect()
}

#[test]
fn a_file_that_breaks_keeps_its_last_version_and_the_others_go_on() {
    alone("a_file_that_breaks_keeps_its_last_version_and_the_others_go_on", || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("pod.yaml"), pod("10.0.0.1")).unwrap();
        fs::write(path("p.yaml"), policy("p")).unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        let status = daemon.wait_synced();
        assert_eq!((&status["policies"], &status["localPods"]), (&1.into(), &1.into()));
        fs::write(path("p.yaml"), "{{{").unwrap();
        let status = daemon.wait("a fault", |status| !faults(status).is_empty());
        let [(source, detail)] = &faults(&status)[..] else { panic!("{status}") };
        assert_eq!(source, "p.yaml");
        assert!(detail.contains("its last good version stays in force"), "{detail}");
        assert!(status["faults"][0]["since"].as_str().unwrap().ends_with('Z'));
        assert_eq!(status["policies"], 1);
        fs::write(path("q.yaml"), policy("q")).unwrap();
        daemon.wait("the other policy", |status| status["policies"] == 2 && status["synced"] == true);
        let problem = daemon.ask("GET", "/readyz").problem(503);
        assert!(problem["detail"].as_str().unwrap().starts_with("not ready: p.yaml: "), "{problem}");
        fs::write(path("p.yaml"), policy("p")).unwrap();
        daemon.wait("no faults", |status| faults(status).is_empty() && status["synced"] == true);
        assert_eq!(daemon.ask("GET", "/readyz").status, 200);
    });
}

#[test]
fn an_invalid_object_is_told_and_its_neighbours_go_on() {
    alone("an_invalid_object_is_told_and_its_neighbours_go_on", || {
        let folder = tempfile::tempdir().unwrap();
        let invalid = policy("p")
            .replace("podSelector: {}", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: nonsense}}]}]");
        fs::write(
            folder.path().join("x.yaml"),
            format!("{invalid}---\n{}---\n{}", policy("q"), pod("10.0.0.1")),
        )
        .unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        let status = daemon.wait_synced();
        assert_eq!(status["policies"], 2);
        let fault = &status["faults"][0];
        assert_eq!(
            (&fault["object"], &fault["source"]),
            (&"NetworkPolicy default/p".into(), &"x.yaml".into())
        );
        assert!(fault["path"].as_str().unwrap().starts_with("/spec/ingress/0"), "{fault}");
        assert_eq!(daemon.ask("GET", "/readyz").status, 200, "an object is no file");
    });
}

#[test]
fn a_file_that_was_never_read_keeps_what_the_kernel_holds() {
    alone("a_file_that_was_never_read_keeps_what_the_kernel_holds", || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("pod.yaml"), pod("10.0.0.1")).unwrap();
        fs::write(path("p.yaml"), policy("p")).unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        drop(daemon);
        fs::write(path("p.yaml"), "{{{").unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        let reason = common::wait_for("a reason", || {
            let problem = daemon.ask("GET", "/readyz").problem(503);
            let detail = problem["detail"].as_str().unwrap().to_owned();
            detail.contains("p.yaml").then_some(detail)
        });
        assert!(reason.starts_with("not ready: p.yaml: "), "{reason}");
        let status = daemon.wait("the start", |status| status["applied"] == 1);
        assert_eq!(status["synced"], false);
        let answer = daemon.put(&serde_json::json!({}));
        assert_eq!(answer.status, 200, "what is known goes on: {answer:?}");
        fs::write(path("p.yaml"), policy("p")).unwrap();
        daemon.wait_synced();
        assert_eq!(daemon.ask("GET", "/readyz").status, 200);
        let changed = daemon.log().lines().filter(|line| line.contains("changed generation")).count();
        assert_eq!(changed, 0, "the kernel held all of it");
    });
}

#[test]
fn the_folder_may_vanish_and_its_objects_stay() {
    alone("the_folder_may_vanish_and_its_objects_stay", || {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("m");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("p.yaml"), policy("p")).unwrap();
        let daemon = Daemon::start(&folder, &[]);
        daemon.wait_synced();
        fs::rename(&folder, above.path().join("elsewhere")).unwrap();
        let status = daemon.wait("a fault", |status| !faults(status).is_empty());
        assert_eq!((&status["policies"], &status["synced"]), (&1.into(), &false.into()));
        fs::rename(above.path().join("elsewhere"), &folder).unwrap();
        daemon.wait("no faults", |status| faults(status).is_empty() && status["synced"] == true);
    });
}
