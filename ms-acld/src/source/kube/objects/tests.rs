use serde_json::json;

use super::super::kinds::KINDS;
use super::*;

fn objects(name: &str) -> Objects {
    Objects::new(KINDS.iter().find(|kind| kind.name == name).unwrap())
}

fn pod(name: &str, version: u64) -> String {
    json!({"metadata": {"namespace": "a", "name": name, "resourceVersion": version.to_string()}}).to_string()
}

/// What an event says, in short.
fn short(event: &Event) -> String {
    match event {
        Event::Apply(object) => format!("+{}", object.reference()),
        Event::Undecodable(error) => format!("?{}", error.object),
        Event::Delete(object) => format!("-{object}"),
        Event::Acl(_) => unreachable!(),
    }
}

fn list(objects: &mut Objects, texts: &[String]) -> Vec<String> {
    objects.start_listing();
    let mut events: Vec<Event> = texts.iter().filter_map(|text| objects.listed(text)).collect();
    events.extend(objects.end_listing());
    events.iter().map(short).collect()
}

#[test]
fn a_new_listing_tells_what_is_new_what_changed_and_what_is_gone() {
    let mut pods = objects("Pod");
    assert_eq!(list(&mut pods, &[pod("x", 1), pod("y", 2)]), ["+Pod a/x", "+Pod a/y"]);
    assert_eq!(list(&mut pods, &[pod("x", 1), pod("y", 2)]), [""; 0]);
    assert_eq!(list(&mut pods, &[pod("y", 3), pod("z", 4)]), ["+Pod a/y", "+Pod a/z", "-Pod a/x"]);
}

#[test]
fn a_listing_may_be_cut_off_and_start_again() {
    let mut pods = objects("Pod");
    list(&mut pods, &[pod("x", 1), pod("y", 2)]);
    pods.start_listing();
    assert!(pods.listed(&pod("x", 1)).is_none());
    assert_eq!(list(&mut pods, &[pod("y", 2)]), ["-Pod a/x"]);
}

#[test]
fn events_and_listings_know_the_same_objects() {
    let mut pods = objects("Pod");
    list(&mut pods, &[pod("x", 1)]);
    // Events name the type, lists don't.
    let typed =
        |name: &str, version| pod(name, version).replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1);
    assert_eq!(pods.changed(&typed("y", 2)).map(|event| short(&event)), Ok("+Pod a/y".to_owned()));
    assert_eq!(pods.deleted(&typed("x", 3)).map(|event| short(&event)), Ok("-Pod a/x".to_owned()));
    assert_eq!(list(&mut pods, &[pod("y", 2)]), [""; 0]);
}

#[test]
fn an_object_without_a_name_is_counted_and_keeps_what_is_missed() {
    let mut pods = objects("Pod");
    list(&mut pods, &[pod("x", 1)]);
    let nameless = json!({"metadata": {"name": 7, "namespace": "a"}}).to_string();
    for text in [
        nameless.as_str(),
        "{}",
        "7",
        r#"{"metadata":{"name":"p"}}"#,
        r#"{"metadata":{"name":"","namespace":"a"}}"#,
    ] {
        assert_eq!(list(&mut pods, &[text.to_owned()]), [""; 0], "{text}");
        assert_eq!(pods.nameless(), 1);
    }
    assert_eq!(pods.changed(&nameless).err(), Some(Nameless));
    assert_eq!(pods.nameless(), 2);
    assert_eq!(list(&mut pods, &[]), ["-Pod a/x"]);
    assert_eq!(pods.nameless(), 0);
}

#[test]
fn an_object_that_does_not_decode_keeps_its_name() {
    let mut policies = objects("NetworkPolicy");
    let text = |spec: &str| format!(r#"{{"metadata":{{"namespace":"a","name":"p"}},"spec":{spec}}}"#);
    let remains = |event: Event| match event {
        Event::Undecodable(error) => error.remains.unwrap().spec,
        event => panic!("{event:?}"),
    };
    let spec = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":7}"#;
    assert_eq!(remains(policies.changed(&text(spec)).unwrap()).pod_selector.match_labels["app"], "web");
    // Deeper than anybody reads: nothing but the name is known, so that every pod may be meant.
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let spec = remains(policies.changed(&text(&format!(r#"{{"ingress":{deep}}}"#))).unwrap());
    assert_eq!(spec.policy_types, ["Ingress", "Egress"]);
    assert!(spec.pod_selector.match_labels.is_empty());
}

#[test]
fn names_of_cluster_wide_objects_have_no_namespace() {
    let mut nodes = objects("Node");
    let node = json!({"metadata": {"name": "n", "namespace": ""}}).to_string();
    assert_eq!(list(&mut nodes, std::slice::from_ref(&node)), ["+Node n"]);
    assert_eq!(nodes.none().iter().map(short).collect::<Vec<_>>(), ["-Node n"]);
}
