//! A daemon on a node, and its HTTP API.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ms_acl_lab::net::{Cluster, Process, Signal};
use serde_json::Value;

const PORT: u16 = 18080;

/// A running daemon.
pub(crate) struct Daemon {
    node: String,
    process: Process,
}

impl Daemon {
    /// Starts the daemon of a node on a folder of manifests and waits until it enforces them.
    pub(crate) fn start(cluster: &Cluster, node: &str, folder: &Path) -> Result<Daemon> {
        let mut command = cluster.command_in(node, program()?)?;
        command.args(["run", "--node-name", node, "--api-bind", &format!("127.0.0.1:{PORT}")]);
        command.arg("--source").arg(format!("dir:{}", folder.display()));
        let mut daemon = Daemon { node: node.to_owned(), process: Process::spawn(command)? };
        let deadline = Instant::now() + Duration::from_secs(10);
        while daemon.request(cluster, "GET", "/readyz", "").map(|(code, _)| code).unwrap_or_default() != 200 {
            if Instant::now() > deadline || daemon.process.status()?.is_some() {
                bail!("the daemon on {node} doesn't get ready:\n{}", daemon.process.output()?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Pushes a policy document; the answer's text.
    pub(crate) fn put_policy(&self, cluster: &Cluster, document: &str) -> Result<String> {
        match self.request(cluster, "PUT", "/policy", document)? {
            (200, answer) => Ok(answer),
            (code, answer) => bail!("PUT /policy on {}: {code} {answer}", self.node),
        }
    }

    /// Waits until the kernel holds everything that the daemon has taken in, at least `inputs` inputs.
    pub(crate) fn settle(&self, cluster: &Cluster, enough: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let (_, answer) = self.request(cluster, "GET", "/status", "")?;
            let status: Value = serde_json::from_str(&answer).context("the status is JSON")?;
            if status["synced"] == true && enough(&status) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the daemon on {} doesn't settle: {answer}", self.node);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the daemon as an init system would.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(Duration::from_secs(3))?;
        if !status.success() {
            bail!("the daemon on {} ended with {status}:\n{}", self.node, self.process.output()?);
        }
        Ok(())
    }

    fn request(&self, cluster: &Cluster, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let answer = cluster.run_in(&self.node, || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })??;
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((code, body))
    }
}

/// The daemon's program: built beside this one.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe().context("find this program")?;
    let folders = here.ancestors().skip(1).take(2);
    let mut programs = folders.map(|folder| folder.join("ms-acld"));
    programs
        .find(|program| fs::exists(program).unwrap_or_default())
        .context("ms-acld isn't built: run `make demo`")
}
