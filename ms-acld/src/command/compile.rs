//! `ms-acld compile`.

use std::process::ExitCode;

use ms_acl_core::compile::compile as compile_cluster;

use super::load::load;
use super::{print, settings, success_if};
use crate::args::CompileArgs;
use crate::form;

/// Prints what would be programmed on a node. Fails if any object had a fault.
pub(crate) fn compile(args: &CompileArgs) -> anyhow::Result<ExitCode> {
    let settings = match settings(&args.settings, &args.node) {
        Ok(settings) => settings,
        Err(code) => return Ok(code),
    };
    let loaded = load(&args.files, args.policy.as_deref())?;
    let valid = loaded.tell_diagnostics();
    let cluster = &loaded.cluster;
    let rulesets = compile_cluster(cluster, &settings).rulesets;
    let name_of = |address| {
        let pod = cluster.pod_at(address)?;
        Some(format!("{}/{}", pod.namespace, pod.name))
    };
    print(&form::text(&rulesets, args.family, args.format, &name_of))?;
    Ok(success_if(loaded.whole && valid))
}
