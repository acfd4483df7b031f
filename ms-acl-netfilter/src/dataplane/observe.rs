//! Reading back what is ours: chain by chain and set by set, never a dump of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ms_acl_core::ruleset::{
    Chain, ChainContent, ChainName, Family, Hook, Rule, Rulesets, Set, SetName, Target,
};

use super::hooks::{self, BaseRule};
use super::known::{self, Known};
use super::places::read_table;
use super::{Contest, Dataplane, Foreign, ObserveError, Observed, Position};
use crate::batch::message::{ListedChain, ListedKind};
use crate::ipset::{ListedMember, SetHeader, is_kind};
use crate::own::{self, ADMIN_CHAIN, is_owned_name};
use crate::xtables::decode;

/// A chain with a name of ours, as it was read.
struct Candidate {
    tagged: bool,
    rules: Vec<Rule>,
    handles: Vec<u64>,
}

/// What is ours in one family.
pub(super) struct FamilyView {
    /// Our chains, the operator's too, and whether each is tagged.
    chains: BTreeMap<ChainName, Candidate>,
    /// The base chains with a hook's name, and their rules.
    pub(super) bases: BTreeMap<Hook, Vec<BaseRule>>,
    /// Base chains under other names, which tools other than iptables make.
    pub(super) other_bases: BTreeMap<String, Vec<BaseRule>>,
    /// Chains that begin like ours and are named by nobody's scheme of ours.
    foreign: Vec<Foreign>,
    /// Chains named by our scheme that nothing shows to be ours.
    impostors: Vec<ChainName>,
}

impl FamilyView {
    /// The names of our chains, without the operator's.
    pub(super) fn own_chains(&self) -> impl Iterator<Item = &ChainName> {
        self.chains.keys().filter(|name| name.as_str() != ADMIN_CHAIN)
    }

    /// Whether a chain is ours, the operator's too.
    pub(super) fn owns(&self, name: &str) -> bool {
        self.chains.keys().any(|own| own.as_str() == name)
    }

    /// Chains that have a name by our scheme and that nothing shows to be ours.
    pub(super) fn impostors(&self, family: Family) -> impl Iterator<Item = Foreign> {
        let why = "it has no tag of ours, and no jump of ours leads to it";
        self.impostors.iter().map(move |name| foreign_chain(family, name.as_str(), why))
    }

    /// Whether there is an operator's chain, and whether it has rules.
    pub(super) fn admin_has_rules(&self) -> Option<bool> {
        let (_, admin) = self.chains.iter().find(|(name, _)| name.as_str() == ADMIN_CHAIN)?;
        Some(!admin.handles.is_empty())
    }
}

impl Dataplane {
    /// Reads back everything of ours: chains, jumps, and sets with their members. A later commit starts
    /// from what this has seen.
    pub fn observe(&mut self) -> Result<Observed, ObserveError> {
        let mut foreign = Vec::new();
        let mut rulesets = Rulesets::empty();
        let mut contested = Vec::new();
        let mut dormant = Vec::new();
        let headers = self.read_lists()?;

        for family in self.families.clone() {
            let table =
                read_table(&mut self.nft, family).map_err(|source| ObserveError::Table { family, source })?;
            if table.is_some_and(|table| table.dormant) {
                dormant.push(family);
            }
            let view = self.read_family(family)?;
            foreign.extend(view.impostors(family).chain(view.foreign.iter().cloned()));
            let ruleset = rulesets.family_mut(family);
            for (hook, rules) in &view.bases {
                if let Some(chain) = self.in_place(rules) {
                    ruleset.hooks.insert(*hook, chain);
                }
                contested.extend(self.contest(family, *hook, rules));
            }
            for (name, chain) in view.chains {
                let operators = name.as_str() == ADMIN_CHAIN;
                let handles = (!operators).then_some(chain.handles);
                self.known.chains.insert((family, name.clone()), handles);
                let content = if operators { ChainContent::Operators } else { ChainContent::Ours };
                let rules = if operators { Vec::new() } else { chain.rules };
                ruleset.chains.insert(name, Arc::new(Chain { rules, content, title: String::new() }));
            }
            for name in view.impostors {
                let key = (family, name);
                self.known.chains.remove(&key);
                self.known.foreign.insert(key);
            }
        }
        for header in headers {
            self.read_set(&header, &mut rulesets, &mut foreign)?;
        }
        foreign.sort();
        let strange = self.known.strange.values().map(Vec::len).sum();
        Ok(Observed { rulesets, foreign, contested, dormant, strange })
    }

