//! Observe, commit and remove in a real kernel, with strangers beside us.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{
    OnDrop, chain, every_rule, everything, graph_of, in_namespace, open, operators, ours, policy, program,
    program_and_check, restore_tool, rule, run, run_with, save, set, set_name, some_members, try_run,
};
use ms_acl_core::diff::{ChainEdit, RuleStep, Step, Transaction, diff};
use ms_acl_core::ruleset::{Family, Hook, Match, Member, Rulesets, SetKey, SetKind, Target};
use ms_acl_netfilter::{CommitFault, Dataplane, Options, Position, own};

/// What strangers have in their tables and sets.
const STRANGERS: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:MS-custom - [0:0]
:cali-FORWARD - [0:0]
-A INPUT -i lo -j ACCEPT
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A FORWARD -m comment --comment ms-acl -j MS-custom
-A FORWARD -m set --match-set strangers src -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A MS-custom -j RETURN
-A cali-FORWARD -m comment --comment \"cali:abc\" -j MARK --set-xmark 0x0/0xe0000
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
COMMIT
";

fn make_strangers() {
    run("ipset create strangers hash:net");
    run("ipset add strangers 192.0.2.0/24");
    run("ipset create MS-theirs hash:ip");
    run_with(STRANGERS, &["iptables-nft-restore"]);
    run("nft add table inet theirs");
    run("nft add chain inet theirs forward { type filter hook forward priority 0 ; policy accept ; }");
    run("nft add rule inet theirs forward ip saddr 10.0.0.1 counter drop");
    run("nft add chain ip filter theirs { type filter hook forward priority 10 ; policy accept ; }");
}

/// Everything there is in tables and sets, but for lines that name something of ours.
fn world() -> Vec<String> {
    let own = |line: &str| line.contains(":MS-ADMIN") || line.split_whitespace().any(own::is_owned_name);
    let all = run("iptables-nft-save")
        + &run("ip6tables-nft-save")
        + &run("ipset save")
        + &run("nft list table inet theirs");
    all.lines().filter(|line| !line.starts_with('#') && !own(line)).map(str::to_owned).collect()
}

#[test]
fn strangers_beside_us_are_left_alone() {
    in_namespace(|| {
        make_strangers();
        // The tools add the other tables' base chains in some versions; both listings see the same.
        let before = world();
        let mut dataplane = open();
        let observed = program_and_check(&mut dataplane, &everything());
        let foreign: Vec<&str> = observed.foreign.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(foreign, ["chain MS-custom of ipv4", "set MS-theirs"]);
        let without = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().filter(|line| !line.contains("MS-p") && !line.contains(":MS-")).collect()
        };
        let theirs: BTreeSet<String> = without(before.clone()).into_iter().collect();
        let now: BTreeSet<String> = without(world()).into_iter().collect();
        assert_eq!(theirs.difference(&now).collect::<Vec<_>>(), [] as [&String; 0]);
        assert!(save(Family::V4).contains(":FORWARD DROP"), "a base chain's policy stays");

        let report = dataplane.remove_all().unwrap();
        assert_eq!(report.kept, []);
        let after: BTreeSet<String> = world().into_iter().collect();
        let lost: Vec<_> = before.iter().filter(|line| !after.contains(*line)).collect();
        assert_eq!(lost, [] as [&String; 0]);
        assert_eq!(
            after
                .iter()
                .filter(|line| line.contains("MS-")
                    && !line.contains("MS-custom")
                    && !line.contains("MS-theirs"))
                .count(),
            0
        );
        // Once more: nothing to do.
        let report = dataplane.remove_all().unwrap();
        assert_eq!((report.jumps, report.chains, report.sets, report.kept.len()), (0, 0, 0, 0));
    });
}

