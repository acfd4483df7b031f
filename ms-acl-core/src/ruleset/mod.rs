//! The abstract rule graph: sets, chains of rules, and the places where base chains jump in.
//!
//! One [`Ruleset`] belongs to one address family. It says nothing about how a kernel is told: the
//! netfilter backend programs it as iptables-nft rules and ipsets, another backend may use native
//! nftables. It is deterministic: everything in it is ordered by name or by meaning.

mod name;
mod provenance;
mod recognise;
mod rule;
mod set;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use name::{ChainName, NameError, SetName};
pub use provenance::{Direction, GateKind, ObjectRef, Provenance};
pub use rule::{Comment, Icmp, Match, NflogPrefix, RejectWith, Rule, SetKey, States, Target};
pub use set::{Member, Set, SetKind, SetRole};

/// An address family. The two families have rule graphs of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4: table `ip filter`.
    V4,
    /// IPv6: table `ip6 filter`.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The number of bits in an address: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        })
    }
}

/// A base chain of the kernel's `filter` table from which our chains are entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Packets to this machine itself.
    Input,
    /// Packets that pass through this machine.
    Forward,
    /// Packets that this machine sends.
    Output,
}

impl Hook {
    /// The base chain's name in the kernel: `INPUT`, `FORWARD`, `OUTPUT`.
    pub fn chain(self) -> &'static str {
        match self {
            Hook::Input => "INPUT",
            Hook::Forward => "FORWARD",
            Hook::Output => "OUTPUT",
        }
    }
}

/// Who fills a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChainContent {
    /// We do: its rules are exactly the rules of [`Chain::rules`].
    #[default]
    Ours,
    /// The operator does (`MS-ADMIN`): created empty, its rules are never touched, and it is never
    /// removed while it has any.
    Operators,
}

/// A chain: an ordered list of rules under a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The rules in the order in which a packet meets them.
    pub rules: Vec<Rule>,
    /// Who fills the chain.
    pub content: ChainContent,
    /// What the chain stands for, for people: `egress policy of netpol default/web`.
    /// Not programmed; empty when the chain was read back from a kernel.
    pub title: String,
}

/// The rule graph of one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// The family whose packets it judges.
    pub family: Family,
    /// All sets, by name.
    pub sets: BTreeMap<SetName, Arc<Set>>,
    /// All chains, by name.
    pub chains: BTreeMap<ChainName, Arc<Chain>>,
    /// Which chain each base chain jumps to. A hook that is absent has no jump of ours.
    pub hooks: BTreeMap<Hook, ChainName>,
}

impl Ruleset {
    /// An empty graph: it programs nothing and lets everything pass.
    pub fn new(family: Family) -> Self {
        Ruleset { family, sets: BTreeMap::new(), chains: BTreeMap::new(), hooks: BTreeMap::new() }
    }

    /// Takes over from another graph the chains and sets that rules here name and that are missing here,
    /// and what those name in turn.
    pub fn complete_from(&mut self, other: &Ruleset) {
        let mut next: Vec<ChainName> = self.chains.keys().cloned().collect();
        while let Some(name) = next.pop() {
            let Some(chain) = self.chains.get(&name).cloned() else { continue };
            for rule in &chain.rules {
                if let Some(to) = rule.leads_to()
                    && !self.chains.contains_key(to)
                    && let Some(chain) = other.chains.get(to)
                {
                    self.chains.insert(to.clone(), Arc::clone(chain));
                    next.push(to.clone());
                }
                for set in rule.sets() {
                    if let Some(held) = other.sets.get(set) {
                        self.sets.entry(set.clone()).or_insert_with(|| Arc::clone(held));
                    }
                }
            }
        }
    }

    /// The number of rules in all chains of ours, the jumps from base chains not counted.
    pub fn rule_count(&self) -> usize {
        self.chains.values().map(|chain| chain.rules.len()).sum()
    }

    /// The number of members in all sets.
    pub fn member_count(&self) -> usize {
        self.sets.values().map(|set| set.members.len()).sum()
    }
}

/// The rule graphs of both families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rulesets {
    /// IPv4.
    pub v4: Ruleset,
    /// IPv6.
    pub v6: Ruleset,
}

impl Rulesets {
    /// Two empty graphs.
    pub fn empty() -> Self {
        Rulesets { v4: Ruleset::new(Family::V4), v6: Ruleset::new(Family::V6) }
    }

    /// The graph of one family.
    pub fn family(&self, family: Family) -> &Ruleset {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The graph of one family, to change.
    pub fn family_mut(&mut self, family: Family) -> &mut Ruleset {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
