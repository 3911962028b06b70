//! JPEG, at full scale or at 1/2, 1/4, 1/8 by a smaller inverse DCT.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use jpeg_decoder::{Decoder, Error, PixelFormat};

use super::deadline::{Deadline, DeadlineReader};
use super::jpeg_check::{self, Damage};
use super::{DecodeError, DecodedImage, Format, Limits, admit};

/// Decodes a JPEG at the smallest scale whose shortest side keeps `shortest_side_min` pixels.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    shortest_side_min: u32,
) -> Result<DecodedImage, DecodeError> {
    let mut header = Decoder::new(bytes);
    header.read_info().map_err(|error| cause(error, limits))?;
    let info = header.info().ok_or_else(|| corrupt("it has no frame header"))?;
    let full = (u32::from(info.width), u32::from(info.height));
    let _turn = admit(Format::Jpeg, full, limits)?;

    let deadline = Deadline::after(limits.decode_time_max);
    jpeg_check::check(bytes, deadline).map_err(|damage| match damage {
        Damage::Late => DecodeError::Timeout { limit: limits.decode_time_max },
        damage => corrupt(damage.detail()),
    })?;
    let mut decoder = Decoder::new(DeadlineReader::new(bytes, deadline));
    let eighths = scale_eighths(full, shortest_side_min);
    // The decoder stops at the first scale where one side is enough, so only the long side gets a say.
    let ask = |side: u32| {
        if side == full.0.max(full.1) { (side * eighths).div_ceil(8) as u16 } else { u16::MAX }
    };
    let (width, height) = decoder.scale(ask(full.0), ask(full.1)).map_err(|error| cause(error, limits))?;
    let samples = decoder.decode().map_err(|error| cause(error, limits))?;
    let rgb = to_rgb(samples, info.pixel_format);

    let image = RgbImage::from_raw(width.into(), height.into(), rgb)
        .ok_or_else(|| corrupt("its samples do not fill its size"))?;
    let orientation = decoder.exif_data().and_then(Orientation::from_exif_chunk);
    Ok(oriented(image, full, orientation.unwrap_or(Orientation::NoTransforms), Format::Jpeg))
}

/// Turns a picture upright; `full` is its size as stored, at full scale.
pub(super) fn oriented(
    image: RgbImage,
    full: (u32, u32),
    orientation: Orientation,
    format: Format,
) -> DecodedImage {
    let turned = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (original_width, original_height) = if turned { (full.1, full.0) } else { full };
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    DecodedImage { rgb: image.into_rgb8().into_raw(), width, height, original_width, original_height, format }
}

/// The scale in eighths: 1, 2, 4 or 8.
fn scale_eighths(full: (u32, u32), shortest_side_min: u32) -> u32 {
    let shortest = u64::from(full.0.min(full.1));
    [1, 2, 4].into_iter().find(|&n| shortest * u64::from(n) >= u64::from(shortest_side_min) * 8).unwrap_or(8)
}

#[expect(clippy::host_endian_bytes, reason = "16-bit samples come in the order of the host")]
fn to_rgb(samples: Vec<u8>, format: PixelFormat) -> Vec<u8> {
    match format {
        PixelFormat::RGB24 => samples,
        PixelFormat::L8 => samples.iter().flat_map(|&gray| [gray; 3]).collect(),
        PixelFormat::L16 => samples
            .chunks_exact(2)
            .flat_map(|pair| [(u16::from_ne_bytes([pair[0], pair[1]]) >> 8) as u8; 3])
            .collect(),
        PixelFormat::CMYK32 => samples
            .chunks_exact(4)
            .flat_map(|ink| {
                // The decoder undoes the inversion that Adobe's files have, so 255 is full ink.
                let light = |colour: u8| {
                    let product = (255 - u32::from(colour)) * (255 - u32::from(ink[3]));
                    ((product + 127) / 255) as u8
                };
                [light(ink[0]), light(ink[1]), light(ink[2])]
            })
            .collect(),
    }
}

fn corrupt(detail: &str) -> DecodeError {
    DecodeError::Corrupt { format: Format::Jpeg, detail: detail.to_owned() }
}

fn cause(error: Error, limits: &Limits) -> DecodeError {
    match error {
        Error::Unsupported(feature) => {
            DecodeError::UnsupportedFormat { found: format!("JPEG variant {feature:?}") }
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            DecodeError::Timeout { limit: limits.decode_time_max }
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => corrupt("it ends early"),
        Error::Io(error) => corrupt(&error.to_string()),
        Error::Format(detail) => corrupt(&detail),
        Error::Internal(error) => corrupt(&error.to_string()),
    }
}
