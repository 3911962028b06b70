//! Stable cluster ids: which new cluster continues which old one, and where each new one came from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;

use crate::types::{ClusterId, ImageId};

/// How a new clustering follows from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The id of each new label, shape (clusters).
    pub ids: Vec<ClusterId>,
    /// The old clusters that each new one has images of, with how many, most first; shape (clusters). Two parents or
    /// more are a merge; an old id named by several new clusters was split.
    pub parents: Vec<Vec<(ClusterId, usize)>>,
    /// The first id never given out.
    pub next: ClusterId,
}

/// Gives every new cluster the id of the old cluster it continues, or a fresh one from `next` on.
///
/// A pair matches when it shares more than half of the images of either cluster's part that both runs know (images of
/// either run that the other did not have or called noise say nothing), pairs of largest overlap, by Jaccard index,
/// first. With "more than half of the smaller", a piece that splits off could take a name only when the larger piece
/// does not: Jaccard's order gives the name to the piece that resembles the old cluster most. Ties go to the smaller
/// old id, then to the smaller label.
pub fn match_clusters<S: BuildHasher>(
    previous: &HashMap<ImageId, ClusterId, S>,
    images: &[ImageId],
    labels: &[Option<u32>],
    next: ClusterId,
) -> Lineage {
    let clusters = labels.iter().flatten().max().map_or(0, |&label| label as usize + 1);
    let mut shared: BTreeMap<(u32, ClusterId), usize> = BTreeMap::new();
    let mut old_size: HashMap<ClusterId, usize> = HashMap::new();
    let mut new_size = vec![0usize; clusters];
    for (image, label) in images.iter().zip(labels) {
        if let (Some(&old), Some(new)) = (previous.get(image), *label) {
            *shared.entry((new, old)).or_default() += 1;
            *old_size.entry(old).or_default() += 1;
            new_size[new as usize] += 1;
        }
    }
    let mut pairs: Vec<(f64, ClusterId, u32)> = shared
        .iter()
        .filter(|&(&(new, old), &count)| 2 * count > old_size[&old].min(new_size[new as usize]))
        .map(|(&(new, old), &count)| {
            (count as f64 / (old_size[&old] + new_size[new as usize] - count) as f64, old, new)
        })
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut ids: Vec<Option<ClusterId>> = vec![None; clusters];
    let mut taken = HashSet::new();
    for (_, old, new) in pairs {
        if ids[new as usize].is_none() && taken.insert(old) {
            ids[new as usize] = Some(old);
        }
    }
    let mut next = next.0;
    let ids = ids
        .into_iter()
        .map(|id| {
            id.unwrap_or_else(|| {
                next += 1;
                ClusterId(next - 1)
            })
        })
        .collect();
    let mut parents = vec![Vec::new(); clusters];
    for ((new, old), count) in shared {
        parents[new as usize].push((old, count));
    }
    for parents in &mut parents {
        parents.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    }
    Lineage { ids, parents, next: ClusterId(next) }
}
