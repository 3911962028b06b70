//! A perceptual hash: what a picture shares with its copies, be they compressed, scaled, brightened, made gray, turned a
//! little, captioned or cropped.
//!
//! Two hashes stand side by side. The *whole* one is the DCT hash (Zauner, *Implementation and benchmarking of perceptual
//! image hash functions*, 2010), taken of more coefficients than usual: 256 signs still tell two pages of one book apart,
//! where 64 do not. It knows nothing of crops, since every coefficient depends on every pixel. The *parts* are the
//! gradient hash (Krawetz, *Kind of like that*, 2013) in both directions. Its bits stay where they are in the picture, so
//! those of a crop can be laid over those of the original at every place where they may come from.
//!
//! All arithmetic behind a bit is exact, or rounded far above the last place: the same pixels give the same bits on every
//! processor.

use std::f64::consts::PI;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Edge of the picture that the DCT is taken of, in cells.
const DCT_EDGE: usize = 64;
/// Bits of the whole hash: the coefficients of the lowest frequencies but the mean.
const WHOLE_BITS: usize = 256;
/// Frequencies computed in each direction: the highest among [`WHOLE_BITS`] in the order of their sum is 22.
const FREQUENCIES: usize = 23;
/// Scale of the cosines, which makes them integers.
const COSINE_ONE: f64 = (1 << 14) as f64;
/// Scale of cell means, in parts of a level.
const CELL_ONE: f64 = 16.0;

/// Edge of the grid of parts, in cells.
const GRID: usize = 11;
/// Bits of each of the two planes of parts.
const PLANE_BITS: usize = GRID * GRID;
/// The edges of crops that are looked for, as shares of the original's, each with the places along an edge that are
/// tried: half a cell apart.
const CROPS: [(f64, usize); 5] = [(1.0, 1), (0.96, 2), (0.92, 3), (0.88, 4), (0.84, 5)];

/// What a picture shares with its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PerceptualHash {
    /// Signs of DCT coefficients, lowest frequencies first.
    whole: [u64; 4],
    /// Whether each cell is darker than the one to its right, row-major.
    across: u128,
    /// Whether each cell is darker than the one below.
    down: u128,
}

impl PerceptualHash {
    /// Hashes luma of shape (`height`, `width`), both at least one.
    pub(super) fn of(luma: &[u8], width: usize, height: usize) -> Self {
        let whole = dct_signs(&area_means(luma, width, height, DCT_EDGE));
        let cells = area_means(luma, width, height, GRID + 1);
        let (mut across, mut down) = (0, 0);
        for bit in 0..PLANE_BITS {
            let at = bit / GRID * (GRID + 1) + bit % GRID;
            across |= u128::from(cells[at + 1] > cells[at]) << bit;
            down |= u128::from(cells[at + GRID + 1] > cells[at]) << bit;
        }
        Self { whole, across, down }
    }

    /// The share of the whole hash's bits that differ, [0, 1]: 0 for the same picture, about 0.5 for unrelated ones.
    pub fn distance(&self, other: &Self) -> f32 {
        let differing: u32 = self.whole.iter().zip(&other.whole).map(|(a, b)| (a ^ b).count_ones()).sum();
        differing as f32 / WHOLE_BITS as f32
    }

    /// The share of the parts' bits that differ where both lie as they are, [0, 1].
    pub fn parts_distance(&self, other: &Self) -> f32 {
        plane_distance(self.across, self.down, other)
    }

    /// The smallest such share over all places where one picture may be a crop of the other, of 84 % of its edges or
    /// more, [0, 1].
    pub fn crop_distance(&self, other: &Self) -> f32 {
        Crops::of(self).distance(&Crops::of(other))
    }
}

/// The parts of a hash as they are in every crop that is looked for: made once for many comparisons.
#[derive(Debug)]
pub struct Crops {
    hash: PerceptualHash,
    /// Both planes of each crop.
    planes: Vec<(u128, u128)>,
}

impl Crops {
    /// Those of a hash.
    pub fn of(hash: &PerceptualHash) -> Self {
        let mut planes = Vec::with_capacity(CROPS.iter().map(|(_, places)| places * places).sum());
        for size in SPANS.chunk_by(|a, b| a.size == b.size) {
            for columns in size {
                // Columns are picked once for all rows.
                let (across, down) = (columns.pick_columns(hash.across), columns.pick_columns(hash.down));
                planes.extend(size.iter().map(|rows| (rows.pick_rows(across), rows.pick_rows(down))));
            }
        }
        Self { hash: *hash, planes }
    }

