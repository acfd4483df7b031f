//! Programs a rule graph into the Linux kernel through netlink, as iptables-nft rules and ipsets, and
//! reads it back.
//!
//! [`Dataplane`] is the whole of it: [`observe`](Dataplane::observe) reads what is ours,
//! [`commit`](Dataplane::commit) carries out a transaction, [`remove_all`](Dataplane::remove_all) takes
//! everything of ours away. It is blocking and works in the network namespace in which it was opened.
//! Nothing of others is changed, ever: what is ours is told by name and tag ([`own`]).

mod batch;
pub mod conntrack;
mod dataplane;
pub mod ipset;
mod netlink;
pub mod own;
pub mod preflight;
mod sys;
pub mod watch;
pub mod xtables;

pub use dataplane::{
    CommitError, CommitFault, CommitReport, Contest, Dataplane, Foreign, Kept, ObserveError, Observed,
    OpenError, Options, Position, Reason, RefusedOperation, RemoveError, RemoveReport,
};
pub use netlink::{Hardship, Mishaps, NetlinkError, Refusal};
