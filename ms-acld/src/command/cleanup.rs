//! `ms-acld cleanup`.

use std::process::ExitCode;

use anyhow::Context;
use ms_acl_netfilter::{Dataplane, Options};

use crate::engine::removal_lines;
use crate::instance::OnlyInstance;

/// Takes everything of ours out of this network namespace.
pub(crate) fn cleanup() -> anyhow::Result<ExitCode> {
    let _instance = OnlyInstance::claim().context("a running daemon would put everything back")?;
    let mut dataplane = Dataplane::open(Options::default())?;
    let report = dataplane.remove_all()?;
    for line in removal_lines(&report) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
