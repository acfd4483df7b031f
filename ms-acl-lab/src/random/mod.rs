//! Random worlds, small and nasty, and the flows at their edges.
//!
//! A world is drawn from one number, so that every run of it can be had again: [`world_from_seed`].
//! For proptest there are the strategies [`worlds`] and [`cases`]; they shrink by taking away
//! whatever can be taken away. A [`Shape`] says what a world must look like.

mod acl;
mod address;
mod broken;
mod cluster;
mod dice;
mod flow;
mod history;
mod mangle;
mod pod;
mod policy;
mod selector;
mod settings;
mod shape;
mod shrink;
mod strategy;
mod workload;

pub use acl::{broken_document, document};
pub use dice::Dice;
pub use flow::{edge_flows, some_flows};
pub use history::{Edit, History, history};
pub use mangle::mangle;
pub use shape::{GivenNode, GivenPod, Shape};
pub use strategy::{Case, Drawn, cases, drawn, worlds};

use crate::oracle::World;

/// The world that belongs to a seed and a shape.
pub fn world_from_seed(seed: u64, shape: &Shape) -> World {
    world(&mut Dice::from_seed(seed), shape)
}

/// A world of a shape that these dice draw.
pub fn world(dice: &mut Dice, shape: &Shape) -> World {
    cluster::world(dice, shape)
}

#[cfg(test)]
mod shares;
#[cfg(test)]
mod tests;
