//! What others do to what is ours is found, by a glance at what they touched and by a whole look, and put right.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::time::Duration;

use common::{
    chain, everything, in_namespace, open, policy, program, program_and_check, run, run_with, save,
};
use ms_acl_core::diff::diff;
use ms_acl_core::ruleset::{Family, Hook, Rulesets};
use ms_acl_netfilter::watch::{Change, Touched, Watcher};
use ms_acl_netfilter::{CommitFault, Dataplane};

const SOON: Duration = Duration::from_millis(100);

fn touched(watcher: &mut Watcher) -> Touched {
    match watcher.wait(SOON).unwrap() {
        Change::Touched(touched) => touched,
        other => panic!("{other:?}"),
    }
}

/// Rules of one of our chains with their handles.
fn handles(chain: &str) -> Vec<String> {
    let text = run(&format!("nft -a list chain ip filter {chain}"));
    text.lines().filter(|line| line.contains("# handle")).skip(1).map(str::to_owned).collect()
}

/// Does what is needed so that the kernel holds what is desired, by a glance if that is enough. Returns whether
/// it was, and the number of steps.
fn repair(dataplane: &mut Dataplane, desired: &Rulesets, touched: &Touched) -> (bool, usize) {
    let glanced = dataplane.glance(desired, touched).unwrap();
    let enough = glanced.is_some();
    let observed = glanced.unwrap_or_else(|| {
        dataplane.mend().unwrap();
        dataplane.observe().unwrap()
    });
    let transaction = diff(&observed.rulesets, desired);
    dataplane.commit(&transaction).unwrap();
    (enough, transaction.steps.len())
}

#[test]
fn what_others_touch_is_put_right_by_looking_at_it_alone() {
    let damages: [(&str, &[&str]); 11] = [
        ("a chain flushed", &["iptables-nft -F MS-P-aaaaaaaaaaaaaaaaaaab"]),
        ("a rule deleted", &["iptables-nft -D MS-P-aaaaaaaaaaaaaaaaaaab 3"]),
        ("a rule added", &["iptables-nft -I MS-P-aaaaaaaaaaaaaaaaaaab 3 -i eth0 -j DROP"]),
        ("a rule replaced", &["iptables-nft -R MS-P-aaaaaaaaaaaaaaaaaaab 3 -i eth0 -j DROP"]),
        ("the jump deleted", &["iptables-nft -D FORWARD 1"]),
        ("the jump twice", &["iptables-nft -A FORWARD -m comment --comment ms-acl -j MS-FORWARD"]),
        ("a base chain gone", &["iptables-nft -F FORWARD", "nft delete chain ip filter FORWARD"]),
        ("a rule before our jump", &["iptables-nft -I FORWARD -j ACCEPT"]),
        ("a policy", &["iptables-nft -P FORWARD DROP"]),
        (
            "a chain deleted",
            &["iptables-nft -F MS-FORWARD", "iptables-nft -F FORWARD", "iptables-nft -X MS-FORWARD"],
        ),
        ("counters to zero", &["iptables-nft -Z"]),
    ];
    for (what, commands) in damages {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            let mut watcher = dataplane.watch().unwrap();
            commands.iter().copied().map(run).for_each(drop);
            let (glanced, steps) = repair(&mut dataplane, &everything(), &touched(&mut watcher));
            assert!(glanced, "{what}");
            assert_eq!(steps == 0, ["a policy", "counters to zero"].contains(&what), "{what}: {steps}");
            assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &everything()).steps, [], "{what}");
            // Handles are known: the next change needs no look.
            dataplane.commit(&diff(&everything(), &Rulesets::empty())).unwrap();
        });
    }
}

#[test]
fn what_a_glance_cannot_tell_is_looked_at_whole() {
    let damages: [(&str, &[&str]); 5] = [
        ("everything flushed", &["nft flush ruleset"]),
        ("a table deleted", &["nft delete table ip filter"]),
        ("saved and restored", &["sh -c \"iptables-nft-save | iptables-nft-restore\""]),
        ("a chain renamed", &["nft rename chain ip filter MS-P-aaaaaaaaaaaaaaaaaaab gone"]),
        (
            "a chain with rules made anew",
            &[
                "iptables-nft -F MS-FORWARD",
                "iptables-nft -F FORWARD",
                "iptables-nft -X MS-FORWARD",
                "iptables-nft -N MS-FORWARD",
                "iptables-nft -A MS-FORWARD -j DROP",
            ],
        ),
    ];
    for (what, commands) in damages {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            let mut watcher = dataplane.watch().unwrap();
            commands.iter().copied().map(run).for_each(drop);
            assert!(!repair(&mut dataplane, &everything(), &touched(&mut watcher)).0, "{what}");
            assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &everything()).steps, [], "{what}");
        });
    }
}

