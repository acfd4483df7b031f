//! Settings of the kernel that `/proc` tells, of the calling thread's network namespace.

use std::fs;

use ms_acl_core::ruleset::Family;

use super::BridgeCalls;
use crate::sys::legacy_rules;

/// `bridge-nf-call-iptables` and its twin for IPv6; `None` = `br_netfilter` isn't there.
pub(super) fn bridge_filter() -> Option<BridgeCalls> {
    let call = |name: &str| Some(number(&format!("/proc/sys/net/bridge/bridge-nf-call-{name}"))? != 0);
    Some([call("iptables")?, call("ip6tables")?])
}

/// The reverse-path filter that is in force on an interface: the stricter number of its own and of all.
pub(super) fn reverse_path(interface: &str) -> u8 {
    let setting = |of: &str| number(&format!("/proc/sys/net/ipv4/conf/{of}/rp_filter")).unwrap_or(0);
    u8::try_from(setting("all").max(setting(interface))).unwrap_or(0)
}

/// The tables of the legacy iptables that have rules.
pub(super) fn legacy_tables() -> Vec<(Family, String)> {
    let mut tables = Vec::new();
    for (family, file) in [(Family::V4, "ip_tables_names"), (Family::V6, "ip6_tables_names")] {
        // Not `/proc/net`: that is the network namespace of the process's first thread.
        let names = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        // A table whose rules can't be counted counts.
        let empty = |table: &&str| legacy_rules(family, table).is_ok_and(|rules| rules == 0);
        tables.extend(
            names.split_whitespace().filter(|table| !empty(table)).map(|table| (family, table.to_owned())),
        );
    }
    tables
}

fn number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
