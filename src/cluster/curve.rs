//! The curve of distances to the k-th nearest point, and where it bends.

use super::knn::KnnGraph;
use super::outcome::CURVE_POINTS_MAX;

/// The distances to the `min_points`-th point, ascending; points without as many are left out.
pub(super) fn k_distances(graph: &KnnGraph, min_points: usize) -> Vec<f32> {
    let mut curve: Vec<f32> = (0..graph.len()).map(|row| graph.core_distance(row, min_points)).collect();
    curve.retain(|distance| distance.is_finite());
    curve.sort_unstable_by(f32::total_cmp);
    curve
}

/// Where an ascending curve bends: the point farthest below the chord between its ends (Satopää et al., "Finding a
/// Kneedle in a Haystack", 2011).
pub(super) fn knee(curve: &[f32]) -> Option<f32> {
    let (&first, &last) = (curve.first()?, curve.last()?);
    let end = (curve.len() - 1).max(1) as f32;
    let below = |(i, &value): (usize, &f32)| first + (last - first) * i as f32 / end - value;
    let best = curve.iter().enumerate().max_by(|a, b| below(*a).total_cmp(&below(*b)).then(b.0.cmp(&a.0)));
    best.map(|(_, &value)| value)
}

/// At most [`CURVE_POINTS_MAX`] points of a curve, both ends among them.
pub(super) fn thin(curve: Vec<f32>) -> Vec<f32> {
    if curve.len() <= CURVE_POINTS_MAX {
        return curve;
    }
    (0..CURVE_POINTS_MAX).map(|i| curve[i * (curve.len() - 1) / (CURVE_POINTS_MAX - 1)]).collect()
}
