//! Items 1 to 8.

use super::*;

#[test]
fn a_pod_that_no_policy_selects_is_open() {
    let world = world(&[policy("a/p", json!({"podSelector": {"matchLabels": {"app": "db"}}}))]);
    assert!(reaches(&world, OUTSIDE, WEB) && reaches(&world, API, WEB));
    assert!(!reaches(&world, OUTSIDE, DB) && !reaches(&world, API, DB));
    assert!(reaches(&world, DB, API), "egress of db stays open");
}

#[test]
fn absent_null_and_empty_ingress_deny_all_and_an_empty_rule_allows_all() {
    for spec in [json!({}), json!({"ingress": null}), json!({"ingress": []})] {
        assert!(!reaches(&world(&[policy("a/p", spec)]), OUTSIDE, WEB));
    }
    let open = world(&[policy("a/p", json!({"ingress": [{}]}))]);
    assert!(reaches(&open, OUTSIDE, WEB) && reaches_port(&open, OUTSIDE, WEB, Protocol::Icmp, 0));
}

#[test]
fn unset_policy_types_mean_ingress_and_egress_only_with_egress_rules() {
    let ingress_only = world(&[policy("a/p", json!({}))]);
    assert!(reaches(&ingress_only, WEB, OUTSIDE));
    let rule = json!({"egress": [{"ports": [{"port": 53}]}]});
    let both = world(&[policy("a/p", rule)]);
    assert!(!reaches(&both, WEB, OUTSIDE) && reaches_port(&both, WEB, OUTSIDE, Protocol::Tcp, 53));
    assert!(!reaches(&both, OUTSIDE, WEB));
}

#[test]
fn rules_of_an_unlisted_type_are_ignored() {
    let spec = json!({"policyTypes": ["Ingress"], "ingress": [{}], "egress": [{"ports": [{"port": 53}]}]});
    assert!(reaches(&world(&[policy("a/p", spec)]), WEB, OUTSIDE));
    let spec = json!({"policyTypes": ["Egress"], "ingress": [{"ports": [{"port": 53}]}]});
    let world = world(&[policy("a/p", spec)]);
    assert!(reaches(&world, OUTSIDE, WEB) && !reaches(&world, WEB, OUTSIDE));
}

#[test]
fn an_empty_pod_selector_selects_all_pods_of_its_namespace_only() {
    let world = world(&[policy("a/p", json!({"podSelector": {}}))]);
    for pod in [WEB, API, DB] {
        assert!(!reaches(&world, OUTSIDE, pod));
    }
    assert!(reaches(&world, OUTSIDE, OTHER_WEB));
}

#[test]
fn policies_add_up_in_any_order() {
    let from = |app: &str| json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app}}}]}]});
    let mut policies = vec![policy("a/1", from("web")), policy("a/2", from("api")), policy("a/3", json!({}))];
    for _ in 0..3 {
        policies.rotate_left(1);
        let world = world(&policies);
        assert!(reaches(&world, WEB, DB) && reaches(&world, API, DB) && !reaches(&world, OUTSIDE, DB));
    }
}

#[test]
fn both_directions_are_judged_separately() {
    let spec = json!({"policyTypes": ["Ingress", "Egress"], "ingress": [{}]});
    let world = world(&[policy("a/p", spec)]);
    let answer = judge(&world, &flow(WEB, API, Protocol::Tcp, 80));
    assert_eq!(answer.verdict, Verdict::Reject);
    assert_eq!(answer.egress.unwrap().verdict, Verdict::Reject);
    assert_eq!(answer.ingress.unwrap().verdict, Verdict::Allow);
}

#[test]
fn the_first_refusal_in_the_packets_order_is_the_answer() {
    let mut world = world(&[policy("a/p", json!({"policyTypes": ["Ingress", "Egress"]}))]);
    world.acl = json!({"deployments": [{"namespace": "a", "name": "d", "rules": [{"action": "DROP"}]}]});
    world.deployments = vec![deployment_of_all("d")];
    // Egress of web: Kubernetes rejects; ingress of api: the ACL drops.
    assert_eq!(judge(&world, &flow(WEB, API, Protocol::Tcp, 80)).verdict, Verdict::Reject);
    assert_eq!(judge(&world, &flow(OUTSIDE, API, Protocol::Tcp, 80)).verdict, Verdict::Drop);
}

#[test]
fn refusing_by_drop_is_a_setting() {
    let mut world = world(&[policy("a/p", json!({}))]);
    world.settings.refuse_with = RefuseWith::Drop;
    assert_eq!(judge(&world, &flow(OUTSIDE, API, Protocol::Tcp, 80)).verdict, Verdict::Drop);
}

#[test]
fn an_answer_names_who_decides() {
    let rules = json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]}, {"ports": [{"port": 80}]}]});
    let world = world(&[policy("a/q", rules), policy("a/p", json!({}))]);
    let allowed = judge(&world, &flow(OUTSIDE, WEB, Protocol::Tcp, 80)).ingress.unwrap();
    assert_eq!((allowed.object.as_deref(), allowed.rule), (Some("NetworkPolicy a/q"), Some(1)));
    let refused = judge(&world, &flow(OUTSIDE, WEB, Protocol::Tcp, 81)).ingress.unwrap();
    assert_eq!((refused.object.as_deref(), refused.rule), (Some("NetworkPolicy a/p"), None));
    assert_eq!(refused.gate, Some(Gate::Kubernetes));
    assert_eq!(judge(&world, &flow(OUTSIDE, OTHER_WEB, Protocol::Tcp, 80)).ingress.unwrap().gate, None);
}