#[test]
fn a_change_touches_only_what_changes() {
    in_namespace(|| {
        let mut dataplane = open();
        let all = every_rule(Family::V4);
        let graph = |indexes: &[usize]| {
            let mut both = Rulesets::empty();
            both.v4 = graph_of(Family::V4, indexes.iter().map(|index| all[*index].clone()).collect());
            both
        };
        // Handles of rules by their text, as `nft` shows them.
        let handles = || -> Vec<String> {
            let text = run(&format!("nft -a list chain ip filter {}", policy(1)));
            text.lines()
                .filter_map(|line| line.split_once("# handle ").map(|(_, handle)| handle.to_owned()))
                .skip(1)
                .collect()
        };
        program_and_check(&mut dataplane, &graph(&[0, 1, 2, 3, 4, 5]));
        let before = handles();
        assert_eq!(before.len(), 6);
        program_and_check(&mut dataplane, &graph(&[10, 0, 2, 11, 12, 3, 13, 5, 14]));
        let after = handles();
        assert_eq!(after.len(), 9);
        for (old, new) in [(0, 1), (2, 2), (3, 5), (5, 7)] {
            assert_eq!(before[old], after[new]);
        }
        // A second change without reading back in between: the handles of the first are known.
        let (now, next) = (graph(&[10, 0, 2, 11, 12, 3, 13, 5, 14]), graph(&[10, 11, 12, 20, 14]));
        dataplane.commit(&diff(&now, &next)).unwrap();
        let last = graph(&[30, 10, 31, 11, 12, 32]);
        dataplane.commit(&diff(&next, &last)).unwrap();
        assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &last).steps, []);
        assert_eq!(handles()[1], after[0]);
    });
}

#[test]
fn any_graph_turns_into_any_other() {
    in_namespace(|| {
        let mut dataplane = open();
        // A plain generator of numbers: the same ones in every run.
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut now = Rulesets::empty();
        for round in 0..40 {
            let mut next = Rulesets::empty();
            for family in Family::BOTH {
                let all = every_rule(family);
                let picked = (0..random(40)).map(|_| all[random(all.len())].clone()).collect();
                *next.family_mut(family) = graph_of(family, picked);
                let graph = next.family_mut(family);
                for number in 3..3 + random(5) {
                    let rules = (0..random(10)).map(|_| all[random(all.len())].clone()).collect();
                    graph.chains.insert(policy(number), ours(rules));
                }
                if random(3) == 0 {
                    graph.hooks.insert(Hook::Input, policy(2));
                }
                if random(3) == 0 {
                    graph.hooks.clear();
                }
                let name = set_name(SetKind::Addresses, family, 1);
                let members = (0..random(9)).map(|number| {
                    let text = if family == Family::V4 {
                        format!("10.0.0.{}", number + 1)
                    } else {
                        format!("fd00::{number}")
                    };
                    Member::Address(text.parse().unwrap())
                });
                graph.sets.insert(name, set(SetKind::Addresses, family, members.collect::<Vec<_>>()));
            }
            if round % 2 == 0 {
                program_and_check(&mut dataplane, &next);
            } else {
                // From what we believe the kernel has, without asking it.
                dataplane.commit(&diff(&now, &next)).unwrap();
                assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &next).steps, []);
            }
            now = next;
        }
        assert_eq!(dataplane.remove_all().unwrap().kept, []);
    });
}

fn forward() -> Vec<String> {
    run("iptables-nft -S FORWARD").lines().skip(1).map(str::to_owned).collect()
}

const JUMP: &str = "-A FORWARD -m comment --comment ms-acl -j MS-FORWARD";

fn hooked() -> Rulesets {
    let mut both = Rulesets::empty();
    both.v4.chains.insert(chain("MS-FORWARD"), ours(vec![rule(vec![], Target::Return)]));
    both.v4.hooks.insert(Hook::Forward, chain("MS-FORWARD"));
    both
}

#[test]
fn the_jump_stands_first_and_is_moved_back_first() {
    in_namespace(|| {
        run("iptables-nft -A FORWARD -j ACCEPT");
        let mut dataplane = open();
        program_and_check(&mut dataplane, &hooked());
        assert_eq!(forward(), [JUMP, "-A FORWARD -j ACCEPT"]);

        // A rule that lets everything pass on is no contest.
        run("iptables-nft -I FORWARD -s 10.0.0.1");
        run("iptables-nft -I FORWARD -j MARK --set-mark 1");
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.contested, []);
        assert_eq!(observed.rulesets.v4.hooks.len(), 1);

        run("iptables-nft -I FORWARD -s 10.0.0.2 -j DROP");
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.contested.len(), 1);
        assert_eq!((observed.contested[0].hook, observed.contested[0].rules), (Hook::Forward, 1));
        program_and_check(&mut dataplane, &hooked());
        let now = forward();
        assert_eq!(now[0], JUMP);
        assert_eq!(now.len(), 5, "{now:?}");
        assert_eq!(now.iter().filter(|line| *line == JUMP).count(), 1);
    });
}

