//! The commands that are no daemon.

use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context;
use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::compile::compile as compile_cluster;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Severity;
use ms_acl_core::render;
use ms_acl_core::ruleset::{Family, Rulesets};
use ms_acl_netfilter::{Dataplane, Options};

use crate::args::{CompileArgs, Format};
use crate::engine::removal_lines;
use crate::instance::OnlyInstance;
use crate::policy;
use crate::source::dir::read_once;
use crate::source::manifest::syntax_of;
use crate::text::Syntax;

/// Prints what would be programmed on a node. Fails if any object had a fault.
pub(crate) fn compile(args: &CompileArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.settings(&args.node)?;
    let (folder, batch) = read_once(&args.files)?;
    let mut faulty = !batch.state.faults.is_empty();
    for fault in &batch.state.faults {
        let object = fault.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
        eprintln!("error: {}: {object}{}", fault.origin, fault.detail);
    }
    for note in folder.notes() {
        eprintln!("note: {note}");
    }
    let mut cluster = Cluster::new();
    for sourced in batch.events {
        match sourced.event {
            Event::Apply(object) => cluster.apply(object),
            Event::Undecodable(error) => cluster.apply_undecodable(&error),
            Event::Delete(object) => cluster.delete(&object),
            Event::Acl(document) => cluster.set_acl(document),
        }
    }
    if let Some(path) = &args.policy {
        let text = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        match policy::parse(syntax_of(path).unwrap_or(Syntax::Json), &text) {
            Ok(document) => cluster.set_acl(document.into()),
            Err(faults) => {
                faulty = true;
                for fault in faults {
                    eprintln!("error: {}: {}: {}", path.display(), fault.path, fault.detail);
                }
            }
        }
    }
    for diagnostic in cluster.diagnostics() {
        faulty |= diagnostic.severity == Severity::Error;
        eprintln!("{diagnostic}");
    }
    for warning in AclDocument::warnings(cluster.acl()) {
        eprintln!("warning: {}: {}", warning.path, warning.detail);
    }
    let rulesets = compile_cluster(&cluster, &settings).rulesets;
    let name_of = |address| {
        let pod = cluster.pod_at(address)?;
        Some(format!("{}/{}", pod.namespace, pod.name))
    };
    print(&text(&rulesets, args.family, args.format, &name_of))?;
    Ok(if faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The graphs of one family or of both, in a form.
fn text(
    rulesets: &Rulesets,
    family: Option<Family>,
    format: Format,
    name_of: &dyn Fn(IpAddr) -> Option<String>,
) -> String {
    let one = family.map(|family| rulesets.family(family));
    match (format, one) {
        (Format::Iptables, Some(graph)) => render::iptables_save(graph),
        (Format::Iptables, None) => Family::BOTH
            .map(|family| format!("# {family}\n{}", render::iptables_save(rulesets.family(family))))
            .concat(),
        (Format::Ipset, Some(graph)) => render::ipset_save_family(graph),
        (Format::Ipset, None) => render::ipset_save(rulesets),
        (Format::Nft, Some(graph)) => render::nft_family(graph),
        (Format::Nft, None) => render::nft(rulesets),
        (Format::Dot, Some(graph)) => render::dot_family(graph),
        (Format::Dot, None) => render::dot(rulesets),
        (Format::Json, Some(graph)) => render::json_family(graph),
        (Format::Json, None) => render::json(rulesets),
        (Format::Summary, Some(graph)) => render::summary_family(graph, name_of),
        (Format::Summary, None) => render::summary_with_names(rulesets, name_of),
    }
}

/// Prints a text. A reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match std::io::stdout().write_all(format!("{text}{end}").as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("can't write"),
        _ => Ok(()),
    }
}

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
