//! The law of arrival: what a node enforces doesn't depend on the order in which it heard of things,
//! nor on what it heard of before.

mod law;

use law::{cluster, cluster_of, compile_all, config, set_acl};
use ms_acl_core::compile::Compiled;
use ms_acl_core::ruleset::Rulesets;
use ms_acl_lab::oracle::World;
use ms_acl_lab::random::{Dice, Shape, drawn, world_from_seed};
use proptest::prelude::*;

/// A world, another one that was there before, and a seed for the order of things.
fn histories() -> impl Strategy<Value = (World, World, u64)> {
    drawn(|dice| {
        let mut draw = || world_from_seed(dice.seed(), &Shape::default());
        (draw(), draw(), dice.seed())
    })
}

fn rulesets(world: &World, cluster: &ms_acl_core::cluster::Cluster) -> Vec<Rulesets> {
    compile_all(world, cluster).into_values().map(|Compiled { rulesets, .. }| rulesets).collect()
}

proptest! {
    #![proptest_config(config(1_000))]
    #[test]
    fn rules_do_not_depend_on_the_order_of_arrival((world, _, seed) in histories()) {
        let mut dice = Dice::from_seed(seed);
        let mut objects = world.objects();
        dice.shuffle(&mut objects);
        let after = dice.below(objects.len() + 1);
        let shuffled = cluster_of(objects, &world.acl, after);
        let sorted = cluster(&world);
        prop_assert_eq!(rulesets(&world, &shuffled), rulesets(&world, &sorted));
        prop_assert_eq!(shuffled.diagnostics(), sorted.diagnostics());
    }

    #[test]
    fn rules_do_not_depend_on_what_was_there_before((world, before, seed) in histories()) {
        let mut dice = Dice::from_seed(seed);
        let mut later = cluster(&before);
        // An object's last valid version stays in force: what was there before goes, or is valid now.
        let mut news = world.objects();
        dice.shuffle(&mut news);
        let kept: Vec<_> = news.iter().map(ms_acl_core::object::Object::reference).collect();
        for old in before.objects() {
            let reference = old.reference();
            if reference.kind == "NetworkPolicy" || !kept.contains(&reference) {
                later.delete(&reference);
            }
        }
        for object in news {
            later.apply(object);
        }
        // A document with a fault changes nothing, so the former one goes first.
        set_acl(&mut later, &serde_json::Value::Null);
        set_acl(&mut later, &world.acl);
        let fresh = cluster(&world);
        prop_assert_eq!(rulesets(&world, &later), rulesets(&world, &fresh));
        prop_assert_eq!(later.diagnostics(), fresh.diagnostics());
    }
}
