//! Every match and target in a real kernel, seen by the real tools.

mod common;

use common::{everything, in_namespace, open, program_and_check, run_with, save};
use ms_acl_core::ruleset::Family;

#[test]
fn every_rule_reads_back_as_it_was_written() {
    in_namespace(|| {
        let mut dataplane = open();
        assert_eq!(dataplane.families(), Family::BOTH);
        assert_eq!(dataplane.faults(), [] as [String; 0]);
        let observed = program_and_check(&mut dataplane, &everything());
        assert_eq!(observed.foreign, []);
        assert_eq!(observed.contested, []);
        println!("{}", save(Family::V4));
        println!("{}", save(Family::V6));
        println!("{}", run_with("", &["ipset", "save"]));
        println!("{:?}", dataplane.remove_all());
        println!("{}", save(Family::V6));
    });
}
