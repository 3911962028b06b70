//! Whether a clustering means anything: the data's tendency to cluster, how far clusters lie apart, red flags.

use rand::RngExt;
use rand::seq::index;

use super::centroids::nearest_centre;
use super::distances::distances_to_all;
use super::outcome::{RedFlag, members};
use super::seeding::generator;
use crate::types::{PointOffset, Vectors, cosine_distance};

/// Points sampled by every estimate here.
const SAMPLE_POINTS_MAX: usize = 256;
/// A cluster that holds more than this share of all images is a giant.
const GIANT_SHARE: f32 = 0.9;
/// More core points than this share say that `eps` sees no sparse regions.
const CORE_SHARE: f32 = 0.95;
/// A cluster whose members are as far apart as this share of any two images has no common centre.
const CHAIN_SPREAD: f32 = 0.9;
/// A cluster's points are at least this much denser than the noise around it.
const DENSER: f32 = 1.2;
/// A member is not far out below this many times the median of its cluster.
const FAR_OUT: f32 = 1.8;
/// The random stream of the samples here; K-Means and K-Medoids use those from 0.
const STREAM: u64 = 1 << 32;

/// The flags of a clustering by density; `core` marks core points where there are any.
pub(super) fn density_flags(
    vectors: &Vectors,
    labels: &[Option<u32>],
    core: Option<&[bool]>,
) -> Vec<RedFlag> {
    let n = labels.len();
    let mut flags = Vec::new();
    if n == 0 {
        return flags;
    }
    let share = |count: usize| count as f32 / n as f32;
    let clusters = members(labels);
    if clusters.is_empty() {
        flags.push(RedFlag::AllNoise);
    }
    if let Some(giant) = clusters.iter().map(Vec::len).max().filter(|&size| share(size) > GIANT_SHARE) {
        flags.push(RedFlag::GiantCluster { share: share(giant) });
    }
    let cores = core.map_or(0, |core| core.iter().filter(|&&core| core).count());
    if share(cores) > CORE_SHARE {
        flags.push(RedFlag::NearlyAllCore { share: share(cores) });
    }
    let rows: Vec<PointOffset> = (0..n as PointOffset).collect();
    let overall = median_distance(vectors, &rows);
    for (label, rows) in clusters.iter().enumerate().filter(|(_, rows)| share(rows.len()) <= GIANT_SHARE) {
        let spread = if overall > 0.0 { median_distance(vectors, rows) / overall } else { 0.0 };
        if spread > CHAIN_SPREAD {
            flags.push(RedFlag::Chaining { cluster: label as u32, spread });
        }
    }
    flags
}

