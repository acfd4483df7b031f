//! Nothing is left of a cluster: no namespace, no process, whatever ended it.
#![expect(clippy::unwrap_used, reason = "a test may panic, its functions too")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ms_acl_lab::net::{Cluster, PodSpec, Ports, Process, Signal};

fn namespaces() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn cluster() -> (Cluster, String) {
    let cluster = Cluster::builder().pod(PodSpec::new("a", "node1")).build().unwrap();
    cluster.serve_pods(&Ports::all(&[80])).unwrap();
    let prefix = cluster.namespace_name("node1").unwrap().strip_suffix("node1").unwrap().to_owned();
    assert_eq!(namespaces().iter().filter(|name| name.starts_with(&prefix)).count(), 5);
    (cluster, prefix)
}

fn assert_gone(prefix: &str) {
    let left: Vec<String> = namespaces().into_iter().filter(|name| name.starts_with(prefix)).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn runs(pid: u32) -> bool {
    // A killed child that its parent hasn't waited for is a zombie.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until `ip` has entered the namespace and become the program.
fn await_entry(pid: u32) {
    while fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "ip\n" {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn assert_ends(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs(pid) {
        assert!(Instant::now() < deadline, "{pid} still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_is_left_after_a_drop() {
    let (cluster, prefix) = cluster();
    let mut sleep = cluster.command_in("a", "sleep").unwrap();
    let mut child = sleep.arg("1000").spawn().unwrap();
    let mut nested = cluster.command_in("node1", "sh").unwrap();
    let mut parent = nested.args(["-c", "sleep 1000 & sleep 1001"]).spawn().unwrap();
    await_entry(child.id());
    await_entry(parent.id());
    let started = Instant::now();
    drop(cluster);
    println!("dropped in {:?}", started.elapsed());
    assert_gone(&prefix);
    assert_ends(child.id());
    assert!(!child.wait().unwrap().success());
    assert!(!parent.wait().unwrap().success());
}

#[test]
fn nothing_is_left_after_a_panic() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let (cluster, prefix) = cluster();
        let process = Process::spawn({
            let mut sleep = cluster.command_in("node1", "sleep").unwrap();
            sleep.arg("1000");
            sleep
        })
        .unwrap();
        sender.send((prefix, process.id())).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    let (prefix, pid) = receiver.recv().unwrap();
    assert_gone(&prefix);
    assert_ends(pid);
}

#[test]
fn a_panic_inside_a_namespace_reaches_the_caller() {
    let (cluster, _) = cluster();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cluster.run_in("a", || panic!("on purpose")).unwrap();
    }));
    assert!(caught.is_err());
    assert_eq!(cluster.run_in("a", || 7).unwrap(), 7);
}

#[test]
fn leftovers_of_ended_processes_are_swept_and_those_of_living_ones_are_not() {
    // As a test that was killed leaves it: names with its pid, a process inside.
    let mut dead = Command::new("true").spawn().unwrap();
    let stale = format!("msl{}x0-node1", dead.id());
    let mut alive = Command::new("sleep").arg("1000").spawn().unwrap();
    let kept = format!("msl{}x0-node1", alive.id());
    for name in [&stale, &kept] {
        assert!(Command::new("ip").args(["netns", "add", name]).status().unwrap().success());
    }
    let mut inside = Command::new("ip")
        .args(["netns", "exec", &stale, "sleep", "1000"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    await_entry(inside.id());
    dead.wait().unwrap();

    drop(Cluster::builder().build().unwrap());
    let path = |name: &str| Path::new("/run/netns").join(name);
    assert!(!path(&stale).exists());
    assert!(path(&kept).exists());
    assert_ends(inside.id());
    inside.wait().unwrap();

    alive.kill().unwrap();
    alive.wait().unwrap();
    drop(Cluster::builder().build().unwrap());
    assert!(!path(&kept).exists());
}

#[test]
fn processes_are_watched_and_ended() {
    let (cluster, _) = cluster();
    let shell = |script: &str| {
        let mut command = cluster.command_in("node1", "sh").unwrap();
        command.args(["-c", script]);
        Process::spawn(command).unwrap()
    };
    let limit = Duration::from_secs(10);

    let mut chatty = shell("ip -o link show eth0; ls /sys/class/net; echo done >&2; exec sleep 1000");
    chatty.wait_for_output("done\n", limit).unwrap();
    let output = chatty.output().unwrap();
    assert!(output.contains("eth0@") && output.contains("\ncali1000\n"), "{output}");
    assert_eq!(chatty.status().unwrap(), None);
    chatty.signal(Signal::SIGTERM).unwrap();
    assert!(!chatty.wait(limit).unwrap().success());
    chatty.signal(Signal::SIGTERM).unwrap();

    let mut quick = shell("exit 3");
    assert_eq!(quick.wait(limit).unwrap().code(), Some(3));
    let error = shell("echo sorry").wait_for_output("done", limit).unwrap_err();
    assert!(format!("{error:?}").contains("sorry"));
    assert!(shell("sleep 1000").wait(Duration::from_millis(20)).is_err(), "it is late");

    let dropped = shell("exec sleep 1000");
    let pid = dropped.id();
    drop(dropped);
    assert!(!runs(pid));
}
