//! The rule graph as a picture, for Graphviz' `dot`.
//!
//! A chain is a table with a row for each rule; arrows lead from a rule to the chain that it enters
//! and, dashed, to the sets that it looks into. Gates and their policies stand in one frame for each gate and
//! direction. What a rule decides stands in its row, in colour, instead of an arrow to the chains
//! that every policy ends in; those stand apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ipnet::IpNet;

use super::words::{matches_in_words, target_in_words};
use crate::compile::{Role, layout};
use crate::ruleset::{
    Chain, ChainName, Direction, Family, Match, Provenance, Rule, Ruleset, Rulesets, Set, SetName, Target,
};

/// At most this many pods of a line, and members of a set, are named.
const FEW: usize = 6;
/// A text is broken into lines of about so many characters.
const WIDE: usize = 56;

/// Both families in one picture, for Graphviz' `dot`: a table for each chain, a frame for each gate and
/// direction, sets as leaves.
pub fn dot(graphs: &Rulesets) -> String {
    picture(&[&graphs.v4, &graphs.v6])
}

/// One family of [`dot`].
pub fn dot_family(graph: &Ruleset) -> String {
    picture(&[graph])
}

fn picture(graphs: &[&Ruleset]) -> String {
    let mut text = String::from(
        "digraph \"ms-acl\" {\n  rankdir=LR; ranksep=1.2; nodesep=0.25; compound=true;\n  \
         graph [fontname=\"Helvetica\"]; node [shape=plain, fontname=\"Helvetica\", fontsize=10]; \
         edge [fontname=\"Helvetica\", arrowsize=0.6];\n",
    );
    for graph in graphs {
        let family = graph.family;
        let _ = writeln!(text, "  subgraph \"cluster {family}\" {{ label=\"{family}\"; color=gray70;");
        Picture { graph, text: &mut text }.draw();
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}

/// Where a chain stands in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Frame {
    Entry,
    Dispatch(Direction),
    Gate(Direction, Option<crate::ruleset::GateKind>),
    Ends,
    Loose,
}

impl Frame {
    fn label(self) -> Option<String> {
        match self {
            Frame::Entry | Frame::Loose => None,
            Frame::Dispatch(direction) => Some(format!("{direction}: from the pod's address to its group")),
            Frame::Gate(direction, kind) => {
                let kind = kind.map_or_else(|| "?".to_owned(), |kind| kind.to_string());
                Some(format!("{direction} gate {kind}"))
            }
            Frame::Ends => Some("what rules end in".to_owned()),
        }
    }
}

struct Picture<'a> {
    graph: &'a Ruleset,
    text: &'a mut String,
}

