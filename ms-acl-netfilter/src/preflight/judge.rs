//! What the facts mean, a sentence each.

use std::collections::{BTreeMap, BTreeSet};

use ms_acl_core::ruleset::Family;

use super::foreign::{ForeignChain, Use};
use super::walk::{Action, Packet, Reach, reach};
use super::{Facts, Place, PodAt};

/// How many of a kind are named.
const NAMED: usize = 3;

/// Everything that keeps rules from governing pods, as far as the facts tell: what it is, and what to do about it.
pub fn judge(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(wired_past(facts));
    findings.extend(bridged_past(facts));
    findings.extend(masqueraded(facts));
    findings.extend(untracked(facts));
    findings.extend(forged(facts));
    findings.extend(before_our_jump(facts));
    findings.extend(marks(facts));
    findings.extend(legacy(facts));
    findings
}

/// Pods whose packets don't come by.
fn wired_past(facts: &Facts) -> Vec<String> {
    let mut by_interface: BTreeMap<&str, Vec<&PodAt>> = BTreeMap::new();
    for (pod, place) in &facts.pods {
        if let Place::Outside(interface) = place {
            by_interface.entry(interface).or_default().push(pod);
        }
    }
    let sentence = |(interface, pods): (&str, Vec<&PodAt>)| {
        format!(
            "packets of {} pass no chain of this node: they are reached through {interface}, like pods on ipvlan, \
             macvlan or a function of a network card (SR-IOV). No policy holds for them on this node; wire them by \
             veth or bridge",
            list(pods.into_iter().map(pod_text))
        )
    };
    by_interface.into_iter().map(sentence).collect()
}

/// Bridges whose packets skip the rules.
fn bridged_past(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (bridge, own) in &facts.bridges {
        let Some(all) = facts.bridge_filter else {
            findings.push(format!(
                "packets between pods on the bridge {bridge} skip all rules: the module br_netfilter isn't loaded. \
                 Load it (modprobe br_netfilter) and set net.bridge.bridge-nf-call-iptables and \
                 net.bridge.bridge-nf-call-ip6tables to 1"
            ));
            continue;
        };
        for (index, (family, tool)) in
            [(Family::V4, "iptables"), (Family::V6, "ip6tables")].iter().enumerate()
        {
            if !all[index] && !own[index] {
                findings.push(format!(
                    "{family} packets between pods on the bridge {bridge} skip all rules: \
                     net.bridge.bridge-nf-call-{tool} is 0, and the bridge's own nf_call_{tool} too. Set \
                     net.bridge.bridge-nf-call-{tool} to 1"
                ));
            }
        }
    }
    findings
}

/// Pods whose packets arrive elsewhere with this node's address.
fn masqueraded(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for family in Family::BOTH {
        let bases: Vec<&ForeignChain> = facts.rules.source_changes(family).collect();
        if bases.is_empty() {
            continue;
        }
        let interface = |place: &Place| match place {
            Place::Bridge(name) | Place::Interface(name) => Some(name.clone()),
            Place::Outside(_) | Place::Nowhere => None,
        };
        let local = facts.pods.iter().map(|(pod, place)| (pod, interface(place)));
        let others = facts.others.iter().map(|(pod, towards)| (pod, towards.clone()));
        let receivers: Vec<(&PodAt, Option<String>)> = others.chain(local.take(1)).collect();
        let mut found: Vec<(&PodAt, &PodAt, &ForeignChain)> = Vec::new();
        for (pod, _) in facts.pods.iter().filter(|(pod, _)| Family::of(pod.address) == family) {
            let meets =
                receivers.iter().filter(|(to, _)| Family::of(to.address) == family && to.name != pod.name);
            let met = meets.filter_map(|(to, goes_out)| {
                let packet = Packet {
                    source: pod.address,
                    destination: to.address,
                    came_in: None,
                    goes_out: goes_out.as_deref(),
                };
                let base = bases.iter().find(|base| {
                    reach(&facts.rules, base, packet, &Action::ChangeSource) == Reach::Certain
                })?;
                Some((pod, *to, *base))
            });
            found.extend(met.take(1));
        }
        let Some((_, to, base)) = found.first().copied() else { continue };
        findings.push(format!(
            "packets of {} to other pods, {} for one, get another source in the {family} chain {} of the table {} of \
             this node: who receives them can't see who sends, so that ingress rules for pods don't match. Exclude \
             the cluster's pods there (the CNI's masquerading: ipMasq, --ip-masq, natOutgoing)",
            list(found.iter().map(|(pod, _, _)| pod_text(pod))),
            pod_text(to),
            base.name,
            base.table
        ));
    }
    findings
}

