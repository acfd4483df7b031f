//! `PUT`, `GET` and `DELETE /policy` of a running daemon.

mod common;

use std::fs;

use common::{Daemon, LIMIT, Reply, Request, alone};
use serde_json::json;

const EMPTY: &str = r#"{"defaultAction":"ALLOW","deployments":[]}"#;

fn put(daemon: &Daemon, kind: &str, body: &str) -> Reply {
    Request::new("PUT", "/policy").header("Content-Type", kind).body(body).send(daemon.address)
}

#[test]
fn a_document_is_given_back_as_it_came() {
    alone("a_document_is_given_back_as_it_came", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        let before = daemon.ask("GET", "/policy");
        assert_eq!((before.status, before.body.as_str()), (200, EMPTY));
        assert_eq!(before.header("content-type"), "application/json");

        let text = r#"{"deployments":[{"rules":[{"port":80,"protocol":"tcp","action":"Deny"}],"name":"web","namespace":"default"}],"defaultAction":"REJECT"}"#;
        let answer = put(&daemon, "application/json; charset=utf-8", text);
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        assert_eq!(
            (&body["generation"], &body["deployments"], &body["rules"]),
            (&json!(2), &json!(1), &json!(1))
        );
        assert_eq!(body["warnings"][0]["path"], "/deployments/0");
        assert_eq!(body.get("applied"), None);

        let after = daemon.ask("GET", "/policy");
        assert_eq!(after.body, text);
        let tag = after.header("etag").to_owned();
        assert_eq!(answer.header("etag"), tag);
        assert_ne!(before.header("etag"), tag);
        let cached = Request::new("GET", "/policy").header("If-None-Match", &tag).send(daemon.address);
        assert_eq!((cached.status, cached.body.as_str(), cached.header("etag")), (304, "", tag.as_str()));

        let yaml = Request::new("GET", "/policy").header("Accept", "application/yaml").send(daemon.address);
        assert_eq!(yaml.header("content-type"), "application/yaml");
        assert_ne!(yaml.header("etag"), tag, "other bytes, another tag");
        assert_eq!(put(&daemon, "application/yaml", &yaml.body).status, 200);
        assert_eq!(daemon.ask("GET", "/policy").body, text);

        let head = daemon.ask("HEAD", "/policy");
        assert_eq!((head.status, head.body.as_str(), head.header("etag")), (200, "", tag.as_str()));
        assert_eq!(head.header("content-length"), text.len().to_string());

        let deleted = daemon.ask("DELETE", "/policy");
        assert_eq!((deleted.status, &deleted.json()["generation"]), (200, &json!(4)));
        assert_eq!(daemon.ask("GET", "/policy").body, EMPTY);
    });
}

#[test]
fn every_fault_of_a_document_is_told_and_nothing_is_changed() {
    alone("every_fault_of_a_document_is_told_and_nothing_is_changed", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        let text = r#"{"defaultAction":"MAYBE","deployments":[
            {"namespace":"default","name":"web","rules":[
              {"action":"ALLOW","srcCIDR":"10.0.0.0/33"},{"action":"ALLOW","port":80},{"protocol":"tcp","protocol":"udp"}]},
            {"namespace":"default","name":"web"},{"name":"x","color":"red"}]}"#;
        let problem = put(&daemon, "application/json", text).problem(400);
        let paths: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["path"].as_str().unwrap())
            .collect();
        for path in [
            "/defaultAction",
            "/deployments/0/rules/0/srcCIDR",
            "/deployments/0/rules/1/port",
            "/deployments/0/rules/2/protocol",
            "/deployments/0/rules/2/action",
            "/deployments/1",
            "/deployments/2/namespace",
            "/deployments/2/color",
        ] {
            assert!(paths.contains(&path), "{path} in {paths:?}");
        }
        for (kind, body) in [
            ("application/json", ""),
            ("application/json", "{"),
            ("application/json", "[]"),
            ("application/json", "{} {}"),
            ("application/json", "{\"deployments\":[],\"deployments\":[]}"),
            ("application/yaml", "deployments: []\ndeployments: []\n"),
            ("application/yaml", "a: [\n"),
            ("application/yaml", "--- {}\n--- {}\n"),
        ] {
            let problem = put(&daemon, kind, body).problem(400);
            assert!(!problem["errors"].as_array().unwrap().is_empty(), "{body}");
        }
        assert_eq!(daemon.ask("GET", "/policy").body, EMPTY);
        assert_eq!(daemon.status()["generation"], 1);
    });
}

#[test]
fn what_is_no_policy_request_gets_its_status() {
    alone("what_is_no_policy_request_gets_its_status", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        put(&daemon, "application/x-www-form-urlencoded", EMPTY).problem(415);
        put(&daemon, "text/plain", EMPTY).problem(415);
        let encoded = Request::new("PUT", "/policy").header("Content-Encoding", "gzip").body(EMPTY);
        encoded.send(daemon.address).problem(415);
        daemon.ask("GET", "/nothing").problem(404);
        daemon.ask("GET", "/policy/").problem(404);
        let wrong = daemon.ask("POST", "/policy");
        wrong.problem(405);
        assert_eq!(wrong.header("allow"), "GET, PUT, DELETE, HEAD");
        assert_eq!(daemon.ask("DELETE", "/status").header("allow"), "GET, HEAD");
        daemon.ask("PUT", "/policy?dryrun=true").problem(400);
        daemon.ask("PUT", "/policy?dryRun=yes").problem(400);
        let large = format!("{{\"deployments\": [{}]}}", " ".repeat(8 << 20));
        put(&daemon, "application/json", &large).problem(413);
        let fits = format!("{{\"deployments\": [{}]}}", " ".repeat((8 << 20) - 30));
        assert_eq!(put(&daemon, "application/json", &fits).status, 200);
    });
}

