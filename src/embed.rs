//! Pictures to vectors: the model, its preprocessing, and the worker threads that run both.
//!
//! Two vectors may be compared only when they come from one [`EmbeddingSpace`]: the same model, the same
//! preprocessing, the same arithmetic. The only user of `ort` is below this module.

mod fake;
mod golden;
mod model;
mod onnx;
mod pipeline;
mod preprocess;
mod queue;
mod runtime;
mod spec;

use serde::{Deserialize, Serialize};

pub use self::model::{Model, ModelSource};
pub use self::pipeline::{Job, Pipeline, PipelineOptions, PrepareError, Prepared, SubmitError};
pub use self::preprocess::{PixelTensor, preprocess};
pub use self::runtime::{RUNTIME_MINOR_MIN, RuntimeError, load_runtime};
pub use self::spec::{Geometry, Interpolation, Layout, ModelSpec, Pooling, SpecError};
use crate::types::{Embedding, EmbeddingError};

/// What makes embeddings comparable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EmbeddingSpace {
    /// BLAKE3 of the model file, in hex.
    pub model_digest: String,
    /// How bytes become the model's input, and what is taken of its output.
    pub preprocessing: String,
    /// Components of a vector.
    pub dim: usize,
    /// The arithmetic. `x86-int8`: the built-in model's, repeats to the bit on every x86 processor with AVX2, or
    /// agrees with that to 1e-3; `int8-…`: the built-in model's where it doesn't. The architecture's name for models
    /// from files; `exact` for integers.
    pub numeric_mode: String,
}

impl EmbeddingSpace {
    /// A name of the space that differs whenever a part of it does: 64 hex digits.
    pub fn id(&self) -> String {
        let Self { model_digest, preprocessing, dim, numeric_mode } = self;
        let text = format!("embedding space 1\n{model_digest}\n{preprocessing}\n{dim}\n{numeric_mode}\n");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// A model that is ready to run, owned by one thread.
pub trait Embedder: Send {
    /// The space of the vectors it makes.
    fn space(&self) -> &EmbeddingSpace;

    /// Embeds pictures, one vector each, in order. The bits of a vector don't depend on its company.
    ///
    /// # Errors
    /// Input of another size than the model's, a failure of the runtime, or an output that is no direction.
    fn embed(&mut self, pictures: &[PixelTensor]) -> Result<Vec<Embedding>, EmbedError>;
}

/// Why a model can't be loaded or run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EmbedError {
    /// ONNX Runtime can't be loaded.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The description of the model is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A file of the model can't be read.
    #[error("cannot read {path}: {detail}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// ONNX Runtime refuses the model or its input.
    #[error("ONNX Runtime: {0}")]
    Session(String),
    /// The model's inputs or outputs are not as its description says.
    #[error("the model's {part} is {found}, expected {expected}")]
    Signature {
        /// Which input or output.
        part: String,
        /// What the model has.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// The output is not a vector of the space.
    #[error(transparent)]
    Output(#[from] EmbeddingError),
    /// The built-in model computes other vectors here than everywhere else.
    #[error(
        "the built-in model's reference vectors differ by {difference:.2e} here, at most {difference_max:.0e} is allowed: \
         this processor or ONNX Runtime computes wrongly"
    )]
    Golden {
        /// Largest difference of a component.
        difference: f32,
        /// The limit.
        difference_max: f32,
    },
}
