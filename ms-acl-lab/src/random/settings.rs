//! What operators set.

use std::net::IpAddr;

use super::{Dice, address};
use crate::oracle::{NodeTraffic, RefuseWith, Settings};

pub(super) fn settings(dice: &mut Dice, around: &[IpAddr]) -> Settings {
    let range = match dice.below(10) {
        0..=5 => Vec::new(),
        6 => vec!["10.0.0.0/8"],
        7 => vec!["10.244.1.0/24", "10.244.0.0/16", "fd00::/8"],
        8 => vec!["fd00:244:1::/48", "0.0.0.0/0"],
        _ => {
            return Settings {
                pod_ip_range: dice.several(1, 3, |dice| address::block(dice, around)),
                ..switches(dice)
            };
        }
    };
    let pod_ip_range = range.iter().filter_map(|text| text.parse().ok()).collect();
    Settings { pod_ip_range, ..switches(dice) }
}

fn switches(dice: &mut Dice) -> Settings {
    let node_traffic = if dice.chance(65) { NodeTraffic::Allow } else { NodeTraffic::Enforce };
    let refuse_with = if dice.chance(70) { RefuseWith::Reject } else { RefuseWith::Drop };
    Settings { node_traffic, refuse_with, pod_ip_range: Vec::new() }
}
