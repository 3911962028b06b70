//! What can be wrong with a picture, measured at thumbnail size. Facts for people and filters, never a verdict.
//!
//! Thresholds are set by what the measure means, and checked on pictures processed with strengths that they were not
//! chosen by (`tests/it/defects.rs`).

use serde::{Deserialize, Serialize};

/// Below this sharpness a picture is blurred: its steepest edges take about three pixels of a thumbnail's 320 or more,
/// as after a Gaussian of 1.3 pixels or a motion of 7.
pub(super) const BLURRED_SHARPNESS: f32 = 0.35;
/// Below this standard deviation of every channel, in levels of 255, a picture has no structure.
pub(super) const UNIFORM_DEVIATION: f32 = 6.0;
/// Below this entropy, in bits, a picture says next to nothing: nine pixels in ten of one tone.
pub(super) const LOW_ENTROPY_BITS: f32 = 1.0;

/// The luma that 95 % of a dark picture's pixels lie below: a third of the range.
const DARK_BRIGHTNESS_MAX: u8 = 85;
/// The share of pixels with a clipped channel in an over-exposed picture.
const CLIPPED_SHARE_MIN: f32 = 0.3;
/// The share of an over-exposed picture's pixels other than white that have lost a channel. Paper, drawings and things
/// photographed before white have white enough, but what is not white in them is not clipped.
const PARTLY_CLIPPED_SHARE_MIN: f32 = 0.1;
/// A channel at this level or above is clipped: JPEG ringing moves it by a level or two.
const CLIPPED_LEVEL: u8 = 253;
/// A pixel with all channels at this level or above is white.
const WHITE_LEVEL: u8 = 250;

/// The share of the pixels that are the steepest edges.
const EDGE_SHARE: f32 = 0.01;
/// Pixels apart that an edge's height is measured over.
const EDGE_REACH: usize = 4;
/// An edge is at least so high, in levels of 255: below that it is noise or compression.
const EDGE_HEIGHT_MIN: f32 = 8.0;
/// Directions that edges are looked at along: across, down, and both diagonals, the last mirrored.
const DIRECTIONS: [(usize, usize, bool); 4] = [(1, 0, false), (0, 1, false), (1, 1, false), (1, 1, true)];
/// Pictures with a side below this, in pixels, have too few edges to tell.
const SHARPNESS_SIDE_MIN: usize = 32;

/// Something that can be wrong with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Defect {
    /// Nothing in it is sharp: out of focus, moved, or scaled up.
    Blurred = 0,
    /// Nearly all of it lies in the lowest third of the range.
    Dark = 1,
    /// Much of it is clipped, what is not white included.
    Overexposed = 2,
    /// It has no structure.
    Uniform = 3,
    /// Nearly all of it is of one tone.
    LowEntropy = 4,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 5] =
        [Self::Blurred, Self::Dark, Self::Overexposed, Self::Uniform, Self::LowEntropy];
}

/// A set of defects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Defects(u8);

