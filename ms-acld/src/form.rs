//! The forms in which rule graphs are shown.

use std::net::IpAddr;

use ms_acl_core::render;
use ms_acl_core::ruleset::{Family, Rulesets};

use crate::args::Format;

/// The graphs of one family or of both, in a form. `name_of` tells whose an address is.
pub(crate) fn text(
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
