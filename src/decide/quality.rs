//! How good decisions are, and what they cost: confusion counts, Quality Metric, intervals, cost tables.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _};

/// Counts of true against answered; positive means kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Needed and kept.
    pub true_positive: u64,
    /// Not needed, yet kept.
    pub false_positive: u64,
    /// Needed, yet not kept.
    pub false_negative: u64,
    /// Not needed and not kept.
    pub true_negative: u64,
}

impl Confusion {
    /// Counts one image.
    pub fn count(&mut self, needed: bool, kept: bool) {
        let counter = match (needed, kept) {
            (true, true) => &mut self.true_positive,
            (false, true) => &mut self.false_positive,
            (true, false) => &mut self.false_negative,
            (false, false) => &mut self.true_negative,
        };
        *counter += 1;
    }

    /// Images counted.
    pub fn total(&self) -> u64 {
        self.true_positive + self.false_positive + self.false_negative + self.true_negative
    }

    /// The share [0, 1] of kept images that are needed; 0 where nothing is kept.
    pub fn precision(&self) -> f64 {
        share(self.true_positive, self.false_positive)
    }

    /// The share [0, 1] of needed images that are kept; 0 where nothing is needed.
    pub fn recall(&self) -> f64 {
        share(self.true_positive, self.false_negative)
    }

    /// `weight`·precision + (1 − `weight`)·recall, [0, 1] (Woźniak and Wrzesiński 2019, with weight 0.3).
    pub fn quality_metric(&self, weight: f64) -> f64 {
        weight * self.precision() + (1.0 - weight) * self.recall()
    }

    /// The 95 % percentile bootstrap interval of the Quality Metric: the counts are redrawn [`RESAMPLES`] times.
    pub fn interval(&self, weight: f64) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut metrics: Vec<f64> =
            (0..RESAMPLES).map(|_| self.resampled(&mut rng).quality_metric(weight)).collect();
        metrics.sort_by(f64::total_cmp);
        let at = |share: f64| metrics[((RESAMPLES - 1) as f64 * share).round() as usize];
        (at(0.025), at(0.975))
    }

    /// A draw of as many images with replacement: a multinomial, by conditional binomials.
    fn resampled(&self, rng: &mut ChaCha8Rng) -> Self {
        let counts = [self.true_positive, self.false_positive, self.false_negative, self.true_negative];
        let (mut drawn, mut draws, mut pool) = ([0; 4], self.total(), self.total());
        for (drawn, count) in drawn.iter_mut().zip(counts) {
            let chance = if pool == 0 { 0.0 } else { count as f64 / pool as f64 };
            *drawn = Binomial::new(draws, chance.min(1.0)).map_or(0, |binomial| binomial.sample(rng));
            draws -= *drawn;
            pool -= count;
        }
        let [true_positive, false_positive, false_negative, true_negative] = drawn;
        Self { true_positive, false_positive, false_negative, true_negative }
    }
}

/// Draws of the bootstrap.
pub const RESAMPLES: usize = 2000;

fn share(part: u64, rest: u64) -> f64 {
    if part == 0 { 0.0 } else { part as f64 / (part + rest) as f64 }
}

/// Rates of the two cost tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Seconds that a judgement takes.
    pub seconds_per_judgement: f64,
    /// Currency per hour of the person who judges.
    pub per_hour: f64,
    /// Currency per 100 images sorted by hand.
    pub by_hand_per_100: f64,
    /// Currency for the study's one constant session with the tool.
    pub session: f64,
}

impl Default for Rates {
    /// The study's rates in PLN, and culld's own: 10 seconds a judgement at 90 PLN an hour.
    fn default() -> Self {
        Self { seconds_per_judgement: 10.0, per_hour: 90.0, by_hand_per_100: 20.0, session: 15.0 }
    }
}

impl Rates {
    /// The study's table: by hand less one session, for 100, 1,000, 10,000 and 100,000 images.
    pub fn savings(&self) -> [(u64, f64); 4] {
        [100, 1000, 10_000, 100_000]
            .map(|images| (images, images as f64 / 100.0 * self.by_hand_per_100 - self.session))
    }

    /// What so many judgements take, in seconds.
    pub fn seconds(&self, judgements: u64) -> f64 {
        judgements as f64 * self.seconds_per_judgement
    }

    /// What so many judgements cost, in currency.
    pub fn cost(&self, judgements: u64) -> f64 {
        self.seconds(judgements) / 3600.0 * self.per_hour
    }
}
