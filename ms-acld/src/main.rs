//! The node daemon of ms-acl: from manifests and the HTTP API to rules in the kernel.
#![forbid(unsafe_code)]

mod args;
mod command;
mod engine;
mod form;
mod http;
mod instance;
mod logging;
mod policy;
mod policy_store;
mod run;
mod source;
mod text;

use std::process::ExitCode;

use args::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::read().command {
        Command::Run(args) => {
            logging::start(args.log_format);
            return run::run(&args);
        }
        Command::Compile(args) => command::compile(&args),
        Command::Explain(args) => command::explain(&args),
        Command::Matrix(args) => command::matrix(&args),
        Command::Lint(args) => command::lint(&args),
        Command::Cleanup => command::cleanup(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ms-acld: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, on one line.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
