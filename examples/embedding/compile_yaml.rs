//! Compiles manifests into the text of the rules that a node would enforce:
//! `compile-yaml shop.yaml node1`.
#![forbid(unsafe_code)]

use std::error::Error;

use ms_acl_core::cluster::Cluster;
use ms_acl_core::compile::compile;
use ms_acl_core::model::Settings;
use ms_acl_core::object::Object;
use ms_acl_core::render::{ipset_save, iptables_save};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(node)) = (arguments.next(), arguments.next()) else {
        return Err("usage: compile-yaml FILE NODE".into());
    };
    let mut cluster = Cluster::new();
    for document in serde_saphyr::from_multiple(&std::fs::read_to_string(file)?)? {
        match Object::decode(document) {
            Ok(Some(object)) => cluster.apply(object),
            Ok(None) => eprintln!("a kind that policy doesn't look at is passed over"),
            // Its pods are refused, not left open.
            Err(error) => cluster.apply_undecodable(&error),
        }
    }
    for fault in cluster.diagnostics() {
        eprintln!("{fault}");
    }

    let compiled = compile(&cluster, &Settings::new(node));
    println!("# sets, for ipset restore\n{}", ipset_save(&compiled.rulesets));
    println!("# IPv4, for iptables-nft-restore --noflush\n{}", iptables_save(&compiled.rulesets.v4));
    print!("# IPv6, for ip6tables-nft-restore --noflush\n{}", iptables_save(&compiled.rulesets.v6));
    Ok(())
}
