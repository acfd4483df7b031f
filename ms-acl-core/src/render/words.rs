//! Rules of the graph in people's words.

use crate::compile::{ACCEPT, ALLOW, PASS, REJECT};
use crate::model::PortRange;
use crate::ruleset::{Match, Rule, Ruleset, SetKey, SetName, States, Target};

/// A rule's matches in words: `from 10.0.0.0/24, tcp 80,443`; `everything` where it has none.
pub(crate) fn matches_in_words(rule: &Rule, graph: &Ruleset) -> String {
    let mut parts: Vec<String> = Vec::new();
    for test in &rule.matches {
        let part = match_in_words(test, graph);
        match (test, parts.last_mut()) {
            // A port belongs to the protocol before it.
            (Match::Port(_) | Match::Ports(_) | Match::Icmp(_), Some(last)) => {
                last.push(' ');
                last.push_str(&part);
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn match_in_words(test: &Match, graph: &Ruleset) -> String {
    match test {
        Match::Source(net) => format!("from {net}"),
        Match::NotSource(net) => format!("not from {net}"),
        Match::Destination(net) => format!("to {net}"),
        Match::NotDestination(net) => format!("not to {net}"),
        Match::Protocol(protocol) => protocol.to_string(),
        Match::Port(range) => range.to_string(),
        Match::Ports(ranges) => ranges.iter().map(PortRange::to_string).collect::<Vec<_>>().join(","),
        Match::Icmp(icmp) => format!("type {}", icmp.kind),
        Match::TcpFlags { mask, set, inverted } => {
            let not = if *inverted { "other than " } else { "" };
            format!("{not}TCP flags {set:#04x} of {mask:#04x}")
        }
        Match::State(states) => format!("{} packets", states_in_words(*states)),
        Match::Mark { value, mask } => format!("mark {value:#x}/{mask:#x}"),
        Match::Connmark { value, mask } => format!("connection mark {value:#x}/{mask:#x}"),
        Match::SourceIsLocal => "from this machine".to_owned(),
        Match::DestinationIsLocal => "to this machine".to_owned(),
        Match::InSet(name, key) => format!("{} {}", side(*key), set_in_words(name, graph)),
        Match::NotInSet(name, key) => format!("not {} {}", side(*key), set_in_words(name, graph)),
    }
}

fn side(key: SetKey) -> &'static str {
    match key {
        SetKey::Source => "from",
        SetKey::Destination | SetKey::DestinationPort => "to",
    }
}

/// A set's meaning, or its name where it has none.
fn set_in_words(name: &SetName, graph: &Ruleset) -> String {
    match graph.sets.get(name) {
        Some(set) if !set.title.is_empty() => set.title.clone(),
        _ => format!("set {name}"),
    }
}

fn states_in_words(states: States) -> String {
    let names = [
        (States::INVALID, "invalid"),
        (States::NEW, "new"),
        (States::RELATED, "related"),
        (States::ESTABLISHED, "established"),
    ];
    let known = names.iter().filter(|(state, _)| states.contains(*state)).map(|(_, name)| *name);
    known.collect::<Vec<_>>().join(" and ")
}

/// A rule's target in words: `pass`, `accept`, `reject`, `drop`, or where it leads.
pub(crate) fn target_in_words(target: &Target) -> String {
    match target {
        Target::Accept => "accept".to_owned(),
        Target::Drop => "drop".to_owned(),
        Target::Return => "return".to_owned(),
        Target::Goto(name) => match name.as_str() {
            PASS => "pass".to_owned(),
            ALLOW | ACCEPT => "accept".to_owned(),
            REJECT => "reject".to_owned(),
            name => format!("go to {name}"),
        },
        Target::Jump(name) => format!("call {name}"),
        Target::Reject(_) => "reject".to_owned(),
        Target::SetMark { value: 0, .. } => "clear our marks".to_owned(),
        Target::SetMark { value, mask } => format!("mark {value:#x}/{mask:#x}"),
        Target::SetConnmark { value, mask } => format!("mark the connection {value:#x}/{mask:#x}"),
        Target::Nflog { group, prefix } => {
            format!("log to group {group} as \"{}\"", prefix.as_str().trim_end())
        }
        Target::Unreadable => "something unreadable".to_owned(),
    }
}
