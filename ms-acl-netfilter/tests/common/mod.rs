//! Network namespaces, the tools, and rule graphs for kernel tests.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test target uses a part of it, and all of it is tests"
)]

pub mod strategy;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ms_acl_core::diff::diff;
use ms_acl_core::model::{PortRange, Protocol};
use ms_acl_core::ruleset::{
    Chain, ChainContent, ChainName, Comment, Family, Hook, Icmp, Match, Member, NflogPrefix, RejectWith,
    Rule, Ruleset, Rulesets, Set, SetKey, SetKind, SetName, SetRole, States, Target,
};
use ms_acl_netfilter::{CommitReport, Dataplane, Observed, Options, own};

/// Runs a test in a network namespace of its own, which ends with it. Says so and does nothing when not
/// root.
pub fn in_namespace<T: Send>(test: impl FnOnce() -> T + Send) -> Option<T> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: kernel tests need root");
        return None;
    }
    let outcome = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                test()
            })
            .join()
    });
    match outcome {
        Ok(value) => Some(value),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs a command with some input and returns what it printed; panics if it fails.
pub fn run_with(input: &str, command: &[&str]) -> String {
    let (ok, out, err) = try_run(input, command);
    assert!(ok, "{command:?} failed: {err}\ninput:\n{input}");
    out
}

/// Runs a command and returns what it printed; panics if it fails.
pub fn run(command: &str) -> String {
    run_with("", &words(command))
}

/// Runs a command and says whether it succeeded, with its output.
pub fn try_run(input: &str, command: &[&str]) -> (bool, String, String) {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", command[0]));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        });
        child.wait_with_output().unwrap()
    });
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Splits a command line at spaces, but for what stands in double quotes.
pub fn words(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = command.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap();
            words.push(&quoted[..end]);
            rest = quoted[end + 1..].trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            words.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
    }
    words
}

pub fn save_tool(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-nft-save",
        Family::V6 => "ip6tables-nft-save",
    }
}

pub fn restore_tool(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-nft-restore",
        Family::V6 => "ip6tables-nft-restore",
    }
}

pub fn tool(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-nft",
        Family::V6 => "ip6tables-nft",
    }
}

/// What the tool prints for a family, without comments and counters.
pub fn save(family: Family) -> String {
    let text = run_with("", &[save_tool(family), "-t", "filter"]);
    text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
}

pub fn open() -> Dataplane {
    Dataplane::open(Options::default()).unwrap()
}

/// Commits the difference between what the kernel has and what it should have.
pub fn program(dataplane: &mut Dataplane, desired: &Rulesets) -> CommitReport {
    let observed = dataplane.observe().unwrap();
    dataplane.commit(&diff(&observed.rulesets, desired)).unwrap()
}

/// Programs a graph and checks that it reads back as it is.
pub fn program_and_check(dataplane: &mut Dataplane, desired: &Rulesets) -> Observed {
    program(dataplane, desired);
    let observed = dataplane.observe().unwrap();
    assert_eq!(diff(&observed.rulesets, desired).steps, []);
    observed
}

pub fn chain(name: &str) -> ChainName {
    ChainName::new(name).unwrap()
}

/// Twenty characters of base 32 that tell numbers apart.
fn hash(number: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..20).rev().map(|place| ALPHABET[number.checked_shr(5 * place).unwrap_or(0) % 32] as char).collect()
}

/// A chain's name by our scheme.
pub fn policy(number: usize) -> ChainName {
    chain(&format!("MS-P-{}", hash(number)))
}

/// A set's name by our scheme.
pub fn set_name(kind: SetKind, family: Family, number: usize) -> SetName {
    let kind = match kind {
        SetKind::Addresses => 'a',
        SetKind::Networks => 'n',
        SetKind::AddressPorts => 'p',
    };
    let family = if family == Family::V4 { '4' } else { '6' };
    SetName::new(&format!("MS-p{kind}{family}-{}", hash(number))).unwrap()
}

pub fn rule(matches: Vec<Match>, target: Target) -> Rule {
    Rule::new(matches, target)
}

pub fn ours(rules: Vec<Rule>) -> Arc<Chain> {
    Arc::new(Chain { rules, ..Chain::default() })
}

pub fn operators() -> Arc<Chain> {
    Arc::new(Chain { content: ChainContent::Operators, ..Chain::default() })
}

pub fn set(kind: SetKind, family: Family, members: impl IntoIterator<Item = Member>) -> Arc<Set> {
    Arc::new(Set {
        family,
        kind,
        role: SetRole::Permit,
        members: members.into_iter().collect(),
        title: String::new(),
    })
}

