//! Policy documents of every shape.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::pod::PORTS;
use super::{Dice, address};

/// A valid document about some of these Deployments, and about one that doesn't exist.
pub fn document(dice: &mut Dice, deployments: &[(String, String)], around: &[IpAddr], most: usize) -> Value {
    let mut listed = dice.some(deployments, 75);
    if dice.chance(20) {
        listed.push(("a".to_owned(), "nowhere".to_owned()));
    }
    listed.truncate(most);
    dice.shuffle(&mut listed);
    let mut entries = Vec::new();
    for (namespace, name) in listed {
        let mut entry = Map::new();
        entry.insert("namespace".to_owned(), json!(namespace));
        entry.insert("name".to_owned(), json!(name));
        if dice.chance(40) {
            entry.insert("defaultAction".to_owned(), json!(action(dice)));
        }
        if dice.chance(85) {
            entry.insert("rules".to_owned(), json!(dice.several(0, 5, |dice| rule(dice, around))));
        }
        entries.push(Value::Object(entry));
    }
    let mut document = Map::new();
    if dice.chance(50) {
        document.insert("defaultAction".to_owned(), json!(action(dice)));
    }
    if !entries.is_empty() || dice.chance(50) {
        document.insert("deployments".to_owned(), Value::Array(entries));
    }
    Value::Object(document)
}

fn action(dice: &mut Dice) -> &'static str {
    dice.pick(&["ALLOW", "ACCEPT", "RETURN", "DENY", "DROP", "REJECT", "allow", "Deny", "return"])
}

fn rule(dice: &mut Dice, around: &[IpAddr]) -> Value {
    let mut rule = Map::new();
    let mut set = |field: &str, value: Value| {
        rule.insert(field.to_owned(), value);
    };
    set("action", json!(action(dice)));
    let egress = dice.chance(35);
    if egress || dice.chance(20) {
        let direction = if egress { ["egress", "Egress"] } else { ["ingress", "INGRESS"] };
        set("direction", json!(dice.pick(&direction)));
    }
    let side = if egress { "dst" } else { "src" };
    match dice.below(4) {
        0 => {}
        1..=2 => set(&format!("{side}CIDR"), block(dice, around)),
        _ => set(&format!("{side}CIDRs"), json!(dice.several(1, 4, |dice| block(dice, around)))),
    }
    let protocol =
        dice.pick(&[None, Some("any"), Some("icmp"), Some("tcp"), Some("tcp"), Some("udp"), Some("sctp")]);
    if let Some(protocol) = protocol {
        let upper = dice.chance(15);
        set("protocol", json!(if upper { protocol.to_uppercase() } else { protocol.to_owned() }));
    } else if dice.chance(10) {
        set("protocol", Value::Null);
    }
    let has_ports = protocol.is_some_and(|protocol| protocol != "any" && protocol != "icmp");
    match dice.below(5) {
        0 if has_ports => set("ports", json!(dice.several(1, 4, port_or_range))),
        1 if has_ports => set("ports", json!((0..20).map(|step| 8000 + 3 * step).collect::<Vec<u16>>())),
        2..=3 if has_ports => set("port", json!(dice.pick(&PORTS))),
        4 if dice.chance(50) => set("port", json!(0)),
        _ => {}
    }
    if dice.chance(10) {
        set("name", json!(dice.pick(&["first", "", "nächste \"eine\""])));
    }
    if dice.chance(10) {
        set("log", json!(dice.chance(80)));
    }
    Value::Object(rule)
}

fn block(dice: &mut Dice, around: &[IpAddr]) -> Value {
    if dice.chance(15) {
        return json!(dice.pick(around));
    }
    let block = address::block(dice, around);
    match block.addr() {
        IpAddr::V4(address) if dice.chance(3) => {
            json!(format!("{}/{}", address.to_ipv6_mapped(), block.prefix_len() + 96))
        }
        _ => json!(block),
    }
}

fn port_or_range(dice: &mut Dice) -> Value {
    let (one, other) = (dice.pick(&PORTS), dice.pick(&PORTS));
    match dice.below(10) {
        0 => json!(one.to_string()),
        1..=5 => json!(one),
        _ => json!(format!("{}-{}", one.min(other), one.max(other))),
    }
}

/// Puts one fault into a valid document; returns its place as a JSON pointer.
pub fn broken_document(dice: &mut Dice, document: &mut Value) -> String {
    let entry = json!({"namespace": "b", "name": "broken", "rules": []});
    if !document["deployments"].is_array() {
        document["deployments"] = json!([]);
    }
    let Some(entries) = document["deployments"].as_array_mut() else { return String::new() };
    let last = entries.len();
    entries.push(entry);
    let at = format!("/deployments/{last}");
    let entry = &mut entries[last];
    let (place, rule) = match dice.below(24) {
        0 => {
            document["color"] = json!("red");
            return "/color".to_owned();
        }
        1 => {
            document["defaultAction"] = json!("MAYBE");
            return "/defaultAction".to_owned();
        }
        2 => {
            entry["name"] = json!("");
            return format!("{at}/name");
        }
        3 => {
            let twin = entry.clone();
            entries.push(twin);
            return format!("/deployments/{}", last + 1);
        }
        4 => {
            entry["rules"] = json!({});
            return format!("{at}/rules");
        }
        21 => {
            entry["namespace"] = json!("a.b");
            return format!("{at}/namespace");
        }
        22 => {
            entry["name"] = json!("Upper");
            return format!("{at}/name");
        }
        23 => ("port", json!({"action": "DENY", "protocol": "tcp", "port": "80"})),
        5 => ("action", json!({})),
        6 => ("action", json!({"action": "LOG"})),
        7 => ("direction", json!({"action": "DENY", "direction": "both"})),
        8 => ("protocol", json!({"action": "DENY", "protocol": "igmp"})),
        9 => ("port", json!({"action": "DENY", "port": 80})),
        10 => ("port", json!({"action": "DENY", "protocol": "icmp", "port": 80})),
        11 => ("port", json!({"action": "DENY", "protocol": "tcp", "port": 65536})),
        12 => ("ports", json!({"action": "DENY", "protocol": "tcp", "ports": []})),
        13 => ("ports", json!({"action": "DENY", "protocol": "tcp", "port": 80, "ports": [81]})),
        14 => ("ports/1", json!({"action": "DENY", "protocol": "tcp", "ports": [80, "82-81"]})),
        15 => ("srcCIDR", json!({"action": "DENY", "srcCIDR": "10.0.0.0/33"})),
        16 => ("srcCIDRs", json!({"action": "DENY", "srcCIDRs": []})),
        17 => ("srcCIDR", json!({"action": "DENY", "direction": "egress", "srcCIDR": "10.0.0.0/8"})),
        18 => ("dstCIDR", json!({"action": "DENY", "dstCIDR": "10.0.0.0/8"})),
        19 => ("colour", json!({"action": "DENY", "colour": "red"})),
        _ => ("log", json!({"action": "DENY", "log": "yes"})),
    };
    entry["rules"] = json!([rule]);
    format!("{at}/rules/0/{place}")
}
