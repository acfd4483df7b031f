//! Worlds and documents that are drawn by the bytes and then mangled: valid but for a few places.
#![no_main]

use ms_acl_lab::random::{Dice, Shape, mangle, world};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut dice = Dice::from_bytes(bytes);
    let world = world(&mut dice, &Shape { max_pods: 5, max_policies: 3, ..Shape::default() });
    let mut manifests = world.manifests();
    let mut document = world.acl;
    for _ in 0..dice.below(6) {
        if dice.chance(70) && !manifests.is_empty() {
            let place = dice.below(manifests.len());
            mangle(&mut dice, &mut manifests[place]);
        } else {
            mangle(&mut dice, &mut document);
        }
    }
    ms_acl_fuzz::objects(manifests);
    if let Ok(tree) = serde_json::from_value(document) {
        ms_acl_fuzz::acl(tree);
    }
});
