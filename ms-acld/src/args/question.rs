//! The command lines of those who ask: `explain`, `matrix`, `lint`.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches};
use hyper::Uri;
use ms_acl_core::verdict::{Endpoint, FlowPort};

use super::{Cli, PolicyArgs, value};

/// The manifests that are the cluster.
#[derive(Debug, Args)]
pub(crate) struct ManifestArgs {
    /// Files or folders of manifests, YAML or JSON.
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// An ACL policy document, as for PUT /policy.
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Files or folders of manifests, YAML or JSON.
    #[arg(required_unless_present = "server", value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Who opens the flow: `namespace/pod`, an address, `node:NAME`.
    #[arg(long, value_name = "REF")]
    pub(crate) from: Endpoint,
    /// To whom, after translation: a pod, not a Service.
    #[arg(long, value_name = "REF")]
    pub(crate) to: Endpoint,
    /// To which port: `80`, `80/tcp`, `53/udp`, `9/sctp`, `icmp`.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: FlowPort,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask the daemon whose HTTP API is there instead of files: `http://HOST:PORT`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["files", "policy"], value_parser = value::server)]
    pub(crate) server: Option<Uri>,
    /// Have the daemon explain what its kernel holds, not what it should hold.
    #[arg(long)]
    pub(crate) observed: bool,
    /// The daemon's token.
    #[arg(long, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
    /// File with the daemon's token.
    #[arg(long, env = "API_TOKEN_FILE", value_name = "PATH")]
    pub(crate) api_token_file: Option<PathBuf>,
    /// An ACL policy document, as for PUT /policy.
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    #[command(flatten)]
    pub(crate) manifests: ManifestArgs,
    /// The port: `80`, `80/tcp`, `53/udp`, `9/sctp`, `icmp`.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: FlowPort,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    #[command(flatten)]
    pub(crate) manifests: ManifestArgs,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Cli {
    /// Reads the command line; where it can't be, says so and ends with exit code 2.
    pub(crate) fn read() -> Cli {
        Cli::of(&Cli::command().get_matches()).unwrap_or_else(|error| error.exit())
    }

    fn of(matches: &ArgMatches) -> Result<Cli, clap::Error> {
        let cli = Cli::from_arg_matches(matches)?;
        if let Some(("explain", explain)) = matches.subcommand() {
            check(explain)?;
        }
        Ok(cli)
    }
}

/// Refuses flags of those who ask a daemon without one, and flags that a daemon wouldn't hear. Environment
/// twins are passed over: the environment is often the daemon's own.
fn check(explain: &ArgMatches) -> Result<(), clap::Error> {
    let conflict = |why: String| Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, why));
    if !explain.contains_id("server") {
        // clap doesn't require what conflicts with something that is there.
        return if explain.get_flag("observed") {
            conflict("--observed asks a daemon: --server is needed, and no files\n".to_owned())
        } else {
            Ok(())
        };
    }
    let typed = |flag: &clap::Id| explain.value_source(flag.as_str()) == Some(ValueSource::CommandLine);
    let settings = PolicyArgs::augment_args(clap::Command::new("settings"));
    let Some(flag) = settings.get_arguments().find(|flag| typed(flag.get_id())) else { return Ok(()) };
    let flag = flag.get_long().unwrap_or_default();
    conflict(format!("--{flag} cannot be used with --server: the daemon judges by its own settings\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(more: &[&str]) -> Result<(), clap::Error> {
        let base = ["ms-acld", "explain", "--from", "a/x", "--to", "node:n1", "--port", "80"];
        let line = base.iter().chain(more);
        Cli::command().try_get_matches_from(line).and_then(|matches| Cli::of(&matches)).map(|_| ())
    }

    #[test]
    fn files_or_a_daemon_are_asked_never_both() {
        const SERVER: &str = "http://127.0.0.1:18080";
        assert!(explain(&["x.yaml"]).is_ok() && explain(&["--server", SERVER, "--observed"]).is_ok());
        for wrong in [
            &[][..],
            &["x.yaml", "--server", SERVER],
            &["--policy", "p.json", "--server", SERVER],
            &["x.yaml", "--observed"],
            &["--server", SERVER, "--node-traffic", "enforce"],
            &["--server", "https://127.0.0.1"],
            &["--server", "127.0.0.1:18080"],
            &["--server", ""],
        ] {
            assert!(explain(wrong).is_err(), "{wrong:?}");
        }
    }
}