#[test]
fn the_jump_stands_last_if_wanted() {
    in_namespace(|| {
        run("iptables-nft -A FORWARD -s 10.0.0.1 -j ACCEPT");
        let mut dataplane = Dataplane::open(Options { position: Position::Last }).unwrap();
        program_and_check(&mut dataplane, &hooked());
        assert_eq!(forward(), ["-A FORWARD -s 10.0.0.1/32 -j ACCEPT", JUMP]);
        run("iptables-nft -A FORWARD -s 10.0.0.2 -j ACCEPT");
        let observed = dataplane.observe().unwrap();
        assert_eq!(diff(&observed.rulesets, &hooked()).steps, []);
    });
}

#[test]
fn second_and_changed_jumps_are_repaired() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &hooked());
        run("iptables-nft -A FORWARD -m comment --comment ms-acl -j MS-FORWARD");
        run("iptables-nft -A FORWARD -i eth7 -m comment --comment ms-acl -j MS-FORWARD");
        run("iptables-nft -A FORWARD -m comment --comment theirs -j MS-FORWARD");
        assert_eq!(dataplane.observe().unwrap().rulesets.v4.hooks.len(), 0);
        program_and_check(&mut dataplane, &hooked());
        assert_eq!(forward(), [JUMP, "-A FORWARD -m comment --comment theirs -j MS-FORWARD"]);

        run("iptables-nft -F FORWARD");
        program_and_check(&mut dataplane, &hooked());
        assert_eq!(forward(), [JUMP]);

        let mut unhooked = hooked();
        unhooked.v4.hooks.clear();
        program_and_check(&mut dataplane, &unhooked);
        assert_eq!(forward(), [] as [&str; 0]);
    });
}

#[test]
fn the_operators_chain_is_never_touched() {
    in_namespace(|| {
        let mut dataplane = open();
        let mut desired = hooked();
        desired.v4.chains.insert(chain("MS-ADMIN"), operators());
        desired.v4.chains.insert(
            chain("MS-FORWARD"),
            ours(vec![rule(vec![], Target::Jump(chain("MS-ADMIN"))), rule(vec![], Target::Return)]),
        );
        program_and_check(&mut dataplane, &desired);
        run("iptables-nft -A MS-ADMIN -s 192.0.2.1 -j DROP");
        run("iptables-nft -A MS-ADMIN -i eth0 -p 47 -m length --length 1:2 -j ACCEPT");
        let theirs = run("iptables-nft -S MS-ADMIN");
        program_and_check(&mut dataplane, &desired);
        assert_eq!(run("iptables-nft -S MS-ADMIN"), theirs);

        // Even a transaction that asks for it.
        let edit = ChainEdit {
            family: Family::V4,
            chain: chain("MS-ADMIN"),
            before: 0,
            inserts: vec![(0, rule(vec![], Target::Drop))],
            deletes: vec![],
        };
        let steps = vec![Step::Rules(vec![RuleStep::Edit(edit)])];
        let error = dataplane.commit(&Transaction { steps }).unwrap_err();
        assert!(matches!(*error.fault, CommitFault::NotOurs(_)), "{error}");
        let gone = vec![Step::DeleteChains(vec![(Family::V4, chain("MS-ADMIN"))])];
        let report = dataplane.commit(&Transaction { steps: gone }).unwrap();
        assert_eq!((report.chains_removed, report.kept.len()), (0, 1));
        assert_eq!(run("iptables-nft -S MS-ADMIN"), theirs);

        let report = dataplane.remove_all().unwrap();
        assert_eq!(report.kept.len(), 1);
        assert_eq!(report.kept[0].what, "chain MS-ADMIN of ipv4");
        assert_eq!(run("iptables-nft -S MS-ADMIN"), theirs);
        assert!(!save(Family::V4).contains("-j MS-"));

        run("iptables-nft -F MS-ADMIN");
        assert_eq!(dataplane.remove_all().unwrap().chains, 1);
        assert!(!save(Family::V4).contains("MS-"));
    });
}

#[test]
fn an_operators_chain_that_was_there_before_is_taken_as_it_is() {
    in_namespace(|| {
        run("iptables-nft -N MS-ADMIN");
        run("iptables-nft -A MS-ADMIN -s 192.0.2.1 -j DROP");
        let mut dataplane = open();
        let mut desired = hooked();
        desired.v4.chains.insert(chain("MS-ADMIN"), operators());
        let observed = program_and_check(&mut dataplane, &desired);
        assert_eq!(observed.foreign, []);
        assert_eq!(run("iptables-nft -S MS-ADMIN"), "-N MS-ADMIN\n-A MS-ADMIN -s 192.0.2.1/32 -j DROP\n");
    });
}

