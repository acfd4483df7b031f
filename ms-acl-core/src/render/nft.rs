//! The rule graph in nftables' own syntax, fit for `nft -f`.
//!
//! Native dialect: native sets, matches and verdicts, no xt expression. The graph stands in tables of
//! its own, `ip ms-acl` and `ip6 ms-acl`, with base chains at the place of the filter table's. One
//! difference to the iptables backend follows: ACCEPT ends these base chains only, so rules of the
//! filter tables still see what an ACL accepts. Loading it replaces these tables and nothing else.

use std::fmt::Write;

use crate::model::{PortRange, Protocol};
use crate::ruleset::{
    Chain, ChainContent, ChainName, Family, Hook, Match, Member, Provenance, RejectWith, Rule, Ruleset,
    Rulesets, Set, SetKey, SetKind, SetName, States, Target,
};

/// The longest comment that nft takes, in bytes.
const COMMENT: usize = 127;

/// Both families in nftables' own syntax, fit for `nft -f`: native sets, matches and verdicts, no xt
/// expression, in the tables `ip ms-acl` and `ip6 ms-acl`, which loading it replaces. ACCEPT ends their
/// base chains only: rules of the filter tables still see what an ACL accepts.
pub fn nft(graphs: &Rulesets) -> String {
    nft_family(&graphs.v4) + "\n" + &nft_family(&graphs.v6)
}

/// One family of [`nft`].
pub fn nft_family(graph: &Ruleset) -> String {
    let family = keyword(graph.family);
    let mut text = format!(
        "# {} in nftables' own syntax (native dialect), in a table of its own, which loading this replaces.\n\
         # Unlike the iptables backend's, an ACCEPT here doesn't hide packets from the filter table's rules.\n\
         table {family} ms-acl\ndelete table {family} ms-acl\ntable {family} ms-acl {{\n",
        graph.family
    );
    for (name, set) in &graph.sets {
        self::set(&mut text, name, set);
    }
    // A chain must be there before a rule names it.
    for name in graph.chains.keys() {
        let _ = writeln!(text, "\tchain {name} {{ }}");
    }
    for (hook, chain) in &graph.hooks {
        base(&mut text, *hook, chain);
    }
    text.push_str("}\n");
    let _ = writeln!(text, "table {family} ms-acl {{");
    for (name, chain) in &graph.chains {
        self::chain(&mut text, graph.family, name, chain);
    }
    text.push_str("}\n");
    text
}

fn keyword(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn set(text: &mut String, name: &SetName, set: &Set) {
    let address = match set.family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    };
    let kind = match set.kind {
        SetKind::Addresses => format!("type {address};"),
        SetKind::Networks => format!("type {address}; flags interval;"),
        SetKind::AddressPorts => format!("type {address} . inet_proto . inet_service;"),
    };
    let _ = writeln!(text, "\tset {name} {{ # {}", line(&set.title));
    let _ = writeln!(text, "\t\t{kind}");
    let members: Vec<String> = set.members.iter().map(member).collect();
    if !members.is_empty() {
        let _ = writeln!(text, "\t\telements = {{ {} }}", members.join(",\n\t\t\t"));
    }
    text.push_str("\t}\n");
}

fn member(member: &Member) -> String {
    match member {
        Member::Address(address) => address.to_string(),
        Member::Network(net) => net.to_string(),
        Member::AddressPort(address, protocol, port) => format!("{address} . {protocol} . {port}"),
    }
}

fn base(text: &mut String, hook: Hook, chain: &ChainName) {
    let hook = hook.chain().to_ascii_lowercase();
    let _ = writeln!(text, "\tchain {hook} {{");
    let _ = writeln!(text, "\t\ttype filter hook {hook} priority filter; policy accept;");
    let _ = writeln!(text, "\t\tjump {chain} comment \"ms-acl\"\n\t}}");
}

fn chain(text: &mut String, family: Family, name: &ChainName, chain: &Chain) {
    let _ = writeln!(text, "\tchain {name} {{ # {}", line(&chain.title));
    if chain.content == ChainContent::Ours {
        for rule in &chain.rules {
            let _ = writeln!(text, "\t\t{}", self::rule(rule, family));
        }
    }
    text.push_str("\t}\n");
}

/// A rule, and behind it where it comes from.
fn rule(rule: &Rule, family: Family) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut protocol = None;
    for test in &rule.matches {
        if let Match::Protocol(named) = test {
            protocol = Some(*named);
            // A port of the protocol says which protocol it is.
            if rule
                .matches
                .iter()
                .any(|test| matches!(test, Match::Port(_) | Match::Ports(_) | Match::Icmp(_)))
            {
                continue;
            }
        }
        parts.push(test_text(test, protocol, family));
    }
    parts.push(target(&rule.target, family));
    if let Some(comment) = &rule.comment {
        let comment = comment.as_str();
        let end = (0..=COMMENT.min(comment.len())).rev().find(|end| comment.is_char_boundary(*end));
        parts.push(format!("comment \"{}\"", &comment[..end.unwrap_or(0)]));
    }
    let text = parts.join(" ");
    let text = if rule.target == Target::Unreadable { format!("# {text}") } else { text };
    match rule.provenance.as_deref().map(origin) {
        Some(origin) => format!("{text} # {origin}"),
        None => text,
    }
}

