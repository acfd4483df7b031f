//! The daemon that is measured: its status, and what it costs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A connection over which the status is asked for again and again.
pub(crate) struct Status {
    stream: BufReader<TcpStream>,
}

impl Status {
    /// Connects. To be called inside the node's namespace.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context("can't reach the daemon")?;
        stream.set_nodelay(true)?;
        Ok(Status { stream: BufReader::new(stream) })
    }

    /// The status now.
    pub(crate) fn get(&mut self) -> Result<Value> {
        self.stream.get_mut().write_all(b"GET /status HTTP/1.1\r\nHost: scale\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the daemon closed the connection");
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }
}

/// What a process has used until now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Its resident memory, in MiB.
    pub(crate) resident: f64,
    /// The most of it that there ever was, in MiB.
    pub(crate) most: f64,
    /// Its processor time, in seconds.
    pub(crate) seconds: f64,
}

impl Usage {
    /// The usage of a process.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/status"))?;
        let mebibytes = |field: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
            let kibibytes: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
            kibibytes / 1024.0
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // Behind the name in parentheses; times are in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().filter_map(|n| fields.get(*n)?.parse::<f64>().ok()).sum();
        Ok(Usage { resident: mebibytes("VmRSS"), most: mebibytes("VmHWM"), seconds: ticks / 100.0 })
    }
}

/// The daemon beside this program.
pub(crate) fn program() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("ms-acld");
    if !path.exists() {
        bail!("{} isn't built: cargo build --release -p ms-acld", path.display());
    }
    Ok(path)
}