impl Picture<'_> {
    fn draw(&mut self) {
        let family = self.graph.family;
        let mut frames: BTreeMap<Frame, Vec<&ChainName>> = BTreeMap::new();
        let placed = frames_of(self.graph);
        for name in self.graph.chains.keys() {
            let frame = placed.get(name).copied().unwrap_or(match Role::of(name) {
                Role::End => Frame::Ends,
                Role::Hook | Role::Admin => Frame::Entry,
                _ => Frame::Loose,
            });
            frames.entry(frame).or_default().push(name);
        }
        for (frame, names) in &frames {
            if let Some(label) = frame.label() {
                let label = quoted(&label);
                let _ = writeln!(
                    self.text,
                    "    subgraph {} {{ label={label}; style=rounded; color=steelblue;",
                    quoted(&format!("cluster {family} {frame:?}"))
                );
            }
            for name in names {
                self.chain(name);
            }
            if frame.label().is_some() {
                self.text.push_str("    }\n");
            }
        }
        for (hook, chain) in &self.graph.hooks {
            let from = quoted(&format!("{family} {}", hook.chain()));
            let _ = writeln!(self.text, "    {from} [shape=ellipse, label=\"{}\"];", hook.chain());
            let _ = writeln!(self.text, "    {from} -> {}:top;", node(family, chain));
        }
        let graph = self.graph;
        for (name, set) in &graph.sets {
            self.set(name, set);
        }
        for (name, chain) in &graph.chains {
            self.arrows(name, chain);
        }
    }

    /// A chain's table. Rows of dispatch to one chain stand together.
    fn chain(&mut self, name: &ChainName) {
        let Some(chain) = self.graph.chains.get(name) else { return };
        let head = if chain.title.is_empty() {
            String::new()
        } else {
            format!("<BR/><I>{}</I>", escaped(&chain.title))
        };
        let _ = write!(
            self.text,
            "    {} [label=<<TABLE BORDER=\"0\" CELLBORDER=\"1\" CELLSPACING=\"0\" CELLPADDING=\"3\">\
             <TR><TD PORT=\"top\" COLSPAN=\"2\" BGCOLOR=\"{}\"><B>{name}</B>{head}</TD></TR>",
            node(self.graph.family, name),
            head_colour(Role::of(name))
        );
        if let Role::Dispatch(_) = Role::of(name) {
            for (index, (target, nets)) in dispatch_rows(chain).into_iter().enumerate() {
                let to_itself = if *target == Target::Return { "to itself: " } else { "" };
                self.row(index, None, &format!("{to_itself}{}", pods(&nets)), &target_in_words(target));
            }
        } else {
            for (index, rule) in chain.rules.iter().enumerate() {
                let matches = matches_in_words(rule, self.graph);
                let does = match (&rule.target, &rule.comment) {
                    (Target::Jump(_), Some(comment)) => comment.as_str().to_owned(),
                    (target, _) => target_in_words(target),
                };
                self.row(index, rule.provenance.as_deref(), &matches, &does);
            }
        }
        self.text.push_str("</TABLE>>];\n");
    }

    fn row(&mut self, index: usize, provenance: Option<&Provenance>, matches: &str, does: &str) {
        let origin = provenance.map(origin).unwrap_or_default();
        let origin = if origin.is_empty() {
            origin
        } else {
            format!("<B>{}</B><BR ALIGN=\"LEFT\"/>", escaped(&origin))
        };
        let _ = write!(
            self.text,
            "<TR><TD ALIGN=\"LEFT\" BALIGN=\"LEFT\">{origin}{}</TD><TD PORT=\"r{index}\" ALIGN=\"LEFT\"><FONT COLOR=\"{}\">{}</FONT></TD></TR>",
            broken(matches),
            colour(does),
            escaped(does)
        );
    }

    fn set(&mut self, name: &SetName, set: &Set) {
        let mut members: Vec<String> = set.members.iter().take(FEW).map(ToString::to_string).collect();
        if set.members.len() > FEW {
            members.push(format!("and {} more", set.members.len() - FEW));
        }
        if members.is_empty() {
            members.push("no members".to_owned());
        }
        let _ = writeln!(
            self.text,
            "    {} [label=<<TABLE BORDER=\"1\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"2\" STYLE=\"ROUNDED\" BGCOLOR=\"lightyellow\">\
             <TR><TD><B>{}</B></TD></TR><TR><TD>{name}</TD></TR><TR><TD BALIGN=\"LEFT\">{}</TD></TR></TABLE>>];",
            quoted(&format!("{} set {name}", self.graph.family)),
            broken(&set.title),
            members.iter().map(|member| escaped(member)).collect::<Vec<_>>().join("<BR/>")
        );
    }

    fn arrows(&mut self, name: &ChainName, chain: &Chain) {
        let from = node(self.graph.family, name);
        let rows: Vec<(&Target, Vec<&Match>)> = if let Role::Dispatch(_) = Role::of(name) {
            dispatch_rows(chain).into_iter().map(|(target, _)| (target, Vec::new())).collect()
        } else {
            chain.rules.iter().map(|rule| (&rule.target, rule.matches.iter().collect())).collect()
        };
        for (index, (target, matches)) in rows.into_iter().enumerate() {
            if let Target::Jump(to) | Target::Goto(to) = target
                && Role::of(to) != Role::End
            {
                let _ = writeln!(self.text, "    {from}:r{index} -> {}:top;", node(self.graph.family, to));
            }
            for test in matches {
                if let Match::InSet(set, _) | Match::NotInSet(set, _) = test {
                    let set = quoted(&format!("{} set {set}", self.graph.family));
                    let _ = writeln!(self.text, "    {from}:r{index} -> {set} [style=dashed, color=gray50];");
                }
            }
        }
    }
}

