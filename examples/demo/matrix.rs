//! Who reaches whom, by real connections, as a table for a terminal.

use std::io::IsTerminal;

use anyhow::Result;
use ms_acl_lab::net::{Cluster, Family, OUTSIDE, Outcome, Probe, Protocol};

/// The port that the demo asks about.
pub(crate) const PORT: u16 = 80;

/// The answers of one round of connections.
#[derive(Debug)]
pub(crate) struct Matrix {
    from: Vec<String>,
    to: Vec<String>,
    cells: Vec<Outcome>,
}

impl Matrix {
    /// Opens a TCP connection from every pod and from outside to every pod.
    pub(crate) fn measure(cluster: &Cluster) -> Result<Matrix> {
        let to: Vec<String> = cluster.pods().map(|pod| pod.name.clone()).collect();
        let from: Vec<String> = to.iter().cloned().chain([OUTSIDE.to_owned()]).collect();
        let mut probes = Vec::new();
        for source in &from {
            for destination in &to {
                let endpoint = cluster.endpoint(source, Family::V4)?;
                let address = cluster.address(destination, Family::V4)?;
                probes.push(Probe::new(endpoint, address, Protocol::Tcp, PORT));
            }
        }
        let cells = cluster.probe(&probes)?;
        Ok(Matrix { from, to, cells })
    }

    /// Sources, destinations and answers that differ from an earlier round.
    pub(crate) fn changes<'a>(
        &'a self,
        before: &'a Matrix,
    ) -> impl Iterator<Item = (&'a str, &'a str, Outcome)> {
        let cells = self.cells.iter().zip(&before.cells).enumerate();
        cells.filter(|(_, (now, then))| now != then).map(|(index, (now, _))| {
            (self.from[index / self.to.len()].as_str(), self.to[index % self.to.len()].as_str(), *now)
        })
    }

    /// Prints the table; cells that differ from an earlier round are marked.
    pub(crate) fn print(&self, before: Option<&Matrix>) {
        let colour = std::io::stdout().is_terminal();
        let first = self.from.iter().map(String::len).max().unwrap_or_default();
        print!("  {:first$}", "from \\ to");
        for name in &self.to {
            print!("  {name}");
        }
        println!();
        for (row, source) in self.from.iter().enumerate() {
            print!("  {source:first$}");
            for (column, destination) in self.to.iter().enumerate() {
                let index = row * self.to.len() + column;
                let outcome = self.cells[index];
                let changed = before.is_some_and(|before| before.cells[index] != outcome);
                let text = format!("{}{}", word(outcome), if changed { " *" } else { "" });
                let text = format!("{text:^width$}", width = destination.len());
                print!("  {}", if colour { paint(outcome, &text) } else { text });
            }
            println!();
        }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "yes",
        Outcome::Rejected => "REJECT",
        Outcome::Dropped => "DROP",
    }
}

fn paint(outcome: Outcome, text: &str) -> String {
    let code = match outcome {
        Outcome::Allowed => 32,
        Outcome::Rejected => 33,
        Outcome::Dropped => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
