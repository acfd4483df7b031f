//! Daemons and tools that run beside a test.

use std::fs::{self, OpenOptions};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempPath;

use super::error::{Cause, Doing, Result};

/// How often a waiting call looks.
const TICK: Duration = Duration::from_millis(2);

/// A process that is killed, by its id, and waited for when this value is dropped.
///
/// What it writes to its standard output and error output goes to one file, which goes with this value.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Child,
    status: Option<ExitStatus>,
    log: TempPath,
}

impl Process {
    /// Starts a command, as [`Cluster::command_in`](super::Cluster::command_in) gives one.
    pub fn spawn(mut command: Command) -> Result<Process> {
        // Behind the tool that enters the namespace stands the program itself.
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let program = match args.as_slice() {
            [netns, exec, _, program, ..] if netns == "netns" && exec == "exec" => program.clone(),
            _ => command.get_program().to_string_lossy().into_owned(),
        };
        let action = || format!("start {program}");
        let log = tempfile::NamedTempFile::new().doing(action)?.into_temp_path();
        // Appending: what both outputs write stays whole.
        let file = OpenOptions::new().append(true).open(&log).doing(action)?;
        command.stdin(Stdio::null()).stdout(file.try_clone().doing(action)?).stderr(file);
        let child = command.spawn().doing(action)?;
        Ok(Process { program, child, status: None, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written until now.
    pub fn output(&self) -> Result<String> {
        let bytes = fs::read(&self.log).doing(|| format!("read what {} wrote", self.program))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How it ended; `None` while it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().doing(|| format!("look after {}", self.program))?;
        }
        Ok(self.status)
    }

    /// Waits until it ends.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            self.pause(deadline, || "its end".to_owned())?;
        }
    }

    /// Waits until it has written `text`; an error if it ends before.
    pub fn wait_for_output(&mut self, text: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            // Looked at in this order, so that last words count.
            let status = self.status()?;
            let output = self.output()?;
            if output.contains(text) {
                return Ok(());
            }
            if let Some(status) = status {
                let cause = Cause::Tool { program: self.program.clone(), status, stderr: output };
                return Err(cause).doing(|| format!("wait for {text:?}"));
            }
            self.pause(deadline, || format!("{text:?}"))?;
        }
    }

    /// Sends it a signal; nothing happens if it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // An ended process that hasn't been waited for keeps its id, so the id can't be a stranger's.
        if self.status()?.is_some() {
            return Ok(());
        }
        let action = || format!("send {signal} to {}", self.program);
        let id =
            i32::try_from(self.id()).map_err(|_| Cause::Unfit("its id is too large".into())).doing(action)?;
        kill(Pid::from_raw(id), signal).doing(action)
    }

    fn pause(&self, deadline: Instant, awaited: impl Fn() -> String) -> Result<()> {
        if Instant::now() < deadline {
            thread::sleep(TICK);
            return Ok(());
        }
        let output = self.output().unwrap_or_default();
        Err(Cause::Unfit(format!("{} is late; it wrote: {output}", self.program)))
            .doing(|| format!("wait for {}", awaited()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; it is waited for in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
