use super::*;
use crate::cluster::Cluster;
use crate::lower::acl::AclDocument;
use crate::model::{NodeTraffic, Protocol, Settings};
use crate::object::Object;

fn cluster(objects: &str, acl: &str) -> Cluster {
    let mut cluster = Cluster::new();
    for value in serde_json::from_str::<Vec<serde_json::Value>>(objects).unwrap() {
        cluster.apply(Object::decode(value).unwrap().unwrap());
    }
    let acl = AclDocument::parse(serde_json::from_str(acl).unwrap()).unwrap();
    cluster.set_acl(std::sync::Arc::new(acl));
    cluster
}

fn pod(name: &str, node: &str, app: &str, ip: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"default","labels":{{"app":"{app}","pod-template-hash":"h"}},
        "ownerReferences":[{{"kind":"ReplicaSet","name":"{app}-h","controller":true}}]}},"spec":{{"nodeName":"{node}"}},
        "status":{{"phase":"Running","podIP":"{ip}"}}}}"#
    )
}

fn judge(cluster: &Cluster, settings: &Settings, from: &str, to: &str, port: u16) -> Answer {
    let flow = Flow { from: from.parse().unwrap(), to: to.parse().unwrap(), protocol: Protocol::Tcp, port };
    Nodes::new(cluster, settings).judge(flow, &|_| Vec::new())
}

const SEED: &str = r#"{"defaultAction":"ALLOW","deployments":[{"namespace":"default","name":"web","rules":[
    {"action":"ALLOW","srcCIDR":"10.0.0.0/24","protocol":"tcp","port":80},{"action":"DENY","srcCIDR":"0.0.0.0/0"}]}]}"#;

#[test]
fn the_document_of_the_seed_decides_and_says_why() {
    let pods = format!("[{},{}]", pod("web-1", "n1", "web", "10.0.1.1"), pod("db-1", "n2", "db", "10.0.2.1"));
    let cluster = cluster(&pods, SEED);
    let settings = Settings::new("n1");
    let answer = judge(&cluster, &settings, "10.0.0.7", "10.0.1.1", 80);
    assert_eq!((answer.verdict, answer.accepted), (Verdict::Allow, true));
    let answer = judge(&cluster, &settings, "10.0.2.1", "10.0.1.1", 80);
    assert_eq!((answer.verdict, answer.accepted), (Verdict::Drop, false));
    let decision = &answer.ingress.unwrap().decisions[0];
    assert_eq!(decision.provenance.object.as_ref().unwrap().to_string(), "Acl default/web");
    assert_eq!(decision.provenance.rule, Some(1));
    let answer = judge(&cluster, &settings, "10.0.1.1", "10.0.2.1", 80);
    assert_eq!((answer.verdict, answer.accepted), (Verdict::Allow, false));
    let answer = judge(&cluster, &settings, "10.0.1.1", "10.0.1.1", 81);
    assert_eq!(answer.verdict, Verdict::Allow, "a pod reaches itself");
}

#[test]
fn own_node_passes_unless_it_is_judged() {
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.1"}]}}"#;
    let cluster = cluster(&format!("[{node},{}]", pod("web-1", "n1", "web", "10.0.1.1")), SEED);
    let mut settings = Settings::new("n1");
    assert_eq!(judge(&cluster, &settings, "192.168.0.1", "10.0.1.1", 81).verdict, Verdict::Allow);
    settings.node_traffic = NodeTraffic::Enforce;
    assert_eq!(judge(&cluster, &settings, "192.168.0.1", "10.0.1.1", 81).verdict, Verdict::Drop);
}

#[test]
fn both_directions_must_agree() {
    let policy = |name: &str, spec: &str| {
        format!(
            r#"{{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{{"name":"{name}","namespace":"default"}},"spec":{spec}}}"#
        )
    };
    let objects = format!(
        "[{},{},{},{}]",
        pod("a", "n1", "a", "10.0.1.1"),
        pod("b", "n1", "b", "10.0.1.2"),
        policy(
            "out",
            r#"{"podSelector":{"matchLabels":{"app":"a"}},"policyTypes":["Egress"],"egress":[{"to":[{"podSelector":{"matchLabels":{"app":"b"}}}]}]}"#
        ),
        policy(
            "in",
            r#"{"podSelector":{"matchLabels":{"app":"b"}},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"c"}}}]}]}"#
        )
    );
    let answer = judge(&cluster(&objects, "{}"), &Settings::new("n1"), "10.0.1.1", "10.0.1.2", 80);
    assert_eq!(answer.verdict, Verdict::Reject);
    assert_eq!(answer.egress.as_ref().unwrap().verdict, Verdict::Allow);
    let ingress = answer.ingress.unwrap();
    assert_eq!(ingress.verdict, Verdict::Reject);
    assert_eq!(ingress.decisions[0].provenance.object.as_ref().unwrap().name, "in");
    assert_eq!(ingress.decisions[0].provenance.rule, None);
}
