//! A packet on its way through the rules of others: what certainly happens to it, and what may.

use std::net::IpAddr;

use ipnet::IpNet;

use super::foreign::{ForeignChain, ForeignRules};

/// Deeper than any chains can be nested.
const DEPTH: usize = 20;
/// More rules than are looked at for one packet: beyond that everything may happen.
const BUDGET: usize = 200_000;

/// What of a packet is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'p> {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// The interface that it came in by, where that is known.
    pub came_in: Option<&'p str>,
    /// The interface that it goes out by, where that is known.
    pub goes_out: Option<&'p str>,
}

/// A test of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Its source is in a network; `true` = is not.
    Source(IpNet, bool),
    /// Its destination is in a network; `true` = is not.
    Destination(IpNet, bool),
    /// It came in by an interface; a name that ends in `+` stands for all that begin so; `true` = did not.
    CameIn(String, bool),
    /// It goes out by an interface.
    GoesOut(String, bool),
    /// Its mark has a value in the bits of a mask; `true` = has not.
    Mark(u32, u32, bool),
    /// Anything else.
    Unknown,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing that changes a packet's way.
    Continue,
    /// Changes the packet's mark.
    SetMark,
    /// Goes on in another chain, and comes back.
    Jump(String),
    /// Goes on in another chain.
    Goto(String),
    /// Leaves the chain.
    Return,
    /// Ends the packet's way through this hook's chain.
    End,
    /// Gives the packet another source.
    ChangeSource,
    /// Lets the packet pass untracked.
    Untrack,
}

/// Whether a packet meets an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It doesn't.
    No,
    /// It may.
    Possible,
    /// It does.
    Certain,
}

/// A packet on its way.
struct Walk<'w> {
    rules: &'w ForeignRules,
    table: (u8, &'w str),
    packet: Packet<'w>,
    wanted: &'w Action,
    /// The packet's mark, as long as nothing has changed it.
    mark: Option<u32>,
    reach: Reach,
    budget: usize,
}

/// Whether the packet's way through the hook ends in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Never,
    Perhaps,
    Always,
}

/// Whether a packet meets an action on its way from a base chain on.
pub(super) fn reach(rules: &ForeignRules, base: &ForeignChain, packet: Packet<'_>, wanted: &Action) -> Reach {
    let table = (base.family, base.table.as_str());
    let mut walk = Walk { rules, table, packet, wanted, mark: Some(0), reach: Reach::No, budget: BUDGET };
    walk.chain(base, true, 0);
    walk.reach
}

