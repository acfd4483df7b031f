//! Our jumps in base chains: found by comment and target, kept where they belong.

use ms_acl_core::ruleset::{ChainName, Comment, Family, Rule, Target};

use super::Position;
use super::known::RawRule;
use crate::batch::Place;
use crate::own::{JUMP_COMMENT, is_owned_name};
use crate::xtables::{Expression, SetIndexes, decode, jump_of};

/// The jump that we put into a base chain.
pub(super) fn jump(chain: &ChainName) -> Rule {
    Rule { comment: Some(Comment::new(JUMP_COMMENT)), ..Rule::new(Vec::new(), Target::Jump(chain.clone())) }
}

/// A rule of a base chain, as far as it matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseRule {
    pub(super) handle: u64,
    pub(super) kind: BaseRuleKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BaseRuleKind {
    /// A jump of ours as we make it.
    Ours(ChainName),
    /// A jump of ours that somebody changed.
    Changed(ChainName),
    /// A rule of somebody else that can end or divert a packet's way.
    Diverts,
    /// A rule of somebody else that lets every packet go on.
    Harmless,
}

/// Reads a rule of a base chain. A jump is ours if it has our comment and goes to a chain of ours.
pub(super) fn read(family: Family, raw: &RawRule) -> BaseRule {
    let (chain, comment) = jump_of(&raw.expressions, raw.comment.as_deref());
    let chain = chain
        .filter(|name| comment == Some(JUMP_COMMENT) && is_owned_name(name))
        .and_then(|name| ChainName::new(name).ok());
    let kind = match chain {
        Some(chain) => {
            let rule = decode(family, &raw.expressions, raw.comment.as_deref(), &SetIndexes::default());
            if rule == jump(&chain) { BaseRuleKind::Ours(chain) } else { BaseRuleKind::Changed(chain) }
        }
        None if Expression::list(&raw.expressions).any(|found| found.can_divert()) => BaseRuleKind::Diverts,
        None => BaseRuleKind::Harmless,
    };
    BaseRule { handle: raw.handle, kind }
}

/// What is to be done so that a base chain jumps to a chain of ours, exactly once, in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Where a new jump goes, if one is needed.
    pub(super) insert: Option<Place>,
    /// The jumps that go then.
    pub(super) delete: Vec<u64>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.insert.is_none() && self.delete.is_empty()
    }
}

pub(super) fn plan(rules: &[BaseRule], chain: &ChainName, position: Position) -> Plan {
    let wanted = BaseRuleKind::Ours(chain.clone());
    let reachable = match position {
        Position::First => {
            rules.iter().position(|rule| rule.kind == BaseRuleKind::Diverts).unwrap_or(rules.len())
        }
        Position::Last => rules.len(),
    };
    let kept = rules[..reachable].iter().find(|rule| rule.kind == wanted);
    let delete = jumps(rules)
        .map(|(rule, _)| rule.handle)
        .filter(|handle| kept.is_none_or(|kept| kept.handle != *handle));
    let place = match position {
        Position::First => Place::First,
        Position::Last => Place::Last,
    };
    Plan { insert: kept.is_none().then_some(place), delete: delete.collect() }
}

/// All jumps of ours with the chains that they go to.
pub(super) fn jumps(rules: &[BaseRule]) -> impl Iterator<Item = (&BaseRule, &ChainName)> {
    rules.iter().filter_map(|rule| match &rule.kind {
        BaseRuleKind::Ours(chain) | BaseRuleKind::Changed(chain) => Some((rule, chain)),
        BaseRuleKind::Diverts | BaseRuleKind::Harmless => None,
    })
}

/// The number of rules of others before our first jump that can take its packets away.
pub(super) fn diverting_before(rules: &[BaseRule]) -> usize {
    let ours = rules.iter().position(|rule| matches!(rule.kind, BaseRuleKind::Ours(_)));
    let before = &rules[..ours.unwrap_or(0)];
    before.iter().filter(|rule| rule.kind == BaseRuleKind::Diverts).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ChainName {
        ChainName::new("MS-FORWARD").unwrap()
    }

    fn rules(kinds: &str) -> Vec<BaseRule> {
        let kind = |letter| match letter {
            'o' => BaseRuleKind::Ours(name()),
            'c' => BaseRuleKind::Changed(name()),
            'x' => BaseRuleKind::Ours(ChainName::new("MS-INPUT").unwrap()),
            'd' => BaseRuleKind::Diverts,
            _ => BaseRuleKind::Harmless,
        };
        (1..).zip(kinds.chars()).map(|(handle, letter)| BaseRule { handle, kind: kind(letter) }).collect()
    }

    fn planned(kinds: &str, position: Position) -> (Option<Place>, Vec<u64>) {
        let plan = plan(&rules(kinds), &name(), position);
        (plan.insert, plan.delete)
    }

    #[test]
    fn a_jump_in_its_place_stays() {
        for kinds in ["o", "od", "ho", "hhod"] {
            assert_eq!(planned(kinds, Position::First), (None, vec![]), "{kinds}");
        }
        for kinds in ["o", "do", "od"] {
            assert_eq!(planned(kinds, Position::Last), (None, vec![]), "{kinds}");
        }
    }

    #[test]
    fn a_missing_jump_is_made() {
        assert_eq!(planned("", Position::First), (Some(Place::First), vec![]));
        assert_eq!(planned("dd", Position::Last), (Some(Place::Last), vec![]));
    }

    #[test]
    fn a_jump_behind_a_rule_that_diverts_is_moved_first() {
        assert_eq!(planned("do", Position::First), (Some(Place::First), vec![2]));
        assert_eq!(planned("hdod", Position::First), (Some(Place::First), vec![3]));
    }

    #[test]
    fn a_second_jump_goes() {
        assert_eq!(planned("oo", Position::First), (None, vec![2]));
        assert_eq!(planned("odo", Position::Last), (None, vec![3]));
        assert_eq!(planned("doo", Position::First), (Some(Place::First), vec![2, 3]));
    }

    #[test]
    fn a_changed_jump_and_one_to_another_chain_are_replaced() {
        assert_eq!(planned("c", Position::First), (Some(Place::First), vec![1]));
        assert_eq!(planned("x", Position::First), (Some(Place::First), vec![1]));
        assert_eq!(planned("co", Position::First), (None, vec![1]));
    }

    #[test]
    fn rules_before_our_jump_are_counted() {
        assert_eq!(diverting_before(&rules("dhdod")), 2);
        assert_eq!(diverting_before(&rules("dd")), 0);
    }
}
