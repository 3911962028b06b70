//! The model: which images a person keeps, by Gaussian process regression on ±1 in feature space.

use libm::erfc;
use rayon::prelude::*;

use super::features::{BLOCK, FEATURES, Projected, padded_products};
use super::linalg::{Lower, Square};
use crate::types::PointOffset;

/// Prior variances of the latent value that are tried.
const PRIOR_VARIANCES: [f64; 3] = [1.0, 2.0, 4.0];
/// Variances of the noise in labels that are tried.
const NOISE_VARIANCES: [f64; 5] = [0.01, 0.03, 0.1, 0.3, 0.6];
/// Combinations of the two that predictions are averaged over: the best by their evidence.
pub(super) const COMPONENTS: usize = 3;
/// Evidence rows that one partial sum is taken over, at least; and partial sums, at most.
const GRAM_ROWS: usize = 128;
const GRAM_PARTS: usize = 64;
/// The most that noise can count for: evidence beyond it says nothing.
const NOISE_MAX: f32 = 1e6;

/// What is known of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The image's row.
    pub row: PointOffset,
    /// +1 for keep, −1 for discard, 0 for neither more than the other.
    pub target: f32,
    /// Variance of the target's noise beyond that of a label that somebody gave this very image; 0 or more.
    pub extra_noise: f32,
}

/// One combination of hyperparameters, with the posterior of the feature weights under it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Component {
    /// Share of the mixture; all sum to 1.
    pub(super) weight: f64,
    pub(super) prior_variance: f64,
    pub(super) noise_variance: f64,
    /// The posterior mean.
    pub(super) mean: Vec<f64>,
    /// L⁻¹ of the posterior precision L Lᵀ.
    pub(super) inverse: Lower,
}

impl Component {
    /// Variance of what the features don't say of an image with this residual, and of the noise in its label.
    pub(super) fn own_variance(&self, residual: f32) -> f64 {
        self.prior_variance * f64::from(residual) + self.noise_variance
    }
}

/// P(keep) for any image, given the evidence.
///
/// Gaussian process regression on ±1 targets (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006,
/// §2.1 and §6.5) in the weight space of the Nyström features; the residual variance of the kernel is added to
/// predictions (as in FITC). The hyperparameters, prior variance and label noise, are averaged over a small grid by
/// their marginal likelihood (§5.4.1), tempered to one independent observation per judgement: the nine images of one
/// answer are alike, and taken as independent they would make the model far too sure.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(super) components: Vec<Component>,
}

impl Model {
    /// Fits the model. The order of the evidence matters for the last bits only; to have these as well, give it in an
    /// order that depends on the images alone. Rows that don't exist are left out.
    pub fn fit(projected: &Projected, evidence: &[Evidence], judgements: usize) -> Self {
        let levels = levels(projected, evidence);
        let rows: f64 = levels.iter().map(|level| level.rows).sum();
        let normals: Vec<Normal> = NOISE_VARIANCES.iter().map(|&noise| Normal::new(&levels, noise)).collect();
        let grid: Vec<(usize, f64)> =
            (0..normals.len()).flat_map(|at| PRIOR_VARIANCES.iter().map(move |&prior| (at, prior))).collect();
        let mut fits: Vec<Fit> =
            grid.par_iter().map(|&(at, prior)| normals[at].fit(NOISE_VARIANCES[at], prior)).collect();
        fits.sort_by(|a, b| b.evidence.total_cmp(&a.evidence));
        fits.truncate(COMPONENTS);
        let temper = (judgements as f64 / rows.max(1.0)).min(1.0);
        let best = fits.first().map_or(0.0, |fit| fit.evidence);
        let likelihood = |fit: &Fit| ((fit.evidence - best) * temper).exp();
        let total: f64 = fits.iter().map(likelihood).sum();
        Self { components: fits.par_iter().map(|fit| fit.component(likelihood(fit) / total)).collect() }
    }

    /// P(keep) for every row, [0, 1], shape (n).
    pub fn predict(&self, projected: &Projected) -> Vec<f32> {
        let inverses: Vec<Vec<f32>> = self.components.iter().map(|part| part.inverse.to_f32()).collect();
        let means: Vec<f32> =
            self.components.iter().flat_map(|part| part.mean.iter().map(|&v| v as f32)).collect();
        let blocks: Vec<Vec<f32>> = projected
            .features()
            .par_chunks(BLOCK)
            .zip(projected.residuals().par_chunks(BLOCK))
            .map(|(features, residuals)| {
                let latent = padded_products(features.as_flattened(), &means, FEATURES);
                let latent: Vec<&[f32]> = latent.chunks_exact(self.components.len().max(1)).collect();
                let mut keep = vec![0.0f64; features.len()];
                for (at, (part, inverse)) in self.components.iter().zip(&inverses).enumerate() {
                    let scaled = padded_products(features.as_flattened(), inverse, FEATURES);
                    let rows = keep.iter_mut().zip(&latent).zip(residuals).zip(scaled.chunks_exact(FEATURES));
                    for (((keep, latent), &residual), scaled) in rows {
                        let variance =
                            f64::from(crate::types::dot(scaled, scaled)) + part.own_variance(residual);
                        *keep += part.weight * normal_cdf(f64::from(latent[at]) / variance.sqrt());
                    }
                }
                keep.into_iter().map(|keep| keep.clamp(0.0, 1.0) as f32).collect()
            })
            .collect();
        blocks.concat()
    }
}

