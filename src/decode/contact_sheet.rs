//! Many thumbnails on one page.

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use super::thumbnail::fit;
use super::{DecodeError, Limits, decode};

/// Most thumbnails on one sheet.
pub const SHEET_CELLS_MAX: usize = 10_000;
/// Longest edge of a sheet, in pixels.
const SHEET_EDGE_MAX: u32 = 16_384;
/// Ground around the thumbnails, in pixels.
const GAP_PX: u32 = 4;
const GROUND: Rgb<u8> = Rgb([255, 255, 255]);

/// Why no contact sheet could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContactSheetError {
    /// There is nothing to show, or more than a sheet may hold.
    #[error(
        "{cells} thumbnails in {columns} columns of {cell_px} px do not make a sheet of at most 16384 px"
    )]
    Size {
        /// Thumbnails given.
        cells: usize,
        /// Columns asked for.
        columns: u32,
        /// Edge of a cell, in pixels.
        cell_px: u32,
    },
    /// A thumbnail is no picture.
    #[error("thumbnail {position}: {cause}")]
    Thumbnail {
        /// Its position, from 0.
        position: usize,
        /// Why.
        cause: DecodeError,
    },
    /// The sheet could not be written as PNG.
    #[error("the sheet could not be encoded: {0}")]
    Encode(String),
}

/// Lays thumbnails out in rows from the top left, each centred in a square cell of `cell_px` pixels, and returns
/// the sheet as PNG.
///
/// # Errors
/// No thumbnails, a sheet beyond 16,384 pixels in either direction, or a thumbnail that is no picture.
pub fn contact_sheet<T: AsRef<[u8]>>(
    thumbnails: &[T],
    columns: u32,
    cell_px: u32,
) -> Result<Vec<u8>, ContactSheetError> {
    let cells = thumbnails.len();
    let size_error = || ContactSheetError::Size { cells, columns, cell_px };
    if cells == 0 || cells > SHEET_CELLS_MAX || columns == 0 || cell_px == 0 {
        return Err(size_error());
    }
    let columns_used = columns.min(cells as u32);
    let rows = (cells as u32).div_ceil(columns);
    let edge = |count: u32| {
        let pixels = u64::from(count) * u64::from(cell_px + GAP_PX) + u64::from(GAP_PX);
        u32::try_from(pixels).ok().filter(|&pixels| pixels <= SHEET_EDGE_MAX)
    };
    let (Some(width), Some(height)) = (edge(columns_used), edge(rows)) else {
        return Err(size_error());
    };

    let mut sheet = RgbImage::from_pixel(width, height, GROUND);
    for (position, bytes) in thumbnails.iter().enumerate() {
        let picture = decode(bytes.as_ref(), &Limits::default(), cell_px)
            .map_err(|cause| ContactSheetError::Thumbnail { position, cause })?;
        let (small_width, small_height) = fit(picture.width, picture.height, cell_px);
        let Some(picture) = RgbImage::from_raw(picture.width, picture.height, picture.rgb) else {
            continue;
        };
        let small = imageops::resize(&picture, small_width, small_height, FilterType::Triangle);
        let (column, row) = (position as u32 % columns, position as u32 / columns);
        let place = |index: u32, side: u32| GAP_PX + index * (cell_px + GAP_PX) + (cell_px - side) / 2;
        imageops::replace(
            &mut sheet,
            &small,
            place(column, small_width).into(),
            place(row, small_height).into(),
        );
    }
    let mut png = std::io::Cursor::new(Vec::new());
    sheet
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| ContactSheetError::Encode(error.to_string()))?;
    Ok(png.into_inner())
}
