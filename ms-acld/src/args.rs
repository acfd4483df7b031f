//! The command line. Every flag has an environment twin; the flag wins.

mod question;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use ms_acl_core::model::{MarkError, Marks, NodeTraffic, RefuseWith, Settings};
use ms_acl_core::ruleset::Family;

pub(crate) use question::{ExplainArgs, LintArgs, MatrixArgs};
pub(crate) use value::{Addresses, Bind, SourceArg};

/// Network access control for the pods of a Kubernetes node.
#[derive(Debug, Parser)]
#[command(name = "ms-acld", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The daemon: enforces policy on this node.
    Run(Box<RunArgs>),
    /// Prints what would be programmed on a node; needs no rights.
    Compile(CompileArgs),
    /// Says whether one end reaches another, and what decides it.
    Explain(Box<ExplainArgs>),
    /// Says who reaches whom on a port.
    Matrix(MatrixArgs),
    /// Looks for policies that hardly mean what they say; fails if it finds more than notes.
    Lint(LintArgs),
    /// Removes everything of ours from this network namespace, and nothing else.
    Cleanup,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct RunArgs {
    /// The node this is [default: the host's name].
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = value::filled)]
    pub(crate) node_name: Option<String>,
    /// Where objects come from: `kube`, or `dir:PATH`, a folder of manifests.
    #[arg(long, env = "MS_ACL_SOURCE", default_value = "kube", value_name = "SOURCE", value_parser = value::source)]
    pub(crate) source: SourceArg,
    /// With the source kube: the only namespace that is watched, so that a Role suffices [default: all].
    #[arg(long, env = "WATCH_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// With --namespace: addresses of this node, which the Node object would tell.
    #[arg(long, env = "HOST_IP", default_value = "", value_name = "ADDRESSES", value_parser = value::addresses)]
    pub(crate) host_ip: Addresses,
    /// Address of the HTTP API; without a host, all addresses of both families.
    #[arg(long, env = "API_BIND", default_value = ":18080", value_name = "ADDRESS", value_parser = value::bind)]
    pub(crate) api_bind: Bind,
    /// Token that callers of the HTTP API must show. Without one, only callers from this host are served.
    #[arg(
        long,
        env = "API_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        conflicts_with = "api_token_file"
    )]
    pub(crate) api_token: Option<String>,
    /// File with the token; read again when it changes.
    #[arg(long, env = "API_TOKEN_FILE", value_name = "PATH")]
    pub(crate) api_token_file: Option<PathBuf>,
    /// Serve every caller although there is no token.
    #[arg(long, env = "API_OPEN", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) api_open: bool,
    /// Where the pushed policy survives a restart.
    #[arg(long, env = "POLICY_FILE", value_name = "PATH")]
    pub(crate) policy_file: Option<PathBuf>,
    /// Where our jumps stand in FORWARD, OUTPUT and INPUT: `insert` = first, `append` = last.
    #[arg(
        long,
        env = "FORWARD_JUMP_POSITION",
        default_value = "insert",
        value_name = "POSITION",
        ignore_case = true
    )]
    pub(crate) forward_jump_position: JumpPosition,
    /// How the kernel is programmed.
    #[arg(long, env = "MS_ACL_BACKEND", default_value = "iptables-nft", value_name = "BACKEND")]
    pub(crate) backend: Backend,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// What happens to the rules at the end: they stay, or they go.
    #[arg(long, env = "ON_EXIT", default_value = "keep", value_name = "WHAT")]
    pub(crate) on_exit: OnExit,
    /// How often the kernel is compared with what it should hold.
    #[arg(long, env = "RESYNC", default_value = "60s", value_name = "TIME", value_parser = value::interval)]
    pub(crate) resync: Duration,
    /// The log's format; RUST_LOG sets its level.
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// What changes the meaning of policies; the offline commands know it too.
#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyArgs {
    /// Networks that Kubernetes policy controls; a family without one is controlled whole.
    #[arg(
        long,
        env = "POD_IP_RANGE",
        default_value = "0.0.0.0/0,::/0",
        value_name = "CIDRS",
        value_delimiter = ',',
        value_parser = value::network
    )]
    pub(crate) pod_ip_range: Vec<IpNet>,
    /// Three bits of the packet mark.
    #[arg(long, env = "MARK_MASK", default_value = "0x3800", value_name = "MASK", value_parser = value::mask)]
    pub(crate) mark_mask: u32,
    /// One bit of the connection mark, used only while an ACL rule says ALLOW.
    #[arg(long, env = "CONNMARK_MASK", default_value = "0x1000", value_name = "MASK", value_parser = value::mask)]
    pub(crate) connmark_mask: u32,
    /// Whether traffic between a pod and its own node always passes, or is judged.
    #[arg(long, env = "NODE_TRAFFIC", default_value = "allow", value_name = "HOW")]
    pub(crate) node_traffic: NodeTrafficArg,
    /// How NetworkPolicy refuses: with an answer, or in silence.
    #[arg(long, env = "REFUSE_WITH", default_value = "reject", value_name = "HOW")]
    pub(crate) refuse_with: RefuseWithArg,
}

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// Files or folders of manifests, YAML or JSON.
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// The node whose rules are printed.
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = value::filled)]
    pub(crate) node: String,
    /// An ACL policy document, as for PUT /policy.
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Option<PathBuf>,
    /// Print one family only.
    #[arg(long, value_name = "4|6", value_parser = value::family)]
    pub(crate) family: Option<Family>,
    /// What is printed.
    #[arg(long, default_value = "iptables", value_name = "FORMAT")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) settings: PolicyArgs,
}