#[test]
fn what_strangers_use_is_emptied_and_kept() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        run(&format!("iptables-nft -A INPUT -s 192.0.2.1 -j {}", policy(2)));
        let name = set_name(SetKind::Addresses, Family::V4, 1);
        run(&format!("iptables-nft -A OUTPUT -m set --match-set {name} dst -j ACCEPT"));
        let report = dataplane.commit(&diff(&everything(), &Rulesets::empty())).unwrap();
        let kept: Vec<&str> = report.kept.iter().map(|kept| kept.what.as_str()).collect();
        assert_eq!(kept, [format!("chain {} of ipv4", policy(2)), format!("set {name}")]);
        let report = dataplane.remove_all().unwrap();
        let kept: Vec<&str> = report.kept.iter().map(|kept| kept.what.as_str()).collect();
        assert_eq!(kept, [format!("chain {} of ipv4", policy(2)), format!("set {name}")]);
        run("iptables-nft -F INPUT");
        run("iptables-nft -F OUTPUT");
        let report = dataplane.remove_all().unwrap();
        assert_eq!((report.chains, report.sets, report.kept.len()), (1, 1, 0));
    });
}

#[test]
fn half_broken_states_are_repaired_and_removed() {
    let damages: [(&str, &[&str]); 7] = [
        ("a chain flushed", &["iptables-nft -F MS-P-aaaaaaaaaaaaaaaaaaab"]),
        ("a rule deleted", &["iptables-nft -D MS-P-aaaaaaaaaaaaaaaaaaab 3"]),
        ("a rule added", &["iptables-nft -I MS-P-aaaaaaaaaaaaaaaaaaab 3 -i eth0 -j DROP"]),
        ("the jump deleted", &["iptables-nft -D FORWARD 1"]),
        ("everything flushed", &["iptables-nft -F", "iptables-nft -X"]),
        ("the table deleted", &["nft delete table ip filter", "nft delete table ip6 filter"]),
        (
            "a base chain's rules and a chain",
            &["iptables-nft -F FORWARD", "iptables-nft -F MS-FORWARD", "iptables-nft -X MS-FORWARD"],
        ),
    ];
    for (what, commands) in damages {
        in_namespace(|| {
            let mut dataplane = open();
            program_and_check(&mut dataplane, &everything());
            commands.iter().copied().map(run).for_each(drop);
            let observed = dataplane.observe().unwrap();
            assert_ne!(diff(&observed.rulesets, &everything()).steps, [], "{what}");
            program_and_check(&mut dataplane, &everything());
            commands.iter().copied().map(run).for_each(drop);
            let report = dataplane.remove_all().unwrap();
            assert_eq!(report.kept, [], "{what}");
            assert!(!save(Family::V4).contains("MS-"), "{what}");
            assert!(!run("ipset save").contains("MS-"), "{what}");
        });
    }
}

#[test]
fn a_new_process_finds_everything_again() {
    in_namespace(|| {
        program_and_check(&mut open(), &everything());
        let mut next = open();
        assert_eq!(diff(&next.observe().unwrap().rulesets, &everything()).steps, []);
        // Lost tags and a lost jump: what nothing of ours leads to is taken for somebody else's.
        let text = save(Family::V4);
        run_with(&text, &[restore_tool(Family::V4)]);
        run("iptables-nft -F FORWARD");
        let observed = next.observe().unwrap();
        assert_eq!(observed.rulesets.v4.chains.len(), 1, "only MS-ADMIN");
        assert_eq!(observed.foreign.len(), 3);
        // A removal leaves them alone. Whoever wants these very chains takes them over, tag and all.
        assert_eq!(next.remove_all().unwrap().chains, 5);
        assert_eq!(next.observe().unwrap().foreign.len(), 3);
        program_and_check(&mut next, &everything());
        run("iptables-nft -F FORWARD");
        assert_eq!(next.observe().unwrap().foreign, []);
        assert_eq!(next.remove_all().unwrap().chains, 8);
    });
}

