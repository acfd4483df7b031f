//! The kernel's side of a rule graph: read back, changed, taken away.

mod chains;
mod commit;
mod error;
mod glance;
mod hooks;
mod known;
mod mend;
mod observe;
mod places;
mod preflight;
mod remove;
mod rules;

use ms_acl_core::ruleset::{Family, Rulesets};

use crate::ipset;
use crate::netlink::{Connection, Hardship, Mishaps};
use crate::watch::Watcher;
pub use error::{CommitError, CommitFault, ObserveError, OpenError, Reason, RefusedOperation, RemoveError};
use known::Known;

/// Where our jump stands in a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Position {
    /// First: before every rule that can end or divert a packet's way.
    #[default]
    First,
    /// After the rules that are there when it is made.
    Last,
}

/// How the kernel is to be programmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Where our jumps stand.
    pub position: Position,
}

/// What of a kernel is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Sets, chains and jumps. A jump that isn't in its place, or that stands twice, isn't listed, so that
    /// a comparison asks for it.
    pub rulesets: Rulesets,
    /// What has a name like ours and isn't ours, or not as we make it: left alone.
    pub foreign: Vec<Foreign>,
    /// Rules of others that stand before a jump of ours and can take its packets away, as text.
    pub contested: Vec<Contest>,
    /// Families whose table is dormant: none of its rules judges a packet, whoever's it is.
    pub dormant: Vec<Family>,
    /// How many members of our sets no graph can have, so that a comparison doesn't ask for their removal:
    /// [`Dataplane::mend`] removes them.
    pub strange: usize,
}

impl Default for Observed {
    fn default() -> Self {
        Observed {
            rulesets: Rulesets::empty(),
            foreign: Vec::new(),
            contested: Vec::new(),
            dormant: Vec::new(),
            strange: 0,
        }
    }
}

/// Something with a name like ours that we leave alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Foreign {
    /// `chain MS-X of ipv4`, `set MS-x`.
    pub what: String,
    /// Why it isn't taken for ours.
    pub why: String,
}

/// A rule of somebody else that meets packets before our jump does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contest {
    /// The family.
    pub family: Family,
    /// The base chain.
    pub hook: ms_acl_core::ruleset::Hook,
    /// The number of such rules.
    pub rules: usize,
}

/// What a commit did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// Chains that were created.
    pub chains_added: usize,
    /// Chains that were deleted.
    pub chains_removed: usize,
    /// Rules that were added, jumps in base chains not counted.
    pub rules_added: usize,
    /// Rules that were deleted, with those of deleted chains.
    pub rules_removed: usize,
    /// Sets that were created.
    pub sets_added: usize,
    /// Sets that were destroyed.
    pub sets_removed: usize,
    /// Members that were to be added, whether they were there or not.
    pub members_added: usize,
    /// Members that were to be removed, whether they were there or not.
    pub members_removed: usize,
    /// What couldn't be deleted, because somebody else uses it.
    pub kept: Vec<Kept>,
}

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveReport {
    /// Jumps out of base chains.
    pub jumps: usize,
    /// Chains.
    pub chains: usize,
    /// Sets.
    pub sets: usize,
    /// Base chains that weren't there before us.
    pub base_chains: usize,
    /// Tables that weren't there before us.
    pub tables: usize,
    /// How often it was looked again because others changed rules in between.
    pub overtaken: usize,
    /// What is left, and why: also chains with names by our scheme that nothing shows to be ours.
    pub kept: Vec<Kept>,
}

/// Something of ours, or named like ours, that stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// `chain MS-ADMIN of ipv4`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The kernel's tables and sets of one network namespace, of which we own a part.
///
/// It blocks, it never waits for long, and it keeps what it has seen: the handles of our rules and the
/// numbers of our sets. When somebody else changes them in between, a commit fails and says so;
/// [`Dataplane::observe`] reads everything again.
#[derive(Debug)]
pub struct Dataplane {
    nft: Connection,
    ipset: ipset::Client,
    options: Options,
    families: Vec<Family>,
    faults: Vec<String>,
    known: Known,
}

impl Dataplane {
    /// Opens the dataplane of the calling thread's network namespace, and looks whether the kernel has
    /// what it takes. A family that lacks something is left out and named in [`Dataplane::faults`].
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_under(options, Hardship::default())
    }

    /// The same with faults made likely, for tests.
    pub fn open_under(options: Options, hardship: Hardship) -> Result<Self, OpenError> {
        let mut nft = Connection::open_under(hardship).map_err(OpenError::Socket)?;
        let mut ipset = ipset::Client::open_under(hardship).map_err(OpenError::Socket)?;
        let (families, faults) = preflight::check(&mut nft, &mut ipset)?;
        Ok(Dataplane { nft, ipset, options, families, faults, known: Known::default() })
    }

    /// The families that are enforced. Steps of a transaction for another one are passed over.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// What the kernel lacks, a sentence each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// What went wrong and was done again, since the dataplane was opened.
    pub fn mishaps(&self) -> Mishaps {
        self.nft.mishaps + self.ipset.mishaps()
    }

    /// Listens to changes that others make to rules, in the calling thread's network namespace.
    pub fn watch(&self) -> std::io::Result<Watcher> {
        Watcher::open(self.port())
    }

    /// The address under which the kernel announces our changes to rules.
    pub fn port(&self) -> u32 {
        self.nft.port()
    }

    /// The expressions of a chain's rules as the kernel returns them, for tests and for finding out what
    /// a rule is that can't be read.
    pub fn expressions(&mut self, family: Family, chain: &str) -> Result<Vec<Vec<u8>>, ObserveError> {
        let listed = known::list_rules(&mut self.nft, family, chain)
            .map_err(|source| ObserveError::Chain { family, chain: chain.to_owned(), source })?;
        Ok(listed.into_iter().map(|rule| rule.expressions).collect())
    }
}

impl CommitReport {
    /// The sum of both.
    pub fn merge(&mut self, other: CommitReport) {
        self.chains_added += other.chains_added;
        self.chains_removed += other.chains_removed;
        self.rules_added += other.rules_added;
        self.rules_removed += other.rules_removed;
        self.sets_added += other.sets_added;
        self.sets_removed += other.sets_removed;
        self.members_added += other.members_added;
        self.members_removed += other.members_removed;
        self.kept.extend(other.kept);
    }
}