pub fn net(family: Family, v4: &str, v6: &str) -> ipnet::IpNet {
    match family {
        Family::V4 => v4.parse().unwrap(),
        Family::V6 => v6.parse().unwrap(),
    }
}

/// One rule at least for every match and target that there is.
pub fn every_rule(family: Family) -> Vec<Rule> {
    use Match as M;
    use Protocol::{Icmp as IcmpProtocol, Sctp, Tcp, Udp};
    let port = |number| PortRange::single(number);
    let range = |first, last| PortRange::new(first, last).unwrap();
    let set = |kind| set_name(kind, family, 1);
    let host = || net(family, "10.1.2.3/32", "fd00::1:2:3/128");
    let mut rules = vec![
        rule(vec![], Target::Accept),
        rule(vec![], Target::Drop),
        rule(vec![], Target::Return),
        rule(vec![], Target::Jump(policy(2))),
        rule(vec![], Target::Goto(policy(2))),
        rule(vec![M::Source(host())], Target::Return),
        rule(vec![M::NotSource(host())], Target::Return),
        rule(vec![M::Destination(host())], Target::Return),
        rule(vec![M::NotDestination(host())], Target::Return),
        rule(vec![M::Source(host()), M::Destination(host()), M::Protocol(Tcp)], Target::Return),
        rule(vec![M::Protocol(Udp)], Target::Return),
        rule(vec![M::Protocol(Sctp)], Target::Return),
        rule(vec![M::Protocol(IcmpProtocol)], Target::Return),
        rule(vec![M::Protocol(IcmpProtocol), M::Icmp(Icmp { kind: 8 })], Target::Return),
        rule(vec![M::Protocol(IcmpProtocol), M::Icmp(Icmp { kind: 135 })], Target::Return),
        rule(vec![M::Protocol(IcmpProtocol), M::Icmp(Icmp { kind: 0 })], Target::Return),
        rule(vec![M::State(States::INVALID)], Target::Drop),
        rule(vec![M::State(States::RELATED.or(States::ESTABLISHED))], Target::Accept),
        rule(vec![M::State(States::NEW)], Target::Return),
        rule(vec![M::Mark { value: 0x800, mask: 0x800 }], Target::Return),
        rule(vec![M::Mark { value: 0, mask: 0x3800 }], Target::Return),
        rule(vec![M::Mark { value: 7, mask: u32::MAX }], Target::Return),
        rule(vec![M::Connmark { value: 0x1000, mask: 0x1000 }], Target::Accept),
        rule(vec![M::Connmark { value: 7, mask: u32::MAX }], Target::Accept),
        rule(vec![M::SourceIsLocal], Target::Return),
        rule(vec![M::DestinationIsLocal], Target::Return),
        rule(vec![M::SourceIsLocal, M::DestinationIsLocal], Target::Return),
        rule(vec![M::InSet(set(SetKind::Addresses), SetKey::Source)], Target::Return),
        rule(vec![M::InSet(set(SetKind::Addresses), SetKey::Destination)], Target::Return),
        rule(vec![M::NotInSet(set(SetKind::Addresses), SetKey::Source)], Target::Return),
        rule(vec![M::NotInSet(set(SetKind::Networks), SetKey::Destination)], Target::Return),
        rule(vec![M::InSet(set(SetKind::Networks), SetKey::Source)], Target::Return),
        rule(vec![M::InSet(set(SetKind::AddressPorts), SetKey::DestinationPort)], Target::Return),
        rule(vec![M::NotInSet(set(SetKind::AddressPorts), SetKey::DestinationPort)], Target::Return),
        rule(vec![], Target::SetMark { value: 0, mask: 0x3800 }),
        rule(vec![], Target::SetMark { value: 0x1800, mask: 0x1800 }),
        rule(vec![], Target::SetConnmark { value: 0x1000, mask: 0x1000 }),
        rule(vec![], Target::Reject(RejectWith::PortUnreachable)),
        rule(vec![], Target::Reject(RejectWith::AdminProhibited)),
        rule(vec![M::Protocol(Tcp)], Target::Reject(RejectWith::TcpReset)),
        rule(vec![], Target::Nflog { group: 100, prefix: NflogPrefix::new("MS default/web#1 ") }),
        rule(vec![], Target::Nflog { group: 0, prefix: NflogPrefix::new("x") }),
        rule(vec![M::Protocol(Tcp), M::TcpFlags { mask: 0x17, set: 2, inverted: false }], Target::Return),
        rule(vec![M::Protocol(Tcp), M::TcpFlags { mask: 0x17, set: 2, inverted: true }], Target::Drop),
        rule(
            vec![M::Protocol(Tcp), M::Port(port(80)), M::TcpFlags { mask: 0x3f, set: 0, inverted: false }],
            Target::Drop,
        ),
        rule(
            vec![
                M::Source(net(family, "10.0.0.0/8", "fd00::/8")),
                M::NotDestination(net(family, "10.1.128.0/17", "fd00::/17")),
                M::Protocol(Tcp),
                M::Port(port(443)),
                M::InSet(set(SetKind::Addresses), SetKey::Source),
                M::State(States::NEW),
                M::Mark { value: 1, mask: 1 },
            ],
            Target::Goto(policy(2)),
        ),
    ];
    for protocol in [Tcp, Udp, Sctp] {
        for match_ in [
            M::Port(port(1)),
            M::Port(range(80, 90)),
            M::Port(range(0, 10)),
            M::Port(range(1024, 65535)),
            M::Ports(vec![port(80)]),
            M::Ports(vec![range(80, 90)]),
            M::Ports(vec![port(80), range(100, 200), port(443)]),
            M::Ports((1..16).map(port).collect()),
        ] {
            rules.push(rule(vec![M::Protocol(protocol), match_], Target::Return));
        }
    }
    for prefix in [1, 7, 8, 9, 16, 24, 31, 32] {
        let prefix = if family == Family::V4 { prefix } else { prefix * 4 };
        let net = net(family, "170.85.170.85/32", "aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55/128");
        let net = ipnet::IpNet::new(net.addr(), prefix).unwrap().trunc();
        rules.push(rule(vec![M::Source(net)], Target::Return));
        rules.push(rule(vec![M::NotDestination(net)], Target::Return));
    }
    for text in ["netpol default/web", "x", "acl a/b#1; $HOME ~ (ä) %s --comment -j DROP"] {
        let mut commented = rule(vec![M::Source(host())], Target::Jump(policy(2)));
        commented.comment = Some(Comment::new(text));
        rules.push(commented);
    }
    let mut long = rule(vec![M::Protocol(Tcp), M::Port(port(5))], Target::Drop);
    long.comment = Some(Comment::new(&"long ".repeat(80)));
    rules.push(long);
    rules
}

