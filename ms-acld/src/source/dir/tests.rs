use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use ms_acl_core::cluster::Event;
use ms_acl_core::object::Object;

use super::*;

fn pod(name: &str, address: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nstatus: {{podIP: {address}}}\n")
}

fn watch(root: &Path) -> (Batch, Receiver<Batch>) {
    let (source, first) = DirSource::open(root).unwrap();
    let (send, receive) = channel();
    std::thread::spawn(move || source.run(|batch| send.send(batch).is_ok()));
    (first, receive)
}

fn told(batch: &Batch) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Apply(Object::Pod(pod)) => format!("+{} {}", pod.metadata.name, pod.status.pod_ip),
        Event::Delete(object) => format!("-{}", object.name),
        other => format!("{other:?}"),
    };
    batch.events.iter().map(|sourced| line(&sourced.event)).collect()
}

/// Everything that is told until it is quiet.
fn next(batches: &Receiver<Batch>) -> Vec<String> {
    let mut all = Vec::new();
    let mut timeout = Duration::from_secs(5);
    while let Ok(batch) = batches.recv_timeout(timeout) {
        all.extend(told(&batch));
        timeout = if all.is_empty() { timeout } else { Duration::from_millis(150) };
    }
    all
}

#[test]
fn files_that_come_change_and_go_are_told() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.yaml");
    fs::write(&file, pod("a", "10.0.0.1")).unwrap();
    let (first, batches) = watch(root.path());
    assert_eq!(told(&first), ["+a 10.0.0.1"]);
    fs::write(&file, pod("a", "10.0.0.2")).unwrap();
    assert_eq!(next(&batches), ["+a 10.0.0.2"]);
    fs::write(root.path().join("tmp"), pod("a", "10.0.0.3")).unwrap();
    fs::rename(root.path().join("tmp"), &file).unwrap();
    assert_eq!(next(&batches), ["+a 10.0.0.3"]);
    fs::create_dir_all(root.path().join("x/y")).unwrap();
    fs::write(root.path().join("x/y/b.yml"), pod("b", "10.0.0.4")).unwrap();
    assert_eq!(next(&batches), ["+b 10.0.0.4"]);
    fs::write(root.path().join("x/y/c.yml"), pod("c", "10.0.0.5")).unwrap();
    assert_eq!(next(&batches), ["+c 10.0.0.5"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(next(&batches), ["-a"]);
    fs::rename(root.path().join("x"), root.path().join("z")).unwrap();
    fs::write(root.path().join("z/y/c.yml"), pod("c", "10.0.0.6")).unwrap();
    assert_eq!(next(&batches), ["+c 10.0.0.6"]);
    fs::remove_dir_all(root.path().join("z")).unwrap();
    assert_eq!(next(&batches), ["-b", "-c"]);
}

#[test]
fn a_file_is_read_when_it_is_closed_and_not_before() {
    use std::io::Write;
    let root = tempfile::tempdir().unwrap();
    let (_, batches) = watch(root.path());
    let mut open = File::create(root.path().join("a.yaml")).unwrap();
    open.write_all(pod("a", "10.0.0.1").as_bytes()).unwrap();
    fs::write(root.path().join("b.yaml"), pod("b", "10.0.0.2")).unwrap();
    assert_eq!(next(&batches), ["+b 10.0.0.2"]);
    open.write_all(pod("c", "10.0.0.3").replace("apiVersion", "---\napiVersion").as_bytes()).unwrap();
    drop(open);
    assert_eq!(next(&batches), ["+a 10.0.0.1", "+c 10.0.0.3"]);
}

#[test]
fn a_swap_of_the_data_symlink_counts() {
    let root = tempfile::tempdir().unwrap();
    for (version, address) in [("..1", "10.0.0.1"), ("..2", "10.0.0.2")] {
        fs::create_dir(root.path().join(version)).unwrap();
        fs::write(root.path().join(version).join("a.yaml"), pod("a", address)).unwrap();
    }
    fs::write(root.path().join("..2/b.yaml"), pod("b", "10.0.0.9")).unwrap();
    symlink("..1", root.path().join("..data")).unwrap();
    symlink("..data/a.yaml", root.path().join("a.yaml")).unwrap();
    let (first, batches) = watch(root.path());
    assert_eq!(told(&first), ["+a 10.0.0.1"]);
    symlink("..2", root.path().join("..data_tmp")).unwrap();
    fs::rename(root.path().join("..data_tmp"), root.path().join("..data")).unwrap();
    assert_eq!(next(&batches), ["+a 10.0.0.2"]);
    symlink("..data/b.yaml", root.path().join("b.yaml")).unwrap();
    assert_eq!(next(&batches), ["+b 10.0.0.9"]);
    fs::write(root.path().join("..2/a.yaml"), pod("a", "10.0.0.3")).unwrap();
    assert_eq!(next(&batches), ["+a 10.0.0.3"]);
}

#[test]
fn a_folder_that_vanishes_leaves_its_last_state_and_may_come_back() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("m");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), pod("a", "10.0.0.1")).unwrap();
    let (_, batches) = watch(&root);
    fs::rename(&root, above.path().join("old")).unwrap();
    let batch = batches.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!((told(&batch).len(), batch.state.live), (0, false));
    assert!(batch.state.faults[0].detail.contains("last state stays"), "{:?}", batch.state);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), pod("a", "10.0.0.2")).unwrap();
    let mut told = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while told.last().map(String::as_str) != Some("+a 10.0.0.2") && Instant::now() < deadline {
        told.extend(next(&batches));
    }
    assert_eq!(told.last().map(String::as_str), Some("+a 10.0.0.2"));
    fs::write(root.join("a.yaml"), pod("a", "10.0.0.3")).unwrap();
    assert_eq!(next(&batches), ["+a 10.0.0.3"]);
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    fs::write(root.join("b.yaml"), pod("b", "10.0.0.4")).unwrap();
    let told = next(&batches);
    assert!(told.contains(&"+b 10.0.0.4".to_owned()), "{told:?}");
    fs::write(root.join("b.yaml"), pod("b", "10.0.0.5")).unwrap();
    assert_eq!(next(&batches), ["+b 10.0.0.5"]);
}

#[test]
fn a_missing_folder_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let Err(error) = DirSource::open(&root.path().join("none")) else { panic!("opened") };
    assert!(format!("{error:#}").contains("none"));
}

#[test]
fn what_is_no_regular_file_is_a_fault() {
    let root = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&root.path().join("pipe.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("nowhere", root.path().join("dangling.yaml")).unwrap();
    let (_, first) = DirSource::open(root.path()).unwrap();
    assert_eq!(first.state.unread.len(), 2, "{:?}", first.state);
}