    /// How many members each set of ours has, from the headers alone. A set of another type under one of our
    /// names is none.
    pub fn member_counts(&mut self) -> Result<BTreeMap<SetName, u32>, ObserveError> {
        let headers = self.ipset.headers().map_err(|source| ObserveError::Sets { source })?;
        let own = headers.into_iter().filter_map(|header| {
            let name = SetName::new(&header.name).ok()?;
            let own = own::set_of(&name)?;
            is_kind(&header, own.kind, own.family).then_some((name, header.members))
        });
        Ok(own.collect())
    }

    /// Reads which tables, base chains and sets there are. Chains of ours are read by `observe`.
    pub(super) fn read_lists(&mut self) -> Result<Vec<SetHeader>, ObserveError> {
        self.known = Known::default();
        let headers = self.ipset.headers().map_err(|source| ObserveError::Sets { source })?;
        let headers: Vec<SetHeader> =
            headers.into_iter().filter(|header| header.name.starts_with("MS-")).collect();
        for header in &headers {
            let Ok(name) = SetName::new(&header.name) else { continue };
            if let Some(index) = header.index {
                self.known.sets.insert(name, index);
            }
        }
        for family in self.families.clone() {
            for chain in self.list_chains(family)? {
                self.known.tables.insert(family);
                if let Some(hook) = chain.hook() {
                    self.known.base.insert((family, hook));
                }
                // Handles are read by `observe`; without it, a commit may create chains only.
                if let Some(name) = own_name(&chain) {
                    self.known.chains.insert((family, name), None);
                }
            }
        }
        self.known.read = true;
        Ok(headers)
    }

    pub(super) fn list_chains(&mut self, family: Family) -> Result<Vec<ListedChain>, ObserveError> {
        known::list_chains(&mut self.nft, family).map_err(|source| ObserveError::Chains { family, source })
    }

    /// The rules of a base chain.
    pub(super) fn read_base(&mut self, family: Family, chain: &str) -> Result<Vec<BaseRule>, ObserveError> {
        let raw = known::list_rules(&mut self.nft, family, chain).map_err(|source| ObserveError::Chain {
            family,
            chain: chain.to_owned(),
            source,
        })?;
        Ok(raw.iter().map(|rule| hooks::read(family, rule)).collect())
    }

    /// Reads the chains that are named like ours, and decides which are.
    pub(super) fn read_family(&mut self, family: Family) -> Result<FamilyView, ObserveError> {
        let mut view = FamilyView {
            chains: BTreeMap::new(),
            bases: BTreeMap::new(),
            other_bases: BTreeMap::new(),
            foreign: Vec::new(),
            impostors: Vec::new(),
        };
        for listed in self.list_chains(family)? {
            let tagged = match listed.kind {
                ListedKind::Base { hook, .. } => {
                    let rules = self.read_base(family, &listed.name)?;
                    match hook {
                        Some(hook) => view.bases.insert(hook, rules),
                        None => view.other_bases.insert(listed.name, rules),
                    };
                    continue;
                }
                ListedKind::Plain { tagged, .. } => tagged,
            };
            if let Some(name) = own_name(&listed) {
                let raw = known::list_rules(&mut self.nft, family, name.as_str())
                    .map_err(|source| ObserveError::Chain { family, chain: name.to_string(), source })?;
                let decoded = raw
                    .iter()
                    .map(|rule| decode(family, &rule.expressions, rule.comment.as_deref(), &self.known.sets));
                let rules = decoded.collect();
                let handles = raw.iter().map(|rule| rule.handle).collect();
                view.chains.insert(name, Candidate { tagged, rules, handles });
            } else if let Some(former) = listed.former_name() {
                let why =
                    format!("it is ours by its tag, but has another name, and somebody else has {former}");
                view.foreign.push(foreign_chain(family, &listed.name, &why));
            } else if listed.name.starts_with("MS-") {
                view.foreign.push(foreign_chain(family, &listed.name, "its name is none that we give"));
            }
        }
        let own = own_chains(&view);
        view.impostors.extend(view.chains.keys().filter(|name| !own.contains(*name)).cloned());
        view.chains.retain(|name, _| own.contains(name));
        Ok(view)
    }

