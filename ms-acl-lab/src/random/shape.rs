//! What a world must look like.

use std::net::IpAddr;

use crate::oracle::Settings;

/// What a world must look like. The default is as nasty as it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// No invalid object and no invalid document.
    pub valid_only: bool,
    /// All pods are Running, each has an address of its own and a node.
    pub running_only: bool,
    /// The nodes; empty = any.
    pub nodes: Vec<GivenNode>,
    /// The pods, with their places; their labels, ports and owners are drawn. Empty = any.
    pub pods: Vec<GivenPod>,
    /// Addresses outside of the cluster that policies shall speak of.
    pub externals: Vec<IpAddr>,
    /// The settings; `None` = any.
    pub settings: Option<Settings>,
    /// The greatest number of pods, where they aren't given.
    pub max_pods: usize,
    /// The greatest number of NetworkPolicies.
    pub max_policies: usize,
    /// The greatest number of entries in the policy document; 0 = no document.
    pub max_acl_entries: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            valid_only: false,
            running_only: false,
            nodes: Vec::new(),
            pods: Vec::new(),
            externals: Vec::new(),
            settings: None,
            max_pods: 12,
            max_policies: 6,
            max_acl_entries: 4,
        }
    }
}

/// A node that exists already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenNode {
    /// Its name.
    pub name: String,
    /// The addresses that its Node object lists.
    pub addresses: Vec<IpAddr>,
    /// Other local addresses of its kernel.
    pub local_addresses: Vec<IpAddr>,
}

/// A pod that exists already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The name of its node.
    pub node: String,
    /// Its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
}