/// The evidence of one level of noise, summed up.
struct Level {
    extra_noise: f64,
    rows: f64,
    /// Σ t².
    squares: f64,
    /// Σ t φ.
    moment: Vec<f64>,
    /// Σ φ φᵀ, lower triangle.
    gram: Square,
}

/// Sums up the evidence by its noise, of which there are few kinds: the sums then serve every noise of the grid.
fn levels(projected: &Projected, evidence: &[Evidence]) -> Vec<Level> {
    let noise = |item: &Evidence| {
        if item.extra_noise.is_nan() { 0.0 } else { item.extra_noise.clamp(0.0, NOISE_MAX) }
    };
    let usable = |item: &&Evidence| (item.row as usize) < projected.len() && item.target.is_finite();
    let mut sorted: Vec<&Evidence> = evidence.iter().filter(usable).collect();
    sorted.sort_by(|a, b| noise(a).total_cmp(&noise(b)));
    sorted
        .chunk_by(|a, b| noise(a) == noise(b))
        .filter_map(|alike| {
            let size = GRAM_ROWS.max(alike.len().div_ceil(GRAM_PARTS));
            let parts: Vec<Level> = alike
                .par_chunks(size)
                .map(|part| Level::new(projected, part, f64::from(noise(part[0]))))
                .collect();
            parts.into_iter().reduce(|sum, part| sum.merged(&part))
        })
        .collect()
}

impl Level {
    fn new(projected: &Projected, evidence: &[&Evidence], extra_noise: f64) -> Self {
        let mut level = Self {
            extra_noise,
            rows: evidence.len() as f64,
            squares: 0.0,
            moment: vec![0.0; FEATURES],
            gram: Square::zeros(FEATURES),
        };
        for item in evidence {
            let (target, features) = (
                f64::from(item.target.clamp(-1.0, 1.0)),
                projected.features()[item.row as usize].map(f64::from),
            );
            level.squares += target * target;
            level.moment.iter_mut().zip(&features).for_each(|(sum, value)| *sum += target * value);
            level.gram.add_outer(&features);
        }
        level
    }

    fn merged(mut self, other: &Self) -> Self {
        self.rows += other.rows;
        self.squares += other.squares;
        self.moment.iter_mut().zip(&other.moment).for_each(|(sum, value)| *sum += value);
        self.gram.add_scaled(1.0, &other.gram);
        self
    }
}

/// The normal equations under one label noise.
struct Normal {
    gram: Square,
    moment: Vec<f64>,
    /// Σ (ln w − w t²) / 2 over the evidence, w being the inverse of its noise.
    constant: f64,
}

impl Normal {
    fn new(levels: &[Level], noise: f64) -> Self {
        let mut normal = Self { gram: Square::zeros(FEATURES), moment: vec![0.0; FEATURES], constant: 0.0 };
        for level in levels {
            let weight = 1.0 / (noise + level.extra_noise);
            normal.gram.add_scaled(weight, &level.gram);
            normal.moment.iter_mut().zip(&level.moment).for_each(|(sum, value)| *sum += weight * value);
            normal.constant += 0.5 * (level.rows * weight.ln() - weight * level.squares);
        }
        normal
    }

    fn fit(&self, noise_variance: f64, prior_variance: f64) -> Fit {
        let mut precision = self.gram.clone();
        precision.add_to_diagonal(1.0 / prior_variance);
        let lower = precision.cholesky();
        let scaled = lower.solve(&self.moment);
        let fitted: f64 = scaled.iter().map(|value| value * value).sum();
        let evidence = self.constant + 0.5 * fitted
            - lower.log_determinant()
            - 0.5 * FEATURES as f64 * prior_variance.ln();
        Fit { evidence, prior_variance, noise_variance, lower, scaled }
    }
}

/// One point of the grid.
struct Fit {
    /// The logarithm of the marginal likelihood, up to a constant.
    evidence: f64,
    prior_variance: f64,
    noise_variance: f64,
    /// L of the posterior precision L Lᵀ.
    lower: Lower,
    /// L⁻¹ of the moment.
    scaled: Vec<f64>,
}

impl Fit {
    fn component(&self, weight: f64) -> Component {
        let inverse = self.lower.inverse();
        Component {
            weight,
            prior_variance: self.prior_variance,
            noise_variance: self.noise_variance,
            mean: inverse.transposed_times(&self.scaled),
            inverse,
        }
    }
}

/// The standard normal distribution function.
fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}
