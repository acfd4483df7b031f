//! The policy document, read and checked.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::Action;
use super::text;
use crate::oracle::{Protocol, selector};

/// A document without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What happens to flows that no rule of an entry matches; absent = ALLOW.
    pub default_action: Action,
    /// The listed Deployments, each once.
    pub entries: Vec<Entry>,
}

/// A listed Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What takes the place of the document's default action.
    pub default_action: Option<Action>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// Whether it is about flows from the pods; otherwise about flows to them.
    pub egress: bool,
    /// The protocols and ports.
    pub target: Target,
    /// The blocks of the other end; empty = all addresses of both families.
    pub blocks: Vec<IpNet>,
}

/// Protocols and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Everything.
    Any,
    /// ICMP and ICMPv6.
    Icmp,
    /// One protocol's ports, as ranges; none = all.
    Ports(Protocol, Vec<(u16, u16)>),
}

/// Reads a document, or tells the places of its faults, as JSON pointers.
pub fn read(value: &Value) -> Result<Document, BTreeSet<String>> {
    let mut faults = BTreeSet::new();
    let document = document(value, &mut faults);
    if faults.is_empty() { Ok(document) } else { Err(faults) }
}

type Faults = BTreeSet<String>;

fn document(value: &Value, faults: &mut Faults) -> Document {
    let mut read = Document { default_action: Action::Accept, entries: Vec::new() };
    let fields = object(value, "", &["defaultAction", "deployments"], faults);
    if let Some(value) = fields.get("defaultAction") {
        read.default_action = action(value, "/defaultAction", faults).unwrap_or(Action::Accept);
    }
    let mut names = BTreeSet::new();
    for (number, value) in list(&fields, "", "deployments", faults).iter().enumerate() {
        let at = format!("/deployments/{number}");
        let entry = entry(value, &at, faults);
        // Two entries for one Deployment are a fault of the second; one without a valid name is for none.
        let named = !["namespace", "name"].iter().any(|field| faults.contains(&below(&at, field)));
        if named && !names.insert((entry.namespace.clone(), entry.name.clone())) {
            faults.insert(at);
        }
        read.entries.push(entry);
    }
    read
}

fn entry(value: &Value, at: &str, faults: &mut Faults) -> Entry {
    let fields = object(value, at, &["namespace", "name", "defaultAction", "rules"], faults);
    let default_action =
        fields.get("defaultAction").and_then(|value| action(value, &below(at, "defaultAction"), faults));
    let mut rules = Vec::new();
    for (number, value) in list(&fields, at, "rules", faults).iter().enumerate() {
        rules.extend(rule(value, &below(&below(at, "rules"), &number.to_string()), faults));
    }
    Entry {
        namespace: name(&fields, at, "namespace", faults),
        name: name(&fields, at, "name", faults),
        default_action,
        rules,
    }
}

const RULE_FIELDS: [&str; 11] = [
    "action",
    "direction",
    "protocol",
    "port",
    "ports",
    "srcCIDR",
    "srcCIDRs",
    "dstCIDR",
    "dstCIDRs",
    "name",
    "log",
];

fn rule(value: &Value, at: &str, faults: &mut Faults) -> Option<Rule> {
    let fields = object(value, at, &RULE_FIELDS, faults);
    if fields.get("name").is_some_and(|value| !value.is_string()) {
        faults.insert(below(at, "name"));
    }
    if fields.get("log").is_some_and(|value| !value.is_boolean()) {
        faults.insert(below(at, "log"));
    }
    let done = action(fields.get("action").unwrap_or(&Value::Null), &below(at, "action"), faults);
    let egress = match word(&fields, "direction").as_deref() {
        None | Some("ingress") => false,
        Some("egress") => true,
        Some(_) => {
            faults.insert(below(at, "direction"));
            return None;
        }
    };
    // The other end is named by dstCIDR in egress and by srcCIDR in ingress; the wrong one is a fault.
    let (right, wrong) = if egress { ("dst", "src") } else { ("src", "dst") };
    for field in [format!("{wrong}CIDR"), format!("{wrong}CIDRs")] {
        if fields.contains_key(&field) {
            faults.insert(below(at, &field));
        }
    }
    let block = |value: &Value| value.as_str().and_then(text::block);
    let (one, many) = (format!("{right}CIDR"), format!("{right}CIDRs"));
    let blocks = one_or_list(&fields, at, &one, &many, faults, (block, block));
    let target = target(&fields, at, faults);
    Some(Rule { action: done?, egress, target, blocks })
}

