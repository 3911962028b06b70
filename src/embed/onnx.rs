//! A model run by ONNX Runtime on the processor.

use std::path::Path;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, ValueType};

use super::spec::{Layout, ModelSpec, Pooling};
use super::{EmbedError, Embedder, EmbeddingSpace, PixelTensor, runtime};
use crate::types::Embedding;

/// One session with one thread.
pub(super) struct OnnxEmbedder {
    session: Session,
    spec: ModelSpec,
    input: String,
    output: String,
    space: EmbeddingSpace,
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn failed<R>(error: ort::Error<R>) -> EmbedError {
    EmbedError::Session(error.to_string())
}

impl OnnxEmbedder {
    /// Opens the model and finds out its dimension by running it once; `space.dim` is set to it.
    pub(super) fn open(
        model: &[u8],
        spec: &ModelSpec,
        mut space: EmbeddingSpace,
        onnxruntime: Option<&Path>,
    ) -> Result<Self, EmbedError> {
        let environment = runtime::environment(onnxruntime)?;
        let session = session(&environment, model)?;
        let input = input_name(&session, spec)?;
        let output = output_name(&session, spec)?;
        space.dim = 0;
        let mut embedder = Self { session, spec: spec.clone(), input, output, space };
        let edge = spec.input_size as usize;
        let probe = PixelTensor { values: vec![0.0; 3 * edge * edge], size: spec.input_size };
        embedder.space.dim = embedder.run(&probe)?.len();
        Ok(embedder)
    }

    /// Runs one picture. Pictures are never put together: in a batch ONNX Runtime may take other kernels, with
    /// other last bits, and with one thread a batch is not faster.
    fn run(&mut self, picture: &PixelTensor) -> Result<Vec<f32>, EmbedError> {
        let edge = picture.size as usize;
        let shape = match self.spec.layout {
            Layout::Nchw => [1, 3, edge, edge],
            Layout::Nhwc => [1, edge, edge, 3],
        };
        let tensor = TensorRef::from_array_view((shape, picture.values.as_slice())).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => tensor]).map_err(failed)?;
        let output = outputs.get(&self.output).ok_or_else(|| EmbedError::Session("no output".to_owned()))?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
        pool(shape, values, &self.spec).ok_or_else(|| EmbedError::Signature {
            part: format!("output {}", self.output),
            found: format!("of shape {:?}", &**shape),
            expected: format!("what pooling {:?} takes, for one picture", self.spec.pooling),
        })
    }
}

impl Embedder for OnnxEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    fn embed(&mut self, pictures: &[PixelTensor]) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let values = self.run(picture)?;
            embeddings.push(Embedding::normalised(values, self.space.dim)?);
        }
        Ok(embeddings)
    }
}

fn session(environment: &Environment, model: &[u8]) -> Result<Session, EmbedError> {
    let builder = Session::builder(environment)
        .map_err(failed)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(failed)?
        .with_intra_threads(1)
        .map_err(failed)?
        .with_inter_threads(1)
        .map_err(failed)?;
    let mut builder =
        if needs_precise_products() { builder.with_precise_qmm().map_err(failed)? } else { builder };
    builder.commit_from_memory(model).map_err(failed)
}

/// Whether products of unsigned and signed bytes saturate on this processor: on x86 without VNNI two of them are
/// added in 16 bits. ONNX Runtime has an exact way, at half the speed (`session.x64quantprecision`).
fn needs_precise_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !(std::is_x86_feature_detected!("avx512vnni") || std::is_x86_feature_detected!("avxvnni"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

fn input_name(session: &Session, spec: &ModelSpec) -> Result<String, EmbedError> {
    let inputs = session.inputs();
    let names = || inputs.iter().map(|input| input.name().to_owned()).collect::<Vec<_>>();
    let wrong =
        |found: String, expected: String| EmbedError::Signature { part: "input".to_owned(), found, expected };
    let input = match &spec.input {
        Some(name) => inputs.iter().find(|input| input.name() == name),
        None if inputs.len() == 1 => inputs.first(),
        None => None,
    };
    let expected =
        || spec.input.clone().unwrap_or_else(|| "a single one, or one named in its description".to_owned());
    let input = input.ok_or_else(|| wrong(names().join(", "), expected()))?;
    let size = i64::from(spec.input_size);
    let wanted = match spec.layout {
        Layout::Nchw => [1, 3, size, size],
        Layout::Nhwc => [1, size, size, 3],
    };
    let fits = |found: &[i64]| {
        found.len() == 4 && found.iter().zip(wanted).all(|(&found, wanted)| found == wanted || found < 0)
    };
    match input.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } if fits(shape) => {
            Ok(input.name().to_owned())
        }
        other => Err(wrong(other.to_string(), format!("f32 of shape {wanted:?}"))),
    }
}

fn output_name(session: &Session, spec: &ModelSpec) -> Result<String, EmbedError> {
    let outputs = session.outputs();
    let output = match &spec.output {
        Some(name) => outputs.iter().find(|output| output.name() == name),
        None => outputs.first(),
    };
    let names = || outputs.iter().map(|output| output.name().to_owned()).collect::<Vec<_>>().join(", ");
    output.map(|output| output.name().to_owned()).ok_or_else(|| EmbedError::Signature {
        part: "outputs".to_owned(),
        found: names(),
        expected: spec.output.clone().unwrap_or_else(|| "at least one".to_owned()),
    })
}

/// Takes the vector out of one picture's output; nothing when the shape has no place for it.
fn pool(shape: &[i64], values: &[f32], spec: &ModelSpec) -> Option<Vec<f32>> {
    let axes: Vec<usize> = shape.iter().map(|&length| usize::try_from(length).ok()).collect::<Option<_>>()?;
    let (&1, axes) = axes.split_first()? else {
        return None;
    };
    if values.is_empty() {
        return None;
    }
    match (spec.pooling, axes) {
        (Pooling::None, axes) if axes.iter().filter(|&&length| length > 1).count() <= 1 => {
            Some(values.to_vec())
        }
        (Pooling::GlobalAverage, &[_, dim]) => Some(mean_of_rows(values, dim)),
        (Pooling::GlobalAverage, &[channels, rows, columns]) => Some(match spec.layout {
            Layout::Nhwc => mean_of_rows(values, columns),
            Layout::Nchw => {
                let positions = rows * columns;
                let mean =
                    |plane: &[f32]| plane.iter().map(|&v| f64::from(v)).sum::<f64>() / positions as f64;
                values.chunks_exact(positions).take(channels).map(|plane| mean(plane) as f32).collect()
            }
        }),
        _ => None,
    }
}

/// The mean of rows of `dim` values, summed in order in f64.
fn mean_of_rows(values: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    for row in values.chunks_exact(dim) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let rows = (values.len() / dim) as f64;
    sums.into_iter().map(|sum| (sum / rows) as f32).collect()
}
