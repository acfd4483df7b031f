use super::*;

fn pod(name: &str, address: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nstatus: {{podIP: {address}}}\n---\n")
}

fn update(folder: &mut Folder, files: &[(&str, &str)]) -> Batch {
    let contents = files.iter().map(|(path, text)| ((*path).into(), Content::Bytes(text.as_bytes().into())));
    folder.update(contents.collect())
}

fn remove(folder: &mut Folder, path: &str) -> Batch {
    folder.update(vec![(path.into(), Content::Gone)])
}

/// `+` applied, `!` undecodable, `-` deleted.
fn told(batch: &Batch) -> Vec<String> {
    let line = |sourced: &SourcedEvent| match &sourced.event {
        Event::Apply(Object::Pod(pod)) => format!("+{} {}", pod.metadata.name, pod.status.pod_ip),
        Event::Apply(object) => format!("+{}", object.reference()),
        Event::Undecodable(error) => format!("!{}", error.object.name),
        Event::Delete(object) => format!("-{}", object.name),
        Event::Acl(_) => unreachable!(),
    };
    batch.events.iter().map(line).collect()
}

#[test]
fn a_file_is_told_once_and_its_objects_go_with_it() {
    let mut folder = Folder::default();
    let text = pod("a", "10.0.0.1") + &pod("b", "10.0.0.2");
    let batch = update(&mut folder, &[("x.yaml", &text)]);
    assert_eq!(told(&batch), ["+a 10.0.0.1", "+b 10.0.0.2"]);
    assert_eq!((batch.inputs, batch.cause.as_str()), (1, "Pod default/a and 1 more (x.yaml)"));
    let again = update(&mut folder, &[("x.yaml", &text)]);
    assert_eq!((told(&again).len(), again.inputs), (0, 1));
    assert_eq!(told(&update(&mut folder, &[("x.yaml", &pod("b", "10.0.0.3"))])), ["-a", "+b 10.0.0.3"]);
    assert_eq!(told(&remove(&mut folder, "x.yaml")), ["-b"]);
    assert_eq!(told(&remove(&mut folder, "x.yaml")), Vec::<String>::new());
}

#[test]
fn of_duplicates_the_first_path_counts_and_the_other_is_a_fault() {
    let mut folder = Folder::default();
    let batch = update(&mut folder, &[("b.yaml", &pod("a", "10.0.0.2"))]);
    assert_eq!(told(&batch), ["+a 10.0.0.2"]);
    let batch = update(&mut folder, &[("B.yaml", &pod("a", "10.0.0.1"))]);
    assert_eq!(told(&batch), ["+a 10.0.0.1"]);
    let [fault] = &batch.state.faults[..] else { panic!("{:?}", batch.state) };
    assert_eq!(
        (fault.origin.as_str(), fault.object.as_deref(), fault.detail.as_str()),
        ("b.yaml", Some("Pod default/a"), "is also in B.yaml, which counts")
    );
    let batch = remove(&mut folder, "B.yaml");
    assert_eq!(told(&batch), ["+a 10.0.0.2"]);
    assert_eq!(batch.state.faults, []);
}

#[test]
fn an_object_that_moves_to_another_file_is_never_gone() {
    let mut folder = Folder::default();
    update(&mut folder, &[("b.yaml", &pod("a", "10.0.0.1"))]);
    let moved = vec![
        ("b.yaml".into(), Content::Gone),
        ("a.yaml".into(), Content::Bytes(pod("a", "10.0.0.1").into_bytes())),
    ];
    assert_eq!(told(&folder.update(moved)), Vec::<String>::new());
}

#[test]
fn a_file_that_does_not_parse_keeps_its_last_good_version_whole() {
    let mut folder = Folder::default();
    update(&mut folder, &[("x.yaml", &(pod("a", "10.0.0.1") + &pod("b", "10.0.0.2")))]);
    let batch = update(&mut folder, &[("x.yaml", &(pod("a", "10.0.0.9") + "{"))]);
    assert_eq!(told(&batch), Vec::<String>::new());
    assert!(batch.state.faults[0].detail.ends_with("its last good version stays in force"));
    assert_eq!(batch.state.unread, Vec::<String>::new());
    let batch = folder.update(vec![("x.yaml".into(), Content::Unreadable("can't be read: EACCES".into()))]);
    assert_eq!(told(&batch), Vec::<String>::new());
    let batch = update(&mut folder, &[("x.yaml", &pod("a", "10.0.0.9"))]);
    assert_eq!(told(&batch), ["+a 10.0.0.9", "-b"]);
    assert_eq!(batch.state.faults, []);
}

#[test]
fn a_file_that_never_parsed_is_said_to_be_unread_until_it_does_or_goes() {
    let mut folder = Folder::default();
    let batch = update(&mut folder, &[("x.yaml", "{"), ("y.json", "["), ("z.yaml", &pod("a", "10.0.0.1"))]);
    assert_eq!(told(&batch), ["+a 10.0.0.1"]);
    assert_eq!(batch.state.unread.len(), 2);
    assert!(batch.state.unread[0].starts_with("x.yaml: does not parse: "), "{:?}", batch.state.unread);
    assert_eq!(update(&mut folder, &[("x.yaml", "")]).state.unread.len(), 1);
    assert_eq!(remove(&mut folder, "y.json").state.unread.len(), 0);
}

#[test]
fn an_undecodable_object_is_told_and_its_neighbours_are_new() {
    let mut folder = Folder::default();
    let broken = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: 3}\n---\n";
    update(&mut folder, &[("x.yaml", &(pod("a", "10.0.0.1") + &pod("b", "10.0.0.2")))]);
    let batch = update(&mut folder, &[("x.yaml", &(broken.to_owned() + &pod("b", "10.0.0.3")))]);
    assert_eq!(told(&batch), ["!a", "+b 10.0.0.3"]);
}

#[test]
fn an_object_that_lost_its_name_stays() {
    let mut folder = Folder::default();
    update(&mut folder, &[("x.yaml", &(pod("a", "10.0.0.1") + &pod("b", "10.0.0.2")))]);
    let nameless = "apiVersion: v1\nkind: Pod\nmetadata: {nme: a}\n---\n";
    let batch = update(&mut folder, &[("x.yaml", &(nameless.to_owned() + &pod("b", "10.0.0.3")))]);
    assert_eq!(told(&batch), ["+b 10.0.0.3"]);
    assert_eq!((batch.state.faults.len(), batch.state.unread.len()), (1, 0));
    let batch = update(&mut folder, &[("x.yaml", &pod("b", "10.0.0.3"))]);
    assert_eq!(told(&batch), ["-a"]);
}

#[test]
fn a_nameless_object_of_a_new_file_is_unread() {
    let mut folder = Folder::default();
    let batch = update(&mut folder, &[("x.yaml", "apiVersion: v1\nkind: Pod\n")]);
    assert_eq!(batch.state.unread, ["x.yaml: document 1 (Pod) has no name that is a string"]);
    let batch = update(&mut folder, &[("v.yaml", "replicas: 1\n")]);
    assert_eq!(batch.state.unread.len(), 1);
}
