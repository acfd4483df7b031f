//! The rule graph as text that tools read and people review.

mod ipset;
mod iptables;
mod role;
mod summary;

pub use ipset::{ipset_save, ipset_save_family};
pub use iptables::{iptables_save, rule as iptables_rule};
pub(crate) use role::Role;
pub use summary::summary;
