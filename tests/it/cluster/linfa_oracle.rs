//! DBSCAN against `linfa-clustering`'s, which is handed the neighbours as its index.

use culld::cluster::Parameters;
use culld::types::{Vectors, cosine_distance};
use linfa::traits::Transformer as _;
use linfa::{Float, ParamGuard as _};
use linfa_clustering::Dbscan;
use linfa_nn::distance::{Distance, L2Dist};
use linfa_nn::{BuildError, NearestNeighbour, NearestNeighbourIndex, NnError};
use ndarray016::{Array2, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};

use super::generate::Mixture;
use super::{cluster, ids};

/// The neighbours of each row within eps, itself included; a point's only coordinate is its row.
#[derive(Clone, Debug)]
struct Neighbours(Vec<Vec<usize>>);

impl NearestNeighbour for Neighbours {
    fn from_batch_with_leaf_size<'a, F: Float, DT: Data<Elem = F>, D: 'a + Distance<F>>(
        &self,
        batch: &'a ArrayBase<DT, Ix2>,
        _leaf_size: usize,
        _distance: D,
    ) -> Result<Box<dyn 'a + Send + Sync + NearestNeighbourIndex<F>>, BuildError> {
        Ok(Box::new(Bound { rows: self.0.clone(), points: batch.view() }))
    }
}

struct Bound<'a, F> {
    rows: Vec<Vec<usize>>,
    points: ArrayView2<'a, F>,
}

impl<F: Float> NearestNeighbourIndex<F> for Bound<'_, F> {
    fn k_nearest(
        &self,
        point: ArrayView1<'_, F>,
        k: usize,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        let mut found = self.within_range(point, F::one())?;
        found.truncate(k);
        Ok(found)
    }

    fn within_range(
        &self,
        point: ArrayView1<'_, F>,
        _range: F,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        let row = point[0].to_usize().ok_or(NnError::WrongDimension)?;
        Ok(self.rows[row].iter().map(|&other| (self.points.row(other), other)).collect())
    }
}

fn linfa_labels(vectors: &Vectors, eps: f32, min_points: usize) -> (Vec<Option<usize>>, Vec<bool>) {
    let n = vectors.len();
    let within = |a: usize, b: usize| a == b || cosine_distance(vectors.row(a), vectors.row(b)) <= eps;
    let rows: Vec<Vec<usize>> = (0..n).map(|a| (0..n).filter(|&b| within(a, b)).collect()).collect();
    let core = rows.iter().map(|row| row.len() >= min_points).collect();
    let numbers = Array2::from_shape_vec((n, 1), (0..n).map(|row| row as f64).collect()).unwrap();
    let parameters =
        Dbscan::params_with(min_points, L2Dist, Neighbours(rows)).tolerance(1.0).check().unwrap();
    (parameters.transform(&numbers).to_vec(), core)
}

#[test]
fn cores_and_noise_are_linfas() {
    for (seed, eps, min_points) in [(1, 0.1, 4), (2, 0.25, 5), (3, 0.4, 12), (4, 0.02, 3)] {
        let mixture = Mixture { dim: 24, clusters: 9, points: 900, noise: 0.25, ..Default::default() };
        let vectors = mixture.generate(seed).vectors;
        let (expected, core) = linfa_labels(&vectors, eps, min_points);
        let parameters = Parameters::Dbscan { eps: Some(eps), min_points: Some(min_points as u32) };
        let found = cluster(&vectors, &ids(vectors.len()), parameters, 0).unwrap().labels;
        let mut names = std::collections::HashMap::new();
        for row in 0..vectors.len() {
            assert_eq!(expected[row].is_none(), found[row].is_none(), "noise, row {row}");
            // Border points go to whichever cluster came first there, to the nearest core here.
            if core[row] {
                assert_eq!(names.entry(expected[row]).or_insert(found[row]), &found[row], "core, row {row}");
            }
        }
        let clusters: std::collections::HashSet<_> = names.values().collect();
        assert_eq!(clusters.len(), names.len());
    }
}