fn target(fields: &Map<String, Value>, at: &str, faults: &mut Faults) -> Target {
    let ranges = one_or_list(fields, at, "port", "ports", faults, (text::port, text::ports));
    // Port 0 is any port, and so no port at all.
    let ranges: Vec<(u16, u16)> = ranges.into_iter().filter(|&range| range != (0, 0)).collect();
    let protocol = match word(fields, "protocol").as_deref() {
        None | Some("any") => None,
        Some("icmp") => Some(Protocol::Icmp),
        Some("tcp") => Some(Protocol::Tcp),
        Some("udp") => Some(Protocol::Udp),
        Some("sctp") => Some(Protocol::Sctp),
        Some(_) => {
            faults.insert(below(at, "protocol"));
            return Target::Any;
        }
    };
    match protocol {
        Some(protocol @ (Protocol::Tcp | Protocol::Udp | Protocol::Sctp)) => {
            return Target::Ports(protocol, ranges);
        }
        Some(Protocol::Icmp) | None => {}
    }
    // Only these three have ports.
    if !ranges.is_empty() {
        faults.insert(below(at, if fields.contains_key("ports") { "ports" } else { "port" }));
    }
    if protocol.is_some() { Target::Icmp } else { Target::Any }
}

/// A value that can be written alone or as a list, but not as both, nor as an empty list.
fn one_or_list<T>(
    fields: &Map<String, Value>,
    at: &str,
    one: &str,
    many: &str,
    faults: &mut Faults,
    (read_one, read_item): (impl Fn(&Value) -> Option<T>, impl Fn(&Value) -> Option<T>),
) -> Vec<T> {
    let mut found = Vec::new();
    let mut take = |value: Option<T>, at: String, faults: &mut Faults| match value {
        Some(value) => found.push(value),
        None => {
            faults.insert(at);
        }
    };
    if let Some(value) = fields.get(one) {
        take(read_one(value), below(at, one), faults);
    }
    if let Some(value) = fields.get(many) {
        let at = below(at, many);
        match value.as_array() {
            Some(values) if !values.is_empty() && !fields.contains_key(one) => {
                for (number, value) in values.iter().enumerate() {
                    take(read_item(value), below(&at, &number.to_string()), faults);
                }
            }
            _ => {
                faults.insert(at);
            }
        }
    }
    found
}

fn action(value: &Value, at: &str, faults: &mut Faults) -> Option<Action> {
    let read = value.as_str().and_then(text::action);
    if read.is_none() {
        faults.insert(at.to_owned());
    }
    read
}

fn name(fields: &Map<String, Value>, at: &str, field: &str, faults: &mut Faults) -> String {
    let is_name = if field == "namespace" { selector::is_label } else { selector::is_subdomain };
    match fields.get(field).and_then(Value::as_str) {
        Some(text) if is_name(text) => text.to_owned(),
        _ => {
            faults.insert(below(at, field));
            String::new()
        }
    }
}

/// A word in any case; what isn't even a text is no word that is known.
fn word(fields: &Map<String, Value>, field: &str) -> Option<String> {
    Some(fields.get(field)?.as_str().unwrap_or_default().to_ascii_lowercase())
}

/// An object's fields, none of which is unknown. A field that is null is absent.
fn object(value: &Value, at: &str, known: &[&str], faults: &mut Faults) -> Map<String, Value> {
    let Some(fields) = value.as_object() else {
        faults.insert(at.to_owned());
        return Map::new();
    };
    for field in fields.keys() {
        if !known.contains(&field.as_str()) {
            faults.insert(below(at, field));
        }
    }
    fields.clone().into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// A list's values; absent = none.
fn list(fields: &Map<String, Value>, at: &str, field: &str, faults: &mut Faults) -> Vec<Value> {
    match fields.get(field) {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(_) => {
            faults.insert(below(at, field));
            Vec::new()
        }
    }
}

/// A JSON pointer one step further.
fn below(at: &str, field: &str) -> String {
    format!("{at}/{}", field.replace('~', "~0").replace('/', "~1"))
}
