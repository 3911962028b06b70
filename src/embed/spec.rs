//! What has to be known of a model beside its weights: `NAME.toml` beside `NAME.onnx`.

use serde::Deserialize;

use crate::decode::{DECODING, THUMBNAIL_EDGE_MAX};

/// Largest input edge of a model, in pixels.
const INPUT_SIZE_MAX: u32 = 1024;

/// Order of the input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// (batch, channel, row, column).
    Nchw,
    /// (batch, row, column, channel).
    Nhwc,
}

/// How a picture is fitted into the square input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Geometry {
    /// The whole picture, its proportions given up.
    Squash,
    /// A square around the centre, its edge `crop_fraction` of the shorter side.
    Crop,
}

/// The filter that resizes; all of them average over what they shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Catmull-Rom, a = −0.5.
    Bicubic,
    /// Windowed sinc of radius 3.
    Lanczos,
}

/// What is taken of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The output as it is, shape (batch, dim), or with further axes of length 1.
    None,
    /// The mean over positions: rows and columns of a feature map in the input's layout, or the tokens of
    /// (batch, token, dim).
    GlobalAverage,
}

/// A checked description of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Edge of the square input, in pixels, in [16, 1024].
    pub input_size: u32,
    /// Subtracted per channel (RGB) from values in [0, 1].
    pub mean: [f64; 3],
    /// Divides per channel (RGB), positive.
    pub std: [f64; 3],
    /// Order of the input's axes.
    pub layout: Layout,
    /// How a picture is fitted into the input.
    pub geometry: Geometry,
    /// Share of the shorter side that [`Geometry::Crop`] sees, in (0, 1].
    pub crop_fraction: f64,
    /// The filter that resizes.
    pub interpolation: Interpolation,
    /// What is taken of the output.
    pub pooling: Pooling,
    /// Name of the input; the model's only one by default.
    pub input: Option<String>,
    /// Name of the output; the model's first one by default.
    pub output: Option<String>,
    /// SHA-256 of the ONNX file in hexadecimal digits; where it is given, another file is refused.
    pub sha256: Option<String>,
}

/// Why a description is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// Not TOML, a field is missing, unknown, or of the wrong kind.
    #[error("the model's description: {0}")]
    Toml(String),
    /// A number is out of its range.
    #[error("the model's description: {field} is {value}, must be {range}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    input_size: u32,
    mean: [f64; 3],
    std: [f64; 3],
    layout: Layout,
    geometry: Option<Geometry>,
    crop_fraction: Option<f64>,
    interpolation: Option<Interpolation>,
    pooling: Option<Pooling>,
    input: Option<String>,
    output: Option<String>,
    sha256: Option<String>,
}

impl ModelSpec {
    /// Reads and checks a description. `geometry` is `squash`, `interpolation` is `bicubic` and `pooling` is `none`
    /// where not given.
    ///
    /// # Errors
    /// Text that is no description, or numbers out of range.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        let raw: RawSpec = toml::from_str(text).map_err(|error| SpecError::Toml(error.to_string()))?;
        let RawSpec {
            input_size,
            mean,
            std,
            layout,
            geometry,
            crop_fraction,
            interpolation,
            pooling,
            input,
            output,
            sha256,
        } = raw;
        let check = |field, value: f64, holds: bool, range| {
            if holds { Ok(()) } else { Err(SpecError::Range { field, value, range }) }
        };
        let size_fits = (16..=INPUT_SIZE_MAX).contains(&input_size);
        check("input_size", input_size.into(), size_fits, "in [16, 1024] pixels")?;
        for value in mean {
            check("mean", value, (-1.0..=2.0).contains(&value), "in [-1, 2], of values in [0, 1]")?;
        }
        for value in std {
            check("std", value, value > 0.0 && value <= 10.0, "in (0, 10], of values in [0, 1]")?;
        }
        let crop_fraction = crop_fraction.unwrap_or(0.875);
        let fraction_fits = crop_fraction > 0.0 && crop_fraction <= 1.0;
        check("crop_fraction", crop_fraction, fraction_fits, "in (0, 1]")?;
        Ok(Self {
            input_size,
            mean,
            std,
            layout,
            geometry: geometry.unwrap_or(Geometry::Squash),
            crop_fraction,
            interpolation: interpolation.unwrap_or(Interpolation::Bicubic),
            pooling: pooling.unwrap_or(Pooling::None),
            input,
            output,
            sha256,
        })
    }

    /// How EfficientNet-Lite0, the built-in model, is fed.
    pub(super) fn built_in() -> Self {
        Self {
            input_size: 224,
            mean: [0.498; 3],
            std: [0.502; 3],
            layout: Layout::Nchw,
            geometry: Geometry::Squash,
            crop_fraction: 0.875,
            interpolation: Interpolation::Bicubic,
            pooling: Pooling::None,
            input: None,
            output: None,
            sha256: None,
        }
    }

    /// The shortest side that a decoded picture has to keep, in pixels: the model's input and the thumbnail are cut
    /// from one decoding.
    pub fn shortest_side_min(&self) -> u32 {
        self.input_size.max(THUMBNAIL_EDGE_MAX)
    }

    /// Everything that stands between bytes and vector but the weights, as one line.
    pub fn preprocessing(&self) -> String {
        let Self { input_size, mean, std, geometry, interpolation, pooling, output, .. } = self;
        let geometry = match geometry {
            Geometry::Squash => "squash".to_owned(),
            Geometry::Crop => format!("crop {}", self.crop_fraction),
        };
        let side = self.shortest_side_min();
        format!(
            "{DECODING}, side >= {side}; {geometry} {interpolation:?} {input_size}; mean {mean:?} std {std:?}; \
             output {} pooling {pooling:?}",
            output.as_deref().unwrap_or("first"),
        )
    }
}
