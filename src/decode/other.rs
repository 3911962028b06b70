//! Every format but JPEG, through `image`.

use std::io;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage, RgbaImage};

use super::deadline::{Deadline, DeadlineReader};
use super::jpeg::oriented;
use super::{DecodeError, DecodedImage, Format, Limits, admit};

/// What one pixel may take while it is decoded, in bytes: four channels of 16 bits.
const PIXEL_BYTES_MAX: u64 = 8;

/// Decodes a picture of the given format at full scale.
pub(super) fn decode(bytes: &[u8], format: Format, limits: &Limits) -> Result<DecodedImage, DecodeError> {
    let open = || {
        let deadline = Deadline::after(limits.decode_time_max);
        let mut reader = ImageReader::with_format(DeadlineReader::new(bytes, deadline), image_format(format));
        let mut memory = image::Limits::no_limits();
        memory.max_alloc = Some(limits.pixels_max.saturating_mul(PIXEL_BYTES_MAX));
        reader.limits(memory);
        reader.into_decoder()
    };
    let full = open().map_err(|error| cause(error, format, (0, 0), limits))?.dimensions();
    let _turn = admit(format, full, limits)?;

    // Opened again, so that waiting for the turn is not counted as decoding.
    let failed = |error| cause(error, format, full, limits);
    let mut decoder = open().map_err(failed)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok(oriented(on_white(image), full, orientation, format))
}

fn image_format(format: Format) -> ImageFormat {
    match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        Format::Tiff => ImageFormat::Tiff,
    }
}

/// Composites on white; pictures without transparency are only converted.
fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba: RgbaImage = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut rgb = RgbImage::new(width, height);
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let alpha = u32::from(from[3]);
        for channel in 0..3 {
            to[channel] = ((u32::from(from[channel]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    rgb
}

fn cause(error: ImageError, format: Format, (width, height): (u32, u32), limits: &Limits) -> DecodeError {
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::TimedOut => {
            DecodeError::Timeout { limit: limits.decode_time_max }
        }
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            DecodeError::Corrupt { format, detail: "it ends early".to_owned() }
        }
        ImageError::Limits(_) => DecodeError::TooManyPixels { width, height, pixels_max: limits.pixels_max },
        ImageError::Unsupported(error) => DecodeError::UnsupportedFormat { found: error.to_string() },
        error => DecodeError::Corrupt { format, detail: error.to_string() },
    }
}
