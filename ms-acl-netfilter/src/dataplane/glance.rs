//! Reading back only what somebody else has touched.

use std::sync::Arc;

use ms_acl_core::ruleset::{Chain, ChainContent, ChainName, Family, Hook, Rulesets};

use super::known::list_rules;
use super::{Dataplane, ObserveError, Observed};
use crate::batch::message::{ListedChain, ListedKind, get_chain};
use crate::netlink::NetlinkError;
use crate::own::ADMIN_CHAIN;
use crate::watch::Touched;
use crate::xtables::decode;

impl Dataplane {
    /// Reads back the chains and jumps that were touched; all else is taken to be as in `held`, which must be
    /// what the kernel held before. `None` = that isn't enough to tell what is ours, and everything has to be
    /// [observed](Dataplane::observe).
    pub fn glance(&mut self, held: &Rulesets, touched: &Touched) -> Result<Option<Observed>, ObserveError> {
        if !self.known.read || !touched.tables.is_empty() || !touched.renamed.is_empty() {
            return Ok(None);
        }
        let mut rulesets = held.clone();
        let mut contested = Vec::new();
        for (family, name) in &touched.chains {
            if self.families.contains(family) && !self.glance_chain(*family, name, &mut rulesets)? {
                return Ok(None);
            }
        }
        for (family, hook) in &touched.hooks {
            if !self.families.contains(family) {
                continue;
            }
            let rules = self.read_base(*family, hook.chain())?;
            if rules.is_empty() && !self.has_base(*family, *hook)? {
                self.known.base.remove(&(*family, *hook));
            }
            match self.in_place(&rules) {
                Some(chain) => rulesets.family_mut(*family).hooks.insert(*hook, chain),
                None => rulesets.family_mut(*family).hooks.remove(hook),
            };
            contested.extend(self.contest(*family, *hook, &rules));
        }
        Ok(Some(Observed { rulesets, contested, ..Observed::default() }))
    }

    /// Reads one chain. `false` = it can't be told from it alone whether it is ours.
    fn glance_chain(
        &mut self,
        family: Family,
        name: &ChainName,
        rulesets: &mut Rulesets,
    ) -> Result<bool, ObserveError> {
        let failed = |source| ObserveError::Chain { family, chain: name.to_string(), source };
        let key = (family, name.clone());
        let chains = &mut rulesets.family_mut(family).chains;
        let Some(listed) = self.get_chain(family, name.as_str()).map_err(failed)? else {
            self.known.chains.remove(&key);
            self.known.foreign.remove(&key);
            chains.remove(name);
            return Ok(true);
        };
        let operators = name.as_str() == ADMIN_CHAIN;
        match listed.kind {
            ListedKind::Plain { tagged, former_name: None } if tagged || operators => {}
            _ => return Ok(false),
        }
        let (rules, handles) = if operators {
            (Vec::new(), None)
        } else {
            let raw = list_rules(&mut self.nft, family, name.as_str()).map_err(failed)?;
            let rules = raw
                .iter()
                .map(|rule| decode(family, &rule.expressions, rule.comment.as_deref(), &self.known.sets));
            (rules.collect(), Some(raw.iter().map(|rule| rule.handle).collect()))
        };
        self.known.foreign.remove(&key);
        self.known.chains.insert(key, handles);
        let content = if operators { ChainContent::Operators } else { ChainContent::Ours };
        chains.insert(name.clone(), Arc::new(Chain { rules, content, title: String::new() }));
        Ok(true)
    }

    fn has_base(&mut self, family: Family, hook: Hook) -> Result<bool, ObserveError> {
        let listed = self.get_chain(family, hook.chain()).map_err(|source| ObserveError::Chain {
            family,
            chain: hook.chain().to_owned(),
            source,
        })?;
        Ok(listed.is_some_and(|chain| chain.hook() == Some(hook)))
    }

    fn get_chain(&mut self, family: Family, name: &str) -> Result<Option<ListedChain>, NetlinkError> {
        let mut found = None;
        match self.nft.request(get_chain(family, name), |reply| {
            found = found.take().or_else(|| ListedChain::read(reply));
        }) {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        }
    }
}
