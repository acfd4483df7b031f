//! A matrix as a table for a terminal.

use std::fmt::{self, Display, Formatter, Write};

use super::{Endpoint, Matrix};
use crate::verdict::Verdict;

/// A cell of a table.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Who opens the flow.
    pub from: &'a Endpoint,
    /// To whom.
    pub to: &'a Endpoint,
    /// What becomes of it; `None`: the two have no family in common.
    pub verdict: Option<Verdict>,
}

/// A table with the names at its head is at most this wide; a wider one has numbers there, and a
/// letter in each cell.
const WIDE: usize = 120;

impl Display for Matrix {
    /// The table without marks.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(|_, text| text.to_owned()))
    }
}

impl Matrix {
    /// The table. `mark` gets each cell and its text, without the blanks around it, and gives the
    /// text that shall be printed in its place: the same letters, with colours or not.
    pub fn table(&self, mark: impl Fn(Cell<'_>, &str) -> String) -> String {
        let names: Vec<String> = self.to.iter().map(ToString::to_string).collect();
        let side = self.from.iter().map(|end| width(&end.to_string())).max().unwrap_or(0);
        let columns: Vec<usize> = names.iter().map(|name| width(name).max(6)).collect();
        let total = columns.iter().map(|width| width + 2).sum::<usize>() + side.max(4);
        if total <= WIDE { self.wide(&names, side, &columns, mark) } else { self.narrow(side, mark) }
    }

    /// Names at the head, words in the cells.
    fn wide(
        &self,
        names: &[String],
        side: usize,
        columns: &[usize],
        mark: impl Fn(Cell<'_>, &str) -> String,
    ) -> String {
        let side = side.max(width("from \\ to"));
        let mut text = format!("who reaches whom on {}\n", self.port);
        let mut head = pad("from \\ to", side);
        for (name, column) in names.iter().zip(columns) {
            let _ = write!(head, "  {}", pad(name, *column));
        }
        let _ = writeln!(text, "{}", head.trim_end());
        for (from, row) in self.from.iter().zip(&self.verdict) {
            let mut line = pad(&from.to_string(), side);
            for ((to, verdict), column) in self.to.iter().zip(row).zip(columns) {
                let word = verdict.map_or_else(|| "-".to_owned(), |verdict| verdict.to_string());
                let blanks = " ".repeat(column.saturating_sub(width(&word)));
                let marked = mark(Cell { from, to, verdict: *verdict }, &word);
                let _ = write!(line, "  {marked}{blanks}");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        self.foot(text)
    }

    /// Numbers at the head, digits below each other; a letter in each cell.
    fn narrow(&self, side: usize, mark: impl Fn(Cell<'_>, &str) -> String) -> String {
        let digits = self.from.len().max(self.to.len()).to_string().len();
        let mut text =
            format!("who reaches whom on {}: . allow, D drop, R reject, - no family in common\n", self.port);
        for place in 0..digits {
            let mut head = " ".repeat(digits + side + 2);
            for number in 1..=self.to.len() {
                let number = format!("{number:>digits$}");
                let digit = number.chars().nth(place).unwrap_or(' ');
                let _ = write!(head, " {digit}");
            }
            let _ = writeln!(text, "{}", head.trim_end());
        }
        for (index, (from, row)) in self.from.iter().zip(&self.verdict).enumerate() {
            let _ = write!(text, "{:>digits$} {} ", index + 1, pad(&from.to_string(), side));
            for (to, verdict) in self.to.iter().zip(row) {
                let letter = match verdict {
                    Some(Verdict::Allow) => ".",
                    Some(Verdict::Drop) => "D",
                    Some(Verdict::Reject) => "R",
                    None => "-",
                };
                let _ = write!(text, " {}", mark(Cell { from, to, verdict: *verdict }, letter));
            }
            text.push('\n');
        }
        if self.to != self.from {
            for (index, to) in self.to.iter().enumerate() {
                let _ = writeln!(text, "column {}: {to}", index + 1);
            }
        }
        self.foot(text)
    }

    fn foot(&self, mut text: String) -> String {
        for other in &self.disagreements {
            let _ = writeln!(text, "in {}: {} -> {} {}", other.family, other.from, other.to, other.verdict);
        }
        text
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}
