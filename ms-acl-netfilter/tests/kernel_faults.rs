//! What can go wrong between us and the kernel, provoked for real: each fault names its object, costs no other and
//! leaves a state from which the next change goes on.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{
    OnDrop, chain, every_rule, everything, graph_of, in_namespace, open, ours, policy, program,
    program_and_check, rule, run, run_with, save, set, set_name, some_members, try_run,
};
use ms_acl_core::diff::{Step, Transaction, diff};
use ms_acl_core::ruleset::{Family, Hook, Match, Member, Rule, Rulesets, SetKey, SetKind, Target};
use ms_acl_netfilter::ipset::Client;
use ms_acl_netfilter::watch::{Change, Watcher};
use ms_acl_netfilter::{CommitFault, Dataplane, Hardship, NetlinkError, Options};

/// A dataplane whose receive queue has room for hardly anything.
fn cramped() -> Dataplane {
    let hardship = Hardship { receive_queue: Some(1), ..Hardship::default() };
    Dataplane::open_under(Options::default(), hardship).unwrap()
}

/// A graph of many chains.
fn many(chains: usize) -> Rulesets {
    let mut both = Rulesets::empty();
    let jump = |number| rule(vec![], Target::Jump(policy(number)));
    both.v4.chains.insert(chain("MS-FORWARD"), ours((0..chains).map(jump).collect()));
    for number in 0..chains {
        both.v4.chains.insert(policy(number), ours(vec![rule(vec![Match::SourceIsLocal], Target::Return)]));
    }
    both.v4.hooks.insert(Hook::Forward, chain("MS-FORWARD"));
    both
}

// ENOBUFS.

#[test]
fn a_batch_whose_answers_are_lost_is_looked_at_and_finished() {
    in_namespace(|| {
        let mut dataplane = cramped();
        let mut attempts = 0;
        // Both families have rules of their own, so that answers come that don't fit.
        while let Err(error) = {
            let held = dataplane.observe().unwrap().rulesets;
            dataplane.commit(&diff(&held, &everything()))
        } {
            assert!(matches!(&*error.fault, CommitFault::Unsure(NetlinkError::Overrun)), "{error}");
            attempts += 1;
            assert!(attempts < 10, "{error}");
        }
        println!("{attempts} attempts lost their answers: {:?}", dataplane.mishaps());
        assert!(dataplane.mishaps().overruns > 0);
        assert_eq!(diff(&open().observe().unwrap().rulesets, &everything()).steps, []);
    });
}

#[test]
fn refusals_that_do_not_fit_into_the_queue_still_refuse() {
    in_namespace(|| {
        let mut dataplane = cramped();
        let mut desired = many(1);
        let bad = rule(vec![], Target::Jump(policy(9)));
        desired.v4.chains.insert(policy(0), ours(vec![bad; 500]));
        let error = dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap_err();
        let CommitFault::Refused(refused) = &*error.fault else { panic!("{error}") };
        println!("{} of 500 refusals were heard", refused.len());
        assert!(refused.len() < 500 && refused[0].chain == policy(0).to_string(), "{error}");
        program_and_check(&mut open(), &many(1));
    });
}

#[test]
fn members_arrive_whole_where_their_answers_do_not_fit() {
    in_namespace(|| {
        let hardship = Hardship { receive_queue: Some(1), ..Hardship::default() };
        let mut client = Client::open_under(hardship).unwrap();
        let name = set_name(SetKind::Addresses, Family::V4, 1);
        client.create(&name, SetKind::Addresses, Family::V4, 0, true).unwrap();
        let members: Vec<Member> = (1..=60_000_u32)
            .map(|n| Member::Address(std::net::Ipv4Addr::from(0x0a00_0000 + n).into()))
            .collect();
        client.add(&name, Family::V4, &members).unwrap();
        println!("{:?}", client.mishaps());
        assert!(client.mishaps().overruns > 0);
        assert_eq!(client.header(&name).unwrap().unwrap().members, 60_000);
        client.remove(&name, Family::V4, &members[1..]).unwrap();
        assert_eq!(client.header(&name).unwrap().unwrap().members, 1);
        // And a refused one among them is named all the same.
        let zero = Member::Address("0.0.0.0".parse().unwrap());
        let error = client.add(&name, Family::V4, &[&members[..], &[zero]].concat()).unwrap_err();
        assert_eq!(error.member, Some(zero), "{error}");
    });
}

#[test]
fn notifications_that_were_lost_are_told() {
    in_namespace(|| {
        let dataplane = open();
        let hardship = Hardship { receive_queue: Some(1), ..Hardship::default() };
        let mut watcher = Watcher::open_under(dataplane.port(), hardship).unwrap();
        for _ in 0..20 {
            run("iptables-nft -N theirs");
            run("iptables-nft -X theirs");
        }
        assert_eq!(watcher.wait(Duration::from_millis(100)).unwrap(), Change::Overrun);
        while watcher.wait(Duration::from_millis(20)).unwrap() != Change::Nothing {}
        run("iptables-nft -N MS-FORWARD");
        assert!(matches!(watcher.wait(Duration::from_secs(1)).unwrap(), Change::Touched(_)));
    });
}

