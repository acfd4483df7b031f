//! What happens as objects come, change and go (items 37 to 42).

use serde_json::json;

use crate::world::two_teams;

#[test]
fn a_pending_pod_without_address_breaks_nothing() {
    let mut world = two_teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "soon", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Pending"}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    world.allows("a/web", "a/db", "80");
    assert!(world.faults().is_empty());
}

#[test]
fn a_terminating_pod_is_enforced_while_it_runs() {
    let mut world = two_teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "web", "labels": {"app": "web"},
        "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.0.1.1"}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    world.rejects("b/web", "10.0.1.1", "80");
    world.allows("10.0.1.1", "a/db", "80");
}

#[test]
fn an_ended_pod_leaves_every_set_and_a_reused_address_inherits_nothing() {
    let pod = |name: &str, app: &str, phase: &str, created: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "b", "name": name, "labels": {"app": app}, "creationTimestamp": created},
            "spec": {"nodeName": "n2"}, "status": {"phase": phase, "podIP": "10.0.2.7"}})
    };
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "job"}}}]}]}));
    world.apply(pod("z-old", "job", "Running", "2026-01-01T00:00:00Z"));
    world.allows("10.0.2.7", "a/web", "80");
    world.apply(pod("z-old", "job", "Succeeded", "2026-01-01T00:00:00Z"));
    world.rejects("10.0.2.7", "a/web", "80");
    // The newest running pod has the address, even while the former one still says that it runs.
    world.apply(pod("z-old", "job", "Running", "2026-01-01T00:00:00Z"));
    world.apply(pod("a-new", "web", "Running", "2026-01-02T00:00:00Z"));
    world.rejects("10.0.2.7", "a/web", "80");
    world.apply(pod("a-new", "web", "Failed", "2026-01-02T00:00:00Z"));
    world.allows("10.0.2.7", "a/web", "80");
}

#[test]
fn the_same_name_with_a_new_address() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}]}]}));
    world.pod("b/db", json!({"app": "db"}), "10.0.2.77");
    world.allows("10.0.2.77", "a/web", "80");
    world.rejects("10.0.2.2", "a/web", "80");
}

#[test]
fn names_at_their_longest_and_names_that_run_together() {
    let mut world = two_teams();
    let long = "x".repeat(253);
    world.policy(&format!("a/{long}"), json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    world.allows("b/web", "a/web", "80");
    world.rejects("b/web", "a/web", "81");
    for (namespace, pod) in [("web", "10.0.1.20"), ("weba", "10.0.1.21")] {
        world.pod(&format!("{namespace}/x"), json!({}), pod);
    }
    world.policy("web/app-x", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    world.policy("weba/pp-x", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 81}]}]}));
    world.allows("b/web", "web/x", "80");
    world.rejects("b/web", "web/x", "81");
    world.allows("b/web", "weba/x", "81");
    world.rejects("b/web", "weba/x", "80");
}

#[test]
fn one_invalid_object_never_stops_the_others() {
    let mut world = two_teams();
    let good = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 80}]}]});
    world.policy("a/good", good);
    // Without a last valid version: the pods that it selects are refused in the types that it declares.
    let bad = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 0}]}]});
    world.policy("a/bad", bad.clone());
    assert_eq!(world.faults().len(), 1, "{:?}", world.faults());
    assert!(
        world.faults()[0].contains("NetworkPolicy a/bad: /spec/ingress/0/ports/0/port"),
        "{:?}",
        world.faults()
    );
    world.rejects("b/web", "a/web", "80");
    world.allows("a/web", "b/web", "80");
    world.allows("b/web", "a/db", "80");
    // With one: it stays in force.
    world.policy(
        "a/bad",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 82}]}]}),
    );
    world.policy("a/bad", bad);
    assert_eq!(world.faults().len(), 1);
    world.allows("b/web", "a/web", "82");
    world.rejects("b/web", "a/web", "80");
    // One that doesn't even decode.
    world.policy("a/broken", json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": 7}));
    world.rejects("b/web", "a/db", "81");
    assert_eq!(world.faults().len(), 2);
}

#[test]
fn a_pending_pod_that_has_an_address_is_governed_and_a_member() {
    // Its init containers run.
    let mut world = two_teams();
    world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "soon", "labels": {"app": "soon"}},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Pending", "podIP": "10.0.1.30"}}));
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "soon"}}}]}]}));
    world.rejects("b/web", "a/soon", "80");
    world.allows("a/soon", "a/web", "80");
}

#[test]
fn every_phase_but_succeeded_and_failed_counts() {
    for (phase, counts) in [
        ("Running", true),
        ("Pending", true),
        ("Unknown", true),
        ("", true),
        ("Succeeded", false),
        ("Failed", false),
    ] {
        let mut world = two_teams();
        world.apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "x", "labels": {"app": "x"}},
            "spec": {"nodeName": "n1"}, "status": {"phase": phase, "podIP": "10.0.1.30"}}));
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}]}));
        if counts {
            world.allows("10.0.1.30", "a/web", "80");
            world.rejects("b/web", "10.0.1.30", "80");
        } else {
            world.rejects("10.0.1.30", "a/web", "80");
            world.allows("b/web", "10.0.1.30", "80");
        }
    }
}

