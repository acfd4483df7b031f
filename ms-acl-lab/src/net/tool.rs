//! Runs command line tools in the calling thread's network namespace.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use super::error::{Cause, Doing, Result};

/// Runs a tool to its end, with `input` on its standard input, and returns what it printed.
pub(crate) fn output<S: AsRef<OsStr>>(program: &str, args: &[S], input: Option<&str>) -> Result<String> {
    let action = || {
        let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        format!("run {program} {}", args.join(" "))
    };
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().doing(action)?;
    if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
        // A tool that fails stops reading; its exit status tells more than the broken pipe.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().doing(action)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Cause::Tool { program: program.to_owned(), status: output.status, stderr }).doing(action)
}

/// Runs lines of `ip` commands in one process; the first that fails ends it.
pub(crate) fn ip_batch(lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut text = lines.join("\n");
    text.push('\n');
    output("ip", &["-batch", "-"], Some(&text)).map(drop)
}
