//! Rules that were read back from a kernel → where they come from.

use std::sync::Arc;

use super::{Chain, Family, Rule, Rulesets, Set};

impl Rulesets {
    /// Gives rules that were read back from a kernel what a kernel doesn't keep: the provenance, and the
    /// titles of chains and sets, of what is the same in `desired`. Rules that nobody desires stay without.
    pub fn recognise(&mut self, desired: &Rulesets) {
        for family in Family::BOTH {
            let desired = desired.family(family);
            let graph = self.family_mut(family);
            for (name, chain) in &mut graph.chains {
                if let Some(wanted) = desired.chains.get(name) {
                    *chain = Arc::new(chain_of(chain, wanted));
                }
            }
            for (name, set) in &mut graph.sets {
                if let Some(wanted) = desired.sets.get(name) {
                    *set = Arc::new(Set { title: wanted.title.clone(), ..(**set).clone() });
                }
            }
        }
    }
}

/// A chain with what is known of those of its rules that stand, in this order, in the wanted chain too.
fn chain_of(chain: &Chain, wanted: &Chain) -> Chain {
    let mut left = &wanted.rules[..];
    let rules = chain.rules.iter().map(|rule| {
        let Some(position) = left.iter().position(|wanted| wanted.programs_same(rule)) else {
            return rule.clone();
        };
        let provenance = left[position].provenance.clone();
        left = &left[position + 1..];
        Rule { provenance, ..rule.clone() }
    });
    Chain { rules: rules.collect(), title: wanted.title.clone(), ..chain.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{ChainName, Direction, GateKind, Match, Provenance, Target};

    fn rule(target: Target, origin: Option<usize>) -> Rule {
        let provenance = origin.map(|rule| {
            Arc::new(Provenance {
                object: None,
                direction: Direction::Ingress,
                gate: GateKind::Acl,
                rule: Some(rule),
                label: None,
            })
        });
        Rule { provenance, ..Rule::new(vec![Match::SourceIsLocal], target) }
    }

    #[test]
    fn what_is_desired_is_recognised_and_the_rest_is_left_alone() {
        let name = ChainName::new("MS-FORWARD").unwrap();
        let graphs = |rules: Vec<Rule>, title: &str| {
            let mut graphs = Rulesets::empty();
            let chain = Chain { rules, title: title.to_owned(), ..Chain::default() };
            graphs.v4.chains.insert(name.clone(), Arc::new(chain));
            graphs
        };
        let desired = graphs(
            vec![rule(Target::Drop, Some(0)), rule(Target::Return, Some(1)), rule(Target::Drop, Some(2))],
            "t",
        );
        let bare = |target| rule(target, None);
        let mut held = graphs(
            vec![bare(Target::Accept), bare(Target::Drop), bare(Target::Drop), bare(Target::Return)],
            "",
        );
        held.recognise(&desired);
        let chain = &held.v4.chains[&name];
        let origins = chain.rules.iter().map(|rule| rule.provenance.as_ref().and_then(|origin| origin.rule));
        assert_eq!(origins.collect::<Vec<_>>(), [None, Some(0), Some(2), None]);
        assert_eq!(chain.title, "t");
        let mut same =
            graphs(desired.v4.chains[&name].rules.iter().map(|r| bare(r.target.clone())).collect(), "");
        same.recognise(&desired);
        assert_eq!(same, desired);
    }
}