/// The median cosine distance of two of the rows, from an even sample; 0 for fewer than two.
pub(super) fn median_distance(vectors: &Vectors, rows: &[PointOffset]) -> f32 {
    let sample: Vec<&PointOffset> = rows.iter().step_by(rows.len().div_ceil(64).max(1)).collect();
    let mut distances: Vec<f32> = sample
        .iter()
        .enumerate()
        .flat_map(|(i, &&a)| sample[i + 1..].iter().map(move |&&b| (a, b)))
        .map(|(a, b)| cosine_distance(vectors.row(a as usize), vectors.row(b as usize)))
        .collect();
    let middle = distances.len() / 2;
    if distances.is_empty() { 0.0 } else { *distances.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

/// How often a random point of the same spread lies farther from its nearest image than an image does, in [0, 1]; about
/// 0.5 or less without structure, 1 for tight groups.
///
/// Hopkins and Skellam's idea (1954) with a null model that fits embeddings: the random points are normal with the
/// data's own mean and covariance, as random combinations of the centred data are, put back on the sphere. A uniform
/// null would call any elongated cloud clustered.
pub(super) fn clustering_tendency(vectors: &Vectors, seed: u64) -> f32 {
    let n = vectors.len();
    if n < 3 {
        return 0.5;
    }
    let mut rng = generator(seed, STREAM);
    let probes = SAMPLE_POINTS_MAX.min(n);
    let mut sample: Vec<PointOffset> =
        index::sample(&mut rng, n, probes).iter().map(|row| row as PointOffset).collect();
    sample.sort_unstable();
    let real = vectors.gather(&sample);
    let nearest = |distances: Vec<f32>, own: Option<&[PointOffset]>| -> Vec<f32> {
        let row = |(i, row): (usize, &[f32])| {
            let own = own.map(|own| own[i] as usize);
            row.iter()
                .enumerate()
                .filter(|&(j, _)| Some(j) != own)
                .map(|(_, &d)| d)
                .fold(f32::INFINITY, f32::min)
        };
        distances.chunks_exact(n).enumerate().map(row).collect()
    };
    let real = nearest(distances_to_all(vectors, &real), Some(&sample));
    let random = nearest(distances_to_all(vectors, &null_points(vectors, probes, &mut rng)), None);
    let mut farther = 0.0;
    for &image in &real {
        for &point in &random {
            farther += if point > image {
                1.0
            } else if point == image {
                0.5
            } else {
                0.0
            };
        }
    }
    farther / (real.len() * random.len()) as f32
}

/// `count` points drawn from the normal distribution with the data's mean and covariance, normalised.
fn null_points(vectors: &Vectors, count: usize, rng: &mut rand_chacha::ChaCha8Rng) -> Vectors {
    let (n, dim) = (vectors.len(), vectors.dim());
    // A few thousand terms carry the covariance well enough.
    let terms = n.min(2_000);
    let chosen = index::sample(rng, n, terms).into_vec();
    let mut mean = vec![0.0f32; dim];
    for &row in &chosen {
        mean.iter_mut().zip(vectors.row(row)).for_each(|(mean, value)| *mean += value / terms as f32);
    }
    let mut points = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let mut point = mean.clone();
        let mut taken = 0.0;
        for &row in &chosen {
            let weight = normal(rng) / (terms as f32).sqrt();
            taken += weight;
            point.iter_mut().zip(vectors.row(row)).for_each(|(point, value)| *point += weight * value);
        }
        // Σ w (x − mean) = Σ w x − mean Σ w.
        point.iter_mut().zip(&mean).for_each(|(point, mean)| *point -= taken * mean);
        let length = crate::types::dot(&point, &point).sqrt().max(f32::MIN_POSITIVE);
        points.extend(point.iter().map(|value| value / length));
    }
    Vectors::from_rows(dim, points)
}

/// A standard normal number, by Box and Muller.
fn normal(rng: &mut rand_chacha::ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

/// How far clusters and noise lie apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Separation {
    /// The mean simplified silhouette of the clustered points, in [−1, 1]: how much nearer a point is to its own
    /// centre than to the next one, in shares of the latter. 1 with a single cluster.
    pub(super) silhouette: f32,
    /// The median over the noise points of their core distance over that of the sparsest tenth of the nearest cluster;
    /// infinite without noise.
    pub(super) noise_sparseness: f32,
}

/// Measures how far clusters and noise lie apart; `core` holds every row's core distance.
pub(super) fn separation(vectors: &Vectors, labels: &[Option<u32>], core: &[f32]) -> Separation {
    let clusters = members(labels);
    let n = labels.len();
    let mut centres = Vec::with_capacity(clusters.len() * vectors.dim());
    let mut rims = Vec::with_capacity(clusters.len());
    for rows in &clusters {
        centres.extend(direction(vectors, rows));
        rims.push(quantile(rows.iter().map(|&row| core[row as usize]).collect(), 0.9));
    }
    let distances = distances_to_all(vectors, &Vectors::from_rows(vectors.dim(), centres));
    let (mut silhouettes, mut sparseness) = (Vec::new(), Vec::new());
    for row in 0..n {
        let nearest = |except: Option<u32>| {
            (0..clusters.len())
                .filter(|&cluster| Some(cluster as u32) != except)
                .map(|cluster| (distances[cluster * n + row], cluster))
                .min_by(|a, b| a.0.total_cmp(&b.0))
        };
        match (labels[row], nearest(labels[row])) {
            (Some(own), Some((other, _))) => {
                let own = distances[own as usize * n + row];
                silhouettes.push(if own.max(other) > 0.0 { (other - own) / own.max(other) } else { 0.0 });
            }
            (Some(_), None) => silhouettes.push(1.0),
            (None, Some((_, cluster))) => sparseness.push(core[row] / rims[cluster].max(f32::MIN_POSITIVE)),
            (None, None) => {}
        }
    }
    Separation {
        silhouette: silhouettes.iter().sum::<f32>() / silhouettes.len().max(1) as f32,
        noise_sparseness: if sparseness.is_empty() { f32::INFINITY } else { quantile(sparseness, 0.5) },
    }
}

/// The direction of the mean of some rows.
fn direction(vectors: &Vectors, rows: &[PointOffset]) -> Vec<f32> {
    let mut sum = vec![0.0f32; vectors.dim()];
    for &row in rows {
        sum.iter_mut().zip(vectors.row(row as usize)).for_each(|(sum, value)| *sum += value);
    }
    let length = crate::types::dot(&sum, &sum).sqrt().max(f32::MIN_POSITIVE);
    for value in &mut sum {
        *value /= length;
    }
    sum
}

/// The value below which a share `q` of the values lies; 0 of none.
fn quantile(mut values: Vec<f32>, q: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let place = ((values.len() - 1) as f32 * q).round() as usize;
    *values.select_nth_unstable_by(place, f32::total_cmp).1
}

/// Turns into noise the members of each cluster that are far sparser than the rest of it, and whole clusters that are
/// no denser than the noise around them; then renumbers, and returns how many clusters are left.
///
/// HDBSCAN has a cluster keep whatever falls off it one point at a time, at whatever distance. A member is far out
/// beyond Tukey's outer fence (1977), the upper quartile plus three times the quartiles' distance; the upper quartile
/// is mirrored from the lower, so that noise which is up to half of the "cluster" can't move the fence.
pub(super) fn trim(
    vectors: &Vectors,
    labels: &mut [Option<u32>],
    core: &[f32],
    min_cluster_size: usize,
) -> usize {
    let of = |rows: &[PointOffset]| rows.iter().map(|&row| core[row as usize]).collect::<Vec<f32>>();
    for rows in members(labels) {
        let (lower, median) = (quantile(of(&rows), 0.25), quantile(of(&rows), 0.5));
        let fence = (median + 7.0 * (median - lower)).max(FAR_OUT * median);
        rows.iter().filter(|&&row| core[row as usize] > fence).for_each(|&row| labels[row as usize] = None);
    }
    let clusters = members(labels);
    let around = noise_around(vectors, labels, &clusters);
    let mut left = 0;
    for (rows, noise) in clusters.iter().zip(&around) {
        // A few stragglers are no surroundings.
        let surrounded = 2 * noise.len() >= rows.len();
        let dense = !surrounded || quantile(of(noise), 0.25) > DENSER * quantile(of(rows), 0.5);
        let stays = rows.len() >= min_cluster_size && dense;
        for &row in rows {
            labels[row as usize] = stays.then_some(left);
        }
        left += u32::from(stays);
    }
    left as usize
}

/// The noise points to which each cluster's centre is the nearest.
fn noise_around(
    vectors: &Vectors,
    labels: &[Option<u32>],
    clusters: &[Vec<PointOffset>],
) -> Vec<Vec<PointOffset>> {
    let mut around = vec![Vec::new(); clusters.len()];
    let noise: Vec<PointOffset> =
        (0..labels.len() as PointOffset).filter(|&row| labels[row as usize].is_none()).collect();
    let mut centres = Vectors::new(vectors.dim());
    if clusters.is_empty() || clusters.iter().any(|rows| centres.push(&direction(vectors, rows)).is_err()) {
        return around;
    }
    for (&row, (nearest, _)) in noise.iter().zip(nearest_centre(&vectors.gather(&noise), &centres)) {
        around[nearest as usize].push(row);
    }
    around
}
