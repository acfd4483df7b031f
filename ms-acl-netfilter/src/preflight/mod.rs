//! What keeps a node's rules from governing its pods, found before it surprises anybody: each finding is a sentence
//! that says what is wrong and what to do about it.
//!
//! [`Preflight`] reads: interfaces, routes, settings, and the rules of others. What that means is a
//! [pure function](judge()) of what was read.

mod foreign;
mod judge;
mod links;
mod rule;
mod settings;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ms_acl_core::ruleset::Family;

use crate::netlink::{Connection, NetlinkError};
pub use foreign::{Base, ForeignChain, ForeignRule, ForeignRules, Use};
pub use judge::judge;
use links::Links;
pub use walk::{Action, Condition, Packet, Reach};

/// A pod and its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodAt {
    /// `namespace/name`.
    pub name: String,
    /// One of its addresses.
    pub address: IpAddr,
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// The pods of this node.
    pub pods: Vec<PodAt>,
    /// Some pods of other nodes; a few of each family are enough.
    pub others: Vec<PodAt>,
    /// The bits of the packet mark that are ours.
    pub mark_mask: u32,
    /// The bits of the connection mark that are ours.
    pub connmark_mask: u32,
}

/// How packets get to a pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a bridge.
    Bridge(String),
    /// Behind an interface, which may be its own.
    Interface(String),
    /// Through the interface that leads to the outside, or through a gateway: not through this node.
    Outside(String),
    /// Nowhere: it has no route.
    Nowhere,
}

/// How a bridge's packets get into chains of rules, by itself; IPv4, IPv6.
pub type BridgeCalls = [bool; 2];

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// This node's pods, and how packets get to them.
    pub pods: Vec<(PodAt, Place)>,
    /// Some pods of other nodes, and the interface that leads to them.
    pub others: Vec<(PodAt, Option<String>)>,
    /// The bridges that pods are on.
    pub bridges: BTreeMap<String, BridgeCalls>,
    /// `bridge-nf-call-iptables` and its twin for IPv6; `None` = `br_netfilter` isn't there.
    pub bridge_filter: Option<BridgeCalls>,
    /// The reverse-path filter that is in force on the interfaces that pods are behind: 0 off, 1 strict, 2 loose.
    pub reverse_path: BTreeMap<String, u8>,
    /// Tables of the legacy iptables that have rules.
    pub legacy: Vec<(Family, String)>,
    /// The rules of others.
    pub rules: Arc<ForeignRules>,
    /// The bits of the packet mark that are ours.
    pub mark_mask: u32,
    /// The bits of the connection mark that are ours.
    pub connmark_mask: u32,
}

/// Reads what there is to know, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Preflight {
    route: Connection,
    nft: Connection,
    rules: Arc<ForeignRules>,
}

impl Preflight {
    /// Opens its sockets.
    pub fn open() -> std::io::Result<Self> {
        Ok(Preflight { route: Connection::open_route()?, nft: Connection::open()?, rules: Arc::default() })
    }

    /// Reads the rules of others, all of them: not to be done often.
    pub fn read_rules(&mut self) -> Result<(), NetlinkError> {
        self.rules = Arc::new(foreign::read(&mut self.nft)?);
        Ok(())
    }

    /// Reads everything else.
    pub fn look(&mut self, ask: &Ask) -> Result<Facts, NetlinkError> {
        let links = Links::read(&mut self.route)?;
        let mut pods = Vec::with_capacity(ask.pods.len());
        for pod in &ask.pods {
            pods.push((pod.clone(), links.place(&mut self.route, pod.address)?));
        }
        let mut others = Vec::with_capacity(ask.others.len());
        for pod in &ask.others {
            others.push((pod.clone(), links.towards(&mut self.route, pod.address)?));
        }
        let behind: BTreeSet<&String> = pods
            .iter()
            .filter_map(|(_, place)| match place {
                Place::Interface(name) => Some(name),
                _ => None,
            })
            .collect();
        let on: BTreeSet<&String> = pods
            .iter()
            .filter_map(|(_, place)| match place {
                Place::Bridge(name) => Some(name),
                _ => None,
            })
            .collect();
        let reverse_path =
            behind.into_iter().map(|name| (name.clone(), settings::reverse_path(name))).collect();
        let bridges = on.into_iter().map(|name| (name.clone(), links.bridge_calls(name))).collect();
        Ok(Facts {
            pods,
            others,
            bridges,
            bridge_filter: settings::bridge_filter(),
            reverse_path,
            legacy: settings::legacy_tables(),
            rules: Arc::clone(&self.rules),
            mark_mask: ask.mark_mask,
            connmark_mask: ask.connmark_mask,
        })
    }
}
