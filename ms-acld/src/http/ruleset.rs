//! `GET /ruleset`: the rule graphs, desired or as the kernel holds them.

use clap::ValueEnum;
use hyper::StatusCode;
use ms_acl_core::ruleset::Family;

use super::Api;
use super::answer::{self, Answer, Problem, internal};
use super::body::{flag, query, value};
use super::look::{Looking, look, not_ready};
use super::router::Call;
use crate::args::Format;
use crate::engine::Look;
use crate::form;

/// The forms that are served.
const FORMATS: [Format; 5] = [Format::Iptables, Format::Ipset, Format::Nft, Format::Dot, Format::Json];

pub(super) async fn get(api: &Api, call: &Call) -> Answer {
    let parameters = query(call.request.uri(), &["format", "family", "observed"])?;
    let wrong = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let format = match value(&parameters, "format") {
        None => Format::Iptables,
        Some(name) => FORMATS.into_iter().find(|format| name_of(*format) == name).ok_or_else(|| {
            let names = FORMATS.map(name_of).join(", ");
            wrong(format!("the parameter format is {name:?}, one of these is needed: {names}"))
        })?,
    };
    let family = match value(&parameters, "family") {
        None => None,
        Some("4") => Some(Family::V4),
        Some("6") => Some(Family::V6),
        Some(other) => return Err(wrong(format!("the parameter family is {other:?}, 4 or 6 is needed"))),
    };
    let observed = flag(&parameters, "observed")?;
    let Looking { view, place } = look(api, Look { cluster: false, observed }).await?;
    let graphs = if observed { view.observed } else { view.desired };
    let graphs = graphs.ok_or_else(|| not_ready(api))?;
    let text = tokio::task::spawn_blocking(move || form::text(&graphs, family, format, &|_| None));
    let text = text.await.map_err(internal)?;
    drop(place);
    Ok(answer::text(StatusCode::OK, media_type(format), text))
}

fn name_of(format: Format) -> String {
    format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Iptables | Format::Ipset | Format::Nft | Format::Summary => "text/plain; charset=utf-8",
        Format::Dot => "text/vnd.graphviz; charset=utf-8",
        Format::Json => "application/json",
    }
}
