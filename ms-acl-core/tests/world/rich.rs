//! A node on which every kind of rule occurs.

use ms_acl_core::compile::{Compiled, compile};
use serde_json::json;

use crate::world::World;

/// Pods under an ACL with every action, protocol and log; policies with selectors, blocks with holes,
/// many ports, named ports; both families.
pub(crate) fn rich() -> World {
    let mut world = World::new();
    world.namespace("shop", json!({"team": "red"})).namespace("data", json!({"team": "blue"}));
    for name in ["web", "api"] {
        world.apply(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}}}));
    }
    let http = json!({"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]});
    world.pod_with("shop/web-1", json!({"app": "web"}), &["10.0.1.1", "fd00:1::1"], http.clone());
    world.pod_with("shop/web-2", json!({"app": "web"}), &["10.0.1.2", "fd00:1::2"], http);
    world.pod("shop/api-1", json!({"app": "api"}), "10.0.1.3");
    let sql = json!({"containers": [{"ports": [{"name": "sql", "containerPort": 5432}]}]});
    world.pod_with("data/db-1", json!({"app": "db"}), &["10.0.2.1", "fd00:2::1"], sql.clone());
    world.pod_with("data/db-2", json!({"app": "db"}), &["10.0.2.2"], sql);
    world.acl(json!({"defaultAction": "DENY", "deployments": [
        {"namespace": "shop", "name": "web", "defaultAction": "REJECT", "rules": [
            {"action": "ALLOW", "srcCIDRs": ["10.0.0.0/8", "fd00::/8"], "protocol": "tcp", "ports": [80, 443, "8000-8100"], "name": "from \"inside\"", "log": true},
            {"action": "RETURN", "srcCIDR": "192.0.2.0/24", "protocol": "icmp"},
            {"action": "REJECT", "protocol": "sctp", "port": 9},
            {"action": "DENY", "srcCIDR": "198.51.100.0/24", "protocol": "udp"}]},
        {"namespace": "shop", "name": "api", "rules": [
            {"action": "ALLOW", "direction": "egress", "dstCIDR": "10.0.0.0/8"}]}]}));
    world.policy(
        "shop/web",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": "api"}}},
                    {"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x", "y"]}]}}],
                 "ports": [{"port": "http"}, {"port": 443}, {"protocol": "UDP", "port": 53}]},
                {"from": [{"ipBlock": {"cidr": "10.9.0.0/16", "except": ["10.9.1.0/24"]}}, {"ipBlock": {"cidr": "2001:db8::/32"}}]}],
            "egress": [
                {"to": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}], "ports": [{"port": "sql"}]},
                {"ports": [{"protocol": "UDP", "port": 53}, {"port": 53}]}]}),
    );
    world.policy(
        "shop/all",
        json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": (1..=20).map(|n| json!({"port": n * 10})).collect::<Vec<_>>()},
            {"ports": [{"protocol": "SCTP", "port": 7, "endPort": 9}]}]}),
    );
    world.policy("data/closed", json!({"podSelector": {}}));
    world.settings.pod_ip_range =
        vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    world
}

/// What its node n1 enforces.
pub(crate) fn compiled() -> Compiled {
    let world = rich();
    compile(&world.cluster, &world.settings)
}
