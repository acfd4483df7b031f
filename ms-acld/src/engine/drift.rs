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
        let what = match watcher.wait(WAIT).context("can't listen to changes of rules")? {
            Change::Nothing => continue,
            Change::Overrun => "more than can be listened to".to_owned(),
            Change::Touched(touched) => {
                let chains = touched.chains.iter().map(|(family, name)| format!("{family} {name}"));
                let hooks = touched.hooks.iter().map(|(family, hook)| format!("{family} {}", hook.chain()));
                let tables = touched.tables.iter().map(|family| format!("the {family} table"));
                chains.chain(hooks).chain(tables).take(8).collect::<Vec<_>>().join(", ")
            }
        };
        if !engine.send(Input::Drift { what }) {
            return Ok(());
        }
    }
}
