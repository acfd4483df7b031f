//! Drives a dataplane of one's own from events: `drive-dataplane shop.yaml node1`. This one is a value
//! in memory that says what is done to it; a real one would program a kernel, a switch or a NIC.
#![forbid(unsafe_code)]

use std::error::Error;

use ms_acl_core::cluster::{Cluster, Event};
use ms_acl_core::diff::{RuleStep, Step, apply};
use ms_acl_core::model::Settings;
use ms_acl_core::object::Object;
use ms_acl_core::program::Program;
use ms_acl_core::ruleset::Rulesets;

struct Dataplane {
    state: Rulesets,
}

impl Dataplane {
    /// Carries out one step. The order of the steps is what makes a change safe: each has to be done
    /// before the next one is begun, and a batch of rules at once or not at all.
    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::CreateSet(name, set) => {
                println!("  set {name} of {} is new: {}", set.members.len(), set.title);
            }
            Step::AddMembers(name, _, members) => println!("  set {name} gains {}", members.len()),
            Step::RemoveMembers(name, _, members) => println!("  set {name} loses {}", members.len()),
            Step::Rules(batch) => {
                let inserts = batch.iter().map(|step| match step {
                    RuleStep::Edit(edit) => edit.inserts.len(),
                    _ => 0,
                });
                println!("  {} rules are written in one batch", inserts.sum::<usize>());
            }
            Step::DeleteChains(chains) => println!("  {} chains go", chains.len()),
            Step::DeleteSets(sets) => println!("  {} sets go", sets.len()),
        }
        apply(step, &mut self.state);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(node)) = (arguments.next(), arguments.next()) else {
        return Err("usage: drive-dataplane FILE NODE".into());
    };
    let mut events = Vec::new();
    for document in serde_saphyr::from_multiple(&std::fs::read_to_string(file)?)? {
        match Object::decode(document) {
            Ok(Some(object)) => events.push((object.reference(), Event::Apply(object))),
            Ok(None) => {}
            Err(error) => events.push((error.object.clone(), Event::Undecodable(Box::new(error)))),
        }
    }
    // In the end everything goes again, the last one first.
    let names: Vec<_> = events.iter().map(|(name, _)| name.clone()).rev().collect();
    events.extend(names.into_iter().map(|name| (name.clone(), Event::Delete(name))));

    let mut program = Program::new(Cluster::new(), Settings::new(node));
    let mut dataplane = Dataplane { state: program.rulesets().clone() };
    for (name, event) in events {
        println!("{} {name}", if matches!(event, Event::Delete(_)) { "-" } else { "+" });
        program.apply(event);
        for step in program.take().steps {
            dataplane.carry_out(&step);
        }
        let (held, wanted) = (&dataplane.state.v4, &program.rulesets().v4);
        assert_eq!(held.rule_count(), wanted.rule_count(), "the dataplane is what the program says");
        assert_eq!(held.sets, wanted.sets);
    }
    println!("{} rules are left", dataplane.state.v4.rule_count());
    Ok(())
}
