//! `ms-acld explain`.

use std::process::ExitCode;

use ms_acl_core::verdict::Nodes;
use ms_acl_core::verdict::explain::{Question, explain as explain_flow};

use super::load::load;
use super::{print, print_json, server, settings, success_if};
use crate::args::ExplainArgs;

/// Prints what becomes of a flow and why, on whatever nodes its ends are, or has a daemon say it. Fails
/// if there is no answer, or if something that was given couldn't be used, but not for what the answer is.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let question = Question { from: args.from.clone(), to: args.to.clone(), port: args.port };
    if let Some(server) = &args.server {
        let token = server::token(args.api_token.as_deref(), args.api_token_file.as_deref())?;
        print(&server::explain(server, token.as_deref(), &question, (args.observed, args.json))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Which node the settings name doesn't matter: each is judged as itself.
    let settings = match settings(&args.settings, "") {
        Ok(settings) => settings,
        Err(code) => return Ok(code),
    };
    let loaded = load(&args.files, args.policy.as_deref())?;
    loaded.tell_diagnostics();
    let explanation = explain_flow(&mut Nodes::new(&loaded.cluster, &settings), &question, &|_| Vec::new())?;
    if args.json {
        print_json(&explanation)?;
    } else {
        print(&explanation.to_string())?;
    }
    Ok(success_if(loaded.whole))
}
