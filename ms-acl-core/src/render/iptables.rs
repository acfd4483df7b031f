//! `iptables-save` text, as iptables-nft prints it.

use std::fmt::Write;

use ipnet::IpNet;

use crate::model::{PortRange, Protocol};
use crate::ruleset::{ChainContent, Family, Match, RejectWith, Rule, Ruleset, SetKey, States, Target};

/// One family as a whole `*filter … COMMIT`: our chains and the jumps to them only. Fit for
/// `iptables-restore --noflush` (IPv6: `ip6tables-restore`) once the sets are there. The jumps are
/// appended; where the daemon puts them is the operator's choice.
pub fn iptables_save(graph: &Ruleset) -> String {
    let mut text = String::from("*filter\n");
    for name in graph.chains.keys() {
        let _ = writeln!(text, ":{name} - [0:0]");
    }
    for (hook, chain) in &graph.hooks {
        let _ = writeln!(text, "-A {} -m comment --comment ms-acl -j {chain}", hook.chain());
    }
    for (name, chain) in &graph.chains {
        if chain.content == ChainContent::Operators {
            continue;
        }
        for line in &chain.rules {
            let _ = writeln!(text, "-A {name}{}", rule(line, graph.family));
        }
    }
    text + "COMMIT\n"
}

/// A rule as it stands behind `-A CHAIN` (with a leading space for each part).
pub fn rule(rule: &Rule, family: Family) -> String {
    let mut text = String::new();
    let mut protocol = None;
    let (header, others): (Vec<&Match>, Vec<&Match>) = rule.matches.iter().partition(|m| is_header(m));
    for test in header {
        match test {
            Match::Source(net) => push(&mut text, &format!("-s {}", net_text(*net))),
            Match::NotSource(net) => push(&mut text, &format!("! -s {}", net_text(*net))),
            Match::Destination(net) => push(&mut text, &format!("-d {}", net_text(*net))),
            Match::NotDestination(net) => push(&mut text, &format!("! -d {}", net_text(*net))),
            Match::Protocol(named) => {
                protocol = Some(*named);
                push(&mut text, &format!("-p {}", protocol_name(*named, family)));
            }
            _ => {}
        }
    }
    for test in others {
        push(&mut text, &extension(test, protocol, family));
    }
    if let Some(comment) = &rule.comment {
        let comment = comment.as_str();
        let plain = !comment.contains(' ') && !comment.is_empty();
        push(
            &mut text,
            &if plain {
                format!("-m comment --comment {comment}")
            } else {
                format!("-m comment --comment \"{comment}\"")
            },
        );
    }
    push(&mut text, &target(&rule.target, family));
    text
}

fn push(text: &mut String, part: &str) {
    text.push(' ');
    text.push_str(part);
}

fn is_header(test: &Match) -> bool {
    matches!(
        test,
        Match::Source(_)
            | Match::NotSource(_)
            | Match::Destination(_)
            | Match::NotDestination(_)
            | Match::Protocol(_)
    )
}

fn net_text(net: IpNet) -> String {
    format!("{}/{}", net.addr(), net.prefix_len())
}

fn protocol_name(protocol: Protocol, family: Family) -> &'static str {
    match (protocol, family) {
        (Protocol::Tcp, _) => "tcp",
        (Protocol::Udp, _) => "udp",
        (Protocol::Sctp, _) => "sctp",
        (Protocol::Icmp, Family::V4) => "icmp",
        (Protocol::Icmp, Family::V6) => "ipv6-icmp",
    }
}

