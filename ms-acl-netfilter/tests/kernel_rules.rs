//! Every match and target in a real kernel, seen by the real tools.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::strategy::rule_of;
use common::{
    everything, graph_of, in_namespace, open, policy, program_and_check, restore_tool, run_with, save, tool,
    try_run, words,
};
use ms_acl_core::diff::diff;
use ms_acl_core::ruleset::{Family, Match, Rule, Rulesets};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

#[test]
fn every_rule_reads_back_as_it_was_written() {
    in_namespace(|| {
        let mut dataplane = open();
        assert_eq!(dataplane.families(), Family::BOTH);
        assert_eq!(dataplane.faults(), [] as [String; 0]);
        let observed = program_and_check(&mut dataplane, &everything());
        assert_eq!(observed.foreign, []);
        assert_eq!(observed.contested, []);
        assert_eq!(observed.rulesets, everything());
    });
}

#[test]
fn the_tool_finds_every_rule_by_its_own_print() {
    in_namespace(|| {
        program_and_check(&mut open(), &everything());
        for family in Family::BOTH {
            let text = save(family);
            let rules: Vec<&str> = text.lines().filter(|line| line.starts_with("-A")).collect();
            assert_eq!(rules.len(), everything().family(family).rule_count() + 1);
            for rule in rules {
                let mut command = vec![tool(family), "-C"];
                command.extend(words(rule.strip_prefix("-A").unwrap()));
                let (ok, _, err) = try_run("", &command);
                assert!(ok, "{command:?}: {err}");
            }
        }
    });
}

/// Random rules, the same ones in every run. No test for any address at all: the tool leaves it out. No match
/// twice in a rule: the kernel takes that, and we read
/// it back, but the tool doesn't take some of its own options twice.
fn random_rules(family: Family, count: usize) -> Vec<Rule> {
    let mut runner = TestRunner::deterministic();
    let any = rule_of(family);
    let one = |_| {
        let mut rule = any.new_tree(&mut runner).unwrap().current();
        let mut kinds = Vec::new();
        rule.matches.retain(|found| {
            let kind = std::mem::discriminant(found);
            let any_address = match found {
                Match::Source(net) | Match::Destination(net) => net.prefix_len() == 0,
                _ => false,
            };
            !any_address && !kinds.contains(&kind) && {
                kinds.push(kind);
                true
            }
        });
        // The tool makes one `-m tcp` of two, and prints ports first.
        let flags = rule.matches.iter().position(|found| matches!(found, Match::TcpFlags { .. }));
        let flags = flags.map(|at| rule.matches.remove(at));
        let port = rule.matches.iter().position(|found| matches!(found, Match::Port(_)));
        let place = port.map_or(rule.matches.len(), |port| port + 1);
        if let Some(flags) = flags {
            rule.matches.insert(place, flags);
        }
        rule
    };
    (0..count).map(one).collect()
}

#[test]
fn random_rules_survive_the_kernel_and_the_tool() {
    in_namespace(|| {
        let mut dataplane = open();
        let mut desired = Rulesets::empty();
        for family in Family::BOTH {
            *desired.family_mut(family) = graph_of(family, random_rules(family, 600));
        }
        program_and_check(&mut dataplane, &desired);
        for family in Family::BOTH {
            let text = save(family);
            run_with(&text, &[restore_tool(family)]);
            for (after, before) in save(family).lines().zip(text.lines()) {
                assert_eq!(after, before);
            }
            let again = dataplane.observe().unwrap().rulesets;
            let (again, desired) = (again.family(family), desired.family(family));
            for (again, desired) in
                again.chains[&policy(1)].rules.iter().zip(&desired.chains[&policy(1)].rules)
            {
                assert_eq!(again, desired);
            }
            assert_eq!(again.chains, desired.chains);
        }
    });
}

#[test]
fn save_and_restore_by_a_stranger_changes_nothing() {
    in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        for family in Family::BOTH {
            let text = save(family);
            run_with(&text, &[restore_tool(family)]);
            for (after, before) in save(family).lines().zip(text.lines()) {
                assert_eq!(after, before);
            }
        }
        // The tags are lost now, and some rules are in other bytes: still ours, still the same.
        let observed = dataplane.observe().unwrap();
        assert_eq!(observed.foreign, []);
        assert_eq!(diff(&observed.rulesets, &everything()).steps, []);
        let removed = dataplane.remove_all().unwrap();
        assert_eq!((removed.jumps, removed.chains, removed.sets), (2, 8, 6));
        assert_eq!(removed.kept, []);
    });
}

/// The extensions of a chain's rules: name, revision and info, in their order, a list a rule.
fn extensions(rules: &[Vec<u8>]) -> Vec<Vec<(String, Vec<u8>)>> {
    let attributes = |mut bytes: &[u8]| {
        let mut all: Vec<(u16, Vec<u8>)> = Vec::new();
        while bytes.len() >= 4 {
            let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
            let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
            all.push((kind, bytes[4..length].to_vec()));
            bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        }
        all
    };
    let of_rule = |rule: &Vec<u8>| {
        let mut found = Vec::new();
        for (_, element) in attributes(rule) {
            let element = attributes(&element);
            let name = String::from_utf8(element[0].1.clone()).unwrap();
            if name == "match\0" || name == "target\0" {
                let data = attributes(&element[1].1);
                let extension = String::from_utf8(data[0].1.clone()).unwrap();
                let bytes = [&data[1].1[..], &data[2].1[..]].concat();
                found.push((name + &extension, bytes));
            }
        }
        found
    };
    rules.iter().map(of_rule).collect()
}

#[test]
fn the_tool_makes_the_same_rules_of_the_same_text() {
    let ours = in_namespace(|| {
        let mut dataplane = open();
        program_and_check(&mut dataplane, &everything());
        let sets = run_with("", &["ipset", "save"]);
        let of = |family| (save(family), Vec::new());
        let mut both = [of(Family::V4), of(Family::V6)];
        for (family, (_, bytes)) in Family::BOTH.into_iter().zip(&mut both) {
            *bytes = dataplane.expressions(family, policy(1).as_str()).unwrap();
        }
        (sets, both)
    });
    let Some((sets, ours)) = ours else { return };
    in_namespace(|| {
        run_with(&sets, &["ipset", "restore"]);
        for (family, (text, _)) in Family::BOTH.into_iter().zip(&ours) {
            run_with(text, &[restore_tool(family)]);
        }
        let mut dataplane = open();
        let observed = dataplane.observe().unwrap();
        assert_eq!(diff(&observed.rulesets, &everything()).steps, []);

        // Where the tool uses an extension as well, every byte of it is the same.
        let mut compared = 0;
        for (family, (_, ours)) in Family::BOTH.into_iter().zip(&ours) {
            let theirs = dataplane.expressions(family, policy(1).as_str()).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in extensions(ours).into_iter().zip(extensions(&theirs)) {
                for (name, bytes) in theirs {
                    let same = ours.iter().any(|(other, info)| *other == name && *info == bytes);
                    assert!(same, "{name}: the tool writes {bytes:?}, we write {ours:?}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 90, "only {compared} extensions were compared");
    });
}