    /// As [`PerceptualHash::crop_distance`].
    pub fn distance(&self, other: &Self) -> f32 {
        self.contains_at_best(&other.hash).min(other.contains_at_best(&self.hash))
    }

    fn contains_at_best(&self, part: &PerceptualHash) -> f32 {
        let distances = self.planes.iter().map(|&(across, down)| plane_distance(across, down, part));
        distances.fold(1.0, f32::min)
    }
}

fn plane_distance(across: u128, down: u128, other: &PerceptualHash) -> f32 {
    let differing = (across ^ other.across).count_ones() + (down ^ other.down).count_ones();
    differing as f32 / (2 * PLANE_BITS) as f32
}

/// Where a crop's cells lie along one edge of the original's grid.
struct Span {
    /// Which of [`CROPS`].
    size: usize,
    /// The original's cell under each of the crop's.
    cells: [usize; GRID],
    /// For every row of eleven bits, the row that the crop would have.
    picked: Vec<u16>,
}

static SPANS: LazyLock<Vec<Span>> = LazyLock::new(|| {
    let spans = CROPS.iter().enumerate().flat_map(|(size, &(share, places))| {
        (0..places).map(move |place| {
            let start = if places == 1 { 0.0 } else { (1.0 - share) * place as f64 / (places - 1) as f64 };
            Span::new(size, start, share)
        })
    });
    spans.collect()
});

impl Span {
    fn new(size: usize, start: f64, share: f64) -> Self {
        let cells = std::array::from_fn(|cell| {
            let centre = start + share * (cell as f64 + 0.5) / GRID as f64;
            ((centre * GRID as f64) as usize).min(GRID - 1)
        });
        let pick = |row: u16| (0..GRID).fold(0, |picked, cell| picked | (row >> cells[cell] & 1) << cell);
        Self { size, cells, picked: (0..1 << GRID).map(pick).collect() }
    }

    fn pick_columns(&self, plane: u128) -> u128 {
        (0..GRID).fold(0, |picked, row| {
            picked | u128::from(self.picked[usize::from(row_of(plane, row))]) << (row * GRID)
        })
    }

    fn pick_rows(&self, plane: u128) -> u128 {
        (0..GRID).fold(0, |picked, row| picked | u128::from(row_of(plane, self.cells[row])) << (row * GRID))
    }
}

fn row_of(plane: u128, row: usize) -> u16 {
    const MASK: u16 = (1 << GRID) - 1;
    (plane >> (row * GRID)) as u16 & MASK
}

/// Means over the cells of a grid of `edge` × `edge`, in parts of a level, row-major; pixels on a border count to both
/// cells by their share.
fn area_means(luma: &[u8], width: usize, height: usize, edge: usize) -> Vec<i32> {
    let columns = Cover::all(width, edge);
    let mut narrow = vec![0.0f64; edge * height];
    for (row, means) in luma.chunks_exact(width).zip(narrow.chunks_exact_mut(edge)) {
        for (mean, cover) in means.iter_mut().zip(&columns) {
            *mean = cover.mean(|at| f64::from(row[at]));
        }
    }
    let rows = Cover::all(height, edge);
    let cells = rows.iter().flat_map(|cover| {
        let narrow = &narrow;
        (0..edge).map(move |column| cover.mean(|at| narrow[at * edge + column]))
    });
    cells.map(|mean| (mean * CELL_ONE).round() as i32).collect()
}

/// The pixels under one cell along one edge.
struct Cover {
    first: usize,
    last: usize,
    /// Weight of the first pixel.
    head: f64,
    /// Weight of the last, where that is another.
    tail: f64,
}

impl Cover {
    fn all(pixels: usize, cells: usize) -> Vec<Self> {
        let at = |cell: usize| (cell * pixels) as f64 / cells as f64;
        let cover = |cell: usize| {
            let (start, end) = (at(cell), at(cell + 1));
            let first = (start as usize).min(pixels - 1);
            let last = ((end.ceil() as usize).max(1) - 1).clamp(first, pixels - 1);
            let head = if first == last { 1.0 } else { (first + 1) as f64 - start };
            Self { first, last, head, tail: end - last as f64 }
        };
        (0..cells).map(cover).collect()
    }