impl PolicyArgs {
    /// The compiler's settings for a node.
    pub(crate) fn settings(&self, node: &str) -> Result<Settings, MarkError> {
        Ok(Settings {
            pod_ip_range: self.pod_ip_range.clone(),
            node_traffic: self.node_traffic.into(),
            refuse_with: self.refuse_with.into(),
            marks: Marks::from_masks(self.mark_mask, self.connmark_mask)?,
            ..Settings::new(node)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JumpPosition {
    Insert,
    Append,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    IptablesNft,
}

impl Backend {
    /// The name that users give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::IptablesNft => "iptables-nft",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExit {
    Keep,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeTrafficArg {
    Allow,
    Enforce,
}

impl From<NodeTrafficArg> for NodeTraffic {
    fn from(value: NodeTrafficArg) -> Self {
        match value {
            NodeTrafficArg::Allow => NodeTraffic::Allow,
            NodeTrafficArg::Enforce => NodeTraffic::Enforce,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RefuseWithArg {
    Reject,
    Drop,
}

impl From<RefuseWithArg> for RefuseWith {
    fn from(value: RefuseWithArg) -> Self {
        match value {
            RefuseWithArg::Reject => RefuseWith::Reject,
            RefuseWithArg::Drop => RefuseWith::Drop,
        }
    }
}

/// A form of the rule graph, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// iptables-save text.
    Iptables,
    /// ipset-save text.
    Ipset,
    /// nftables' own syntax.
    Nft,
    /// A picture.
    Dot,
    /// Everything, for programs.
    Json,
    /// Who is governed by what, for people.
    Summary,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<RunArgs, clap::Error> {
        let line = ["ms-acld", "run"].iter().chain(arguments);
        match Cli::try_parse_from(line)?.command {
            Command::Run(run) => Ok(*run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let args = run(&[]).unwrap();
        assert_eq!(args.source, SourceArg::Kube);
        assert_eq!(args.api_bind, Bind::All(18080));
        assert_eq!(args.resync, Duration::from_mins(1));
        assert_eq!(args.forward_jump_position, JumpPosition::Insert);
        assert_eq!(args.on_exit, OnExit::Keep);
        let settings = args.policy.settings("n").unwrap();
        assert_eq!(settings.marks, Marks::default());
        assert_eq!(settings.refuse_with, RefuseWith::Reject);
        assert!(Family::BOTH.iter().all(|family| settings.pod_ip_range(*family).is_empty()));
    }

    #[test]
    fn a_token_and_a_token_file_exclude_each_other() {
        assert!(run(&["--api-token", "x"]).is_ok());
        assert!(run(&["--api-token-file", "x"]).is_ok());
        assert!(run(&["--api-token", "x", "--api-token-file", "x"]).is_err());
    }

    #[test]
    fn what_does_not_work_is_refused() {
        for wrong in [
            &["--backend", "nftables"][..],
            &["--node-name", ""],
            &["--source", "dir:"],
            &["--source", "file:/x"],
            &["--api-bind", "18080"],
            &["--mark-mask", "0xg"],
            &["--pod-ip-range", "10.0.0.0/33"],
            &["--resync", "0s"],
            &["--tls-cert", "x"],
        ] {
            assert!(run(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_mask_of_two_bits_is_refused() {
        let args = run(&["--mark-mask", "0x3000"]).unwrap();
        assert_eq!(args.policy.settings("n"), Err(MarkError::TooFewBits(0x3000)));
    }
}
