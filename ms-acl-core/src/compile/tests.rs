use crate::cluster::Cluster;
use crate::compile::compile;
use crate::lower::acl::AclDocument;
use crate::model::Settings;
use crate::object::Object;
use crate::render::{ipset_save_family, iptables_save};

#[test]
fn the_layout_of_a_small_node() {
    let mut cluster = Cluster::new();
    for value in serde_json::from_str::<Vec<serde_json::Value>>(OBJECTS).unwrap() {
        cluster.apply(Object::decode(value).unwrap().unwrap());
    }
    let acl = AclDocument::parse(serde_json::from_str(ACL).unwrap()).unwrap();
    cluster.set_acl(std::sync::Arc::new(acl));
    let compiled = compile(&cluster, &Settings::new("n1"));
    let [v4, v6] = [&compiled.rulesets.v4, &compiled.rulesets.v6]
        .map(|graph| format!("# {}\n{}{}", graph.family, ipset_save_family(graph), iptables_save(graph)));
    let text = v4 + &v6;
    insta::assert_snapshot!(text);
}

const ACL: &str = r#"{"defaultAction":"ALLOW","deployments":[{"namespace":"default","name":"web","rules":[
    {"action":"ALLOW","srcCIDR":"10.0.0.0/24","protocol":"tcp","ports":[80,"8000-8100"],"log":true},
    {"action":"DENY","srcCIDR":"0.0.0.0/0"}]}]}"#;

const OBJECTS: &str = r#"[
{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},"spec":{"selector":{"matchLabels":{"app":"web"}}}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"default","labels":{"app":"web"}},"spec":{"nodeName":"n1",
 "containers":[{"ports":[{"name":"http","containerPort":8080}]}]},"status":{"phase":"Running","podIPs":[{"ip":"10.0.1.1"},{"ip":"fd00::1"}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"db-1","namespace":"default","labels":{"app":"db"}},"spec":{"nodeName":"n2",
 "containers":[{"ports":[{"name":"sql","containerPort":5432}]}]},"status":{"phase":"Running","podIP":"10.0.2.1"}},
{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"default"},"spec":{
 "podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Ingress","Egress"],
 "ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"db"}}},{"ipBlock":{"cidr":"10.9.0.0/16","except":["10.9.1.0/24"]}}],
  "ports":[{"port":"http"},{"port":443},{"protocol":"UDP","port":53}]}],
 "egress":[{"to":[{"podSelector":{"matchLabels":{"app":"db"}}}],"ports":[{"port":"sql"}]}]}}
]"#;