fn extension(test: &Match, protocol: Option<Protocol>, family: Family) -> String {
    let protocol = protocol.map_or("tcp", |protocol| protocol_name(protocol, family));
    match test {
        Match::Port(range) => format!("-m {protocol} --dport {}", ports_text(*range)),
        Match::Ports(ranges) => {
            let list: Vec<String> = ranges.iter().map(|range| ports_text(*range)).collect();
            format!("-m multiport --dports {}", list.join(","))
        }
        Match::Icmp(icmp) => match family {
            Family::V4 => format!("-m icmp --icmp-type {}", icmp.kind),
            Family::V6 => format!("-m icmp6 --icmpv6-type {}", icmp.kind),
        },
        Match::TcpFlags { mask, set, inverted } => {
            let not = if *inverted { "! " } else { "" };
            format!("-m tcp {not}--tcp-flags {} {}", flags_text(*mask), flags_text(*set))
        }
        Match::State(states) => format!("-m conntrack --ctstate {}", states_text(*states)),
        Match::Mark { value, mask } => format!("-m mark --mark {}", mark_text(*value, *mask)),
        Match::Connmark { value, mask } => format!("-m connmark --mark {}", mark_text(*value, *mask)),
        Match::SourceIsLocal => "-m addrtype --src-type LOCAL".to_owned(),
        Match::DestinationIsLocal => "-m addrtype --dst-type LOCAL".to_owned(),
        Match::InSet(set, key) => format!("-m set --match-set {set} {}", key_text(*key)),
        Match::NotInSet(set, key) => format!("-m set ! --match-set {set} {}", key_text(*key)),
        Match::Source(_)
        | Match::NotSource(_)
        | Match::Destination(_)
        | Match::NotDestination(_)
        | Match::Protocol(_) => String::new(),
    }
}

fn target(target: &Target, family: Family) -> String {
    match target {
        Target::Accept => "-j ACCEPT".to_owned(),
        Target::Drop => "-j DROP".to_owned(),
        Target::Return => "-j RETURN".to_owned(),
        Target::Jump(chain) => format!("-j {chain}"),
        Target::Goto(chain) => format!("-g {chain}"),
        Target::Reject(with) => format!("-j REJECT --reject-with {}", reject_text(*with, family)),
        Target::SetMark { value, mask } => format!("-j MARK --set-xmark {value:#x}/{mask:#x}"),
        Target::SetConnmark { value, mask } => format!("-j CONNMARK --set-xmark {value:#x}/{mask:#x}"),
        Target::Nflog { group, prefix } => {
            format!("-j NFLOG --nflog-prefix \"{}\" --nflog-group {group}", prefix.as_str())
        }
        Target::Unreadable => "-j UNREADABLE".to_owned(),
    }
}

fn reject_text(with: RejectWith, family: Family) -> &'static str {
    match (with, family) {
        (RejectWith::TcpReset, _) => "tcp-reset",
        (RejectWith::PortUnreachable, Family::V4) => "icmp-port-unreachable",
        (RejectWith::PortUnreachable, Family::V6) => "icmp6-port-unreachable",
        (RejectWith::AdminProhibited, Family::V4) => "icmp-admin-prohibited",
        (RejectWith::AdminProhibited, Family::V6) => "icmp6-adm-prohibited",
    }
}

fn ports_text(range: PortRange) -> String {
    if range.is_single() { range.first().to_string() } else { format!("{}:{}", range.first(), range.last()) }
}

/// A mask of all bits isn't printed.
fn mark_text(value: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("{value:#x}") } else { format!("{value:#x}/{mask:#x}") }
}

fn states_text(states: States) -> String {
    let names = [
        (States::INVALID, "INVALID"),
        (States::NEW, "NEW"),
        (States::RELATED, "RELATED"),
        (States::ESTABLISHED, "ESTABLISHED"),
    ];
    let names: Vec<&str> =
        names.iter().filter(|(state, _)| states.contains(*state)).map(|(_, name)| *name).collect();
    names.join(",")
}

fn flags_text(flags: u8) -> String {
    let names = [(1, "FIN"), (2, "SYN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG")];
    let names: Vec<&str> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { "NONE".to_owned() } else { names.join(",") }
}

fn key_text(key: SetKey) -> &'static str {
    match key {
        SetKey::Source => "src",
        SetKey::Destination => "dst",
        SetKey::DestinationPort => "dst,dst",
    }
}
