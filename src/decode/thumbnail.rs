//! The small picture that is stored with an image and shown to people.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::{DecodedImage, Measures};

/// Longest side of a thumbnail, in pixels.
pub const THUMBNAIL_EDGE_MAX: u32 = 320;

/// JPEG quality of a thumbnail, in [1, 100]: about 15 KB at the longest side.
const THUMBNAIL_QUALITY: u8 = 85;

/// Why no thumbnail could be made. Met only when the sizes of [`DecodedImage`] do not fit its pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no thumbnail can be made of {width} x {height} pixels: {detail}")]
pub struct ThumbnailError {
    /// Columns of the picture.
    pub width: u32,
    /// Rows of the picture.
    pub height: u32,
    /// What the resizer or encoder met.
    pub detail: String,
}

/// What is kept of a picture's pixels: all of it is made of one small copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// JPEG of at most [`THUMBNAIL_EDGE_MAX`] pixels on the long side.
    pub thumbnail: Vec<u8>,
    /// What the same pixels measure.
    pub measures: Measures,
}

/// Makes a JPEG of at most [`THUMBNAIL_EDGE_MAX`] pixels on the long side, of the picture's proportions (smaller
/// pictures keep their size), and measures what it shows.
///
/// # Errors
/// Sizes that do not fit the pixels.
pub fn look(image: &DecodedImage) -> Result<Look, ThumbnailError> {
    let small = shrink(image, THUMBNAIL_EDGE_MAX)?;
    let measures = Measures::of(small.buffer(), small.width() as usize, small.height() as usize);
    Ok(Look { thumbnail: encode(&small)?, measures })
}

/// The thumbnail alone, as [`look`] makes it.
///
/// # Errors
/// Sizes that do not fit the pixels.
pub fn thumbnail(image: &DecodedImage) -> Result<Vec<u8>, ThumbnailError> {
    preview(image, THUMBNAIL_EDGE_MAX)
}

/// The same with at most `edge` pixels on the long side.
///
/// # Errors
/// Sizes that do not fit the pixels.
pub fn preview(image: &DecodedImage, edge: u32) -> Result<Vec<u8>, ThumbnailError> {
    encode(&shrink(image, edge)?)
}

/// The picture with at most `edge` pixels on the long side, RGB.
fn shrink(image: &DecodedImage, edge: u32) -> Result<Image<'static>, ThumbnailError> {
    let failed = |detail: String| ThumbnailError { width: image.width, height: image.height, detail };
    let (width, height) = fit(image.width, image.height, edge);
    let source = ImageRef::new(image.width, image.height, &image.rgb, PixelType::U8x3)
        .map_err(|error| failed(error.to_string()))?;
    let mut small = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut small, &options).map_err(|error| failed(error.to_string()))?;
    Ok(small)
}

fn encode(small: &Image<'_>) -> Result<Vec<u8>, ThumbnailError> {
    let (width, height) = (small.width(), small.height());
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, THUMBNAIL_QUALITY)
        .encode(small.buffer(), width, height, ExtendedColorType::Rgb8)
        .map_err(|error| ThumbnailError { width, height, detail: error.to_string() })?;
    Ok(jpeg)
}

/// The largest size of the same proportions within a square of `edge` pixels, never larger than given.
pub(super) fn fit(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let long = width.max(height);
    if long <= edge {
        return (width, height);
    }
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(edge) + u64::from(long) / 2) / u64::from(long);
        (rounded as u32).max(1)
    };
    (scaled(width), scaled(height))
}
