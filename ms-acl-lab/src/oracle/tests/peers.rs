//! Items 9 to 18.

use super::*;

fn from(peers: Value) -> World {
    world(&[policy(
        "a/p",
        json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": peers}]}),
    )])
}

fn who(world: &World) -> Vec<&'static str> {
    [WEB, API, OTHER_WEB, OUTSIDE].into_iter().filter(|from| reaches(world, from, DB)).collect()
}

#[test]
fn empty_and_absent_from_mean_everything_external_too() {
    for peers in [json!([]), json!(null)] {
        assert_eq!(who(&from(peers)), [WEB, API, OTHER_WEB, OUTSIDE]);
    }
}

#[test]
fn a_pod_selector_alone_means_the_policys_namespace() {
    assert_eq!(who(&from(json!([{"podSelector": {"matchLabels": {"app": "web"}}}]))), [WEB]);
    assert_eq!(who(&from(json!([{"podSelector": {}}]))), [WEB, API]);
}

#[test]
fn a_namespace_selector_alone_means_all_pods_there() {
    assert_eq!(who(&from(json!([{"namespaceSelector": {"matchLabels": {"team": "red"}}}]))), [OTHER_WEB]);
    assert_eq!(who(&from(json!([{"namespaceSelector": {}}]))), [WEB, API, OTHER_WEB]);
}

#[test]
fn both_selectors_in_one_item_are_anded_and_two_items_are_ored() {
    let red = json!({"matchLabels": {"team": "red"}});
    let api = json!({"matchLabels": {"app": "api"}});
    assert!(who(&from(json!([{"namespaceSelector": red, "podSelector": api}]))).is_empty());
    assert_eq!(who(&from(json!([{"namespaceSelector": red}, {"podSelector": api}]))), [API, OTHER_WEB]);
}

#[test]
fn a_selector_that_matches_nothing_denies() {
    assert!(who(&from(json!([{"podSelector": {"matchLabels": {"app": "nobody"}}}]))).is_empty());
}

#[test]
fn every_namespace_has_its_name_as_a_label_with_an_object_or_without() {
    let named = |name: &str| {
        let labels = json!({"kubernetes.io/metadata.name": name});
        from(json!([{"namespaceSelector": {"matchLabels": labels}}]))
    };
    assert_eq!(who(&named("a")), [WEB, API]);
    assert_eq!(who(&named("b")), [OTHER_WEB]);
    assert!(who(&named("c")).is_empty());
}

#[test]
fn a_namespace_without_an_object_matches_not_in_and_does_not_exist() {
    let peer =
        json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}});
    assert_eq!(who(&from(json!([peer]))), [WEB, API]);
    let peer = json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["red"]}]}});
    assert_eq!(who(&from(json!([peer]))), [WEB, API]);
}

#[test]
fn egress_peers_read_the_same_way() {
    let spec = json!({"policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "api"}}}]}]});
    let world = world(&[policy("a/p", spec)]);
    assert!(reaches(&world, WEB, API) && !reaches(&world, WEB, DB) && !reaches(&world, WEB, OUTSIDE));
}

#[test]
fn all_addresses_of_a_pod_count_each_in_its_family() {
    let mut world = from(json!([{"podSelector": {"matchLabels": {"app": "web"}}}]));
    world.pods[0].status.pod_ips.push(ms_acl_core::object::PodIp { ip: "fd00::1".to_owned() });
    world.pods[2].status.pod_ips.push(ms_acl_core::object::PodIp { ip: "fd00::3".to_owned() });
    assert!(reaches(&world, "fd00::1", "fd00::3") && reaches(&world, WEB, DB));
    assert!(!reaches(&world, "fd00::9", "fd00::3"));
}

#[test]
fn a_pod_ip_without_a_list_counts() {
    let mut world = from(json!([{"podSelector": {"matchLabels": {"app": "web"}}}]));
    world.pods[0].status.pod_ips.clear();
    world.pods[0].status.pod_ip = WEB.to_owned();
    assert_eq!(who(&world), [WEB]);
}
