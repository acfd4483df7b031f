//! The fewest changes of one chain's rules.

use super::ChainEdit;
use crate::ruleset::{ChainName, Family, Rule};

/// A table of this many cells is the most that is looked at to find the fewest changes; chains that
/// differ over more than that are written anew between their common start and end.
const CELLS: usize = 1 << 22;

/// How the rules of a chain change; `None` = not at all.
pub(crate) fn edit(family: Family, chain: &ChainName, old: &[Rule], new: &[Rule]) -> Option<ChainEdit> {
    let same = |(a, b): &(&Rule, &Rule)| a.programs_same(b);
    let start = old.iter().zip(new).take_while(same).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(same).count();
    let old_rest = &old_rest[..old_rest.len() - end];
    let new_rest = &new_rest[..new_rest.len() - end];
    if old_rest.is_empty() && new_rest.is_empty() {
        return None;
    }
    let kept = common(old_rest, new_rest);
    let mut inserts = Vec::new();
    let mut deletes = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (kept_old, kept_new) in kept.into_iter().chain([(old_rest.len(), new_rest.len())]) {
        deletes.extend((i..kept_old).map(|at| start + at));
        inserts.extend(new_rest[j..kept_new].iter().map(|rule| (start + kept_old, rule.clone())));
        (i, j) = (kept_old + 1, kept_new + 1);
    }
    Some(ChainEdit { family, chain: chain.clone(), before: old.len(), inserts, deletes })
}

/// A longest common subsequence, as pairs of indexes.
fn common(old: &[Rule], new: &[Rule]) -> Vec<(usize, usize)> {
    if old.is_empty() || new.is_empty() || old.len().saturating_mul(new.len()) > CELLS {
        return Vec::new();
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i].programs_same(&new[j]) {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        if old[i].programs_same(&new[j]) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}
