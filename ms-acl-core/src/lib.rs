//! Network access control for Kubernetes nodes, as a pure function.
//!
//! Objects come in, rule graphs come out:
//!
//! ```text
//! object ─▶ lower ─▶ model ─▶ cluster ─▶ resolve ─▶ compile ─▶ ruleset ─▶ diff ─▶ Transaction
//!                                                                 ├─▶ verdict
//!                                                                 └─▶ render
//! ```
//!
//! - [`object`]: Kubernetes objects, cut down to what policy needs.
//! - [`lower`]: policies of every kind into one [`model`] of gates, tiers and rules.
//! - [`cluster`]: the world as state, event by event.
//! - [`resolve`]: what each direction of each local pod is judged by.
//! - [`compile`]: the rule graphs of a node, from scratch; [`program`]: the same, kept current.
//! - [`ruleset`]: the rule graph itself; [`diff`]: from one to another in safe steps.
//! - [`hold`]: a former run's rules beside the desired ones, while a part of the cluster can't be read.
//! - [`verdict`]: a packet walks the graph, `explain` says why, `matrix` who reaches whom; [`render`]: the
//!   graph as text; [`lint`]: the traps in what was written.
//!
//! No I/O, no async, no clock, no logging. A bad object is a [`model::Diagnostic`], never a panic.
//!
//! ```
//! use ms_acl_core::cluster::Cluster;
//! use ms_acl_core::compile::compile;
//! use ms_acl_core::model::Settings;
//! use ms_acl_core::object::Object;
//! use ms_acl_core::render::iptables_save;
//!
//! let mut cluster = Cluster::new();
//! let pod = serde_json::json!({
//!     "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
//!     "spec": {"nodeName": "node1"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}
//! });
//! let policy = serde_json::json!({
//!     "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
//!     "metadata": {"name": "deny", "namespace": "default"}, "spec": {"podSelector": {}}
//! });
//! for value in [pod, policy] {
//!     if let Ok(Some(object)) = Object::decode(value) {
//!         cluster.apply(object);
//!     }
//! }
//! let compiled = compile(&cluster, &Settings::new("node1"));
//! assert!(iptables_save(&compiled.rulesets.v4).contains("-A MS-INGRESS -d 10.0.0.1/32"));
//! ```
#![forbid(unsafe_code)]

pub mod cluster;
pub mod compile;
pub mod diff;
pub mod hold;
pub mod lint;
pub mod lower;
pub mod model;
pub mod object;
pub mod program;
pub mod render;
pub mod resolve;
pub mod ruleset;
pub mod verdict;
