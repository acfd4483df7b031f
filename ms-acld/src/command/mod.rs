//! The commands that are no daemon, a file each.

mod cleanup;
mod compile;
mod explain;
mod lint;
mod load;
mod matrix;
mod server;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use ms_acl_core::model::Settings;
use serde::Serialize;

pub(crate) use cleanup::cleanup;
pub(crate) use compile::compile;
pub(crate) use explain::explain;
pub(crate) use lint::lint;
pub(crate) use matrix::matrix;

use crate::args::PolicyArgs;

/// The exit code for flags that can't be.
const BAD_USAGE: u8 = 2;

/// The settings that the flags make for a node; the error is the exit code, and has been told.
fn settings(args: &PolicyArgs, node: &str) -> Result<Settings, ExitCode> {
    args.settings(node).map_err(|wrong| {
        eprintln!("error: {wrong}");
        ExitCode::from(BAD_USAGE)
    })
}

/// Prints a text. A reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match std::io::stdout().write_all(format!("{text}{end}").as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("can't write"),
        _ => Ok(()),
    }
}

/// Prints a value as JSON, on one line.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string(value).context("can't write JSON")?)
}

fn success_if(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
