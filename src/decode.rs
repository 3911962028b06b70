//! Image bytes to pixels: the first step of the pipeline, and the only user of `image` and `jpeg-decoder`.
//!
//! Bytes come from strangers. The format is told by content and never by name; sizes are checked against
//! [`Limits`] as soon as the header is read and before pixels are allocated; a panic inside a decoder becomes
//! [`DecodeError::Corrupt`]. A picture is decoded whole or not at all: data that ends early or does not add up is
//! an error, never a picture with a grey half.
//!
//! What the pixels are: RGB, 8 bits; EXIF orientation applied; transparency composited on white, the ground that
//! documents and drawings are made for; 16 bits rounded to 8; CMYK converted without a profile; colour profiles
//! ignored; the first frame of an animation.

mod contact_sheet;
mod deadline;
mod defects;
mod fingerprint;
mod jpeg;
mod jpeg_check;
mod measures;
mod other;
mod thumbnail;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::contact_sheet::{ContactSheetError, SHEET_CELLS_MAX, contact_sheet};
pub use self::defects::{Defect, Defects, Exposure};
pub use self::fingerprint::{Crops, PerceptualHash};
pub use self::measures::{MEASURES_VERSION, Measures};
pub use self::thumbnail::{Look, THUMBNAIL_EDGE_MAX, ThumbnailError, look, preview, thumbnail};

/// How a picture becomes pixels, for the identity of an embedding space: changes whenever the pixels might.
pub const DECODING: &str = "jpeg-decoder 0.3 dct-scaled, image 0.25, exif, white";

/// Longest side of a picture as stored, in pixels. What is resized in two passes holds one side of the picture times
/// one of the result in between, which the number of pixels alone does not bound.
pub const SIDE_MAX: u32 = 65_535;

/// Pictures of more pixels than this are decoded one at a time, so that the memory of several workers does not add
/// up: a progressive JPEG of 100 megapixels takes 1.2 GB while it is decoded.
const LARGE_PIXELS: u64 = 25_000_000;

static LARGE_TURN: Mutex<()> = Mutex::new(());

/// What one image may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest file, in bytes.
    pub bytes_max: usize,
    /// Most pixels as stored, before any scaling; a side has [`SIDE_MAX`] at most, whatever this is.
    pub pixels_max: u64,
    /// Longest time of decoding; looked at wherever a decoder asks for more bytes.
    pub decode_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 64 << 20, pixels_max: 100_000_000, decode_time_max: Duration::from_secs(10) }
    }
}

/// A file format that is read, told by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// JPEG: baseline, progressive or lossless; gray, RGB, `YCbCr`, CMYK, YCCK.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// GIF; its first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF; its first page.
    Tiff,
}

impl Format {
    /// The media type, such as `image/jpeg`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }

    fn sniff(bytes: &[u8]) -> Option<Self> {
        match image::guess_format(bytes).ok()? {
            image::ImageFormat::Jpeg => Some(Self::Jpeg),
            image::ImageFormat::Png => Some(Self::Png),
            image::ImageFormat::WebP => Some(Self::WebP),
            image::ImageFormat::Gif => Some(Self::Gif),
            image::ImageFormat::Bmp => Some(Self::Bmp),
            image::ImageFormat::Tiff => Some(Self::Tiff),
            _ => None,
        }
    }
}

/// Why bytes are no picture: a closed list, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is longer than allowed.
    #[error("the file has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// Length of the file, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The header announces more pixels than allowed, in all or on a side.
    #[error(
        "the picture has {width} x {height} pixels, at most {pixels_max} pixels and {SIDE_MAX} on a side are allowed"
    )]
    TooManyPixels {
        /// Columns announced.
        width: u32,
        /// Rows announced.
        height: u32,
        /// The limit, in pixels.
        pixels_max: u64,
    },
    /// The content is no format that is read, or a variant that is not.
    #[error("not a picture that can be read: {found}")]
    UnsupportedFormat {
        /// What was found.
        found: String,
    },
    /// The file breaks its own format: truncated, scrambled, or never right.
    #[error("the {format:?} file is damaged: {detail}")]
    Corrupt {
        /// The format that its first bytes announce.
        format: Format,
        /// What the decoder met.
        detail: String,
    },
    /// Decoding took longer than allowed.
    #[error("decoding took longer than {limit:?}")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
}

/// A picture as pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedImage {
    /// RGB, 8 bits each, shape (`height`, `width`, 3).
    pub rgb: Vec<u8>,
    /// Columns of `rgb`; never zero.
    pub width: u32,
    /// Rows of `rgb`; never zero.
    pub height: u32,
    /// Columns at full scale, after orientation.
    pub original_width: u32,
    /// Rows at full scale, after orientation.
    pub original_height: u32,
    /// What the file was.
    pub format: Format,
}

/// Decodes one image file.
///
/// A JPEG whose shortest side is at least twice `shortest_side_min` is decoded at 1/2, 1/4 or 1/8 scale, the
/// smallest that leaves every side `shortest_side_min` pixels or more; so is nothing else. Pass what the model and
/// the thumbnail need, or `u32::MAX` for full scale.
///
/// # Errors
/// Everything that [`DecodeError`] lists.
pub fn decode(bytes: &[u8], limits: &Limits, shortest_side_min: u32) -> Result<DecodedImage, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.len() > limits.bytes_max {
        return Err(DecodeError::TooLarge { bytes: bytes.len(), bytes_max: limits.bytes_max });
    }
    let Some(format) = Format::sniff(bytes) else {
        return Err(DecodeError::UnsupportedFormat { found: describe(bytes) });
    };
    let attempt = || {
        if format == Format::Jpeg {
            jpeg::decode(bytes, limits, shortest_side_min)
        } else {
            other::decode(bytes, format, limits)
        }
    };
    // The decoders are other people's code on other people's bytes: a panic there is a damaged file here.
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
        Err(DecodeError::Corrupt { format, detail: "its decoder gave up in disorder".to_owned() })
    })
}

/// Checks what a header announces, and returns the turn that a large picture has to hold while it is decoded.
fn admit(
    format: Format,
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Option<MutexGuard<'static, ()>>, DecodeError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(DecodeError::Corrupt { format, detail: "it has no pixels".to_owned() });
    }
    if pixels > limits.pixels_max || width.max(height) > SIDE_MAX {
        return Err(DecodeError::TooManyPixels { width, height, pixels_max: limits.pixels_max });
    }
    Ok((pixels > LARGE_PIXELS).then(|| LARGE_TURN.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Names what the bytes are, as far as their beginning tells.
fn describe(bytes: &[u8]) -> String {
    const PROBE_BYTES: usize = 256;
    let head = &bytes[..bytes.len().min(PROBE_BYTES)];
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    let known = [
        ("<!doctype html", "an HTML page"),
        ("<html", "an HTML page"),
        ("<svg", "an SVG drawing"),
        ("<?xml", "an XML document"),
        ("%pdf", "a PDF document"),
    ];
    if let Some((_, name)) = known.iter().find(|(start, _)| text.starts_with(start)) {
        return (*name).to_owned();
    }
    if head.get(4..8) == Some(b"ftyp") {
        let brand = String::from_utf8_lossy(head.get(8..12).unwrap_or_default()).into_owned();
        return format!("an ISO media file of brand {brand:?} (AVIF, HEIC or video)");
    }
    let start: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("unknown content that starts with {}", start.join(" "))
}
