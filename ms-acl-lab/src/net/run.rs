//! Running things inside a host's namespace.

use std::ffi::OsStr;
use std::process::Command;

use ms_acl_core::ruleset::Family;

use super::cluster::Cluster;
use super::error::Result;
use super::namespace::in_thread;
use super::tool;

impl Cluster {
    /// Runs a closure in a thread of its own inside a host's namespace.
    ///
    /// Sockets that it opens and processes that it spawns belong to that namespace. A panic is passed on.
    pub fn run_in<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = self.namespace(host)?;
        in_thread(|| namespace.enter().map(|()| work()))
    }

    /// A command that will run `program` inside a host's namespace, with that namespace's `/sys`.
    ///
    /// It keeps the process id: the tool that enters the namespace replaces itself by the program.
    pub fn command_in(&self, host: &str, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace_name(host)?]).arg(program);
        Ok(command)
    }

    /// Runs a tool inside a host's namespace to its end and returns what it printed.
    pub fn output_in<S: AsRef<OsStr> + Sync>(&self, host: &str, program: &str, args: &[S]) -> Result<String> {
        self.run_in(host, || tool::output(program, args, None))?
    }

    /// Runs `iptables` or `ip6tables` with these arguments, given as one line, inside a host's namespace.
    pub fn iptables(&self, host: &str, family: Family, line: &str) -> Result<()> {
        let program = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let args: Vec<&str> = line.split_whitespace().collect();
        self.output_in(host, program, &args).map(drop)
    }

    /// What `iptables-save` or `ip6tables-save` prints inside a host's namespace.
    pub fn iptables_save(&self, host: &str, family: Family) -> Result<String> {
        let program = match family {
            Family::V4 => "iptables-save",
            Family::V6 => "ip6tables-save",
        };
        self.output_in::<&str>(host, program, &[])
    }

    /// What `iptables-restore` or `ip6tables-restore` does with a text inside a host's namespace.
    ///
    /// With `--noflush`: tables and chains that the text doesn't name stay.
    pub fn iptables_restore(&self, host: &str, family: Family, text: &str) -> Result<()> {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        self.run_in(host, || tool::output(program, &["--noflush"], Some(text)))?.map(drop)
    }

    /// What `ipset save` prints inside a host's namespace.
    pub fn ipset_save(&self, host: &str) -> Result<String> {
        self.output_in(host, "ipset", &["save"])
    }

    /// What `ipset restore` does with a text inside a host's namespace.
    pub fn ipset_restore(&self, host: &str, text: &str) -> Result<()> {
        self.run_in(host, || tool::output("ipset", &["restore"], Some(text)))?.map(drop)
    }

    /// What `nft list ruleset` prints inside a host's namespace.
    pub fn nft_ruleset(&self, host: &str) -> Result<String> {
        self.output_in(host, "nft", &["list", "ruleset"])
    }

    /// The connection tracking entries of a family inside a host's namespace, one a line.
    pub fn conntrack(&self, host: &str, family: Family) -> Result<String> {
        let family = match family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        self.output_in(host, "conntrack", &["-L", "-f", family])
    }
}
