//! `ipset save` text, fit for `ipset restore`.

use std::fmt::Write;

use crate::ruleset::{Family, Ruleset, Rulesets, SetKind};

/// All sets of both families with their members.
pub fn ipset_save(graphs: &Rulesets) -> String {
    ipset_save_family(&graphs.v4) + &ipset_save_family(&graphs.v6)
}

/// All sets of one family with their members.
pub fn ipset_save_family(graph: &Ruleset) -> String {
    let mut text = String::new();
    for (name, set) in &graph.sets {
        let kind = match set.kind {
            SetKind::Addresses => "hash:ip",
            SetKind::Networks => "hash:net",
            SetKind::AddressPorts => "hash:ip,port",
        };
        let family = match set.family {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        };
        let _ = writeln!(text, "create {name} {kind} family {family} maxelem {}", u32::MAX);
        for member in &set.members {
            let _ = writeln!(text, "add {name} {member}");
        }
    }
    text
}