#[test]
fn a_chain_that_somebody_else_uses_is_not_taken_over() {
    in_namespace(|| {
        run("iptables-nft -N MS-FORWARD");
        run("iptables-nft -A MS-FORWARD -s 192.0.2.1 -j ACCEPT");
        run("iptables-nft -A FORWARD -j MS-FORWARD");
        let theirs = save(Family::V4);
        let mut dataplane = open();
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.rulesets, Rulesets::empty());
        let error = dataplane.commit(&diff(&observed.rulesets, &hooked())).unwrap_err();
        assert_eq!(error.to_string(), "can't take over a chain, ipv4 chain MS-FORWARD: EBUSY, still in use");
        assert_eq!(save(Family::V4), theirs);
        assert_eq!(dataplane.remove_all().unwrap().chains, 0);
        assert_eq!(save(Family::V4), theirs);
    });
}

#[test]
fn what_is_not_as_it_was_seen_is_not_changed() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let mut next = everything();
        next.v4.chains.insert(policy(1), ours(vec![rule(vec![], Target::Drop)]));
        let change = diff(&everything(), &next);

        run(&format!("iptables-nft -D {} 7", policy(1)));
        let error = dataplane.commit(&change).unwrap_err();
        assert!(matches!(*error.fault, CommitFault::Stale { .. }), "{error}");
        let error = dataplane.commit(&change).unwrap_err();
        assert!(matches!(*error.fault, CommitFault::Stale { .. }), "{error}");
        program_and_check(&mut dataplane, &next);

        // A process that hasn't looked yet changes nothing that it doesn't know.
        let mut blind = open();
        let error = blind.commit(&diff(&next, &everything())).unwrap_err();
        assert!(matches!(*error.fault, CommitFault::Stale { .. }), "{error}");
    });
}

fn edit(chain_name: &str, rules: Vec<ms_acl_core::ruleset::Rule>) -> RuleStep {
    RuleStep::Edit(ChainEdit {
        family: Family::V4,
        chain: chain(chain_name),
        before: 0,
        inserts: rules.into_iter().map(|rule| (0, rule)).collect(),
        deletes: vec![],
    })
}

fn create(name: &str) -> RuleStep {
    RuleStep::CreateChain(Family::V4, chain(name), ms_acl_core::ruleset::ChainContent::Ours)
}

#[test]
fn a_refused_rule_is_named() {
    in_namespace(|| {
        let mut dataplane = open();
        let good = rule(vec![], Target::Return);
        let bad = rule(vec![Match::SourceIsLocal], Target::Jump(policy(9)));
        let loop_ = rule(vec![], Target::Jump(chain("MS-FORWARD")));
        let steps = |rules| vec![Step::Rules(vec![create("MS-FORWARD"), edit("MS-FORWARD", rules)])];
        let mut rules = vec![good.clone(); 300];
        rules.push(bad.clone());
        rules.push(good.clone());
        rules.push(bad);
        let error = dataplane.commit(&Transaction { steps: steps(rules) }).unwrap_err();
        let CommitFault::Refused(refused) = &*error.fault else { panic!("{error}") };
        assert_eq!(refused.len(), 2);
        assert_eq!(
            error.to_string(),
            format!(
                "can't add a rule, ipv4 chain MS-FORWARD: ENOENT, no such chain, rule, set, extension or \
                 revision (at the jump to {0}): -m addrtype --src-type LOCAL -j {0} (and 1 more)",
                policy(9)
            )
        );
        assert!(!save(Family::V4).contains("MS-"), "nothing of a refused batch is done");

        // The kernel looks for loops from the base chains on.
        let hook = RuleStep::Hook(Family::V4, Hook::Forward, chain("MS-FORWARD"));
        let looped = Step::Rules(vec![create("MS-FORWARD"), edit("MS-FORWARD", vec![loop_]), hook]);
        let error = dataplane.commit(&Transaction { steps: vec![looped] }).unwrap_err();
        println!("{error}");
        assert!(error.to_string().contains("EMLINK"), "{error}");

        let unknown = rule(
            vec![Match::InSet(set_name(SetKind::Addresses, Family::V4, 5), SetKey::Source)],
            Target::Drop,
        );
        let error = dataplane.commit(&Transaction { steps: steps(vec![unknown]) }).unwrap_err();
        assert!(error.to_string().contains("doesn't exist"), "{error}");

        // And it goes on as if nothing had happened.
        dataplane.commit(&Transaction { steps: steps(vec![good]) }).unwrap();
        assert!(save(Family::V4).contains("-A MS-FORWARD -j RETURN"));
        let theirs = vec![Step::Rules(vec![create("MS-custom")])];
        let error = dataplane.commit(&Transaction { steps: theirs }).unwrap_err();
        assert_eq!(error.to_string(), "the ipv4 chain MS-custom isn't ours to change");
    });
}