impl Walk<'_> {
    /// `here` = the packet certainly comes into the chain.
    fn chain(&mut self, chain: &ForeignChain, here: bool, depth: usize) -> Ends {
        let mut here = here;
        let mut ends = Ends::Never;
        for rule in &chain.rules {
            let Some(left) = self.budget.checked_sub(1).filter(|_| depth < DEPTH) else {
                self.reach = self.reach.max(Reach::Possible);
                return Ends::Perhaps;
            };
            self.budget = left;
            let Some(matches) = self.matches(&rule.conditions) else { continue };
            if rule.action == *self.wanted {
                self.reach = self.reach.max(if here && matches { Reach::Certain } else { Reach::Possible });
            }
            let (there, back) = match &rule.action {
                Action::Continue | Action::Untrack => continue,
                Action::SetMark => {
                    self.mark = None;
                    continue;
                }
                Action::Jump(to) => (self.enter(to, here && matches, depth), true),
                Action::Goto(to) => (self.enter(to, here && matches, depth), false),
                Action::Return => (Ends::Never, false),
                Action::End | Action::ChangeSource => (Ends::Always, false),
            };
            if matches && there == Ends::Always {
                return Ends::Always;
            }
            if there != Ends::Never {
                ends = Ends::Perhaps;
            }
            if matches && !back {
                return ends;
            }
            // From here on the packet may be elsewhere.
            here &= back && there == Ends::Never;
        }
        ends
    }

    fn enter(&mut self, chain: &str, here: bool, depth: usize) -> Ends {
        let rules = self.rules;
        rules.chain(self.table, chain).map_or(Ends::Never, |chain| self.chain(chain, here, depth + 1))
    }

    /// `None` = the rule is passed over; `false` = it may match.
    fn matches(&self, conditions: &[Condition]) -> Option<bool> {
        let mut certain = true;
        for condition in conditions {
            match self.holds(condition) {
                Some(true) => {}
                Some(false) => return None,
                None => certain = false,
            }
        }
        Some(certain)
    }

    fn holds(&self, condition: &Condition) -> Option<bool> {
        let named = |pattern: &str, name: Option<&str>| {
            let name = name?;
            Some(pattern.strip_suffix('+').map_or(pattern == name, |start| name.starts_with(start)))
        };
        Some(match condition {
            Condition::Source(net, not) => net.contains(&self.packet.source) != *not,
            Condition::Destination(net, not) => net.contains(&self.packet.destination) != *not,
            Condition::CameIn(pattern, not) => named(pattern, self.packet.came_in)? != *not,
            Condition::GoesOut(pattern, not) => named(pattern, self.packet.goes_out)? != *not,
            Condition::Mark(value, mask, not) => (self.mark? & mask == *value) != *not,
            Condition::Unknown => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::foreign::{Base, ForeignRule};
    use super::*;

    /// A rule: its conditions and what it does.
    type Line = (Vec<Condition>, Action);

    /// Chains of a table, each rule as its conditions and what it does.
    fn rules(chains: &[(&str, Vec<Line>)]) -> ForeignRules {
        let mut all = ForeignRules::default();
        for (name, rules) in chains {
            let base = (*name == "base").then(|| Base { hook: 4, priority: 100, kind: "nat".to_owned() });
            let rules = rules.iter().cloned().map(|(conditions, action)| ForeignRule {
                conditions,
                action,
                ours: false,
                reverse_path: false,
            });
            let chain = ForeignChain {
                family: 2,
                table: "nat".to_owned(),
                name: (*name).to_owned(),
                base,
                rules: rules.collect(),
            };
            all.chains.insert((2, "nat".to_owned(), (*name).to_owned()), chain);
        }
        all
    }

    fn met(chains: &[(&str, Vec<Line>)]) -> Reach {
        let rules = rules(chains);
        let packet = Packet {
            source: "10.244.1.2".parse().unwrap(),
            destination: "10.244.2.2".parse().unwrap(),
            came_in: None,
            goes_out: Some("eth0"),
        };
        reach(&rules, rules.chain((2, "nat"), "base").unwrap(), packet, &Action::ChangeSource)
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn jump(to: &str) -> Action {
        Action::Jump(to.to_owned())
    }

    #[test]
    fn masquerading_as_the_bridge_plugin_makes_it_meets_pods_of_other_nodes() {
        let chain = |own: &str| {
            vec![
                (vec![Condition::Destination(net(own), false)], Action::End),
                (vec![Condition::Destination(net("224.0.0.0/4"), true)], Action::ChangeSource),
            ]
        };
        let base = vec![(vec![Condition::Source(net("10.244.1.2/32"), false)], jump("CNI"))];
        assert_eq!(met(&[("base", base.clone()), ("CNI", chain("10.244.1.0/24"))]), Reach::Certain);
        assert_eq!(met(&[("base", base), ("CNI", chain("10.244.0.0/16"))]), Reach::No);
    }

    #[test]
    fn a_mark_that_nobody_has_set_sends_a_packet_back() {
        let kube = |not| {
            vec![
                (vec![Condition::Mark(0x4000, 0x4000, not)], Action::Return),
                (vec![], Action::SetMark),
                (vec![], Action::ChangeSource),
            ]
        };
        assert_eq!(met(&[("base", vec![(vec![], jump("KUBE"))]), ("KUBE", kube(true))]), Reach::No);
        assert_eq!(met(&[("base", vec![(vec![], jump("KUBE"))]), ("KUBE", kube(false))]), Reach::Certain);
        // Behind a change of the mark, who knows.
        let base = vec![
            (vec![Condition::Unknown], Action::SetMark),
            (vec![Condition::Mark(0x4000, 0x4000, false)], Action::ChangeSource),
        ];
        assert_eq!(met(&[("base", base)]), Reach::Possible);
    }

    #[test]
    fn what_is_behind_something_unknown_is_possible_only() {
        for before in [Action::Return, Action::End] {
            let base = vec![(vec![Condition::Unknown], before), (vec![], Action::ChangeSource)];
            assert_eq!(met(&[("base", base)]), Reach::Possible);
        }
        let base = vec![(vec![Condition::Unknown], Action::ChangeSource)];
        assert_eq!(met(&[("base", base)]), Reach::Possible);
        // Whatever is unknown of a chain that comes back without an end changes nothing.
        let inner = vec![(vec![Condition::Unknown], Action::Return), (vec![], Action::Continue)];
        let base = vec![(vec![Condition::Unknown], jump("x")), (vec![], Action::ChangeSource)];
        assert_eq!(met(&[("base", base.clone()), ("x", inner)]), Reach::Certain);
        let inner = vec![(vec![Condition::Unknown], Action::End)];
        assert_eq!(met(&[("base", base.clone()), ("x", inner)]), Reach::Possible);
        let inner = vec![(vec![], Action::End)];
        assert_eq!(met(&[("base", base), ("x", inner)]), Reach::Possible);
    }

    #[test]
    fn goto_does_not_come_back() {
        let base = |to| vec![(vec![], to), (vec![], Action::ChangeSource)];
        assert_eq!(met(&[("base", base(Action::Goto("x".to_owned()))), ("x", vec![])]), Reach::No);
        assert_eq!(met(&[("base", base(jump("x"))), ("x", vec![])]), Reach::Certain);
    }

    #[test]
    fn interfaces_and_their_beginnings_are_told_apart() {
        for (pattern, not, expected) in [
            ("eth0", false, Reach::Certain),
            ("eth+", false, Reach::Certain),
            ("eth1", false, Reach::No),
            ("docker0", true, Reach::Certain),
        ] {
            let condition = Condition::GoesOut(pattern.to_owned(), not);
            assert_eq!(
                met(&[("base", vec![(vec![condition], Action::ChangeSource)])]),
                expected,
                "{pattern}"
            );
        }
        let condition = Condition::CameIn("eth0".to_owned(), false);
        assert_eq!(met(&[("base", vec![(vec![condition], Action::ChangeSource)])]), Reach::Possible);
    }

    #[test]
    fn a_loop_comes_to_an_end() {
        assert_eq!(met(&[("base", vec![(vec![], jump("base")), (vec![], jump("base"))])]), Reach::Possible);
    }
}
