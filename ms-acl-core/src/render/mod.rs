//! The rule graph as text that tools read and people review.
//!
//! | for | function | as |
//! |---|---|---|
//! | `iptables-restore` | [`iptables_save`] | iptables-save text, one family |
//! | `ipset restore` | [`ipset_save`] | ipset-save text |
//! | `nft -f` | [`nft()`] | nftables' own syntax, tables of its own |
//! | programs | [`json()`] | JSON with everything spelled out |
//! | `dot` | [`dot()`] | a picture |
//! | people | [`summary()`] | who is governed by what |

mod dot;
mod ipset;
mod iptables;
mod json;
mod nft;
mod summary;
mod words;

pub use dot::{dot, dot_family};
pub use ipset::{ipset_save, ipset_save_family};
pub use iptables::{iptables_save, rule as iptables_rule};
pub use json::{json, json_family};
pub use nft::{nft, nft_family};
pub use summary::{summary, summary_family, summary_with_names};
