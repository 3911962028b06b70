//! Reference vectors of the built-in model: does it compute here what it computes elsewhere?

use super::{EmbedError, Embedder, ModelSpec, PixelTensor, preprocess};
use crate::decode::{DecodedImage, Format};
use crate::types::Embedding;

/// Largest difference of a component that still counts as the same space.
const DIFFERENCE_MAX: f32 = 1e-3;

/// What is kept of the vector of each made-up picture: its largest components, by position and in millionths, and
/// BLAKE3 of all components, little-endian. Taken on x86, with the runtime that `culld setup` installs; to be made
/// anew with the model, as the test below prints it.
const EXPECTED: [([(usize, i32); 16], &str); 3] = [
    (
        [
            (468, 414_833),
            (113, 395_716),
            (287, 386_958),
            (747, 212_132),
            (989, 192_005),
            (245, 167_752),
            (1137, 151_625),
            (423, 150_699),
            (61, 147_583),
            (900, 136_130),
            (674, 136_004),
            (897, 127_919),
            (226, 126_193),
            (1085, 125_898),
            (31, 123_288),
            (455, 112_719),
        ],
        "5cce966614e76a2c2198269fbad0df496bb855ff11fc8186f5db6aec2b0fa6a4",
    ),
    (
        [
            (113, 364_228),
            (423, 308_860),
            (1085, 239_886),
            (512, 227_361),
            (468, 223_534),
            (853, 220_623),
            (287, 210_420),
            (245, 183_177),
            (989, 181_051),
            (634, 162_704),
            (900, 154_757),
            (1247, 144_292),
            (951, 141_381),
            (22, 138_437),
            (842, 133_368),
            (118, 130_163),
        ],
        "cfb0eea186484bacfa2df29dee060b2e049a2c64b5508c2f612af281597aaba8",
    ),
    (
        [
            (113, 323_445),
            (634, 277_893),
            (869, 250_939),
            (512, 221_964),
            (853, 212_584),
            (468, 198_757),
            (1085, 193_420),
            (61, 191_210),
            (900, 190_563),
            (360, 166_412),
            (953, 163_043),
            (685, 153_070),
            (422, 147_437),
            (879, 145_038),
            (284, 140_887),
            (423, 134_014),
        ],
        "9bebc3bbf1f70cab95fbea948df0fb32db4554c2a948d96b4ac14170b879042d",
    ),
];

fn millionths(value: f32) -> i32 {
    (value * 1e6).round() as i32
}

/// Embeds the reference pictures.
fn vectors(embedder: &mut dyn Embedder, spec: &ModelSpec) -> Result<Vec<Embedding>, EmbedError> {
    let pictures = (0..EXPECTED.len()).map(|seed| picture(seed as u32, spec));
    embedder.embed(&pictures.collect::<Result<Vec<_>, _>>()?)
}

fn digest(vector: &Embedding) -> String {
    let mut hasher = blake3::Hasher::new();
    for value in vector.as_slice() {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Embeds the reference pictures and names the arithmetic. On x86 vectors must repeat; elsewhere an arithmetic that
/// is too different gets a name, and so an embedding space, of its own. So it does on x86 processors without AVX2,
/// where ONNX Runtime rounds sums in another order.
pub(super) fn numeric_mode(embedder: &mut dyn Embedder, spec: &ModelSpec) -> Result<String, EmbedError> {
    let (mut difference, mut exact) = (0, true);
    for (vector, (largest, expected)) in vectors(embedder, spec)?.iter().zip(EXPECTED) {
        exact &= digest(vector) == expected;
        for (position, value) in largest {
            let found = vector.as_slice().get(position).map_or(0, |&value| millionths(value));
            difference = difference.max(found.abs_diff(value));
        }
    }
    let difference = difference as f32 * 1e-6;
    if !exact {
        tracing::warn!(difference, "the built-in model's reference vectors are not the same to the bit here");
    }
    if difference <= DIFFERENCE_MAX {
        return Ok("x86-int8".to_owned());
    }
    if arithmetic_is_fixed() {
        return Err(EmbedError::Golden { difference, difference_max: DIFFERENCE_MAX });
    }
    Ok(format!("int8-{}", std::env::consts::ARCH))
}

/// Whether this processor is one of those whose vectors repeat.
fn arithmetic_is_fixed() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// A picture of slopes, edges and noise in integer arithmetic.
fn picture(seed: u32, spec: &ModelSpec) -> Result<PixelTensor, EmbedError> {
    const WIDTH: u32 = 320;
    const HEIGHT: u32 = 240;
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut rgb = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = state >> 28;
            let tile = ((x >> (4 + seed)) + (y >> (5 - seed))) % 2 * 96;
            let (red, green) = (x * 144 / WIDTH + tile + noise, y * 144 / HEIGHT + tile);
            rgb.extend([red, green, 200 - tile - noise].map(|value| value as u8));
        }
    }
    let image = DecodedImage {
        rgb,
        width: WIDTH,
        height: HEIGHT,
        original_width: WIDTH,
        original_height: HEIGHT,
        format: Format::Png,
    };
    preprocess(&image, spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::model::open_built_in;

    #[test]
    fn references_are_those_of_the_model() {
        crate::setup::install_runtime(&mut |_| {}).unwrap();
        let mut embedder = open_built_in().unwrap();
        let found: Vec<_> = vectors(&mut embedder, &ModelSpec::built_in()).unwrap();
        let found = found.iter().map(|vector| {
            let mut components: Vec<_> =
                vector.as_slice().iter().map(|&value| millionths(value)).enumerate().collect();
            components.sort_by_key(|&(position, value)| (-value, position));
            (components[..16].try_into().unwrap(), digest(vector))
        });
        let found: Vec<([(usize, i32); 16], String)> = found.collect();
        if arithmetic_is_fixed() {
            let expected = EXPECTED.map(|(largest, digest)| (largest, digest.to_owned()));
            assert_eq!(found, expected, "the first is found, the second is in the table");
        }
    }
}