#[test]
fn sets_of_another_type_are_reported() {
    in_namespace(|| {
        let (addresses, networks) =
            (set_name(SetKind::Addresses, Family::V4, 1), set_name(SetKind::Networks, Family::V4, 1));
        run(&format!("ipset create {addresses} hash:net"));
        run(&format!("ipset create {networks} hash:net maxelem 10"));
        let mut dataplane = open();
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.foreign.len(), 2);
        assert_eq!(
            observed.foreign[0].why,
            "it is hash:net of ipv4 for 65536 members, which is not what we make under this name"
        );
        let mut desired = Rulesets::empty();
        let members = some_members(SetKind::Addresses, Family::V4);
        desired.v4.sets.insert(addresses.clone(), set(SetKind::Addresses, Family::V4, members));
        let error = dataplane.commit(&diff(&Rulesets::empty(), &desired)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the set {addresses} exists and is hash:net of ipv4 for 65536 members, which is not what we \
                 make under this name"
            )
        );
        // Ours by name, so that a clean-up takes them away.
        assert_eq!(dataplane.remove_all().unwrap().sets, 2);
    });
}

#[test]
fn a_set_that_is_there_already_gets_the_wanted_members() {
    in_namespace(|| {
        let mut dataplane = open();
        let name = set_name(SetKind::Addresses, Family::V4, 1);
        let with = |members: &[&str]| {
            let mut both = Rulesets::empty();
            let members = members.iter().map(|text| Member::Address(text.parse().unwrap()));
            both.v4
                .sets
                .insert(name.clone(), set(SetKind::Addresses, Family::V4, members.collect::<Vec<_>>()));
            both
        };
        program_and_check(&mut dataplane, &with(&["10.0.0.1", "10.0.0.2"]));
        dataplane.commit(&diff(&Rulesets::empty(), &with(&["10.0.0.2", "10.0.0.3"]))).unwrap();
        assert_eq!(dataplane.observe().unwrap().rulesets, with(&["10.0.0.2", "10.0.0.3"]));
        let counts: Vec<u32> = dataplane.member_counts().unwrap().into_values().collect();
        assert_eq!(counts, [2]);
    });
}

#[test]
fn a_refused_member_is_named() {
    in_namespace(|| {
        let mut dataplane = open();
        let name = set_name(SetKind::Addresses, Family::V4, 1);
        let mut desired = Rulesets::empty();
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|text| Member::Address(text.parse().unwrap()));
        desired.v4.sets.insert(name.clone(), set(SetKind::Addresses, Family::V4, addresses));
        program(&mut dataplane, &desired);
        let zero = Member::Address("0.0.0.0".parse().unwrap());
        let other = Member::Address("10.0.0.9".parse().unwrap());
        let add = |members| Transaction { steps: vec![Step::AddMembers(name.clone(), Family::V4, members)] };
        let error = dataplane.commit(&add(vec![other, zero, other])).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "can't add members to the set {name}: 0.0.0.0: IPSET_ERR_HASH_ELEM, ipset: the all-zero \
                 address can't be a member"
            )
        );
        let v6 = Member::Address("fd00::1".parse().unwrap());
        let error = dataplane.commit(&add(vec![v6])).unwrap_err();
        assert!(error.to_string().contains("fd00::1: EINVAL"), "{error}");
        // Both ways, what is there or gone already is no error.
        dataplane.commit(&add(vec![other])).unwrap();
        for _ in 0..2 {
            let steps = vec![Step::RemoveMembers(name.clone(), Family::V4, vec![other])];
            dataplane.commit(&Transaction { steps }).unwrap();
        }
        assert_eq!(dataplane.observe().unwrap().rulesets, desired);
    });
}

#[test]
fn without_privileges_opening_says_so() {
    in_namespace(|| {
        let test = std::env::current_exe().unwrap();
        let command = [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            test.to_str().unwrap(),
            "--ignored",
            "--exact",
            "opened_without_privileges",
        ];
        let (ok, out, err) = try_run("", &command);
        assert!(ok, "{out}{err}");
    });
}

