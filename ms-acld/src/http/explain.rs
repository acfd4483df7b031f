//! `GET /explain`: why a flow passes, or doesn't.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::StatusCode;
use hyper::header::{HeaderValue, VARY};
use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::Compiled;
use ms_acl_core::diff::diff;
use ms_acl_core::ruleset::{Family, Ruleset, Rulesets};
use ms_acl_core::verdict::explain::{Explanation, NoAnswer, Question, explain};
use ms_acl_core::verdict::{NoAddress, Nodes};

use super::Api;
use super::accept::prefers_text;
use super::answer::{self, Answer, Problem, internal};
use super::body::{flag, query, value};
use super::look::{Looking, look, not_ready};
use super::router::Call;
use crate::engine::{Look, View};

pub(super) async fn get(api: &Api, call: &Call) -> Answer {
    let parameters = query(call.request.uri(), &["from", "to", "port", "observed"])?;
    let question = question(&parameters)?;
    let observed = flag(&parameters, "observed")?;
    let as_text = prefers_text(call.request.headers());
    let Looking { mut view, place } = look(api, Look { cluster: true, observed }).await?;
    let (Some(cluster), Some(desired)) = (view.cluster.take(), view.desired.take()) else {
        return Err(not_ready(api));
    };
    let answered = move || answer_of(&cluster, desired, &view, &question);
    let answered = tokio::task::spawn_blocking(answered).await;
    drop(place);
    let explanation = answered.map_err(internal)?.map_err(|why| unanswered(&why))?;
    let mut response = if as_text {
        answer::text(StatusCode::OK, "text/plain; charset=utf-8", explanation.to_string())
    } else {
        answer::json(StatusCode::OK, &explanation)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// The question that the parameters ask, or everything that is wrong with them.
fn question(parameters: &[(String, String)]) -> Result<Question, Problem> {
    let mut wrong = Vec::new();
    let from = parameter(parameters, "from", &mut wrong);
    let to = parameter(parameters, "to", &mut wrong);
    let port = parameter(parameters, "port", &mut wrong);
    match (from, to, port) {
        (Some(from), Some(to), Some(port)) => Ok(Question { from, to, port }),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, wrong.join("; "))),
    }
}

fn parameter<T: FromStr<Err: std::fmt::Display>>(
    parameters: &[(String, String)],
    name: &str,
    wrong: &mut Vec<String>,
) -> Option<T> {
    match value(parameters, name).map(T::from_str) {
        Some(Ok(value)) => return Some(value),
        Some(Err(error)) => wrong.push(format!("the parameter {name}: {error}")),
        None => wrong.push(format!("the parameter {name} is missing")),
    }
    None
}

fn unanswered(why: &NoAnswer) -> Problem {
    let status = match why {
        NoAnswer::NoAddress(NoAddress::UnknownPod { .. } | NoAddress::UnknownNode { .. }) => {
            StatusCode::NOT_FOUND
        }
        NoAnswer::NoAddress(_) | NoAnswer::NoCommonFamily { .. } => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, why.to_string())
}

/// Judges a flow: on this node by the graphs that are desired, or by those that were read back; on others
/// by what the cluster compiles to there.
fn answer_of(
    cluster: &Cluster,
    desired: Rulesets,
    view: &View,
    question: &Question,
) -> Result<Explanation, NoAnswer> {
    let View { settings, observed, local_pods, families, .. } = view;
    let mut differs = None;
    let rulesets = match observed.clone() {
        Some(mut held) => {
            held.recognise(&desired);
            differs = Some(!diff(&held, &restricted(desired, families)).is_empty());
            held
        }
        None => desired,
    };
    let mut nodes = Nodes::new(cluster, settings);
    nodes.insert(settings.node.clone(), Compiled { rulesets, local_pods: *local_pods });
    let own = own_addresses();
    let local = |node: &str| if node == settings.node { own.clone() } else { Vec::new() };
    let mut explanation = explain(&mut nodes, question, &local)?;
    let notes = notes(view, &explanation, differs);
    explanation.notes.extend(notes);
    Ok(explanation)
}