/// Pods whose connections aren't tracked.
fn untracked(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for family in Family::BOTH {
        let pods = facts.pods.iter().filter(|(pod, _)| Family::of(pod.address) == family);
        let others = facts.others.iter().map(|(pod, _)| pod).chain(facts.pods.iter().map(|(pod, _)| pod));
        let others: Vec<&PodAt> =
            others.filter(|other| Family::of(other.address) == family).take(NAMED).collect();
        let mut found: BTreeMap<(&str, &str), Vec<&PodAt>> = BTreeMap::new();
        for base in facts.rules.before_tracking(family) {
            for (pod, place) in pods.clone() {
                let own = match place {
                    Place::Bridge(name) | Place::Interface(name) => Some(name.as_str()),
                    Place::Outside(_) | Place::Nowhere => None,
                };
                let met = others.iter().filter(|other| other.name != pod.name).any(|other| {
                    let (here, there) = (pod.address, other.address);
                    let out = Packet { source: here, destination: there, came_in: own, goes_out: None };
                    let back = Packet { source: there, destination: here, came_in: None, goes_out: None };
                    [out, back]
                        .into_iter()
                        .any(|packet| reach(&facts.rules, base, packet, &Action::Untrack) > Reach::No)
                });
                if met {
                    found.entry((&base.table, &base.name)).or_default().push(pod);
                }
            }
        }
        findings.extend(found.into_iter().map(|((table, chain), pods)| {
            format!(
                "connections of {} may go untracked: a rule that the {family} chain {chain} of the table {table} leads \
                 to says NOTRACK. Replies then count as first packets, and a policy that lets a connection begin \
                 doesn't let it be answered. Exclude the pods' addresses from that rule",
                list(pods.into_iter().map(pod_text))
            )
        }));
    }
    findings
}

/// Pods that can send from addresses that aren't theirs.
fn forged(facts: &Facts) -> Vec<String> {
    const STRICT: u8 = 1;
    let mut findings = Vec::new();
    for bridge in facts.bridges.keys() {
        findings.push(format!(
            "a pod on the bridge {bridge} can send from the address of another: a bridge doesn't check senders. Take \
             the capability NET_RAW from pods (securityContext.capabilities.drop)"
        ));
    }
    let families = |wanted: Family| {
        facts
            .pods
            .iter()
            .filter(move |(pod, _)| Family::of(pod.address) == wanted)
            .filter_map(|(_, place)| match place {
                Place::Interface(name) => Some(name.as_str()),
                _ => None,
            })
            .collect::<BTreeSet<&str>>()
    };
    if !facts.rules.checks_reverse_path(Family::V4) {
        let open = families(Family::V4);
        let open: Vec<&str> = open
            .into_iter()
            .filter(|name| facts.reverse_path.get(*name).is_none_or(|filter| *filter != STRICT))
            .collect();
        if let Some(first) = open.first() {
            findings.push(format!(
                "a pod behind {} can send from addresses that aren't its own: the reverse-path filter is off or loose \
                 there. Set net.ipv4.conf.{first}.rp_filter to 1 (and so on), or take the capability NET_RAW from pods",
                list(open.iter().map(|name| (*name).to_owned()))
            ));
        }
    }
    let open = families(Family::V6);
    if !open.is_empty() && !facts.rules.checks_reverse_path(Family::V6) {
        findings.push(format!(
            "a pod behind {} can send IPv6 packets from addresses that aren't its own: IPv6 has no reverse-path \
             filter. Take the capability NET_RAW from pods, or add a rule: ip6tables -t raw -A PREROUTING -m rpfilter \
             --invert -j DROP",
            list(open.iter().map(|name| (*name).to_owned()))
        ));
    }
    findings
}

/// Rules before our jump that can take packets away.
fn before_our_jump(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for family in Family::BOTH {
        for chain in facts.rules.places(family) {
            let Some(ours) = chain.rules.iter().position(|rule| rule.ours) else { continue };
            let diverts =
                |action: &Action| !matches!(action, Action::Continue | Action::SetMark | Action::Untrack);
            let count = chain.rules[..ours].iter().filter(|rule| diverts(&rule.action)).count();
            if count > 0 {
                findings.push(format!(
                    "{count} rules stand before our jump in the {family} chain {}: what they accept, no policy sees, \
                     and what they drop, no policy lets pass. --forward-jump-position insert puts the jump first",
                    chain.name
                ));
            }
        }
    }
    findings
}

/// Marks that others use as well.
fn marks(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (connection, ours, what, flag) in [
        (false, facts.mark_mask, "packet mark", "--mark-mask"),
        (true, facts.connmark_mask, "connection mark", "--connmark-mask"),
    ] {
        let met: Vec<&Use> = facts
            .rules
            .uses
            .iter()
            .filter(|found| found.connection == connection && found.bits & ours != 0)
            .collect();
        if met.is_empty() {
            continue;
        }
        let bits = met.iter().fold(0, |bits, found| bits | found.bits) & ours;
        let places: BTreeSet<String> =
            met.iter().map(|found| format!("{} of the table {}", found.chain, found.table)).collect();
        findings.push(format!(
            "rules of others use the bits {bits:#x} of the {what}, which are ours: {}. Give us others by {flag}",
            list(places.into_iter())
        ));
    }
    findings
}

/// Rules that live beside nf_tables.
fn legacy(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (family, tool) in [(Family::V4, "iptables"), (Family::V6, "ip6tables")] {
        let tables: Vec<String> =
            facts.legacy.iter().filter(|(of, _)| *of == family).map(|(_, table)| table.clone()).collect();
        if !tables.is_empty() {
            findings.push(format!(
                "the legacy {tool} of this node has rules in its tables {}: they judge every packet beside ours, and no \
                 tool shows both. Move them ({tool}-legacy-save | {tool}-nft-restore, then {tool}-legacy -F), or have \
                 their owner use nf_tables",
                list(tables.into_iter())
            ));
        }
    }
    findings
}

fn pod_text(pod: &PodAt) -> String {
    format!("{} ({})", pod.name, pod.address)
}

/// The first of many, and how many more there are.
fn list(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
