//! Which model is used, and opening it once per worker.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::fake::FakeEmbedder;
use super::golden;
use super::onnx::OnnxEmbedder;
use super::{EmbedError, Embedder, EmbeddingSpace, ModelSpec};

/// EfficientNet-Lite0, int8; see `models/NOTICE`.
static BUILT_IN: &[u8] = include_bytes!("../../models/efficientnet-lite0-int8.onnx");

/// Largest file of a model, in bytes: what the ONNX format itself can hold.
const MODEL_BYTES_MAX: u64 = 2 << 30;

/// Where the model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// EfficientNet-Lite0 in 8 bits, inside the program.
    BuiltIn,
    /// An ONNX file, its weights inside, with a TOML file of the same name beside it.
    File(PathBuf),
    /// Colours on a coarse grid: for tests of everything but the model.
    Fake,
}

/// A model that was opened once, checked, and can be opened for each worker.
pub struct Model {
    bytes: Cow<'static, [u8]>,
    spec: ModelSpec,
    space: EmbeddingSpace,
    source: ModelSource,
    onnxruntime: Option<PathBuf>,
}

impl Model {
    /// Reads a model, loads ONNX Runtime (from `onnxruntime` only, when given), opens a session, and for the built-in
    /// model compares reference vectors.
    ///
    /// # Errors
    /// Files that can't be read or don't fit each other, no ONNX Runtime, or wrong arithmetic.
    pub fn load(source: &ModelSource, onnxruntime: Option<&Path>) -> Result<Self, EmbedError> {
        let (bytes, spec) = match source {
            ModelSource::BuiltIn => (Cow::Borrowed(BUILT_IN), ModelSpec::built_in()),
            ModelSource::File(path) => (Cow::Owned(read_model(path)?), read_spec(path)?),
            ModelSource::Fake => (Cow::Borrowed(&[][..]), FakeEmbedder::spec()),
        };
        if let (ModelSource::File(path), Some(expected)) = (source, &spec.sha256) {
            check_digest(path, &bytes, expected)?;
        }
        let space = EmbeddingSpace {
            model_digest: blake3::hash(&bytes).to_hex().to_string(),
            preprocessing: spec.preprocessing(),
            dim: 0,
            numeric_mode: std::env::consts::ARCH.to_owned(),
        };
        let mut model =
            Self { bytes, spec, space, source: source.clone(), onnxruntime: onnxruntime.map(Path::to_owned) };
        let mut embedder = model.embedder()?;
        model.space = embedder.space().clone();
        if *source == ModelSource::BuiltIn {
            model.space.numeric_mode = golden::numeric_mode(embedder.as_mut(), &model.spec)?;
        }
        Ok(model)
    }

    /// How pictures are prepared for it.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The space of its vectors.
    pub fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    /// Opens it once more, for one thread.
    ///
    /// # Errors
    /// ONNX Runtime refuses.
    pub fn embedder(&self) -> Result<Box<dyn Embedder>, EmbedError> {
        if self.source == ModelSource::Fake {
            return Ok(Box::new(FakeEmbedder::new()));
        }
        let runtime = self.onnxruntime.as_deref();
        Ok(Box::new(OnnxEmbedder::open(&self.bytes, &self.spec, self.space.clone(), runtime)?))
    }
}

/// A session of the built-in model, before its arithmetic is checked.
#[cfg(test)]
pub(super) fn open_built_in() -> Result<OnnxEmbedder, EmbedError> {
    let space = EmbeddingSpace {
        model_digest: String::new(),
        preprocessing: String::new(),
        dim: 0,
        numeric_mode: String::new(),
    };
    OnnxEmbedder::open(BUILT_IN, &ModelSpec::built_in(), space, None)
}

fn read_model(path: &Path) -> Result<Vec<u8>, EmbedError> {
    let failed = |detail: String| EmbedError::Read { path: path.display().to_string(), detail };
    let length = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > MODEL_BYTES_MAX {
        return Err(failed(format!("it has {length} bytes, at most {MODEL_BYTES_MAX} are allowed")));
    }
    fs::read(path).map_err(|error| failed(error.to_string()))
}

/// Checks that a file is the one that its description means.
fn check_digest(path: &Path, bytes: &[u8], expected: &str) -> Result<(), EmbedError> {
    let found = blake3::Hash::from_bytes(Sha256::digest(bytes).into()).to_hex();
    if found.as_str().eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail = format!("its SHA-256 is {found}, and its description says {expected}");
    Err(EmbedError::Read { path: path.display().to_string(), detail })
}

fn read_spec(model: &Path) -> Result<ModelSpec, EmbedError> {
    let path = model.with_extension("toml");
    let text = fs::read_to_string(&path)
        .map_err(|error| EmbedError::Read { path: path.display().to_string(), detail: error.to_string() })?;
    Ok(ModelSpec::from_toml(&text)?)
}
