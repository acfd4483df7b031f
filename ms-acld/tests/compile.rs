//! `ms-acld compile`.

mod common;

use std::fs;

use common::run;

const CLUSTER: &str = "apiVersion: v1\nkind: List\nitems:\n\
- {apiVersion: v1, kind: Pod, metadata: {name: web-1, labels: {app: web}}, spec: {nodeName: node1}, status: {podIPs: [{ip: 10.1.0.5}, {ip: 'fd00::5'}]}}\n\
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}}}\n\
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}}\n\
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n";

#[test]
fn every_format_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    let policy = folder.path().join("policy.txt");
    fs::write(&policy, r#"{"deployments": [{"namespace": "default", "name": "web", "rules": [{"action": "DENY", "srcCIDR": "192.0.2.0/24"}]}]}"#).unwrap();
    let files = folder.path().to_str().unwrap();
    let compile = |more: &[&str]| {
        let base = ["compile", files, "--node", "node1", "--policy", policy.to_str().unwrap()];
        let all: Vec<&str> = base.iter().chain(more).copied().collect();
        let (code, output, errors) = run(&all);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.starts_with("note: ") && errors.contains("ConfigMap"), "{errors}");
        output
    };
    let both = compile(&[]);
    assert!(both.starts_with("# ipv4\n*filter\n") && both.contains("COMMIT\n# ipv6\n*filter\n"), "{both}");
    assert!(both.contains("192.0.2.0/24") && both.contains("-d fd00::5/128"), "{both}");
    let four = compile(&["--family", "4"]);
    assert!(four.starts_with("*filter\n") && four.ends_with("COMMIT\n") && !four.contains("fd00"), "{four}");
    assert!(compile(&["--format", "ipset"]).contains(" fd00::5\n"));
    assert!(!compile(&["--format", "ipset", "--family", "4"]).contains("fd00"));
    assert!(compile(&["--format", "summary"]).contains("default/web-1"));
    assert!(compile(&["--format", "nft"]).contains("table"));
    assert!(compile(&["--format", "dot"]).starts_with("digraph"));
    let json: serde_json::Value = serde_json::from_str(&compile(&["--format", "json"])).unwrap();
    assert!(!json.is_null());
}

#[test]
fn faults_are_told_and_the_rest_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.yaml");
    let bad = folder.path().join("bad.yaml");
    fs::write(&good, CLUSTER).unwrap();
    fs::write(&bad, "{{{").unwrap();
    let (code, output, errors) =
        run(&["compile", good.to_str().unwrap(), bad.to_str().unwrap(), "--node", "node1"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("bad.yaml") && output.contains("10.1.0.5"), "{errors}");
    let (code, _, errors) = run(&["compile", "/no/such/file", "--node", "node1"]);
    assert!(code == Some(1) && errors.contains("/no/such/file"), "{errors}");
}