// NLM_F_DUMP_INTR.

#[test]
fn a_listing_that_writers_interrupt_is_asked_for_again() {
    in_namespace(|| {
        let desired = many(1500);
        program(&mut open(), &desired);
        run_with("add table ip theirs\nadd chain ip theirs x\n", &["nft", "-f", "-"]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let lines = "add rule ip theirs x counter\nflush chain ip theirs x\n".repeat(50);
                    run_with(&lines, &["nft", "-i"]);
                }
            });
            let _end = OnDrop(|| stop.store(true, Ordering::Relaxed));
            let mut dataplane = open();
            let start = std::time::Instant::now();
            let mut looks = 0;
            while dataplane.mishaps().interrupted == 0 && start.elapsed() < Duration::from_secs(30) {
                let held = dataplane.observe().unwrap().rulesets;
                assert_eq!(diff(&held, &desired).steps, []);
                looks += 1;
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            println!("{looks} looks, {:?}", dataplane.mishaps());
            assert!(dataplane.mishaps().interrupted > 0);
        });
    });
}

// Sets.

#[test]
fn a_set_is_destroyed_although_its_last_rule_holds_it_a_while_longer() {
    in_namespace(|| {
        let mut dataplane = open();
        let desired = {
            let mut both = Rulesets::empty();
            both.v4 = graph_of(Family::V4, every_rule(Family::V4));
            both
        };
        let mut rounds = 0;
        while dataplane.mishaps().busy == 0 && rounds < 100 {
            dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap();
            let report = dataplane.commit(&diff(&desired, &Rulesets::empty())).unwrap();
            assert_eq!((report.sets_removed, report.kept.len()), (3, 0));
            rounds += 1;
        }
        println!("{rounds} rounds, {:?}", dataplane.mishaps());
        assert!(dataplane.mishaps().busy > 0);
        assert_eq!(run("ipset list -n"), "");
    });
}

#[test]
fn a_set_with_other_parameters_under_our_name_is_told() {
    let parameters = [
        ("hash:ip maxelem 10", "hash:ip of ipv4 for 10 members"),
        ("hash:ip maxelem 4294967295 timeout 60", "with a timeout"),
        ("hash:ip maxelem 4294967295 netmask 24", "with a netmask"),
        ("hash:ip maxelem 4294967295 family inet6", "hash:ip of ipv6"),
        ("hash:net maxelem 4294967295", "hash:net of ipv4"),
        ("bitmap:port range 0-9", "bitmap:port of no family"),
    ];
    for (made, told) in parameters {
        in_namespace(|| {
            let (kind, family) = (SetKind::Addresses, Family::V4);
            let name = set_name(kind, family, 1);
            run(&format!("ipset create {name} {made}"));
            let mut desired = Rulesets::empty();
            desired.v4.sets.insert(name.clone(), set(kind, family, some_members(kind, family)));
            let mut dataplane = open();
            let observed = dataplane.observe().unwrap();
            assert_eq!(observed.foreign.len(), 1, "{made}");
            let error = dataplane.commit(&diff(&observed.rulesets, &desired)).unwrap_err();
            assert!(matches!(&*error.fault, CommitFault::SetMismatch { set, .. } if *set == name), "{error}");
            assert!(error.to_string().contains(told), "{made}: {error}");
            assert_eq!(dataplane.member_counts().unwrap().len(), 0, "{made}");
            // Also when somebody makes it between our look and our rules.
            let rules = vec![rule(vec![Match::InSet(name.clone(), SetKey::Source)], Target::Drop)];
            let mut named = desired.clone();
            named.v4.chains.insert(policy(1), ours(rules));
            let error = dataplane.commit(&diff(&desired, &named)).unwrap_err();
            assert!(matches!(&*error.fault, CommitFault::SetMismatch { .. }), "{error}");
            assert!(!save(Family::V4).contains("match-set"), "{made}");
        });
    }
}