/// The frames of the chains that belong to a direction, and to a gate.
fn frames_of(graph: &Ruleset) -> BTreeMap<&ChainName, Frame> {
    let mut frames = BTreeMap::new();
    for direction in Direction::BOTH {
        for group in layout::groups(graph, direction).into_keys() {
            frames.insert(group, Frame::Dispatch(direction));
            for gate in layout::gates(graph, group) {
                frames.insert(gate.chain, Frame::Gate(direction, gate.kind));
                for (policy, _) in gate.policies {
                    frames.insert(policy, Frame::Gate(direction, gate.kind));
                }
            }
        }
    }
    for name in graph.chains.keys() {
        if let Role::Dispatch(Some(direction)) = Role::of(name) {
            frames.insert(name, Frame::Dispatch(direction));
            for below in layout::dispatch_below(graph, name) {
                frames.insert(below, Frame::Dispatch(direction));
            }
        }
    }
    frames
}

/// The lines of a dispatch chain by where they lead, in order, with the addresses that lead there.
fn dispatch_rows(chain: &Chain) -> Vec<(&Target, Vec<IpNet>)> {
    let mut rows: Vec<(&Target, Vec<IpNet>)> = Vec::new();
    let mut seen: BTreeSet<(String, IpNet)> = BTreeSet::new();
    for rule in &chain.rules {
        let Some(net) = net_of(rule) else { continue };
        if !seen.insert((target_in_words(&rule.target), net)) {
            continue;
        }
        match rows.iter_mut().find(|(target, _)| **target == rule.target) {
            Some((_, nets)) => nets.push(net),
            None => rows.push((&rule.target, vec![net])),
        }
    }
    rows
}

fn net_of(rule: &Rule) -> Option<IpNet> {
    rule.matches.iter().find_map(|test| match test {
        Match::Source(net) | Match::Destination(net) => Some(*net),
        _ => None,
    })
}

fn pods(nets: &[IpNet]) -> String {
    let name = |net: &IpNet| {
        if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
    };
    let mut names: Vec<String> = nets.iter().take(FEW).map(name).collect();
    if nets.len() > FEW {
        names.push(format!("and {} more", nets.len() - FEW));
    }
    names.join(", ")
}

fn origin(provenance: &Provenance) -> String {
    let object = provenance.object.as_ref().map_or_else(|| "its policies".to_owned(), ToString::to_string);
    match (provenance.rule, &provenance.label) {
        (Some(rule), Some(label)) => format!("{object} rule {rule} ({label})"),
        (Some(rule), None) => format!("{object} rule {rule}"),
        (None, _) => format!("no rule of {object}"),
    }
}

fn head_colour(role: Role) -> &'static str {
    match role {
        Role::Hook | Role::Admin => "lightsteelblue",
        Role::Dispatch(_) | Role::Group(_) => "lavender",
        Role::Gate => "wheat",
        Role::Policy => "honeydew",
        Role::End => "gray90",
    }
}

fn colour(does: &str) -> &'static str {
    match does {
        "pass" | "accept" => "darkgreen",
        "drop" | "reject" => "firebrick",
        _ => "black",
    }
}

fn node(family: Family, chain: &ChainName) -> String {
    quoted(&format!("{family} {chain}"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text inside of an HTML-like label.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A long text in several lines.
fn broken(text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<BR ALIGN=\"LEFT\"/>")
        + "<BR ALIGN=\"LEFT\"/>"
}