fn origin(provenance: &Provenance) -> String {
    let object = provenance.object.as_ref().map_or_else(|| provenance.gate.to_string(), ToString::to_string);
    match (provenance.rule, &provenance.label) {
        (Some(rule), Some(label)) => line(&format!("{object}, rule {rule} ({label})")),
        (Some(rule), None) => line(&format!("{object}, rule {rule}")),
        (None, _) => line(&format!("{object}, no rule matches")),
    }
}

fn test_text(test: &Match, protocol: Option<Protocol>, family: Family) -> String {
    let ip = keyword(family);
    match test {
        Match::Source(net) => format!("{ip} saddr {net}"),
        Match::NotSource(net) => format!("{ip} saddr != {net}"),
        Match::Destination(net) => format!("{ip} daddr {net}"),
        Match::NotDestination(net) => format!("{ip} daddr != {net}"),
        Match::Protocol(protocol) => format!("meta l4proto {}", protocol_text(*protocol, family)),
        Match::Port(range) => format!("{} dport {range}", port_keyword(protocol)),
        Match::Ports(ranges) => {
            let list: Vec<String> = ranges.iter().map(PortRange::to_string).collect();
            format!("{} dport {{ {} }}", port_keyword(protocol), list.join(", "))
        }
        Match::Icmp(icmp) => match family {
            Family::V4 => format!("icmp type {}", icmp.kind),
            Family::V6 => format!("icmpv6 type {}", icmp.kind),
        },
        Match::TcpFlags { mask, set, inverted } => {
            let compare = if *inverted { "!=" } else { "==" };
            format!("tcp flags & {mask:#x} {compare} {set:#x}")
        }
        Match::State(states) => format!("ct state {}", states_text(*states)),
        Match::Mark { value, mask } => format!("meta mark & {mask:#010x} == {value:#010x}"),
        Match::Connmark { value, mask } => format!("ct mark & {mask:#010x} == {value:#010x}"),
        Match::SourceIsLocal => "fib saddr type local".to_owned(),
        Match::DestinationIsLocal => "fib daddr type local".to_owned(),
        Match::InSet(set, key) => format!("{} @{set}", key_text(*key, family)),
        Match::NotInSet(set, key) => format!("{} != @{set}", key_text(*key, family)),
    }
}

fn protocol_text(protocol: Protocol, family: Family) -> &'static str {
    match (protocol, family) {
        (Protocol::Tcp, _) => "tcp",
        (Protocol::Udp, _) => "udp",
        (Protocol::Sctp, _) => "sctp",
        (Protocol::Icmp, Family::V4) => "icmp",
        (Protocol::Icmp, Family::V6) => "ipv6-icmp",
    }
}

fn port_keyword(protocol: Option<Protocol>) -> &'static str {
    match protocol {
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Sctp) => "sctp",
        Some(Protocol::Tcp | Protocol::Icmp) | None => "tcp",
    }
}

fn key_text(key: SetKey, family: Family) -> String {
    let ip = keyword(family);
    match key {
        SetKey::Source => format!("{ip} saddr"),
        SetKey::Destination => format!("{ip} daddr"),
        SetKey::DestinationPort => format!("{ip} daddr . meta l4proto . th dport"),
    }
}

fn states_text(states: States) -> String {
    let names = [
        (States::INVALID, "invalid"),
        (States::ESTABLISHED, "established"),
        (States::RELATED, "related"),
        (States::NEW, "new"),
    ];
    let names: Vec<&str> =
        names.iter().filter(|(state, _)| states.contains(*state)).map(|(_, name)| *name).collect();
    names.join(",")
}

fn target(target: &Target, family: Family) -> String {
    match target {
        Target::Accept => "accept".to_owned(),
        Target::Drop => "drop".to_owned(),
        Target::Return => "return".to_owned(),
        Target::Jump(chain) => format!("jump {chain}"),
        Target::Goto(chain) => format!("goto {chain}"),
        Target::Reject(with) => reject(*with, family),
        Target::SetMark { value, mask } => {
            format!("meta mark set meta mark & {:#010x} ^ {value:#010x}", !mask)
        }
        Target::SetConnmark { value, mask } => {
            format!("ct mark set ct mark & {:#010x} ^ {value:#010x}", !mask)
        }
        Target::Nflog { group, prefix } => format!("log prefix \"{}\" group {group}", prefix.as_str()),
        Target::Unreadable => "a rule that can't be read".to_owned(),
    }
}

fn reject(with: RejectWith, family: Family) -> String {
    let icmp = match family {
        Family::V4 => "icmp",
        Family::V6 => "icmpv6",
    };
    match with {
        RejectWith::TcpReset => "reject with tcp reset".to_owned(),
        RejectWith::PortUnreachable => format!("reject with {icmp} type port-unreachable"),
        RejectWith::AdminProhibited => format!("reject with {icmp} type admin-prohibited"),
    }
}

/// A text that stays on its line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
