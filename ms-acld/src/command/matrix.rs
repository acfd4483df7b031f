//! `ms-acld matrix`.

use std::process::ExitCode;

use ms_acl_core::verdict::matrix::live_pods;
use ms_acl_core::verdict::{Nodes, matrix as judge_all};

use super::load::load;
use super::{print, print_json, settings, success_if};
use crate::args::MatrixArgs;

/// Prints who reaches whom. Fails if something that was given couldn't be used, not for what it prints.
pub(crate) fn matrix(args: &MatrixArgs) -> anyhow::Result<ExitCode> {
    let settings = match settings(&args.manifests.settings, "") {
        Ok(settings) => settings,
        Err(code) => return Ok(code),
    };
    let loaded = load(&args.manifests.files, args.manifests.policy.as_deref())?;
    loaded.tell_diagnostics();
    let pods = live_pods(&loaded.cluster);
    if pods.is_empty() {
        eprintln!("note: no pod has an address of its own");
    }
    let mut nodes = Nodes::new(&loaded.cluster, &settings);
    let matrix = judge_all(&mut nodes, (&pods, &pods), args.port, &|_| Vec::new())?;
    if args.json {
        print_json(&matrix)?;
    } else {
        print(&matrix.to_string())?;
    }
    Ok(success_if(loaded.whole))
}
