//! Changes that others make are heard; ours aren't.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{everything, in_namespace, open, policy, program_and_check, run, run_with};
use ms_acl_core::ruleset::{Family, Hook};
use ms_acl_netfilter::watch::Change;

const SOON: Duration = Duration::from_millis(50);

#[test]
fn our_own_changes_are_not_heard() {
    in_namespace(|| {
        let mut dataplane = open();
        let mut watcher = dataplane.watch().unwrap();
        program_and_check(&mut dataplane, &everything());
        assert_eq!(watcher.wait(SOON).unwrap(), Change::Nothing);
        dataplane.remove_all().unwrap();
        assert_eq!(watcher.wait(SOON).unwrap(), Change::Nothing);
    });
}

#[test]
fn changes_of_others_are_heard_if_they_are_to_something_of_ours() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let mut watcher = dataplane.watch().unwrap();
        run("iptables-nft -N theirs");
        run("iptables-nft -A theirs -j ACCEPT");
        run("nft add table inet filter");
        run("nft add chain inet filter FORWARD");
        run("iptables-nft -t nat -A POSTROUTING -j RETURN");
        assert_eq!(watcher.wait(SOON).unwrap(), Change::Nothing);

        run(&format!("iptables-nft -D {} 1", policy(1)));
        run("ip6tables-nft -I FORWARD -j ACCEPT");
        let start = Instant::now();
        let Change::Touched(touched) = watcher.wait(Duration::from_secs(10)).unwrap() else { panic!() };
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(touched.chains.into_iter().collect::<Vec<_>>(), [(Family::V4, policy(1))]);
        assert_eq!(touched.hooks.into_iter().collect::<Vec<_>>(), [(Family::V6, Hook::Forward)]);
        assert_eq!(watcher.wait(SOON).unwrap(), Change::Nothing);

        run("nft delete table ip filter");
        let Change::Touched(touched) = watcher.wait(SOON).unwrap() else { panic!() };
        assert_eq!(touched.tables.into_iter().collect::<Vec<_>>(), [Family::V4]);
        assert_eq!(touched.chains.len(), 4);
    });
}

#[test]
fn a_flood_of_strangers_changes_does_not_keep_a_wait_from_ending() {
    in_namespace(|| {
        let dataplane = open();
        let mut watcher = dataplane.watch().unwrap();
        let lines: Vec<String> =
            (0..20_000).map(|n| format!("add rule ip x y ip saddr 10.0.{}.{}\n", n / 250, n % 250)).collect();
        run_with(&format!("add table ip x\nadd chain ip x y\n{}", lines.concat()), &["nft", "-f", "-"]);
        let start = Instant::now();
        assert_eq!(watcher.wait(SOON).unwrap(), Change::Nothing);
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}
