//! Listening to what others change in the kernel.

use std::time::Duration;

use anyhow::Context;
use ms_acl_netfilter::watch::{Change, Watcher};

use super::{EngineHandle, Input};

/// How long one wait lasts.
const WAIT: Duration = Duration::from_hours(1);

/// Tells the engine when somebody else changed something of ours, until the engine has ended.
pub(crate) fn watch(mut watcher: Watcher, engine: &EngineHandle) -> anyhow::Result<()> {
    loop {
        let touched = match watcher.wait(WAIT).context("can't listen to changes of rules")? {
            Change::Nothing => continue,
            Change::Overrun => None,
            Change::Touched(touched) => Some(touched),
        };
        if !engine.send(Input::Drift { touched }) {
            return Ok(());
        }
    }
}
