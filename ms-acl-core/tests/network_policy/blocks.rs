//! What a block of addresses is (items 31 to 36).

use serde_json::json;

use crate::OUTSIDE;
use crate::world::two_teams;

#[test]
fn except_is_a_hole_in_its_own_block_only() {
    let holed = json!({"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]}});
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [holed]}]}));
    world.rejects(OUTSIDE, "a/web", "80");
    world.allows("203.0.113.16", "a/web", "80");
    for from in [
        json!([holed, {"ipBlock": {"cidr": "203.0.113.7/32"}}]),
        json!([{"ipBlock": {"cidr": "203.0.113.7/32"}}, holed]),
    ] {
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": from}]}));
        world.allows(OUTSIDE, "a/web", "80");
        world.rejects("203.0.113.8", "a/web", "80");
    }
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [holed]}, {"from": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}]}));
    world.allows(OUTSIDE, "a/web", "80");
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [holed]}]}));
    world.policy(
        "a/q",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "203.0.0.0/16"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
}

#[test]
fn nested_duplicate_overlapping_and_equal_blocks() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [
        {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.0/25", "198.51.100.0/26", "198.51.100.0/25"]}},
        {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.64/26"]}},
        {"ipBlock": {"cidr": "198.51.100.128/25"}}]}]}));
    assert!(world.faults().is_empty());
    world.allows("198.51.100.1", "a/web", "80");
    world.rejects("198.51.100.64", "a/web", "80");
    world.allows("198.51.100.200", "a/web", "80");
}

#[test]
fn whole_families_and_special_ranges() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::/0", "except": ["fc00::/7"]}}]}]}));
    world.allows("2001:db8::1", "fd00:1::1", "80");
    world.rejects("fd00:9::1", "fd00:1::1", "80");
    world.rejects(OUTSIDE, "a/web", "80");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("2001:db8::1", "fd00:1::1", "80");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "fc00::/7"}}]}]}),
    );
    world.allows("fd00:9::1", "fd00:1::1", "80");
    world.drops("fe80::1", "fd00:1::1", "80");
}

#[test]
fn a_block_with_host_bits() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "203.1.2.3/8"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("204.0.0.1", "a/web", "80");
}

#[test]
fn a_block_of_one_family_isolates_the_other_too() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
    );
    world.rejects("fd00:2::9", "fd00:1::1", "80");
}

#[test]
fn a_pods_address_inside_a_block_matches() {
    let mut world = two_teams();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.2.0/24", "except": ["10.0.2.2/32"]}}]}]}));
    world.allows("b/web", "a/web", "80");
    world.rejects("b/db", "a/web", "80");
}

#[test]
fn a_block_of_ipv4_mapped_addresses_is_a_block_of_ipv4() {
    // As Go reads it, and so the API server and everybody who asks it.
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::ffff:203.0.113.0/120", "except": ["203.0.113.8/29"]}}]}]}),
    );
    assert_eq!(world.faults(), Vec::<String>::new());
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("203.0.113.8", "a/web", "80");
    world.rejects("203.0.112.7", "a/web", "80");
    world.rejects("2001:db8::1", "fd00:1::1", "80");
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::ffff:0:0/96"}}]}]}),
    );
    world.allows(OUTSIDE, "a/web", "80");
    world.rejects("2001:db8::1", "fd00:1::1", "80");
}

#[test]
fn zeros_before_a_number_mean_nothing() {
    let mut world = two_teams();
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "010.000.002.000/024"}}]}]}),
    );
    assert_eq!(world.faults(), Vec::<String>::new());
    world.allows("b/web", "a/web", "80");
    world.rejects("8.0.2.1", "a/web", "80");
    world.rejects(OUTSIDE, "a/web", "80");
}

#[test]
fn a_block_ends_where_it_ends() {
    let mut world = two_teams();
    for (cidr, inside, outside) in [
        ("203.0.112.0/22", ["203.0.112.0", "203.0.115.255"], ["203.0.111.255", "203.0.116.0"]),
        ("203.0.113.7/32", ["203.0.113.7", "203.0.113.7"], ["203.0.113.6", "203.0.113.8"]),
        ("128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "0.0.0.0"]),
    ] {
        world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]}]}));
        for address in inside {
            world.allows(address, "a/web", "80");
        }
        for address in outside {
            world.rejects(address, "a/web", "80");
        }
    }
    world.policy(
        "a/p",
        json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "2001:db8::/65"}}]}]}),
    );
    world.allows("2001:db8::7fff:ffff:ffff:ffff", "fd00:1::1", "80");
    world.rejects("2001:db8::8000:0:0:0", "fd00:1::1", "80");
}

#[test]
fn many_blocks_with_many_holes_are_exact() {
    let mut world = two_teams();
    // Of each 198.18.n.0/24 the odd addresses, and of those not the ones of the second half.
    let from: Vec<_> = (0..8)
        .map(|n| {
            let even = (0..64).map(|host| format!("198.18.{n}.{}/32", 2 * host));
            let except: Vec<String> = even.chain([format!("198.18.{n}.128/25")]).collect();
            json!({"ipBlock": {"cidr": format!("198.18.{n}.0/24"), "except": except}})
        })
        .collect();
    world.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": from}]}));
    for (address, open) in [
        ("198.18.0.0", false),
        ("198.18.0.1", true),
        ("198.18.3.126", false),
        ("198.18.3.127", true),
        ("198.18.3.129", false),
        ("198.18.7.255", false),
        ("198.18.7.63", true),
        ("198.18.8.1", false),
    ] {
        if open { world.allows(address, "a/web", "80") } else { world.rejects(address, "a/web", "80") }
    }
}