#[test]
fn a_body_in_chunks_is_bounded_too() {
    use std::io::Write;
    alone("a_body_in_chunks_is_bounded_too", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        let head =
            "PUT /policy HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut stream = std::net::TcpStream::connect(daemon.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
        for _ in 0..9 {
            let _ = stream.write_all(chunk.as_bytes());
        }
        Reply::read(&mut stream).problem(413);

        let mut stream = std::net::TcpStream::connect(daemon.address).unwrap();
        let small = format!("{head}{:x}\r\n{EMPTY}\r\n0\r\n\r\n", EMPTY.len());
        stream.write_all(small.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut stream).status, 200);
    });
}

#[test]
fn a_stale_writer_is_refused() {
    alone("a_stale_writer_is_refused", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        let tag = daemon.ask("GET", "/policy").header("etag").to_owned();
        let put = |tag: &str| {
            let document = r#"{"defaultAction":"DENY"}"#;
            Request::new("PUT", "/policy").header("If-Match", tag).body(document).send(daemon.address)
        };
        put("\"other\"").problem(412);
        let written = put(&tag);
        assert_eq!(written.status, 200);
        put(&tag).problem(412);
        assert_eq!(put(written.header("etag")).status, 200);
        let delete = Request::new("DELETE", "/policy").header("If-Match", &tag).send(daemon.address);
        delete.problem(412);
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    alone("a_dry_run_changes_nothing", || {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("web.yaml"),
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {matchLabels: {app: web}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, labels: {app: web}}\nspec: {nodeName: node1}\nstatus: {podIP: 10.1.0.5}\n",
        )
        .unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        let before = daemon.wait_synced();
        let document =
            r#"{"deployments":[{"namespace":"default","name":"web","rules":[{"action":"DENY"}]}]}"#;
        let dry = Request::new("PUT", "/policy?dryRun=true").body(document).send(daemon.address);
        assert_eq!(dry.status, 200, "{dry:?}");
        let body = dry.json();
        assert_eq!((&body["generation"], &body["rules"]), (&json!(1), &json!(1)));
        assert!(body["changes"]["chains"]["added"].as_u64() > Some(0), "{body}");
        assert!(body["changes"]["rules"]["added"].as_u64() > Some(0), "{body}");
        assert_eq!(daemon.status(), before);
        assert_eq!(daemon.ask("GET", "/policy").body, EMPTY);
        let real = Request::new("PUT", "/policy").body(document).send(daemon.address).json();
        assert_eq!((&real["generation"], real.get("changes")), (&json!(2), None));
        let again = Request::new("PUT", "/policy?dryRun=true").body(document).send(daemon.address).json();
        assert_eq!(again["changes"]["rules"], json!({"added": 0, "removed": 0}));
        let delete = daemon.ask("DELETE", "/policy?dryRun=true").json();
        assert!(delete["changes"]["rules"]["removed"].as_u64() > Some(0), "{delete}");
    });
}

#[test]
fn the_policy_file_survives_a_restart() {
    alone("the_policy_file_survives_a_restart", || {
        let folder = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("policy.json");
        let more = ["--policy-file", file.to_str().unwrap()];
        let daemon = Daemon::start(folder.path(), &more);
        daemon.wait_synced();
        let document =
            json!({"defaultAction": "DENY", "deployments": [{"namespace": "default", "name": "web"}]});
        assert_eq!(daemon.put(&document).status, 200);
        let tag = daemon.ask("GET", "/policy").header("etag").to_owned();
        assert_eq!(daemon.terminate().0, Some(0));
        let daemon = Daemon::start(folder.path(), &more);
        daemon.wait_synced();
        assert_eq!(daemon.ask("GET", "/policy").header("etag"), tag);
        assert_eq!(daemon.status()["policies"], 1);
    });
}

#[test]
fn a_policy_file_that_can_not_be_written_changes_nothing() {
    alone("a_policy_file_that_can_not_be_written_changes_nothing", || {
        let folder = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let inner = state.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let daemon = Daemon::start(folder.path(), &["--policy-file", inner.join("p.json").to_str().unwrap()]);
        daemon.wait_synced();
        fs::remove_dir(&inner).unwrap();
        let problem = daemon.put(&json!({"defaultAction": "DENY"})).problem(500);
        assert!(problem["detail"].as_str().unwrap().contains("nothing was changed"));
        assert_eq!(daemon.ask("GET", "/policy").body, EMPTY);
        assert_eq!(daemon.status()["generation"], 1);
        fs::create_dir(&inner).unwrap();
        assert_eq!(daemon.put(&json!({"defaultAction": "DENY"})).status, 200);
    });
}
