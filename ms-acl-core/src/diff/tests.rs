use proptest::prelude::*;

use super::*;
use crate::ruleset::{Chain, ChainName, Match, SetKind, SetRole, Target};

fn rule(number: u8) -> Rule {
    Rule::new(vec![Match::Mark { value: number.into(), mask: 0xff }], Target::Drop)
}

fn rulesets() -> impl Strategy<Value = Rulesets> {
    let chains = proptest::collection::btree_map(0_u8..4, proptest::collection::vec(0_u8..6, 0..12), 0..4);
    let sets = proptest::collection::btree_map(0_u8..4, proptest::collection::btree_set(0_u8..6, 0..6), 0..4);
    (chains, sets, any::<bool>()).prop_map(|(chains, sets, hooked)| {
        let mut state = Rulesets::empty();
        for (name, rules) in chains {
            let name = ChainName::new(&format!("MS-P-{name}")).unwrap();
            let rules = rules.into_iter().map(rule).collect();
            state.v4.chains.insert(name, Arc::new(Chain { rules, ..Chain::default() }));
        }
        for (name, members) in sets {
            let role = if name % 2 == 0 { SetRole::Permit } else { SetRole::Refuse };
            let members = members.into_iter().map(|n| Member::Address([10, 0, 0, n].into())).collect();
            let set =
                Set { family: Family::V4, kind: SetKind::Addresses, role, members, title: String::new() };
            state.v4.sets.insert(SetName::new(&format!("MS-{name}")).unwrap(), Arc::new(set));
        }
        if hooked {
            state.v4.hooks.insert(Hook::Forward, ChainName::new("MS-FORWARD").unwrap());
        }
        state
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn applying_a_diff_gives_the_other_state(a in rulesets(), b in rulesets()) {
        let mut state = a.clone();
        for step in diff(&a, &b).steps {
            apply(&step, &mut state);
        }
        prop_assert_eq!(state, b);
    }

    #[test]
    fn equal_states_differ_in_nothing(a in rulesets()) {
        prop_assert!(diff(&a, &a.clone()).is_empty());
    }

    #[test]
    fn rules_that_stay_are_not_touched(old in proptest::collection::vec(0_u8..5, 0..20), at in 0_usize..20) {
        let name = ChainName::new("MS-P-x").unwrap();
        let before: Vec<Rule> = old.iter().copied().map(rule).collect();
        let mut after = before.clone();
        let at = at.min(after.len());
        after.insert(at, rule(200));
        let edit = chain::edit(Family::V4, &name, &before, &after).unwrap();
        prop_assert_eq!((edit.inserts.len(), edit.deletes.len()), (1, 0));
    }
}
