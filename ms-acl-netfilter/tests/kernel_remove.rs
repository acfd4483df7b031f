//! After a removal nothing of ours is left, whatever state it was in, and everything of others is.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{
    OnDrop, everything, in_namespace, open, policy, program, program_and_check, restore_tool, run, run_with,
    save_tool, set_name, tool,
};
use ms_acl_core::diff::{Step, Transaction, diff};
use ms_acl_core::ruleset::{Family, Rulesets, SetKind};
use ms_acl_netfilter::{Dataplane, Hardship, Options};

/// Every table, chain, rule and set that there is.
fn world() -> String {
    run("nft list ruleset") + &run("ipset save")
}

#[test]
fn a_namespace_that_was_empty_is_empty_again() {
    in_namespace(|| {
        let mut dataplane = open();
        assert_eq!(world(), "");
        program_and_check(&mut dataplane, &everything());
        let report = dataplane.remove_all().unwrap();
        assert_eq!(world(), "");
        assert_eq!((report.jumps, report.base_chains, report.tables), (2, 2, 2));
        assert_eq!(report.kept, []);
        // By another process, after a hook came and went.
        let mut hooked = everything();
        let input = ms_acl_core::ruleset::Hook::Input;
        hooked.v4.hooks.insert(input, policy(2));
        program_and_check(&mut dataplane, &hooked);
        program_and_check(&mut dataplane, &everything());
        assert_eq!(open().remove_all().unwrap().base_chains, 3);
        assert_eq!(world(), "");
    });
}

#[test]
fn what_others_put_into_a_place_of_ours_stays_with_it() {
    // What somebody does to a table that we made, and what of it is left in the end.
    let theirs: [(&str, &[&str]); 5] = [
        ("nft add rule ip filter FORWARD ip saddr 192.0.2.1 drop", &["chain FORWARD", "saddr"]),
        ("iptables-nft -P FORWARD DROP", &["chain FORWARD", "policy drop"]),
        ("iptables-nft -N KUBE-X", &["chain KUBE-X"]),
        ("nft add set ip filter s { type ipv4_addr; }", &["set s"]),
        ("nft add chain ip filter late { type filter hook forward priority 10; }", &["chain late"]),
    ];
    for (command, expected) in theirs {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            run(command);
            assert_eq!(dataplane.remove_all().unwrap().tables, 1, "the other family's");
            let left = world();
            assert!(left.starts_with("table ip filter") && !left.contains("MS-"), "{command}: {left}");
            assert!(!left.contains("ip6"), "{command}: {left}");
            assert!(expected.iter().all(|part| left.contains(part)), "{command}: {left}");
            assert_eq!(left.matches("chain FORWARD").count(), usize::from(expected[0] == "chain FORWARD"));
        });
    }
}

#[test]
fn a_place_that_others_made_stays_even_if_it_is_empty() {
    in_namespace(|| {
        run("iptables-nft -P FORWARD ACCEPT");
        run("ip6tables-nft -N theirs");
        let before = world();
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let report = dataplane.remove_all().unwrap();
        assert_eq!((report.base_chains, report.tables), (1, 0), "FORWARD of ip6");
        assert_eq!(world(), before);
        // Made by somebody who wrote all of it back: it is theirs by then.
        program_and_check(&mut dataplane, &everything());
        for family in Family::BOTH {
            run_with(&run_with("", &[save_tool(family)]), &[restore_tool(family)]);
        }
        assert_eq!(dataplane.remove_all().unwrap().kept, []);
        let left = world();
        assert!(!left.contains("MS-") && left.contains("chain FORWARD"), "{left}");
    });
}

#[test]
fn tools_do_not_mind_our_tags() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let listed = run("nft list ruleset");
        assert_eq!(listed.matches("comment \"made by ms-acl\"").count(), 4, "{listed}");
        for family in Family::BOTH {
            let (save, restore) = (save_tool(family), restore_tool(family));
            let text = run_with("", &[save, "-t", "filter"]);
            assert!(!text.contains("made by"), "{text}");
            run_with(&text, &[restore, "--noflush", "--test"]);
            let listed = run_with("", &[tool(family), "-S"]);
            assert!(listed.contains(":FORWARD") || listed.contains("-P FORWARD ACCEPT"), "{listed}");
            run_with("", &[tool(family), "-L", "-n", "-v"]);
            run_with("", &[tool(family), "-A", "FORWARD", "-j", "RETURN"]);
            run_with("", &[tool(family), "-C", "FORWARD", "-j", "RETURN"]);
            run_with("", &[tool(family), "-D", "FORWARD", "-j", "RETURN"]);
        }
        assert_eq!(dataplane.remove_all().unwrap().kept, []);
        assert_eq!(world(), "");
    });
}