/// A graph that holds rules in one chain, entered from `FORWARD`, and the sets that they name.
pub fn graph_of(family: Family, rules: Vec<Rule>) -> Ruleset {
    let mut graph = Ruleset::new(family);
    let forward = chain("MS-FORWARD");
    let (one, two) = (policy(1), policy(2));
    graph.chains.insert(forward.clone(), ours(vec![rule(vec![], Target::Jump(one.clone()))]));
    graph.chains.insert(one, ours(rules));
    graph.chains.insert(two, ours(vec![]));
    graph.hooks.insert(Hook::Forward, forward);
    for kind in [SetKind::Addresses, SetKind::Networks, SetKind::AddressPorts] {
        graph.sets.insert(set_name(kind, family, 1), set(kind, family, some_members(kind, family)));
    }
    graph
}

pub fn some_members(kind: SetKind, family: Family) -> Vec<Member> {
    let net = |v4, v6| net(family, v4, v6);
    match kind {
        SetKind::Addresses => {
            vec![
                Member::Address(net("10.0.0.1/32", "fd00::1/128").addr()),
                Member::Address(net("10.0.0.2/32", "fd00::2/128").addr()),
            ]
        }
        SetKind::Networks => vec![
            Member::Network(net("10.0.0.0/8", "fd00::/8")),
            Member::Network(net("0.0.0.0/1", "::/1")),
            Member::Network(net("192.0.2.1/32", "2001:db8::1/128")),
        ],
        SetKind::AddressPorts => [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .map(|protocol| Member::AddressPort(net("10.0.0.1/32", "fd00::1/128").addr(), protocol, 80))
            .collect(),
    }
}

/// Graphs of both families with every rule there is.
pub fn everything() -> Rulesets {
    let mut both = Rulesets::empty();
    for family in Family::BOTH {
        *both.family_mut(family) = graph_of(family, every_rule(family));
        both.family_mut(family).chains.insert(chain(own::ADMIN_CHAIN), operators());
    }
    both
}

/// Does something when it goes out of scope.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