    fn mean(&self, value: impl Fn(usize) -> f64) -> f64 {
        if self.first == self.last {
            return value(self.first);
        }
        let inner: f64 = (self.first + 1..self.last).map(&value).sum();
        let weight = self.head + self.tail + (self.last - self.first - 1) as f64;
        (self.head * value(self.first) + inner + self.tail * value(self.last)) / weight
    }
}

/// Cosines of the DCT, row-major: frequency, then place.
static COSINES: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let cosine = |frequency: usize, place: usize| {
        let angle = PI * (frequency * (2 * place + 1)) as f64 / (2 * DCT_EDGE) as f64;
        (angle.cos() * COSINE_ONE).round() as i64
    };
    (0..FREQUENCIES).flat_map(|frequency| (0..DCT_EDGE).map(move |place| cosine(frequency, place))).collect()
});

/// The signs of the lowest coefficients of the DCT of [`DCT_EDGE`]² cells, in the order of frequency.
fn dct_signs(cells: &[i32]) -> [u64; 4] {
    let cosines = &*COSINES;
    let product = |row: &[i64], frequency: usize| -> i64 {
        row.iter().zip(&cosines[frequency * DCT_EDGE..]).map(|(value, cosine)| value * cosine).sum()
    };
    // By horizontal frequency, then row.
    let mut narrow = vec![0i64; FREQUENCIES * DCT_EDGE];
    for (y, row) in cells.chunks_exact(DCT_EDGE).enumerate() {
        let row: Vec<i64> = row.iter().map(|&cell| i64::from(cell)).collect();
        (0..FREQUENCIES).for_each(|frequency| narrow[frequency * DCT_EDGE + y] = product(&row, frequency));
    }
    let mut signs = [0u64; 4];
    let orders = (1..).flat_map(|sum: usize| (0..=sum).map(move |vertical| (vertical, sum - vertical)));
    for (bit, (vertical, horizontal)) in orders.take(WHOLE_BITS).enumerate() {
        let coefficient = product(&narrow[horizontal * DCT_EDGE..][..DCT_EDGE], vertical);
        signs[bit / 64] |= u64::from(coefficient > 0) << (bit % 64);
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waves that differ from place to place.
    fn picture(width: usize, height: usize, window: (f64, f64, f64)) -> Vec<u8> {
        let (left, top, share) = window;
        let value = |x: usize, y: usize| {
            let u = left + share * (x as f64 + 0.5) / width as f64;
            let v = top + share * (y as f64 + 0.5) / height as f64;
            let wave = (9.0 * u + 4.0 * v * v).sin() + (3.0 * u * v - 11.0 * v).cos() + (17.0 * u * u).sin();
            (127.5 + 40.0 * wave) as u8
        };
        (0..height).flat_map(|y| (0..width).map(move |x| value(x, y))).collect()
    }

    fn hash(width: usize, height: usize, window: (f64, f64, f64)) -> PerceptualHash {
        PerceptualHash::of(&picture(width, height, window), width, height)
    }

    #[test]
    fn size_does_not_matter() {
        let large = hash(320, 240, (0.0, 0.0, 1.0));
        assert_eq!(large.distance(&large), 0.0);
        assert!(large.distance(&hash(160, 120, (0.0, 0.0, 1.0))) < 0.1);
        assert!(large.parts_distance(&hash(97, 31, (0.0, 0.0, 1.0))) < 0.1);
    }

    #[test]
    fn a_crop_is_found_where_it_was() {
        let whole = hash(320, 240, (0.0, 0.0, 1.0));
        for window in [(0.0, 0.0, 0.9), (0.1, 0.05, 0.86), (0.06, 0.12, 0.88)] {
            let crop = hash(280, 210, window);
            let (cropped, as_it_is) = (whole.crop_distance(&crop), whole.parts_distance(&crop));
            assert!(cropped < 0.16 && cropped <= as_it_is, "{window:?}: {cropped} {as_it_is}");
            assert_eq!(cropped, crop.crop_distance(&whole));
        }
    }

    #[test]
    fn any_size_has_a_hash() {
        for (width, height) in [(1, 1), (1, 320), (320, 1), (2, 3), (63, 65)] {
            let hash = hash(width, height, (0.0, 0.0, 1.0));
            assert_eq!(hash.crop_distance(&hash), 0.0, "{width} x {height}");
        }
    }
}
