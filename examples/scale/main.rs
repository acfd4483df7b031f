//! The daemon in a large cluster: how long it takes to be in force, how much memory it needs, how long an
//! event takes to the kernel.
//!
//! `scale [pods [namespaces [policies [events per second [seconds]]]]]`, as root. The API server is the lab's; it runs
//! in this process, so that it and the daemon share the processors.
#![forbid(unsafe_code)]

mod daemon;
mod world;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use daemon::{Status, Usage, program};
use ms_acl_lab::apiserver::ApiServer;
use ms_acl_lab::net::{Cluster, Process};
use serde_json::Value;
use world::{NODE, Size};

/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(1);

fn main() -> Result<()> {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|text| text.parse().with_context(|| format!("{text} is no number")))
        .collect::<Result<_>>()?;
    let number = |place: usize, default: usize| numbers.get(place).copied().unwrap_or(default);
    let size = Size {
        pods: number(0, 100_000),
        namespaces: number(1, 10_000),
        policies: number(2, 10_000),
        nodes: 1_000,
    };
    let (rate, seconds) = (number(3, 1_000), number(4, 60));

    let cluster = Cluster::builder().nodes(1).build().context("this needs root and network namespaces")?;
    let listener = cluster.run_in(NODE, || TcpListener::bind("127.0.0.1:6443"))??;
    let server = ApiServer::start(listener)?;
    server.apply_all(size.objects());
    let bytes = size.pod(0, 0).to_string().len();
    println!(
        "{} pods of {bytes} bytes, {} on the node; {} namespaces, {} policies",
        size.pods,
        size.pods_of_a_node(),
        size.namespaces,
        size.policies
    );

    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig, None)?;
    let mut command = cluster.command_in(NODE, program()?)?;
    command.args(["run", "--node-name", NODE, "--api-bind", "127.0.0.1:18080", "--source", "kube"]);
    command.env("KUBECONFIG", kubeconfig).env("RUST_LOG", "warn");
    let started = Instant::now();
    let process = Process::spawn(command)?;
    let address = SocketAddr::from(([127, 0, 0, 1], 18080));
    let mut status = loop {
        match cluster.run_in(NODE, || Status::connect(address))? {
            Ok(status) => break status,
            Err(error) if started.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => thread::sleep(LOOK),
        }
    };
    let first = wait(&mut status, "synced", |status| status["synced"] == true)?;
    let (time, usage) = (started.elapsed(), Usage::of(process.id())?);
    println!(
        "start to synced: {:.2} s, {:.2} s of processor time, RSS {:.0} MiB, at most {:.0} MiB",
        time.as_secs_f64(),
        usage.seconds,
        usage.resident,
        usage.most
    );
    for field in ["localPods", "clusterPods", "policies", "chains", "rules", "sets", "members"] {
        print!("  {field} {}", first[field]);
    }
    println!();

    let before = Usage::of(process.id())?;
    let events = churn(&server, size, &mut status, rate, seconds)?;
    let after = Usage::of(process.id())?;
    println!("{} events, {rate} a second, one in a hundred local:", events.len());
    report("remote", events.iter().filter(|event| !event.local));
    report("local", events.iter().filter(|event| event.local));
    report("all", events.iter());
    println!(
        "  {:.2} s of processor time; RSS {:.0} MiB before, {:.0} MiB after, at most {:.0} MiB",
        after.seconds - before.seconds,
        before.resident,
        after.resident,
        after.most
    );
    Ok(())
}

fn wait(status: &mut Status, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let started = Instant::now();
    loop {
        let now = status.get()?;
        if wanted(&now) {
            return Ok(now);
        }
        if started.elapsed() > Duration::from_mins(2) {
            bail!("waited in vain for: {what}: {now}");
        }
        thread::sleep(LOOK);
    }
}

/// An event and how long it took until it was in force.
struct Measured {
    local: bool,
    time: Duration,
}

/// Lets pods come and go, and measures when the daemon says that each event is in force.
fn churn(
    server: &ApiServer,
    size: Size,
    status: &mut Status,
    rate: usize,
    seconds: usize,
) -> Result<Vec<Measured>> {
    let first = status.get()?["generation"].as_u64().context("a generation")?;
    let count = rate * seconds;
    let done = AtomicBool::new(false);
    let (sent, seen) = thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<Vec<(u64, Instant)>> {
            let mut seen = Vec::new();
            loop {
                let applied = status.get()?["applied"].as_u64().context("a generation")?;
                if seen.last().is_none_or(|(last, _)| *last != applied) {
                    seen.push((applied, Instant::now()));
                }
                if applied >= first + count as u64 || done.load(Ordering::Relaxed) {
                    return Ok(seen);
                }
                thread::sleep(LOOK);
            }
        });
        let sent = send(server, size, rate, count);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !watcher.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        done.store(true, Ordering::Relaxed);
        (sent, watcher.join())
    });
    let Ok(seen) = seen else { bail!("the watcher panicked") };
    let seen = seen?;
    let mut events = Vec::with_capacity(count);
    for (number, (local, at)) in sent.into_iter().enumerate() {
        let generation = first + 1 + number as u64;
        let place = seen.partition_point(|(applied, _)| *applied < generation);
        let (_, in_force) = seen.get(place).context("events that never got into force")?;
        events.push(Measured { local, time: in_force.saturating_duration_since(at) });
    }
    Ok(events)
}

/// Deletes and creates pods at a steady rate. Every second remote event is about a namespace that has a pod on the
/// node, so that its sets change.
fn send(server: &ApiServer, size: Size, rate: usize, count: usize) -> Vec<(bool, Instant)> {
    let local = size.pods_of_a_node();
    let mut lives = vec![0_usize; size.pods];
    let started = Instant::now();
    let mut sent = Vec::with_capacity(count);
    for number in 0..count {
        let due = started + Duration::from_nanos(1_000_000_000 * number as u64 / rate as u64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // Twice the same pod: it goes and comes.
        let step = number / 2;
        let pod = if step % 100 == 0 {
            (step / 100) % local
        } else if step % 2 == 0 {
            let near = (step * 7919) % local;
            near + size.namespaces * (1 + step % (size.pods / size.namespaces - 1))
        } else {
            local + (step * 104_729) % (size.pods - local)
        };
        if number % 2 == 0 {
            let (namespace, name) = size.name(pod);
            sent.push((pod < local, Instant::now()));
            server.delete("pods", &namespace, &name);
        } else {
            lives[pod] += 1;
            let object = size.pod(pod, lives[pod]);
            sent.push((pod < local, Instant::now()));
            server.apply(object);
        }
    }
    sent
}

fn report<'a>(name: &str, events: impl Iterator<Item = &'a Measured>) {
    let mut times: Vec<f64> = events.map(|event| event.time.as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "  {name:7} median {:6.2} ms, 90 % {:6.2} ms, 99 % {:6.2} ms, at most {:6.2} ms",
        at(50),
        at(90),
        at(99),
        times.last().copied().unwrap_or_default()
    );
}
