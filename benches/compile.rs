//! What compiling costs: from scratch, and after one event. No root.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ms_acl_benches::{K10, K100, NODE, Numbers, Size, World, namespace, object, pod, policy};
use ms_acl_core::cluster::Event;
use ms_acl_core::compile::compile;
use ms_acl_core::diff::diff;
use ms_acl_core::model::{Protocol, Settings};
use ms_acl_core::program::Program;
use ms_acl_core::ruleset::{Chain, ChainName, Hook, Match, Rule, Rulesets, Target};
use ms_acl_core::verdict::{Packet, walk};

const SIZES: [(&str, Size); 2] = [("10k", K10), ("100k", K100)];

fn full(c: &mut Criterion) {
    let mut group = c.benchmark_group("full");
    group.sample_size(10);
    for (name, size) in SIZES {
        let cluster = World::new(size).cluster();
        let settings = Settings::new(NODE);
        group.bench_function(name, |b| b.iter(|| compile(black_box(&cluster), &settings)));
    }
}

/// A remote pod's labels change, one pod after the other.
fn pod_event(c: &mut Criterion) {
    let mut group = c.benchmark_group("pod_event");
    for (name, size) in SIZES {
        let mut program = Program::new(World::new(size).cluster(), Settings::new(NODE));
        let mut numbers = Numbers::new(5);
        let mut generation = 0;
        let remote = size.pods / size.local;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    generation += 1;
                    let number = numbers.below(size.pods);
                    let number = if number.is_multiple_of(remote) { number + 1 } else { number };
                    Event::Apply(object(pod(size, number, generation)))
                },
                |event| {
                    program.apply(event);
                    program.take()
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("{name}_local"), |b| {
            b.iter_batched(
                || {
                    generation += 1;
                    let number = numbers.below(size.local) * remote;
                    Event::Apply(object(pod(size, number, generation)))
                },
                |event| {
                    program.apply(event);
                    program.take()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn policy_edit(c: &mut Criterion) {
    let mut group = c.benchmark_group("policy_edit");
    for (name, size) in SIZES {
        let mut program = Program::new(World::new(size).cluster(), Settings::new(NODE));
        let mut numbers = Numbers::new(6);
        let mut generation = 0;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    generation += 1;
                    Event::Apply(object(policy(size, numbers.below(size.policies), generation)))
                },
                |event| {
                    program.apply(event);
                    program.take()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn namespace_relabel(c: &mut Criterion) {
    let mut group = c.benchmark_group("namespace_relabel");
    group.sample_size(20);
    let mut program = Program::new(World::new(K100).cluster(), Settings::new(NODE));
    let mut generation = 0;
    group.bench_function("100k", |b| {
        b.iter_batched(
            || {
                generation += 1;
                Event::Apply(object(namespace(0, generation)))
            },
            |event| {
                program.apply(event);
                program.take()
            },
            BatchSize::SmallInput,
        );
    });
}

/// Two graphs of 50,000 rules of which one chain differs.
fn diff_graphs(c: &mut Criterion) {
    let mut graph = Rulesets::empty();
    for chain in 0..500_u32 {
        let rule = |n: u32| Rule::new(vec![Match::Mark { value: n, mask: u32::MAX }], Target::Drop);
        let rules = (0..100).map(rule).collect();
        if let Ok(name) = ChainName::new(&format!("MS-P-{chain}")) {
            graph.v4.chains.insert(name, Arc::new(Chain { rules, ..Chain::default() }));
        }
    }
    let mut other = graph.clone();
    for (number, chain) in other.v4.chains.values_mut().enumerate() {
        let mut copy = (**chain).clone();
        if number == 250 {
            copy.rules.swap(10, 20);
        }
        *chain = Arc::new(copy);
    }
    c.benchmark_group("diff")
        .bench_function("50k_rules", |b| b.iter(|| diff(black_box(&graph), black_box(&other))));
}

fn verdict(c: &mut Criterion) {
    let compiled = compile(&World::new(K10).cluster(), &Settings::new(NODE));
    let mut numbers = Numbers::new(7);
    c.benchmark_group("verdict").bench_function("1k_policies", |b| {
        b.iter_batched(
            || {
                let mut address = || {
                    [
                        10,
                        64,
                        u8::try_from(numbers.below(40)).unwrap_or_default(),
                        u8::try_from(numbers.below(256)).unwrap_or_default(),
                    ]
                };
                let (from, to) = (address(), address());
                Packet::first(from.into(), to.into(), Protocol::Tcp, 8080)
            },
            |packet| walk(&compiled.rulesets.v4, Hook::Forward, &packet).outcome,
            BatchSize::SmallInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = full, pod_event, policy_edit, namespace_relabel, diff_graphs, verdict
}
criterion_main!(benches);
