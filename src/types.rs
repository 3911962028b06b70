//! The values that every part of the pipeline shares, with their invariants; no I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The BLAKE3 digest of an image's bytes: adding the same bytes twice is one image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub [u8; 32]);

impl ImageId {
    /// Digests the bytes of one image file.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// Hexadecimal where people read it, else the bytes alone.
impl Serialize for ImageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            Deserialize::deserialize(deserializer).map(Self)
        }
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image id is 64 hexadecimal digits")]
pub struct ImageIdError;

impl FromStr for ImageId {
    type Err = ImageIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(ImageIdError);
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).ok_or(ImageIdError);
            *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
        }
        Ok(Self(id))
    }
}

/// A counter of the data that a derived result was computed on; grows with every change of the image set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A cluster's stable id: it survives reclustering wherever the cluster does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u64);

/// Which of the two a person wants an image to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Needed: the positive class of precision and recall.
    Keep,
    /// Not needed.
    Discard,
}

impl Side {
    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Keep => Self::Discard,
            Self::Discard => Self::Keep,
        }
    }
}

/// The position of an image's row in its collection's vectors; never leaves the process.
pub type PointOffset = u32;

/// A row and its cosine distance, in [0, 2]; smaller is closer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The row found.
    pub offset: PointOffset,
    /// Cosine distance, 1 − cos, in [0, 2].
    pub distance: f32,
}

/// Why a vector can't be an embedding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// A component is NaN or infinite.
    #[error("the embedding has a component that is not a finite number")]
    NotFinite,
    /// The vector has no direction.
    #[error("the embedding is all zeros")]
    Zero,
    /// The vector has another length than its space.
    #[error("the embedding has {received} dimensions, its space has {expected}")]
    Dimension {
        /// The dimension of the space.
        expected: usize,
        /// The dimension of the vector.
        received: usize,
    },
}

/// A unit-length f32 vector. Comparable only within one embedding space.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Normalises `values` to unit length (the sum of squares is taken in f64, in order, so the bits repeat).
    ///
    /// # Errors
    /// NaN or infinite components, an all-zero vector, or a length other than `dim`.
    pub fn normalised(mut values: Vec<f32>, dim: usize) -> Result<Self, EmbeddingError> {
        if values.len() != dim {
            return Err(EmbeddingError::Dimension { expected: dim, received: values.len() });
        }
        let squares: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        if !squares.is_finite() {
            return Err(EmbeddingError::NotFinite);
        }
        if squares <= f64::from(f32::MIN_POSITIVE) {
            return Err(EmbeddingError::Zero);
        }
        let norm = squares.sqrt();
        values.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
        Ok(Self(values))
    }

    /// The components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

/// Unit vectors in one row-major block, shape (`len`, `dim`).
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    dim: usize,
    data: Vec<f32>,
}

impl Vectors {
    /// No rows yet, of `dim` columns (at least one).
    pub fn new(dim: usize) -> Self {
        Self { dim: dim.max(1), data: Vec::new() }
    }

    /// Takes row-major data whose length is a multiple of `dim`; a ragged tail is cut off.
    pub fn from_rows(dim: usize, mut data: Vec<f32>) -> Self {
        let dim = dim.max(1);
        data.truncate(data.len() / dim * dim);
        Self { dim, data }
    }

    /// Appends one row of `dim` components.
    ///
    /// # Errors
    /// A row of another length.
    pub fn push(&mut self, row: &[f32]) -> Result<(), EmbeddingError> {
        if row.len() != self.dim {
            return Err(EmbeddingError::Dimension { expected: self.dim, received: row.len() });
        }
        self.data.extend_from_slice(row);
        Ok(())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The number of columns.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// One row, shape (`dim`).
    ///
    /// # Panics
    /// When `row` is not below [`Vectors::len`].
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// All rows, row-major.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// Takes a row away; the last one comes in its place.
    ///
    /// # Panics
    /// When `row` is not below [`Vectors::len`].
    pub fn swap_remove(&mut self, row: usize) {
        let (at, last) = (row * self.dim, self.data.len() - self.dim);
        self.data.copy_within(last.., at);
        self.data.truncate(last);
    }

    /// A copy of the rows named, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[PointOffset]) -> Self {
        let mut data = Vec::with_capacity(rows.len() * self.dim);
        for &row in rows {
            data.extend_from_slice(self.row(row as usize));
        }
        Self { dim: self.dim, data }
    }
}

/// The inner product of two vectors of one length, in sixteen independent sums so that it vectorises; the order of
/// additions is fixed, so the bits repeat.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// The cosine distance of two unit vectors, 1 − a·b, clamped to [0, 2].
pub fn cosine_distance(a: &[f32], b: &[f32]) -> f32 {
    (1.0 - dot(a, b)).clamp(0.0, 2.0)
}
