//! The daemon as a process, and a small HTTP client.
#![allow(dead_code, reason = "each test target uses a part of this")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

pub(crate) mod cluster;
pub(crate) mod kube;
pub(crate) mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ms_acl_lab::net::{Process, Signal};
use serde_json::Value;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ms-acld");
/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test in a network namespace of its own: the test program starts itself again there. Root isn't
/// needed where user namespaces are allowed.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    const INSIDE: &str = "MS_ACLD_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        return body();
    }
    let flags = if nix_is_root() { "-n" } else { "-Urn" };
    if !Command::new("unshare").args([flags, "true"]).status().unwrap().success() {
        println!("SKIPPED: {test} needs root, or user namespaces");
        return;
    }
    let output = Command::new("unshare")
        .args([flags, "--"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn nix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

/// A daemon that runs.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    /// Starts a daemon for node1 in this network namespace, on a port of its choice.
    pub(crate) fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--node-name", "node1", "--api-bind", "127.0.0.1:0"]);
        command.arg("--source").arg(format!("dir:{}", folder.display())).args(more);
        Self::of(command)
    }

    /// Starts the daemon that a command makes and waits until it serves.
    pub(crate) fn of(mut command: Command) -> Self {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("API_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        let mut process = Process::spawn(command).unwrap();
        let mark = "HTTP API at ";
        process.wait_for_output(mark, LIMIT).unwrap();
        let log = process.output().unwrap();
        let address = log.split(mark).nth(1).unwrap().split_whitespace().next().unwrap();
        let mut address: SocketAddr = address.trim_end_matches(['"', ',', '}']).parse().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        Daemon { process, address }
    }

    /// Sends a request and returns the answer.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Reply {
        Request::new(method, path).send(self.address)
    }

    /// Puts a policy document.
    pub(crate) fn put(&self, document: &Value) -> Reply {
        Request::new("PUT", "/policy").body(&document.to_string()).send(self.address)
    }

    /// `GET /status`.
    pub(crate) fn status(&self) -> Value {
        self.ask("GET", "/status").json()
    }

    /// Waits until the status is as wanted.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.status()).filter(&wanted))
    }

    /// Waits until the kernel holds what is desired.
    pub(crate) fn wait_synced(&self) -> Value {
        self.wait("synced", |status| status["synced"] == true)
    }

    pub(crate) fn log(&self) -> String {
        self.process.output().unwrap()
    }

    /// Ends it as an init system does. Returns the exit code and how long that took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        self.process.signal(Signal::SIGTERM).unwrap();
        let status = self.process.wait(LIMIT).unwrap();
        (status.code(), started.elapsed())
    }
}

/// Waits until there is a value.
pub(crate) fn wait_for<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the program to its end: exit code, standard output, error output.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    run_with(arguments, &[])
}

/// The same with variables of the environment.
pub(crate) fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(PROGRAM);
    // An API server of this machine's user is none of a test's.
    command.args(arguments).env_remove("RUST_LOG").env("KUBECONFIG", "/no/such/kubeconfig");
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A request of HTTP/1.1.
#[derive(Clone)]
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Request {
            head: format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &[name, ": ", value, "\r\n"].concat();
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn send(self, address: SocketAddr) -> Reply {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, self.body.len());
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has heard enough may close before it has got everything.
        let _ = stream.write_all(&self.body);
        Reply::read(&mut stream)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer doesn't make it less of an answer.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Reply { status, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it is a problem with this status, and returns its body.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        body
    }
}