#[test]
fn a_glance_at_nothing_needs_nothing() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let observed = dataplane.glance(&everything(), &Touched::default()).unwrap().unwrap();
        assert_eq!(diff(&observed.rulesets, &everything()).steps, []);
    });
}

#[test]
fn renamed_chains_get_their_names_back_with_all_that_is_in_them() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let one = policy(1).to_string();
        let before = handles(&one);
        run(&format!("nft rename chain ip filter {one} theirs"));
        run("nft rename chain ip6 filter MS-FORWARD MS-OUTPUT");
        run("iptables-nft -A MS-ADMIN -s 192.0.2.1 -j DROP");
        run("nft rename chain ip filter MS-ADMIN operators");
        // By another process: it knows nothing but what the kernel tells.
        let mended = open().mend().unwrap();
        assert_eq!(mended.len(), 3, "{mended:?}");
        assert!(mended.contains(&format!("the ipv4 chain {one} had been renamed to theirs")), "{mended:?}");
        assert_eq!(handles(&one), before);
        assert_eq!(handles("MS-ADMIN").len(), 1);
        assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &everything()).steps, []);
        assert_eq!(dataplane.mend().unwrap(), Vec::<String>::new());

        // Two that have each other's names.
        run(&format!("nft rename chain ip filter {one} x"));
        run(&format!("nft rename chain ip filter {} {one}", policy(2)));
        run(&format!("nft rename chain ip filter x {}", policy(2)));
        assert_eq!(dataplane.mend().unwrap().len(), 2);
        assert_eq!(handles(&one), before);
        assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &everything()).steps, []);
    });
}

#[test]
fn a_renamed_chain_whose_name_somebody_else_has_is_told_and_replaced() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        run("nft rename chain ip filter MS-FORWARD theirs");
        run("nft add chain ip filter MS-FORWARD");
        assert_eq!(dataplane.mend().unwrap(), Vec::<String>::new());
        let observed = dataplane.observe().unwrap();
        let told = observed.foreign.iter().find(|foreign| foreign.what == "chain theirs of ipv4");
        assert!(told.is_some_and(|foreign| foreign.why.contains("MS-FORWARD")), "{:?}", observed.foreign);
        program_and_check(&mut dataplane, &everything());
        assert!(save(Family::V4).contains("-A FORWARD -m comment --comment ms-acl -j MS-FORWARD"));
    });
}

#[test]
fn a_dormant_table_that_is_ours_alone_is_woken() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let mut watcher = dataplane.watch().unwrap();
        run_with("add table ip filter { flags dormant; }", &["nft", "-f", "-"]);
        assert!(touched(&mut watcher).tables.contains(&Family::V4));
        assert_eq!(dataplane.observe().unwrap().dormant, [Family::V4]);
        assert_eq!(dataplane.mend().unwrap().len(), 1);
        assert_eq!(dataplane.observe().unwrap().dormant, []);
        assert!(!run("nft list table ip filter").contains("dormant"));
        assert_eq!(dataplane.remove_all().unwrap().tables, 2);
    });
}

#[test]
fn a_dormant_table_that_others_use_is_told_and_left_alone() {
    for theirs in
        ["iptables-nft -N KUBE-X", "iptables-nft -A FORWARD -j ACCEPT", "iptables-nft -A MS-ADMIN -j RETURN"]
    {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            run(theirs);
            run_with("add table ip filter { flags dormant; }", &["nft", "-f", "-"]);
            assert_eq!(dataplane.mend().unwrap(), Vec::<String>::new(), "{theirs}");
            assert_eq!(dataplane.observe().unwrap().dormant, [Family::V4], "{theirs}");
            // Rules go on to be kept, for the day on which somebody wakes it.
            program(&mut dataplane, &Rulesets::empty());
            program_and_check(&mut dataplane, &everything());
            assert_eq!(dataplane.observe().unwrap().dormant, [Family::V4], "{theirs}");
            run("nft add table ip filter");
            assert_eq!(dataplane.observe().unwrap().dormant, [], "{theirs}");
        });
    }
}

#[test]
fn a_change_after_somebody_elses_starts_from_what_is_there() {
    let damages: [&[&str]; 4] = [
        &["iptables-nft -F MS-FORWARD"],
        &["nft flush ruleset"],
        &["iptables-nft -F FORWARD", "nft delete chain ip filter FORWARD"],
        &["iptables-nft -F", "iptables-nft -X"],
    ];
    for commands in damages {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            commands.iter().copied().map(run).for_each(drop);
            let mut next = everything();
            next.v4.hooks.insert(Hook::Output, policy(2));
            next.v4.chains.insert(chain("MS-FORWARD"), common::ours(vec![]));
            match dataplane.commit(&diff(&everything(), &next)) {
                // Nothing of what it started from had changed, or the kernel didn't mind.
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(*error.fault, CommitFault::Stale { .. }), "{commands:?}: {error}");
                }
            }
            program_and_check(&mut dataplane, &next);
        });
    }
}
