//! `ms-acld lint`.

use std::process::ExitCode;

use ms_acl_core::lint::{self, Finding};
use ms_acl_core::model::Severity;
use serde::Serialize;

use super::load::load;
use super::{print, print_json, settings, success_if};
use crate::args::LintArgs;

/// The answer as JSON.
#[derive(Serialize)]
struct Findings<'a> {
    findings: &'a [Finding],
}

/// Prints the traps. Fails if there is one that is more than a note, or if something that was given
/// couldn't be used.
pub(crate) fn lint(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let settings = match settings(&args.manifests.settings, "") {
        Ok(settings) => settings,
        Err(code) => return Ok(code),
    };
    let loaded = load(&args.manifests.files, args.manifests.policy.as_deref())?;
    let mut findings = lint::lint(&loaded.cluster, &settings);
    findings.extend(loaded.policies.iter().flat_map(lint::network_policy));
    lint::sort(&mut findings);
    let clean = findings.iter().all(|finding| finding.diagnostic.severity == Severity::Note);
    if args.json {
        print_json(&Findings { findings: &findings })?;
    } else {
        print(&text(&findings))?;
    }
    Ok(success_if(clean && loaded.whole))
}

/// The findings, and how many of what weight there are.
fn text(findings: &[Finding]) -> String {
    let mut lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let count = |severity| findings.iter().filter(|f| f.diagnostic.severity == severity).count();
    let counts = [Severity::Error, Severity::Warning, Severity::Note]
        .map(|severity| (count(severity), severity))
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}{}", if count > 1 { "s" } else { "" }));
    let counts: Vec<String> = counts.collect();
    lines.push(if counts.is_empty() { "no finding".to_owned() } else { counts.join(", ") });
    lines.join("\n")
}
