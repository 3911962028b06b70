//! Pixels to the model's input.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::EmbedError;
use super::spec::{Geometry, Interpolation, Layout, ModelSpec};
use crate::decode::DecodedImage;

/// Bytes between the two passes of a resize at most, about. No picture reaches it with an input of 224 pixels.
const BETWEEN_BYTES_MAX: u64 = 64 << 20;

/// One picture as a model takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelTensor {
    /// Shape (3, `size`, `size`) or (`size`, `size`, 3), as the model's layout says.
    pub values: Vec<f32>,
    /// Edge, in pixels.
    pub size: u32,
}

/// Resizes a picture to the model's input and normalises it, (x / 255 − mean) / std.
///
/// Resizing works on 8 bits in integer arithmetic and the rest is a table, so the same pixels give the same bits on
/// every processor.
///
/// # Errors
/// A picture whose sizes do not fit its pixels.
pub fn preprocess(image: &DecodedImage, spec: &ModelSpec) -> Result<PixelTensor, EmbedError> {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let filter = match spec.interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
        Interpolation::Lanczos => FilterType::Lanczos3,
    };
    let resize = ResizeAlg::Convolution(filter);
    let mut options = ResizeOptions::new().resize_alg(resize);
    if spec.geometry == Geometry::Crop {
        let edge = width.min(height) * spec.crop_fraction;
        options = options.crop((width - edge) / 2.0, (height - edge) / 2.0, edge, edge);
    }
    let failed = |detail: String| EmbedError::Signature {
        part: "picture".to_owned(),
        found: detail,
        expected: format!("{} x {} RGB pixels", image.width, image.height),
    };
    let source = ImageRef::new(image.width, image.height, &image.rgb, PixelType::U8x3)
        .map_err(|error| failed(error.to_string()))?;
    let mut resizer = Resizer::new();
    let mut square = Image::new(spec.input_size, spec.input_size, PixelType::U8x3);
    let resized = if narrows_first(image, spec) {
        let mut narrow = Image::new(spec.input_size, image.height, PixelType::U8x3);
        resizer
            .resize(&source, &mut narrow, &options)
            .and_then(|()| resizer.resize(&narrow, &mut square, &options))
    } else {
        resizer.resize(&source, &mut square, &options)
    };
    resized.map_err(|error| failed(error.to_string()))?;
    Ok(normalise(square.buffer(), spec))
}

/// Whether the width has to be resized before the height. The resizer does the height first, and holds the whole width
/// times the input's height in between: 200 MB for a flat picture and the largest input. The other way round is
/// never more than the limit, since pictures have few pixels on their shorter side. A crop is a square of that side.
fn narrows_first(image: &DecodedImage, spec: &ModelSpec) -> bool {
    let between = u64::from(image.width) * u64::from(spec.input_size) * 3;
    spec.geometry == Geometry::Squash && image.width > image.height && between > BETWEEN_BYTES_MAX
}

/// Normalises RGB bytes of the input's size.
fn normalise(rgb: &[u8], spec: &ModelSpec) -> PixelTensor {
    let table = |channel: usize| {
        std::array::from_fn::<f32, 256, _>(|value| {
            ((value as f64 / 255.0 - spec.mean[channel]) / spec.std[channel]) as f32
        })
    };
    let tables = [table(0), table(1), table(2)];
    let values = match spec.layout {
        Layout::Nchw => (0..3)
            .flat_map(|channel| {
                let table = &tables[channel];
                rgb.iter().skip(channel).step_by(3).map(move |&value| table[usize::from(value)])
            })
            .collect(),
        Layout::Nhwc => rgb
            .iter()
            .zip((0..3).cycle())
            .map(|(&value, channel)| tables[channel][usize::from(value)])
            .collect(),
    };
    PixelTensor { values, size: spec.input_size }
}
