//! A model for tests: colours on a coarse grid, in microseconds and without ONNX Runtime.

use super::{
    EmbedError, Embedder, EmbeddingSpace, Geometry, Interpolation, Layout, ModelSpec, PixelTensor, Pooling,
};
use crate::types::Embedding;

/// Cells per edge of the grid; the input is of this size, which a [`ModelSpec`] from TOML can't be.
const GRID: u32 = 4;
const CELLS: usize = (GRID * GRID) as usize;
/// Three colours and a brightness per cell.
const DIM: usize = CELLS * 4;

/// Embeds a picture as its colours on a 4 × 4 grid, 64 components.
pub(super) struct FakeEmbedder {
    space: EmbeddingSpace,
}

impl FakeEmbedder {
    pub(super) fn new() -> Self {
        Self {
            space: EmbeddingSpace {
                model_digest: blake3::hash(b"culld fake embedder 1").to_hex().to_string(),
                preprocessing: Self::spec().preprocessing(),
                dim: DIM,
                numeric_mode: "exact".to_owned(),
            },
        }
    }

    pub(super) fn spec() -> ModelSpec {
        ModelSpec {
            input_size: GRID,
            mean: [0.5; 3],
            std: [0.5; 3],
            layout: Layout::Nhwc,
            geometry: Geometry::Squash,
            crop_fraction: 1.0,
            interpolation: Interpolation::Bilinear,
            pooling: Pooling::None,
            input: None,
            output: None,
            sha256: None,
        }
    }
}

impl Embedder for FakeEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    fn embed(&mut self, pictures: &[PixelTensor]) -> Result<Vec<Embedding>, EmbedError> {
        let embed = |picture: &PixelTensor| {
            let mut values = picture.values.clone();
            // The brightness never vanishes, so that a grey picture has a direction, too.
            let brightness = |cell: &[f32]| 0.6 + 0.5 * cell.iter().sum::<f32>() / 3.0;
            values.extend(picture.values.chunks_exact(3).map(brightness));
            Ok(Embedding::normalised(values, DIM)?)
        };
        pictures.iter().map(embed).collect()
    }
}