#[test]
fn a_reused_address_is_under_the_policies_of_its_new_pod_only() {
    let pod = |name: &str, app: &str, phase: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": name, "labels": {"app": app}},
            "spec": {"nodeName": "n1"}, "status": {"phase": phase, "podIP": "10.0.1.30"}})
    };
    let mut world = two_teams();
    world.policy("a/closed", json!({"podSelector": {"matchLabels": {"app": "closed"}}}));
    world.apply(pod("old", "closed", "Running"));
    world.rejects("b/web", "10.0.1.30", "80");
    world.apply(pod("old", "closed", "Failed"));
    world.apply(pod("new", "open", "Running"));
    world.allows("b/web", "10.0.1.30", "80");
    world.delete("Pod", "a/old");
    world.allows("b/web", "10.0.1.30", "80");
    world.delete("Pod", "a/new");
    world.apply(pod("third", "closed", "Running"));
    world.rejects("b/web", "10.0.1.30", "80");
}

#[test]
fn a_terminating_pod_keeps_its_address_unless_a_newer_pod_has_it() {
    let pod = |name: &str, app: &str, created: &str, deleted: Option<&str>| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "a", "name": name, "labels": {"app": app}, "creationTimestamp": created, "deletionTimestamp": deleted},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIP": "10.0.1.30"}})
    };
    let mut world = two_teams();
    world.policy("a/closed", json!({"podSelector": {"matchLabels": {"app": "closed"}}}));
    world.apply(pod("old", "closed", "2026-01-01T00:00:00Z", Some("2026-01-03T00:00:00Z")));
    world.rejects("b/web", "10.0.1.30", "80");
    world.apply(pod("new", "open", "2026-01-02T00:00:00Z", None));
    world.allows("b/web", "10.0.1.30", "80");
    world.delete("Pod", "a/new");
    world.rejects("b/web", "10.0.1.30", "80");
}

#[test]
fn an_invalid_selector_selects_no_fewer_pods_than_it_says() {
    let mut world = two_teams();
    let tier = json!({"key": "tier", "operator": "Is", "values": ["front"]});
    world.policy(
        "a/p",
        json!({"podSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [tier]}, "ingress": [{}]}),
    );
    world.rejects("b/web", "a/web", "80");
    world.allows("b/web", "a/db", "80");
}

#[test]
fn what_can_not_be_decoded_refuses_the_types_that_it_declares() {
    for (spec, ingress, egress) in [
        (json!({"podSelector": {}, "ingress": 7}), true, false),
        (json!({"podSelector": {}, "ingress": 7, "egress": []}), true, false),
        (json!({"podSelector": {}, "ingress": 7, "egress": null}), true, false),
        (json!({"podSelector": {}, "ingress": 7, "egress": [{}]}), true, true),
        (json!({"podSelector": {}, "ingress": 7, "egress": "x"}), true, true),
        (json!({"podSelector": {}, "ingress": 7, "policyTypes": ["Egress"]}), false, true),
        (json!({"podSelector": {}, "policyTypes": "Egress"}), true, true),
        (json!({"podSelector": {}, "policyTypes": [1]}), true, true),
        (json!({"podSelector": 7}), true, false),
        (json!([]), true, true),
        (json!("x"), true, true),
    ] {
        let mut world = two_teams();
        world.policy("a/p", spec.clone());
        assert_eq!(world.faults().len(), 1, "{spec}");
        let refuses = |from, to| world.ask(from, to, "80").verdict != ms_acl_core::verdict::Verdict::Allow;
        assert_eq!((refuses("b/web", "a/web"), refuses("a/web", "b/web")), (ingress, egress), "{spec}");
    }
}

#[test]
fn a_policy_whose_metadata_can_not_be_decoded_refuses_all_the_same() {
    // A number where a text belongs is soon written in YAML.
    for metadata in [
        json!({"namespace": "a", "name": "p", "labels": {"version": 1}}),
        json!({"namespace": "a", "name": "p", "annotations": {"ready": true}}),
        json!({"namespace": "a", "name": "p", "labels": 3}),
    ] {
        let mut world = two_teams();
        world.apply(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata,
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}}),
        );
        assert_eq!(world.faults().len(), 1, "{metadata}");
        world.rejects("b/web", "a/web", "80");
        world.allows("b/web", "a/db", "80");
    }
}

#[test]
fn the_last_valid_version_stays_until_a_valid_one_comes_or_the_object_goes() {
    let mut world = two_teams();
    let open = |port: u16| json!({"podSelector": {}, "ingress": [{"ports": [{"port": port}]}]});
    world.policy("a/p", open(80));
    for bad in
        [open(0), json!({"podSelector": {}, "ingress": 7}), json!({"podSelector": {}, "policyTypes": ["X"]})]
    {
        world.policy("a/p", bad);
        assert_eq!(world.faults().len(), 1);
        assert!(world.faults()[0].contains("last valid version"), "{:?}", world.faults());
        world.allows("b/web", "a/web", "80");
        world.rejects("b/web", "a/web", "81");
        world.allows("a/web", "b/web", "80");
    }
    world.policy("a/p", open(81));
    assert!(world.faults().is_empty());
    world.rejects("b/web", "a/web", "80");
    world.policy("a/p", open(0));
    world.delete("NetworkPolicy", "a/p");
    assert!(world.faults().is_empty());
    world.allows("b/web", "a/web", "80");
    // What was valid before it was deleted is no version of what comes under its name.
    world.policy("a/p", open(0));
    world.rejects("b/web", "a/web", "81");
}

#[test]
fn an_invalid_deployment_or_pod_stops_nobody() {
    let mut world = two_teams();
    world.apply(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "a", "name": "d"},
        "spec": {"selector": {"matchExpressions": [{"key": "k", "operator": "Is"}]}}}),
    );
    world.apply(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": "bad"}, "spec": 3}),
    );
    world.pod("a/odd", json!({}), "10.0.1.999");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}));
    assert_eq!(world.faults().len(), 3, "{:?}", world.faults());
    world.allows("b/web", "a/web", "80");
    world.rejects("b/web", "a/web", "81");
}