#[test]
#[ignore = "run by without_privileges_opening_says_so"]
fn opened_without_privileges() {
    let error = Dataplane::open(Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not permitted to change firewall rules: CAP_NET_ADMIN is missing in this network namespace"
    );
}

#[test]
fn a_set_that_was_made_anew_is_asked_for_its_number() {
    in_namespace(|| {
        let mut dataplane = open();
        let (name, kind) = (set_name(SetKind::Addresses, Family::V4, 1), SetKind::Addresses);
        let mut desired = Rulesets::empty();
        desired.v4.sets.insert(name.clone(), set(kind, Family::V4, some_members(kind, Family::V4)));
        program_and_check(&mut dataplane, &desired);
        // Somebody takes its number for a set of their own and makes ours again under another.
        run(&format!("ipset destroy {name}"));
        run("ipset create theirs hash:ip");
        run(&format!("ipset create {name} hash:ip maxelem 4294967295"));
        let before = desired.clone();
        desired.v4 = graph_of(
            Family::V4,
            vec![rule(vec![Match::InSet(name.clone(), SetKey::Source)], Target::Return)],
        );
        dataplane.commit(&diff(&before, &desired)).unwrap();
        assert!(save(Family::V4).contains(&format!("--match-set {name} src")));
    });
}

#[test]
fn a_leftover_jump_of_ours_does_not_keep_its_chain() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &hooked());
        // Two jumps are none that is in its place, so a comparison doesn't ask for their removal.
        run("iptables-nft -A FORWARD -m comment --comment ms-acl -j MS-FORWARD");
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.rulesets.v4.hooks.len(), 0);
        let report = dataplane.commit(&diff(&observed.rulesets, &Rulesets::empty())).unwrap();
        assert_eq!((report.chains_removed, report.kept.len()), (1, 0));
        assert!(!save(Family::V4).contains("MS-"));
    });
}

#[test]
fn after_a_refused_batch_the_rest_can_be_sent_at_once() {
    in_namespace(|| {
        let mut dataplane = open();
        let graph = graph_of(Family::V4, every_rule(Family::V4));
        let mut desired = Rulesets::empty();
        desired.v4 = graph;
        program_and_check(&mut dataplane, &desired);
        // A loop: refused, and nobody has to read anything back for the next change.
        let mut bad = desired.clone();
        bad.v4.chains.insert(policy(2), ours(vec![rule(vec![], Target::Jump(policy(1)))]));
        let error = dataplane.commit(&diff(&desired, &bad)).unwrap_err();
        assert!(error.to_string().contains("EMLINK"), "{error}");
        let mut good = desired.clone();
        good.v4.chains.insert(policy(2), ours(vec![rule(vec![], Target::Drop)]));
        dataplane.commit(&diff(&desired, &good)).unwrap();
        assert_eq!(diff(&dataplane.observe().unwrap().rulesets, &good).steps, []);
    });
}

#[test]
fn other_writers_in_the_same_table_are_no_disturbance() {
    use std::sync::atomic::{AtomicBool, Ordering};
    in_namespace(|| {
        let stop = AtomicBool::new(false);
        run("iptables-nft -N theirs");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writes = 0;
                while !stop.load(Ordering::Relaxed) {
                    let lines: Vec<String> =
                        (0..200).map(|number| format!("-A theirs -s 10.9.0.{number} -j ACCEPT\n")).collect();
                    let text = format!("*filter\n:theirs - [0:0]\n{}COMMIT\n", lines.concat());
                    run_with(&text, &["iptables-nft-restore", "--noflush"]);
                    writes += 1;
                }
                writes
            });
            // Also when a check fails, or the writer would write for ever.
            let _end = OnDrop(|| stop.store(true, Ordering::Relaxed));
            let mut dataplane = open();
            let start = std::time::Instant::now();
            let mut rounds = 0;
            while start.elapsed() < std::time::Duration::from_secs(2) {
                program_and_check(&mut dataplane, &everything());
                program_and_check(&mut dataplane, &hooked());
                rounds += 1;
            }
            stop.store(true, Ordering::Relaxed);
            let writes = writer.join().unwrap();
            println!("{rounds} rounds beside {writes} restores");
            assert!(rounds > 0 && writes > 0);
        });
    });
}

#[test]
fn a_dataplane_can_move_to_another_thread() {
    fn movable<T: Send>() {}
    movable::<Dataplane>();
    movable::<ms_acl_netfilter::watch::Watcher>();
}