    /// Whether others stand before our jump who shouldn't.
    pub(super) fn contest(&self, family: Family, hook: Hook, rules: &[BaseRule]) -> Option<Contest> {
        let count = hooks::diverting_before(rules);
        let counts = count > 0 && self.options.position == Position::First;
        counts.then_some(Contest { family, hook, rules: count })
    }

    /// The chain that a base chain's only jump of ours goes to, if it is as it should be.
    pub(super) fn in_place(&self, rules: &[BaseRule]) -> Option<ChainName> {
        let (_, chain) = hooks::jumps(rules).next()?;
        hooks::plan(rules, chain, self.options.position).is_empty().then(|| chain.clone())
    }

    fn read_set(
        &mut self,
        header: &SetHeader,
        rulesets: &mut Rulesets,
        foreign: &mut Vec<Foreign>,
    ) -> Result<(), ObserveError> {
        let mut report = |why: String| foreign.push(Foreign { what: format!("set {}", header.name), why });
        let own = SetName::new(&header.name).ok().and_then(|name| Some((own::set_of(&name)?, name)));
        let Some((own, name)) = own else {
            report("its name is none that we give".to_owned());
            return Ok(());
        };
        if !is_kind(header, own.kind, own.family) {
            report(format!("it is {header}, which is not what we make under this name"));
            return Ok(());
        }
        let members = match self.ipset.members(&name, own.kind, own.family) {
            Ok(members) => members,
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(()),
            Err(source) => return Err(ObserveError::Set { set: name, source }),
        };
        let mut fit = BTreeSet::new();
        let mut strange = Vec::new();
        for member in members {
            match member {
                ListedMember::Fit(member) => {
                    fit.insert(member);
                }
                ListedMember::Strange(member) => strange.push(member),
            }
        }
        if !strange.is_empty() {
            self.known.strange.insert((own.family, name.clone()), strange);
        }
        let set =
            Set { family: own.family, kind: own.kind, role: own.role, members: fit, title: String::new() };
        rulesets.family_mut(own.family).sets.insert(name, Arc::new(set));
        Ok(())
    }
}

fn foreign_chain(family: Family, name: &str, why: &str) -> Foreign {
    Foreign { what: format!("chain {name} of {family}"), why: why.to_owned() }
}

/// The name of a chain that may be ours: no base chain, and named by our scheme.
fn own_name(listed: &ListedChain) -> Option<ChainName> {
    if matches!(listed.kind, ListedKind::Base { .. }) || !is_owned_name(&listed.name) {
        return None;
    }
    ChainName::new(&listed.name).ok()
}

/// Which of the chains that are named by our scheme are ours: those with our tag, those that a jump of
/// ours or a chain of ours leads to, and the operator's, whoever made it.
fn own_chains(view: &FamilyView) -> BTreeSet<ChainName> {
    let bases = view.bases.values().chain(view.other_bases.values());
    let entered = bases.flat_map(|rules| hooks::jumps(rules).map(|(_, chain)| chain.clone()));
    let tagged = view
        .chains
        .iter()
        .filter(|(name, chain)| chain.tagged || name.as_str() == ADMIN_CHAIN)
        .map(|(name, _)| name.clone());
    let mut next: Vec<ChainName> = entered.chain(tagged).collect();
    let mut own = BTreeSet::new();
    while let Some(name) = next.pop() {
        let Some(chain) = view.chains.get(&name) else { continue };
        if own.insert(name.clone()) && name.as_str() != ADMIN_CHAIN {
            next.extend(chain.rules.iter().filter_map(|rule| match &rule.target {
                Target::Jump(to) | Target::Goto(to) => Some(to.clone()),
                _ => None,
            }));
        }
    }
    own
}