impl Defects {
    /// Whether a defect is among them.
    pub fn contains(self, defect: Defect) -> bool {
        self.0 & 1 << defect as u8 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any is among both.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Each of them, in the order of [`Defect::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.into_iter().filter(move |defect| self.contains(*defect))
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        Self(defects.into_iter().fold(0, |set, defect| set | 1 << defect as u8))
    }
}

/// How much light a picture got.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// The luma that 95 % of the pixels lie at or below, [0, 255].
    pub brightness: u8,
    /// The share of pixels with a clipped channel, [0, 1].
    pub clipped: f32,
    /// The share of pixels with a clipped channel among those that are not white, [0, 1].
    pub partly_clipped: f32,
}

impl Exposure {
    /// Measures pixels that are there as RGB and as luma.
    pub(super) fn of(rgb: &[u8], luma: &[u8]) -> Self {
        let pixels = rgb.as_chunks::<3>().0;
        let (mut clipped, mut coloured, mut partly) = (0u32, 0u32, 0u32);
        for pixel in pixels {
            let is_clipped = pixel.iter().any(|&channel| channel >= CLIPPED_LEVEL);
            let is_white = pixel.iter().all(|&channel| channel >= WHITE_LEVEL);
            clipped += u32::from(is_clipped);
            coloured += u32::from(!is_white);
            partly += u32::from(is_clipped && !is_white);
        }
        let share = |part: u32, whole: u32| if whole == 0 { 0.0 } else { part as f32 / whole as f32 };
        Self {
            brightness: quantile(&histogram(luma), 0.95),
            clipped: share(clipped, pixels.len() as u32),
            partly_clipped: share(partly, coloured),
        }
    }

    /// Whether nearly nothing in the picture is brighter than a third of the range.
    pub(super) fn is_dark(&self) -> bool {
        self.brightness < DARK_BRIGHTNESS_MAX
    }

    /// Whether much of the picture is clipped, and not for being white.
    pub(super) fn is_overexposed(&self) -> bool {
        self.clipped >= CLIPPED_SHARE_MIN && self.partly_clipped >= PARTLY_CLIPPED_SHARE_MIN
    }
}

/// The standard deviation of the most varied channel of RGB pixels, [0, 127.5].
pub(super) fn deviation(rgb: &[u8]) -> f32 {
    let pixels = rgb.as_chunks::<3>().0;
    let (mut sums, mut squares) = ([0u64; 3], [0u64; 3]);
    for pixel in pixels {
        for channel in 0..3 {
            let value = u64::from(pixel[channel]);
            sums[channel] += value;
            squares[channel] += value * value;
        }
    }
    let n = pixels.len().max(1) as f64;
    let variance = |channel: usize| squares[channel] as f64 / n - (sums[channel] as f64 / n).powi(2);
    (0..3).map(variance).fold(0.0, f64::max).sqrt() as f32
}

/// The entropy of the luma histogram, bits in [0, 8].
pub(super) fn entropy(luma: &[u8]) -> f32 {
    let n = luma.len().max(1) as f64;
    let shares = histogram(luma).into_iter().filter(|&count| count > 0).map(|count| f64::from(count) / n);
    shares.map(|share| -share * share.log2()).sum::<f64>().max(0.0) as f32
}

/// The sharpness of the steepest edges, as [`super::Measures::sharpness`] says.
///
/// The width of edges as a measure of blur is Marziliano's (*Perceptual blur and ringing metrics*, 2004). Here it is the
/// ratio of two differences, of neighbours and of pixels [`EDGE_REACH`] apart, each averaged over its steepest
/// [`EDGE_SHARE`] of the picture: what lies behind a sharp thing may be out of focus. It is taken along four directions,
/// and the least counts, since motion blurs one direction only.
pub(super) fn sharpness(luma: &[u8], width: usize, height: usize) -> Option<f32> {
    if width.min(height) < SHARPNESS_SIDE_MIN {
        return None;
    }
    let ratio = |(dx, dy, mirrored): (usize, usize, bool)| {
        let differences =
            |reach: usize| differences(luma, (width, height), (dx * reach, dy * reach), mirrored);
        let (near, far) = (steepest(&differences(1)), steepest(&differences(EDGE_REACH)));
        (far >= EDGE_HEIGHT_MIN).then_some(near / far)
    };
    DIRECTIONS.into_iter().filter_map(ratio).reduce(f32::min)
}

/// The histogram of absolute differences between pixels (`dx`, `dy`) apart, downwards to the left where `mirrored`.
fn differences(
    luma: &[u8],
    (width, height): (usize, usize),
    (dx, dy): (usize, usize),
    mirrored: bool,
) -> [u32; 256] {
    let mut counts = [0; 256];
    for y in 0..height - dy {
        let (row, other) = (&luma[y * width..][..width], &luma[(y + dy) * width..][..width]);
        let (row, other) =
            if mirrored { (&row[dx..], &other[..width - dx]) } else { (&row[..width - dx], &other[dx..]) };
        for (&a, &b) in row.iter().zip(other) {
            counts[usize::from(a.abs_diff(b))] += 1;
        }
    }
    counts
}

/// The mean of the largest [`EDGE_SHARE`] of what a histogram counts.
fn steepest(counts: &[u32; 256]) -> f32 {
    let wanted = (counts.iter().sum::<u32>() as f32 * EDGE_SHARE).max(1.0) as u32;
    let (mut left, mut sum) = (wanted, 0u32);
    for (value, &count) in counts.iter().enumerate().rev() {
        let taken = count.min(left);
        sum += taken * value as u32;
        left -= taken;
    }
    sum as f32 / wanted as f32
}

fn histogram(luma: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    luma.iter().for_each(|&value| counts[usize::from(value)] += 1);
    counts
}

/// The smallest value that this share of a histogram lies at or below.
fn quantile(counts: &[u32; 256], share: f64) -> u8 {
    let wanted = f64::from(counts.iter().sum::<u32>()) * share;
    let mut seen = 0;
    (0u8..=255)
        .find(|&value| {
            seen += counts[usize::from(value)];
            f64::from(seen) >= wanted
        })
        .unwrap_or(255)
}
