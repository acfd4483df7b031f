//! The HTTP API: HTTP/1.1 and 2, JSON and YAML, problems as RFC 9457 has them.
//!
//! [`server`] owns connections and their limits, [`router`] knows every path, [`access`] every caller; an
//! endpoint is a function from a request to an answer.

mod accept;
mod access;
mod answer;
mod body;
mod condition;
mod explain;
mod look;
mod places;
mod policy;
mod router;
mod ruleset;
mod server;
mod state;

use std::sync::Arc;

use ms_acl_core::lower::acl::AclDocument;
use tokio::sync::Mutex;

use crate::engine::EngineHandle;
use crate::policy_store::PolicyStore;
pub(crate) use access::{Access, Token};
pub(crate) use server::{listen, serve};

/// What the endpoints need.
pub(crate) struct Api {
    pub(crate) engine: EngineHandle,
    pub(crate) access: Access,
    pub(crate) desk: Desk,
}

/// The pushed document, and where it is kept. Writers come one after the other.
pub(crate) struct Desk {
    current: Mutex<Arc<AclDocument>>,
    store: Option<PolicyStore>,
}

impl Desk {
    pub(crate) fn new(current: Arc<AclDocument>, store: Option<PolicyStore>) -> Self {
        Desk { current: Mutex::new(current), store }
    }
}
