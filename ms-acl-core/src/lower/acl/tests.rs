use super::*;
use crate::model::{Block, Peer, Peers, PortSpec, Ports, Protocol};

fn parse(text: &str) -> Result<AclDocument, Vec<AclFault>> {
    AclDocument::parse(serde_json::from_str(text).unwrap())
}

fn rules(rules: &str) -> Result<AclDocument, Vec<AclFault>> {
    parse(&format!(r#"{{"deployments": [{{"namespace": "default", "name": "web", "rules": [{rules}]}}]}}"#))
}

fn paths(result: Result<AclDocument, Vec<AclFault>>) -> Vec<String> {
    result.err().unwrap_or_default().into_iter().map(|fault| fault.path).collect()
}

#[test]
fn the_document_of_the_seed_is_understood() {
    let document = parse(
        r#"{"defaultAction": "ALLOW", "deployments": [{"namespace": "default", "name": "web", "rules": [
            {"action": "ALLOW", "srcCIDR": "10.0.0.0/24", "protocol": "tcp", "port": 80},
            {"action": "DENY", "srcCIDR": "0.0.0.0/0"}]}]}"#,
    )
    .unwrap();
    let [policy] = document.policies() else { panic!() };
    assert!(policy.egress.is_none());
    let ingress = policy.ingress.as_ref().unwrap();
    assert_eq!(ingress.otherwise, Action::Accept);
    assert_eq!(ingress.rules[0].action, Action::Accept);
    let Ports::Of(ports) = &ingress.rules[0].ports else { panic!() };
    assert_eq!((ports[0].protocol, ports.len()), (Protocol::Tcp, 1));
    let net = "10.0.0.0/24".parse().unwrap();
    assert_eq!(ingress.rules[0].peers, Peers::Of(vec![Peer::Block(Block { net, except: vec![] })]));
    assert_eq!(ingress.rules[1].action, Action::Deny);
    assert_eq!((document.deployments(), document.rules()), (1, 2));
}

#[test]
fn the_empty_document_governs_nothing() {
    assert_eq!(parse("{}").unwrap().deployments(), 0);
    assert_eq!(
        serde_json::to_string(AclDocument::default().source()).unwrap(),
        r#"{"defaultAction":"ALLOW","deployments":[]}"#
    );
}

#[test]
fn every_fault_is_found_with_its_place() {
    let result = parse(
        r#"{"defaultAction": "MAYBE", "x": 1, "deployments": [
            {"namespace": "default", "name": "web", "rules": [
                {"action": "ALLOW", "srcCIDR": "10.0.0.0/33"}, {"srcCIDR": 5}, 7,
                {"action": "DENY", "port": 80}, {"action": "DENY", "protocol": "icmp", "ports": [1]}]},
            {"name": "Bad_Name"}, {"namespace": "default", "name": "web"}]}"#,
    );
    assert_eq!(
        paths(result),
        [
            "/x",
            "/defaultAction",
            "/deployments/0/rules/0/srcCIDR",
            "/deployments/0/rules/1/action",
            "/deployments/0/rules/1/srcCIDR",
            "/deployments/0/rules/2",
            "/deployments/0/rules/3/port",
            "/deployments/0/rules/4/ports",
            "/deployments/1/namespace",
            "/deployments/1/name",
            "/deployments/2",
        ]
    );
}

#[test]
fn a_repeated_key_is_a_fault() {
    assert_eq!(paths(rules(r#"{"action": "ALLOW", "action": "DENY"}"#)), ["/deployments/0/rules/0/action"]);
}

#[test]
fn fields_that_exclude_each_other_are_faults() {
    for (rule, place) in [
        (r#"{"action": "ALLOW", "protocol": "tcp", "port": 80, "ports": [81]}"#, "ports"),
        (r#"{"action": "ALLOW", "srcCIDR": "10.0.0.1", "srcCIDRs": ["10.0.0.2"]}"#, "srcCIDRs"),
        (r#"{"action": "ALLOW", "direction": "egress", "srcCIDR": "10.0.0.1"}"#, "srcCIDR"),
        (r#"{"action": "ALLOW", "dstCIDR": "10.0.0.1"}"#, "dstCIDR"),
        (r#"{"action": "ALLOW", "srcCIDRs": []}"#, "srcCIDRs"),
        (r#"{"action": "ALLOW", "protocol": "tcp", "ports": []}"#, "ports"),
        (r#"{"action": "ALLOW", "protocol": "tcp", "ports": [0]}"#, "ports/0"),
        (r#"{"action": "ALLOW", "protocol": "tcp", "ports": ["9-8"]}"#, "ports/0"),
        (r#"{"action": "ALLOW", "protocol": "tcp", "port": 65536}"#, "port"),
        (r#"{"action": "ALLOW", "protocol": "tcp", "port": "80"}"#, "port"),
        (r#"{"action": "ALLOW", "log": "yes"}"#, "log"),
        (r#"{"action": "ALLOW", "direction": "both"}"#, "direction"),
    ] {
        assert_eq!(paths(rules(rule)), [format!("/deployments/0/rules/0/{place}")], "{rule}");
    }
}

#[test]
fn actions_in_any_case_and_both_names() {
    for (text, action) in [
        ("allow", Action::Accept),
        ("Accept", Action::Accept),
        ("DENY", Action::Deny),
        ("drop", Action::Deny),
        ("reject", Action::Reject),
        ("Return", Action::Allow),
    ] {
        let document = rules(&format!(r#"{{"action": "{text}"}}"#)).unwrap();
        assert_eq!(document.policies()[0].ingress.as_ref().unwrap().rules[0].action, action, "{text}");
    }
}

#[test]
fn a_direction_is_governed_by_its_own_rules_only() {
    let document = rules(r#"{"action": "DENY", "direction": "egress", "dstCIDR": "10.0.0.0/8"}"#).unwrap();
    let policy = &document.policies()[0];
    assert!(policy.ingress.is_none() && policy.egress.is_some());
    let document = rules("").unwrap();
    let policy = &document.policies()[0];
    assert!(policy.ingress.is_some() && policy.egress.is_none());
}

#[test]
fn host_bits_are_masked_with_a_warning_and_a_bare_address_is_a_host() {
    let document = rules(r#"{"action": "DENY", "srcCIDRs": ["10.1.2.3/8", "10.0.0.1", "fd00::1"]}"#).unwrap();
    let Peers::Of(peers) = &document.policies()[0].ingress.as_ref().unwrap().rules[0].peers else { panic!() };
    let nets: Vec<String> = peers
        .iter()
        .map(|peer| if let Peer::Block(block) = peer { block.net.to_string() } else { panic!() })
        .collect();
    assert_eq!(nets, ["10.0.0.0/8", "10.0.0.1/32", "fd00::1/128"]);
    assert_eq!(document.warnings().len(), 1);
}

#[test]
fn ports_may_be_ranges_and_port_0_is_any() {
    let document = rules(
        r#"{"action": "ALLOW", "protocol": "tcp", "ports": [80, "8000-8100"]},
        {"action": "ALLOW", "protocol": "udp", "port": 0}, {"action": "ALLOW", "port": 0}"#,
    )
    .unwrap();
    let rules = &document.policies()[0].ingress.as_ref().unwrap().rules;
    let Ports::Of(ports) = &rules[0].ports else { panic!() };
    assert_eq!(ports.len(), 2);
    let Ports::Of(ports) = &rules[1].ports else { panic!() };
    assert_eq!(ports[0].port, PortSpec::Any);
    assert_eq!(rules[2].ports, Ports::Any);
}