#[test]
fn half_broken_states_go_whole() {
    // Steps of a load that a process was killed after, and things that others did.
    let damages: [(&str, &[&str]); 8] = [
        ("no jumps", &["iptables-nft -F FORWARD", "ip6tables-nft -F FORWARD"]),
        ("no rules", &["iptables-nft -F", "ip6tables-nft -F"]),
        ("no chains, sets only", &["nft flush ruleset"]),
        ("one table only", &["nft delete table ip filter"]),
        (
            "a foreign set in a set's place",
            &["nft flush ruleset", "ipset destroy", "ipset create MS-pa4-aaaaaaaaaaaaaaaaaaab hash:net"],
        ),
        (
            "a jump twice and a jump elsewhere",
            &[
                "iptables-nft -A FORWARD -m comment --comment ms-acl -j MS-FORWARD",
                "iptables-nft -A INPUT -m comment --comment ms-acl -j MS-FORWARD",
                "iptables-nft -A OUTPUT -s 192.0.2.1 -m comment --comment ms-acl -j MS-FORWARD",
            ],
        ),
        ("chains without tags", &["sh -c \"iptables-nft-save | iptables-nft-restore\""]),
        (
            "chains without tags that nothing leads to",
            &["sh -c \"iptables-nft-save | iptables-nft-restore\"", "iptables-nft -F MS-FORWARD"],
        ),
    ];
    for (what, commands) in damages {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            commands.iter().copied().map(run).for_each(drop);
            let report = dataplane.remove_all().unwrap();
            // Chains that nothing shows to be ours any more are left alone with the sets that they name, and all
            // of them are told.
            let left: Vec<String> = world()
                .lines()
                .filter_map(|line| line.trim().strip_prefix("chain ").or(line.strip_prefix("create ")))
                .filter(|line| line.starts_with("MS-"))
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect();
            assert_eq!(
                left.is_empty(),
                what != "chains without tags that nothing leads to",
                "{what}: {left:?}"
            );
            assert_eq!(left.len(), report.kept.len(), "{what}: {report:?}");
            for name in left {
                assert!(
                    report.kept.iter().any(|kept| kept.what.contains(&name)),
                    "{what}: {name}, {report:?}"
                );
            }
        });
    }
}

#[test]
fn sets_and_chains_of_a_load_that_ended_early_go() {
    let desired = everything();
    let steps = diff(&Rulesets::empty(), &desired).steps;
    for end in 1..=steps.len() {
        in_namespace(|| {
            let mut dataplane = open();
            dataplane.commit(&Transaction { steps: steps[..end].to_vec() }).unwrap();
            open().remove_all().unwrap();
            assert_eq!(world(), "", "after {end} of {} steps", steps.len());
        });
    }
    // And a change that ended before it deleted what it had done with.
    let steps = diff(&desired, &Rulesets::empty()).steps;
    for end in 1..=steps.len() {
        in_namespace(|| {
            let mut dataplane = open();
            program(&mut dataplane, &desired);
            dataplane.commit(&Transaction { steps: steps[..end].to_vec() }).unwrap();
            open().remove_all().unwrap();
            assert_eq!(world(), "", "after {end} of {} steps of the end", steps.len());
        });
    }
    assert!(matches!(steps.last(), Some(Step::DeleteSets(_))));
}

#[test]
fn a_family_that_cannot_be_removed_keeps_nothing_else() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        // A set of ours and a chain of ours in a stranger's rule.
        run(&format!("iptables-nft -A INPUT -j {}", policy(2)));
        let set = set_name(SetKind::Addresses, Family::V4, 1);
        run(&format!("iptables-nft -A OUTPUT -m set --match-set {set} dst -j ACCEPT"));
        let report = dataplane.remove_all().unwrap();
        let kept: Vec<&str> = report.kept.iter().map(|kept| kept.what.as_str()).collect();
        assert_eq!(kept, [format!("chain {} of ipv4", policy(2)), format!("set {set}")]);
        assert_eq!((report.base_chains, report.tables), (2, 1));
        let left = run("nft list ruleset");
        assert!(!left.contains("ip6 filter") && !left.contains("chain FORWARD"), "{left}");
        run("iptables-nft -F");
        let report = dataplane.remove_all().unwrap();
        assert_eq!((report.chains, report.sets), (1, 1));
        assert!(!world().contains("MS-"));
    });
}

#[test]
fn a_removal_amid_other_writers_takes_nothing_of_theirs() {
    in_namespace(|| {
        let stop = AtomicBool::new(false);
        run_with("add table ip theirs\nadd chain ip theirs x\n", &["nft", "-f", "-"]);
        let (removals, overtaken) = std::thread::scope(|scope| {
            // Somebody who commits as fast as they can, elsewhere: every generation is soon an old one.
            let writer = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let lines = "add rule ip theirs x counter\nflush chain ip theirs x\n".repeat(20);
                    run_with(&lines, &["nft", "-i"]);
                    std::thread::sleep(std::time::Duration::from_millis(15));
                }
            });
            // Also when a check fails, or the writer would write for ever.
            let _end = OnDrop(|| stop.store(true, Ordering::Relaxed));
            let hardship = Hardship { pause: std::time::Duration::from_millis(5), ..Hardship::default() };
            let mut overtaken = 0;
            let mut removals = 0;
            let start = std::time::Instant::now();
            while overtaken == 0 && start.elapsed() < std::time::Duration::from_secs(20) {
                program(&mut open(), &everything());
                let report =
                    Dataplane::open_under(Options::default(), hardship).unwrap().remove_all().unwrap();
                assert_eq!((report.base_chains, report.tables), (2, 2));
                (removals, overtaken) = (removals + 1, overtaken + report.overtaken);
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            (removals, overtaken)
        });
        println!("{removals} removals, {overtaken} times overtaken");
        assert!(overtaken > 0, "the kernel never said ERESTART");
        assert!(run("nft list ruleset").starts_with("table ip theirs"));
        assert!(!world().contains("MS-"));
    });
}