#[test]
fn members_that_no_set_of_ours_has_are_removed() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let name = |kind, family| set_name(kind, family, 1);
        // An exception that swallows members, and one in place of a member; a protocol without ports.
        let networks = name(SetKind::Networks, Family::V4);
        let except = |members: &[&str]| {
            // Sets of ours are of a revision whose tool doesn't know them.
            run("ipset create theirs hash:net maxelem 4294967295");
            for member in ["10.0.0.0/8", "0.0.0.0/1"].iter().chain(members) {
                run_with("", &[&["ipset", "add", "theirs"], &common::words(member)[..]].concat());
            }
            run(&format!("ipset swap theirs {networks}"));
            run("ipset destroy theirs");
        };
        except(&["10.1.0.0/16 nomatch", "192.0.2.1 nomatch"]);
        run(&format!("ipset add {} fd00::1,icmpv6:8/0", name(SetKind::AddressPorts, Family::V6)));
        run(&format!("ipset add {} 10.0.0.1,udplite:80", name(SetKind::AddressPorts, Family::V4)));
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.strange, 4);
        let mended = dataplane.mend().unwrap();
        assert!(
            mended.contains(&format!("the set {networks} had 2 members that no set of ours has")),
            "{mended:?}"
        );
        program_and_check(&mut dataplane, &everything());
        let text = run("ipset save");
        assert!(!text.contains("nomatch") && !text.contains("icmp") && text.contains("192.0.2.1"), "{text}");
        // A set that is taken over loses them as well.
        except(&["10.1.0.0/16 nomatch"]);
        let create = diff(&Rulesets::empty(), &everything()).steps.into_iter();
        let steps = create.filter(|step| matches!(step, Step::CreateSet(..))).collect();
        dataplane.commit(&Transaction { steps }).unwrap();
        assert!(!run("ipset save").contains("nomatch"));
    });
}

#[test]
fn more_sets_than_the_kernel_can_have_are_told() {
    in_namespace(|| {
        let lines: Vec<String> =
            (0..65_534).map(|n| format!("create s{n} bitmap:port range 0-0\n")).collect();
        let (_, _, full) = try_run(&lines.concat(), &["ipset", "restore"]);
        assert!(full.contains("maximal number of sets"), "{full}");
        let (kind, family) = (SetKind::Addresses, Family::V4);
        let mut desired = many(3);
        desired.v4.sets.insert(set_name(kind, family, 1), set(kind, family, some_members(kind, family)));
        let mut dataplane = open();
        let error = dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap_err();
        assert!(matches!(&*error.fault, CommitFault::Set { action: "create", .. }), "{error}");
        assert!(error.to_string().ends_with("IPSET_ERR_MAX_SETS, ipset: too many sets"), "{error}");
        // What needs no set goes on, and the set as soon as there is room.
        program_and_check(&mut dataplane, &many(3));
        run("ipset destroy s7");
        dataplane.commit(&diff(&many(3), &desired)).unwrap();
        run("ipset destroy -q").clear();
    });
}

// EMLINK.

/// Chains of somebody else in a row, the last of which jumps to a chain.
fn chain_of_jumps(length: usize, to: &str) -> String {
    let names = (0..length).map(|n| format!(":deep{n} - [0:0]\n"));
    let jumps = (1..length).map(|n| format!("-A deep{} -j deep{n}\n", n - 1));
    let lines: Vec<String> = names.chain(jumps).collect();
    format!("*filter\n{}-A deep{} -j {to}\n-A FORWARD -j deep0\nCOMMIT\n", lines.concat(), length - 1)
}

#[test]
fn chains_that_somebody_nests_too_deeply_are_named_and_nothing_is_half_done() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &many(0));
        // Fifteen jumps are as many as there may be in a row: theirs go as far as they can, ours come on top.
        run_with(&chain_of_jumps(14, "MS-FORWARD"), &["iptables-nft-restore", "--noflush"]);
        let before = save(Family::V4);
        let error = dataplane.commit(&diff(&many(0), &many(3))).unwrap_err();
        let CommitFault::Refused(refused) = &*error.fault else { panic!("{error}") };
        println!("{error}");
        assert!(error.to_string().contains("EMLINK, a loop, or chains nested too deeply"), "{error}");
        assert!(refused[0].chain == "MS-FORWARD" && refused[0].rule.is_some(), "{refused:?}");
        assert_eq!(save(Family::V4), before);
        // A rule that leads nowhere can be had.
        let mut plain = many(0);
        plain.v4.chains.insert(chain("MS-FORWARD"), ours(vec![rule(vec![], Target::Drop)]));
        dataplane.commit(&diff(&many(0), &plain)).unwrap();
        run("iptables-nft -F deep13");
        program_and_check(&mut dataplane, &many(3));
    });
}

// A rule that the kernel refuses, among others.

#[test]
fn of_many_chains_the_one_that_is_refused_is_named() {
    in_namespace(|| {
        let mut dataplane = open();
        let mut desired = many(20);
        let absent: Rule = rule(vec![], Target::Jump(policy(99)));
        desired.v4.chains.insert(policy(7), ours(vec![absent]));
        let error = dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap_err();
        let CommitFault::Refused(refused) = &*error.fault else { panic!("{error}") };
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].chain, policy(7).to_string());
        assert!(!save(Family::V4).contains("MS-"));
        desired.v4.chains.insert(policy(7), ours(vec![]));
        program_and_check(&mut dataplane, &desired);
    });
}
