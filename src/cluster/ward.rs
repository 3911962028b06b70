//! Ward linkage by nearest-neighbour chains (Murtagh 1983), with Lance and Williams' update. Every row counts once, be
//! it the mean of many, as in scikit-learn's BIRCH.

use super::ClusterError;
use super::kmeans::squared_distance;
use super::progress::Stage;
use crate::types::Vectors;
use rayon::prelude::*;

/// Merges rows until `k` groups are left: the group of each row, dense from 0. Holds a cost for every pair of rows.
pub(super) fn merge(rows: &Vectors, k: usize, stage: &Stage<'_>) -> Result<Vec<u32>, ClusterError> {
    let n = rows.len();
    let mut count = vec![1.0f32; n];
    let mut cost = costs(rows);
    let mut active = vec![true; n];
    let mut chain: Vec<usize> = Vec::new();
    let mut merges: Vec<(f32, usize, usize)> = Vec::new();
    while merges.len() + 1 < n {
        if merges.len().is_multiple_of(64) {
            stage.tick(merges.len(), n)?;
        }
        if chain.is_empty() {
            chain.extend(active.iter().position(|&active| active));
        }
        let Some(&top) = chain.last() else { break };
        let before = chain.len().checked_sub(2).map(|place| chain[place]);
        let row = &cost[top * n..(top + 1) * n];
        // The one the chain came from goes first, or ties could turn it round for ever.
        let start = before.map_or((f32::INFINITY, usize::MAX), |before| (row[before], before));
        let (nearest_cost, nearest) = (0..n)
            .filter(|&other| active[other] && other != top)
            .fold(start, |best, other| if row[other] < best.0 { (row[other], other) } else { best });
        if Some(nearest) != before {
            chain.push(nearest);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (kept, gone) = (top.min(nearest), top.max(nearest));
        merges.push((nearest_cost, kept, gone));
        active[gone] = false;
        for other in (0..n).filter(|&other| active[other] && other != kept) {
            let (a, b, c) = (count[kept], count[gone], count[other]);
            let merged = ((a + c) * cost[kept * n + other] + (b + c) * cost[gone * n + other]
                - c * nearest_cost)
                / (a + b + c);
            cost[kept * n + other] = merged;
            cost[other * n + kept] = merged;
        }
        count[kept] += count[gone];
    }
    // Chains find merges out of order; those of least cost come first, and only as many as leave k groups.
    merges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sets = super::mst::UnionFind::new(n);
    for &(_, a, b) in merges.iter().take(n.saturating_sub(k)) {
        sets.union(a as u32, b as u32);
    }
    let mut number = std::collections::HashMap::new();
    Ok((0..n as u32)
        .map(|row| {
            let next = number.len() as u32;
            *number.entry(sets.find(row)).or_insert(next)
        })
        .collect())
}

/// What merging each pair would add to the scatter of their means, shape (n, n).
fn costs(rows: &Vectors) -> Vec<f32> {
    let n = rows.len();
    let row = |a: usize| (0..n).map(move |b| 0.5 * squared_distance(rows.row(a), rows.row(b)));
    (0..n).into_par_iter().flat_map_iter(row).collect()
}
