//! Who reaches whom.

mod table;

use std::net::IpAddr;

use serde::Serialize;

use super::{Endpoint, Flow, FlowPort, NoAddress, Nodes, Verdict};
use crate::cluster::Cluster;
use crate::ruleset::Family;

pub use table::Cell;

/// Who reaches whom on a port. As JSON: `port`, `from[]`, `to[]`, `verdict[][]` (a row for each of
/// `from`; null where the two ends have no family in common) and `disagreements[]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The port.
    pub port: FlowPort,
    /// Who opens flows: the rows.
    pub from: Vec<Endpoint>,
    /// To whom: the columns.
    pub to: Vec<Endpoint>,
    /// For each row and column what becomes of the flow, in the family of the destination's first
    /// address that the source has too.
    pub verdict: Vec<Vec<Option<Verdict>>>,
    /// The flows for which the other family has another verdict.
    pub disagreements: Vec<Disagreement>,
}

/// A flow that the two families judge differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// Who opens it.
    pub from: Endpoint,
    /// To whom.
    pub to: Endpoint,
    /// The family that isn't in the matrix.
    #[serde(serialize_with = "super::explain::as_text")]
    pub family: Family,
    /// What becomes of the flow in that family.
    pub verdict: Verdict,
}

/// A cell that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who opens the flow.
    pub from: Endpoint,
    /// To whom.
    pub to: Endpoint,
    /// What became of it.
    pub was: Option<Verdict>,
    /// What becomes of it.
    pub is: Option<Verdict>,
}

/// All pods that have an address of their own, by namespace and name: the rows and columns where
/// nobody asks for others.
pub fn live_pods(cluster: &Cluster) -> Vec<Endpoint> {
    let live = cluster.pods().filter(|pod| cluster.addresses_of(pod).next().is_some());
    let end = |pod: &crate::model::PodFacts| Endpoint::Pod {
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
    };
    live.map(end).collect()
}

/// Judges a flow from each of `from` to each of `to`. Every node is compiled once.
pub fn matrix(
    nodes: &mut Nodes<'_>,
    (from, to): (&[Endpoint], &[Endpoint]),
    port: FlowPort,
    local_addresses: &dyn Fn(&str) -> Vec<IpAddr>,
) -> Result<Matrix, NoAddress> {
    let cluster = nodes.cluster();
    let addresses = |ends: &[Endpoint]| -> Result<Vec<Vec<IpAddr>>, NoAddress> {
        ends.iter().map(|end| end.addresses(cluster, local_addresses)).collect()
    };
    let (sources, destinations) = (addresses(from)?, addresses(to)?);
    let mut disagreements = Vec::new();
    let mut verdict = Vec::with_capacity(from.len());
    for (source, from) in sources.iter().zip(from) {
        let mut row = Vec::with_capacity(to.len());
        for (destination, to) in destinations.iter().zip(to) {
            let Some((first, second)) = super::explain::common(source, destination) else {
                row.push(None);
                continue;
            };
            let mut judge = |(from, to)| {
                let flow = Flow { from, to, protocol: port.protocol(), port: port.number() };
                nodes.judge(flow, local_addresses).verdict
            };
            let verdict = judge(first);
            row.push(Some(verdict));
            if let Some(pair) = second {
                let other = judge(pair);
                if other != verdict {
                    let family = Family::of(pair.0);
                    let (from, to) = (from.clone(), to.clone());
                    disagreements.push(Disagreement { from, to, family, verdict: other });
                }
            }
        }
        verdict.push(row);
    }
    Ok(Matrix { port, from: from.to_vec(), to: to.to_vec(), verdict, disagreements })
}

impl Matrix {
    /// What becomes of one flow; `None` where the ends aren't in the matrix or have no common family.
    pub fn verdict(&self, from: &Endpoint, to: &Endpoint) -> Option<Verdict> {
        *self.cell(from, to)?
    }

    /// The cells that aren't what they were, for ends that both matrices have, row by row.
    pub fn changes(&self, former: &Matrix) -> Vec<Change> {
        let mut changes = Vec::new();
        for (row, from) in self.verdict.iter().zip(&self.from) {
            for (is, to) in row.iter().zip(&self.to) {
                if let Some(was) = former.cell(from, to).filter(|was| *was != is) {
                    changes.push(Change { from: from.clone(), to: to.clone(), was: *was, is: *is });
                }
            }
        }
        changes
    }

    fn cell(&self, from: &Endpoint, to: &Endpoint) -> Option<&Option<Verdict>> {
        let row = self.from.iter().position(|end| end == from)?;
        let column = self.to.iter().position(|end| end == to)?;
        self.verdict.get(row)?.get(column)
    }
}
