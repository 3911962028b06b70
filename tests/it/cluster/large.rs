//! Enough points of enough dimensions that sketches settle most pairs: still exact.

use culld::cluster::{
    ClusterInput, Extraction, Parameters, Ranges as _, RowRanges, RunContext, Sketches, suggest,
};
use culld::types::{PointOffset, Vectors, cosine_distance};

use super::density::check_dbscan;
use super::generate::Mixture;
use super::{cluster, ids};

const POINTS: usize = 4_500;

fn clustered() -> Vectors {
    let mixture =
        Mixture { dim: 96, clusters: 40, points: POINTS, noise: 0.2, intrinsic: 12, ..Default::default() };
    mixture.generate(11).vectors
}

/// No directions that sketches could hold: every pair stays open.
fn shapeless() -> Vectors {
    Mixture { dim: 64, clusters: 0, points: POINTS, noise: 1.0, ..Default::default() }.generate(12).vectors
}

/// Clusters so tight, and so far apart, that few pairs have to be looked at; some rows are there twice.
fn tight() -> Vectors {
    let mixture = Mixture {
        dim: 96,
        clusters: 60,
        points: POINTS,
        noise: 0.15,
        spread: (0.05, 0.5),
        zipf: 0.5,
        ..Default::default()
    };
    let mut vectors = mixture.generate(13).vectors;
    for row in (0..POINTS).step_by(31) {
        let twin = vectors.row(row).to_vec();
        vectors.push(&twin).unwrap();
    }
    vectors
}

#[test]
fn dbscan_equals_its_definition() {
    check_dbscan(&clustered(), 0.2, 8);
    check_dbscan(&shapeless(), 0.55, 4);
    for (eps, min_points) in [(0.0, 2), (0.02, 4), (0.2, 8), (0.6, 5)] {
        check_dbscan(&tight(), eps, min_points);
    }
}

/// Whatever is left out by leaders and sketches, and however the rows came there.
#[test]
fn range_queries_find_every_neighbour() {
    for vectors in [clustered(), shapeless(), tight()] {
        let first: Vec<PointOffset> = (0..4_200).collect();
        let mut grown = Sketches::new(&vectors.gather(&first));
        grown.extend(&vectors);
        check_ranges(&vectors, &grown);
        let even: Vec<PointOffset> = (0..vectors.len() as PointOffset).step_by(2).collect();
        let mut kept = grown.clone();
        kept.keep(&even);
        check_ranges(&vectors.gather(&even), &kept);
        // Every other place is left empty, as the vectors of images that are gone are.
        let places: Vec<PointOffset> =
            even.iter().map(|row| even.len() as PointOffset * 2 - 1 - row).collect();
        let mut placed = vec![0.0; even.len() * 2 * vectors.dim()];
        for (&row, &place) in even.iter().zip(&places) {
            placed[place as usize * vectors.dim()..][..vectors.dim()]
                .copy_from_slice(vectors.row(row as usize));
        }
        let placed = Vectors::from_rows(vectors.dim(), placed);
        check_ranges(&placed, &kept.placed(&places, placed.len()));
    }
}

fn check_ranges(vectors: &Vectors, sketches: &Sketches) {
    let id = |row: PointOffset| culld::types::ImageId::of(&row.to_le_bytes());
    let ranges = RowRanges::new(vectors, sketches, &id);
    let is_there = |row: usize| vectors.row(row).iter().any(|&value| value != 0.0);
    let there: Vec<PointOffset> =
        (0..vectors.len()).filter(|&row| is_there(row)).map(|row| row as PointOffset).collect();
    for (eps, queries) in [(0.1, 1), (0.3, 3), (0.3, 40), (0.9, 2)] {
        let step = there.len() / queries;
        let queries: Vec<PointOffset> = there.iter().copied().step_by(step).take(queries).collect();
        let few: Vec<PointOffset> = there.iter().copied().step_by(3).collect();
        for among in [None, Some(&few[..])] {
            let found = ranges.within(eps, &queries, among);
            for (&query, found) in queries.iter().zip(found) {
                let mut found: Vec<PointOffset> = found.iter().map(|near| near.offset).collect();
                found.sort_unstable();
                let near = |&row: &PointOffset| {
                    row != query
                        && cosine_distance(vectors.row(query as usize), vectors.row(row as usize)) <= eps
                };
                let wanted: Vec<PointOffset> = among.unwrap_or(&there).iter().copied().filter(near).collect();
                assert_eq!(found, wanted, "eps {eps}, {} queries, row {query}", queries.len());
            }
        }
    }
}

#[test]
fn core_distances_are_those_of_all_pairs() {
    for vectors in [clustered(), shapeless()] {
        let parameters =
            Parameters::Optics { min_points: Some(6), max_eps: None, extraction: Extraction::Xi(0.05) };
        let plot = cluster(&vectors, &ids(vectors.len()), parameters, 0).unwrap().reachability.unwrap();
        for row in (0..vectors.len()).step_by(97) {
            let mut distances: Vec<f32> = (0..vectors.len())
                .filter(|&other| other != row)
                .map(|other| cosine_distance(vectors.row(row), vectors.row(other)))
                .collect();
            distances.sort_by(f32::total_cmp);
            assert_eq!(plot.core_distance[row], distances[4], "row {row}");
        }
    }
}

#[test]
fn one_tree_knows_what_dbscan_gives_at_every_radius() {
    for vectors in [clustered(), shapeless()] {
        let ids = ids(vectors.len());
        let input = ClusterInput { vectors: &vectors, ids: &ids, candidates: None };
        let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
        let card = suggest(&input, Some(6), &context).unwrap();
        for look in card.looks.iter().step_by(4) {
            let parameters = Parameters::Dbscan { eps: Some(look.eps), min_points: Some(6) };
            let outcome = cluster(&vectors, &ids, parameters, 0).unwrap();
            let noise = outcome.noise() as f32 / vectors.len() as f32;
            assert_eq!((look.clusters, look.noise_share), (outcome.clusters(), noise), "{look:?}");
        }
    }
}
