//! The commands that are no daemon.

use std::process::ExitCode;

use anyhow::Context;
use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::compile::compile as compile_cluster;
use ms_acl_core::lower::acl::AclDocument;
use ms_acl_core::model::Severity;
use ms_acl_core::render;
use ms_acl_core::ruleset::{Family, Ruleset, Rulesets};
use ms_acl_netfilter::{Dataplane, Options};

use crate::args::{CompileArgs, Format};
use crate::engine::removal_lines;
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
    print(&compile_cluster(&cluster, &settings).rulesets, args.family, args.format);
    Ok(if faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(rulesets: &Rulesets, family: Option<Family>, format: Format) {
    let families: Vec<Family> = family.map_or_else(|| Family::BOTH.to_vec(), |family| vec![family]);
    match format {
        Format::Iptables => {
            for one in families {
                if family.is_none() {
                    println!("# {one}");
                }
                print!("{}", render::iptables_save(rulesets.family(one)));
            }
        }
        Format::Ipset => {
            for one in families {
                print!("{}", render::ipset_save_family(rulesets.family(one)));
            }
        }
        Format::Summary => {
            let mut chosen = rulesets.clone();
            for one in Family::BOTH.into_iter().filter(|one| !families.contains(one)) {
                *chosen.family_mut(one) = Ruleset::new(one);
            }
            print!("{}", render::summary(&chosen));
        }
    }
}

/// Takes everything of ours out of this network namespace.
pub(crate) fn cleanup() -> anyhow::Result<ExitCode> {
    let mut dataplane = Dataplane::open(Options::default())?;
    let report = dataplane.remove_all()?;
    for line in removal_lines(&report) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
