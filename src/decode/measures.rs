//! What is measured of a picture's pixels, once, at thumbnail size.

use serde::{Deserialize, Serialize};

use super::defects::{self, Defect, Defects, Exposure};
use super::fingerprint::PerceptualHash;

/// How measures are taken; grows whenever the same pixels would measure otherwise.
pub const MEASURES_VERSION: u32 = 1;

/// What a picture of at most [`super::THUMBNAIL_EDGE_MAX`] pixels on the long side measures. Values are facts; what
/// they mean is said by [`Measures::defects`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// [`MEASURES_VERSION`] of the one who measured.
    pub version: u32,
    /// What near-duplicates share; `None` for a picture without structure, which is like any other such.
    pub hash: Option<PerceptualHash>,
    /// How steep the steepest edges are in the direction in which they are least so, (0, 1]: what luma changes within a
    /// pixel to what it changes within four. Sharp edges 0.4 and more, a ramp of four pixels or longer 0.25. `None`
    /// where there is no edge to look at.
    pub sharpness: Option<f32>,
    /// Light and dark.
    pub exposure: Exposure,
    /// Standard deviation of the most varied colour channel, [0, 127.5].
    pub deviation: f32,
    /// Entropy of the luma histogram, bits in [0, 8].
    pub entropy: f32,
}

impl Measures {
    /// Measures RGB pixels, 8 bits each, shape (`height`, `width`, 3).
    pub fn of(rgb: &[u8], width: usize, height: usize) -> Self {
        let luma: Vec<u8> = rgb.as_chunks::<3>().0.iter().copied().map(luma).collect();
        let deviation = defects::deviation(rgb);
        let structured = deviation >= defects::UNIFORM_DEVIATION;
        Self {
            version: MEASURES_VERSION,
            hash: structured.then(|| PerceptualHash::of(&luma, width, height)),
            sharpness: defects::sharpness(&luma, width, height),
            exposure: Exposure::of(rgb, &luma),
            deviation,
            entropy: defects::entropy(&luma),
        }
    }

    /// What is wrong with the picture, if anything.
    pub fn defects(&self) -> Defects {
        let found = [
            (Defect::Blurred, self.sharpness.is_some_and(|sharpness| sharpness < defects::BLURRED_SHARPNESS)),
            (Defect::Dark, self.exposure.is_dark()),
            (Defect::Overexposed, self.exposure.is_overexposed()),
            (Defect::Uniform, self.deviation < defects::UNIFORM_DEVIATION),
            (Defect::LowEntropy, self.entropy < defects::LOW_ENTROPY_BITS),
        ];
        found.into_iter().filter(|(_, holds)| *holds).map(|(defect, _)| defect).collect()
    }
}

/// Luma by the weights of ITU-R BT.601 in 256ths, [0, 255].
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8) as u8
}