/// The graphs of the families that are enforced.
fn restricted(mut desired: Rulesets, families: &[Family]) -> Rulesets {
    for family in Family::BOTH.into_iter().filter(|family| !families.contains(family)) {
        *desired.family_mut(family) = Ruleset::new(family);
    }
    desired
}

/// The addresses that this machine has now; if that can't be told, those of the Node object count alone.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.collect()
}

/// What the daemon knows beyond the question. `differs`: whether what was read back isn't what is desired.
fn notes(view: &View, explanation: &Explanation, differs: Option<bool>) -> Vec<String> {
    let node = view.settings.node.as_str();
    let trails = [Some(&explanation.trail), explanation.other_family.as_ref()].into_iter().flatten();
    let judges = trails.flat_map(|trail| trail.sides().map(|(_, side)| (side.node.as_str(), trail.family)));
    let judges: BTreeSet<(&str, Family)> = judges.collect();
    let here = judges.iter().any(|(judge, _)| *judge == node);
    let mut notes = Vec::new();
    for family in Family::BOTH {
        if judges.contains(&(node, family)) && !view.families.contains(&family) {
            notes.push(format!(
                "{family} is not enforced on node {node}, see preflight in /status: nothing refuses its packets there"
            ));
        }
    }
    match differs {
        Some(true) => notes.push(format!(
            "the kernel of node {node} was read back: it doesn't hold what is desired, and what it holds is explained here"
        )),
        Some(false) => {
            notes.push(format!("the kernel of node {node} was read back: it holds what is desired"));
        }
        None if here && view.applied < view.generation => notes.push(format!(
            "this is what is desired, and the kernel of node {node} doesn't hold all of it yet: generation {}, applied {}{}",
            view.generation,
            view.applied,
            view.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
        )),
        None => {}
    }
    if !view.unread.is_empty() {
        notes.push(format!(
            "a part of the cluster can't be read, and rules of a former run stand beside what is known on node {node}: {}",
            view.unread.join("; ")
        ));
    }
    let others: BTreeSet<&str> =
        judges.iter().map(|(judge, _)| *judge).filter(|judge| *judge != node).collect();
    for other in others {
        notes.push(format!(
            "the side of node {other} is compiled by node {node}, from what it knows of the cluster and with its own \
             settings and policy document: ask the daemon there for what is in force there"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use ms_acl_core::compile::compile;
    use ms_acl_core::model::Settings;
    use ms_acl_core::object::Object;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_kernel_does_not_hold_is_told() {
        let mut cluster = Cluster::new();
        for value in [
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "x"},
                "spec": {"nodeName": "n1"}, "status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}}),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "p", "namespace": "x"}, "spec": {"podSelector": {}}}),
        ] {
            cluster.apply(Object::decode(value).unwrap().unwrap());
        }
        let settings = Settings::new("n1");
        let desired = compile(&cluster, &settings).rulesets;
        let mut held = desired.clone();
        held.v6 = Ruleset::new(Family::V6);
        let view = View {
            cluster: None,
            settings,
            desired: None,
            observed: Some(held),
            local_pods: 1,
            families: vec![Family::V4],
            generation: 2,
            applied: 2,
            last_error: None,
            unread: Vec::new(),
        };
        let ask = |view: &View, from: &str| {
            let question = Question {
                from: from.parse().unwrap(),
                to: "x/a".parse().unwrap(),
                port: "80".parse().unwrap(),
            };
            answer_of(&cluster, desired.clone(), view, &question).unwrap()
        };
        let four = ask(&view, "192.0.2.1");
        assert!(!four.notes.iter().any(|note| note.contains("not enforced")), "{four}");
        assert!(
            four.to_string().starts_with("reject: ") && four.to_string().contains("it holds what is desired")
        );
        let six = ask(&view, "2001:db8::1").to_string();
        assert!(six.starts_with("allow: ") && six.contains("note: ipv6 is not enforced on node n1"), "{six}");
        let behind = View { observed: None, generation: 3, last_error: Some("no luck".to_owned()), ..view };
        let note = "doesn't hold all of it yet: generation 3, applied 2: no luck";
        assert!(ask(&behind, "192.0.2.1").to_string().contains(note));
    }
}
