//! Who may call, and how connections are bounded.

mod common;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use common::{Daemon, Reply, Request, alone};

const TOKEN: &str = "correct-horse-battery";

fn with(daemon: &Daemon, path: &str, header: &str, value: &str) -> Reply {
    Request::new("GET", path).header(header, value).send(daemon.address)
}

#[test]
fn a_token_is_asked_for() {
    alone("a_token_is_asked_for", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &["--api-token", TOKEN]);
        for path in ["/policy", "/status", "/nothing"] {
            let refused = daemon.ask("GET", path);
            refused.problem(401);
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
        for method in ["PUT", "DELETE", "POST"] {
            daemon.ask(method, "/policy").problem(401);
        }
        for wrong in ["", "correct", "correct-horse-battery2"] {
            with(&daemon, "/policy", "X-API-Token", wrong).problem(401);
        }
        assert_eq!(with(&daemon, "/policy", "X-API-Token", TOKEN).status, 200);
        assert_eq!(with(&daemon, "/status", "Authorization", &format!("Bearer {TOKEN}")).status, 200);
        with(&daemon, "/nothing", "X-API-Token", TOKEN).problem(404);
        common::wait_for("ready", || (daemon.ask("GET", "/readyz").status == 200).then_some(()));
        assert_eq!(daemon.ask("GET", "/healthz").status, 200);
        assert!(!daemon.log().contains(TOKEN));
    });
}

#[test]
fn a_token_file_is_read_again() {
    alone("a_token_file_is_read_again", || {
        let folder = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("token");
        fs::write(&file, "one\n").unwrap();
        let daemon = Daemon::start(folder.path(), &["--api-token-file", file.to_str().unwrap()]);
        assert_eq!(with(&daemon, "/policy", "X-API-Token", "one").status, 200);
        fs::write(&file, "three").unwrap();
        with(&daemon, "/policy", "X-API-Token", "one").problem(401);
        assert_eq!(with(&daemon, "/policy", "X-API-Token", "three").status, 200);
    });
}

#[test]
fn without_a_token_only_loopback_is_served() {
    alone("without_a_token_only_loopback_is_served", || {
        let address = ["addr", "add", "10.9.9.9/32", "dev", "lo"];
        assert!(Command::new("ip").args(address).status().unwrap().success());
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = |daemon: &Daemon| SocketAddr::new("10.9.9.9".parse().unwrap(), daemon.address.port());
        let daemon = Daemon::start(folder.path(), &["--api-bind", ":0"]);
        let problem = Request::new("GET", "/policy").send(elsewhere(&daemon)).problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("--api-token"));
        assert_eq!(Request::new("GET", "/healthz").send(elsewhere(&daemon)).status, 200);
        assert_eq!(daemon.ask("GET", "/policy").status, 200);
        let six = SocketAddr::new("::1".parse().unwrap(), daemon.address.port());
        assert_eq!(Request::new("GET", "/policy").send(six).status, 200, "both families, one socket");
        drop(daemon);
        let daemon = Daemon::start(folder.path(), &["--api-bind", ":0", "--api-open"]);
        assert!(daemon.log().contains("--api-open: everybody"));
        assert_eq!(Request::new("GET", "/policy").send(elsewhere(&daemon)).status, 200);
    });
}

#[test]
fn many_open_connections_do_not_stop_the_daemon() {
    alone("many_open_connections_do_not_stop_the_daemon", || {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &[]);
        daemon.wait_synced();
        let idle: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
        common::wait_for("a refusal", || daemon.log().contains("connections are busy").then_some(()));
        let answers = || {
            let mut stream = TcpStream::connect(daemon.address).ok()?;
            std::io::Write::write_all(
                &mut stream,
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            )
            .ok()?;
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
            text.starts_with("HTTP/1.1 200").then_some(())
        };
        // Who is silent gives way.
        common::wait_for("an answer", answers);
        drop(idle);
        let long = "x".repeat(100 << 10);
        let reply = Request::new("GET", "/healthz").header("X-Long", &long).send(daemon.address);
        assert_eq!(reply.status, 431);
        assert_eq!(daemon.terminate().0, Some(0));
    });
}
