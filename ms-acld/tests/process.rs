//! How the daemon starts, how it doesn't, and how it ends.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use common::{Daemon, PROGRAM, alone, run};

/// Runs a daemon that must not start. Returns its exit code and what it says, which is one line.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let all: Vec<&str> = ["run", "--node-name", "node1", "--api-bind", "127.0.0.1:0"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let (code, output, errors) = run(&all);
    assert_eq!(output, "");
    (code, errors)
}

fn one_line(text: &str) -> &str {
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["--source", "tape:x"][..],
        &["--mark-mask", "0x3000"],
        &["--api-token", "a", "--api-token-file", "b"],
        &["--no-such-flag"],
        &["--resync", "never"],
    ] {
        assert_eq!(refused(arguments).0, Some(2), "{arguments:?}");
    }
    assert_eq!(run(&[]).0, Some(2));
    assert_eq!(run(&["compile"]).0, Some(2));
}

#[test]
fn what_is_missing_at_the_start_is_one_clear_line() {
    alone("what_is_missing_at_the_start_is_one_clear_line", || {
        let folder = tempfile::tempdir().unwrap();
        let source = format!("dir:{}", folder.path().display());
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("bad-policy"), "{\"deployments\": 3}").unwrap();
        for (arguments, said) in [
            (vec!["--source", "kube"], "no API server is known"),
            (vec!["--source", "dir:/no/such/folder"], "/no/such/folder"),
            (vec!["--source", &source, "--policy-file", &path("bad-policy")], "/deployments"),
            (vec!["--source", &source, "--policy-file", "/no/such/folder/p"], "/no/such/folder/p"),
            (vec!["--source", &source, "--api-token-file", "/no/such/token"], "/no/such/token"),
        ] {
            let (code, text) = refused(&arguments);
            assert_eq!(code, Some(1), "{arguments:?}: {text}");
            assert!(one_line(&text).contains(said), "{arguments:?}: {text}");
        }
        let daemon = Daemon::start(folder.path(), &[]);
        let (code, text) = refused(&["--source", &source]);
        assert!(code == Some(1) && one_line(&text).contains("another ms-acld runs"), "{text}");
        drop(daemon);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let (code, text) = refused(&["--source", &source, "--api-bind", &address]);
        assert!(code == Some(1) && one_line(&text).contains(&address), "{text}");
        let all = format!(":{}", taken.local_addr().unwrap().port());
        let (code, text) = refused(&["--source", &source, "--api-bind", &all]);
        assert!(code == Some(1) && one_line(&text).contains("in use"), "{text}");
    });
}

#[test]
fn without_net_admin_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("ms-acld");
    fs::copy(PROGRAM, &program).unwrap();
    for arguments in [
        vec!["run", "--api-bind", "127.0.0.1:0", "--source", &format!("dir:{}", folder.path().display())],
        vec!["cleanup"],
    ] {
        let mut command = Command::new(&program);
        command.args(&arguments).env_remove("RUST_LOG");
        if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(one_line(&text).contains("NET_ADMIN"), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn sigterm_ends_it_in_time() {
    alone("sigterm_ends_it_in_time", || {
        let folder = tempfile::tempdir().unwrap();
        for more in [&[][..], &["--on-exit", "remove"]] {
            let daemon = Daemon::start(folder.path(), more);
            daemon.wait_synced();
            // A connection that says nothing doesn't hold it up.
            let _idle = std::net::TcpStream::connect(daemon.address).unwrap();
            let (code, time) = daemon.terminate();
            assert_eq!(code, Some(0));
            assert!(time < Duration::from_secs(2), "{time:?}");
        }
        // At once after its start, too.
        let daemon = Daemon::start(folder.path(), &[]);
        assert_eq!(daemon.terminate().0, Some(0));
    });
}

#[test]
fn the_json_log_is_json() {
    alone("the_json_log_is_json", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &["--log-format", "json"]);
        daemon.wait_synced();
        daemon.put(&serde_json::json!({"deployments": [{"namespace": "a", "name": "b"}]}));
        let log = daemon.log();
        let lines: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')));
        let change = lines.iter().find(|line| line["target"] == "ms_acld::change").unwrap();
        assert_eq!((&change["generation"], &change["cause"]), (&1.into(), &"start".into()), "{change}");
        assert!(change["rules_added"].as_u64() > Some(0) && change["micros"].is_u64());
    });
}
