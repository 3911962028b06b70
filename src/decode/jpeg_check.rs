//! Whether the entropy-coded data of a JPEG adds up, read without making pixels.
//!
//! Decoders forgive: where data is missing they paint grey, where it is scrambled they paint what comes. Here every
//! Huffman code of every scan is followed as ITU-T T.81 says, and a scan must end exactly where its data ends, with
//! all blocks there, all codes known, all runs inside their block and all means inside their range.

mod bits;
mod scan;

use self::bits::HuffmanTable;
use self::scan::{Scan, ScanComponent};
use super::deadline::Deadline;

/// What is wrong with a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// The data ends before the picture does.
    EndsEarly,
    /// A segment is shorter or longer than its content.
    Segment,
    /// A code is in no table, or leads out of its block or range.
    Code,
    /// Data is left over when the picture is complete.
    LeftOver,
    /// A restart marker is missing or out of order.
    Restart,
    /// The clock ran out.
    Late,
}

impl Damage {
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::EndsEarly => "its picture data ends early",
            Self::Segment => "a segment does not fit its length",
            Self::Code => "its picture data is scrambled",
            Self::LeftOver => "its picture data does not end with the picture",
            Self::Restart => "a restart marker is missing",
            Self::Late => "it takes too long",
        }
    }
}

/// One colour component of the frame.
#[derive(Debug, Clone)]
struct Component {
    id: u8,
    /// Sampling factors, in [1, 4].
    horizontal: u32,
    vertical: u32,
    quantisation: usize,
    /// Blocks of the component's own area, as a scan of it alone has them.
    blocks: (u32, u32),
    /// Blocks per row once padded to whole MCUs.
    stride: u32,
    /// Progressive: which coefficients of each block are not zero so far, one bit each in zigzag order.
    nonzero: Vec<u64>,
}

/// The frame header.
#[derive(Debug, Clone)]
struct Frame {
    progressive: bool,
    mcus: (u32, u32),
    components: Vec<Component>,
}

/// The tables in force, as segments set them.
#[derive(Default)]
struct Tables {
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    /// The divisor of the mean, per quantisation table.
    dc_quantiser: [i32; 4],
    restart_interval: u32,
}

/// Follows all scans of a JPEG that begins with its start marker. Coding processes other than baseline, extended
/// and progressive Huffman, and scans that rely on tables outside the file, are left to the decoder.
pub(super) fn check(bytes: &[u8], deadline: Deadline) -> Result<(), Damage> {
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        at = after;
        match marker {
            0xD9 => return Ok(()),
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
        let length = length.ok_or(Damage::EndsEarly)?;
        let segment = bytes.get(at + 2..at + length.max(2)).ok_or(Damage::EndsEarly)?;
        at += length.max(2);
        match marker {
            // A second frame could ask for more memory than the first was admitted with.
            0xC0..=0xC2 if frame.is_some() => return Err(Damage::Segment),
            0xC0..=0xC2 => frame = Some(read_frame(segment, marker == 0xC2)?),
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Ok(()),
            0xC4 => read_huffman_tables(segment, &mut tables)?,
            0xDB => read_quantisers(segment, &mut tables)?,
            0xDD => {
                let interval = segment.get(..2).ok_or(Damage::Segment)?;
                tables.restart_interval = u16::from_be_bytes([interval[0], interval[1]]).into();
            }
            0xDA => {
                let frame = frame.as_mut().ok_or(Damage::Segment)?;
                let scan = read_scan(segment, frame)?;
                let Some(end) = scan::follow(bytes, at, &scan, frame, &tables, deadline)? else {
                    return Ok(());
                };
                at = end;
            }
            _ => {}
        }
    }
}

/// The next marker at or after `at`, and the position behind it. Bytes between segments are passed over, as every
/// decoder does.
fn next_marker(bytes: &[u8], mut at: usize) -> Result<(u8, usize), Damage> {
    loop {
        let rest = bytes.get(at..).ok_or(Damage::EndsEarly)?;
        at += rest.iter().position(|&byte| byte == 0xFF).ok_or(Damage::EndsEarly)?;
        while bytes.get(at) == Some(&0xFF) {
            at += 1;
        }
        let marker = *bytes.get(at).ok_or(Damage::EndsEarly)?;
        at += 1;
        if marker != 0 {
            return Ok((marker, at));
        }
    }
}

fn read_frame(segment: &[u8], progressive: bool) -> Result<Frame, Damage> {
    let &[_, height_high, height_low, width_high, width_low, count, ..] = segment else {
        return Err(Damage::Segment);
    };
    let height = u32::from(u16::from_be_bytes([height_high, height_low]));
    let width = u32::from(u16::from_be_bytes([width_high, width_low]));
    let specs = segment.get(6..6 + usize::from(count) * 3).ok_or(Damage::Segment)?;
    let factor = |value: u8| Some(u32::from(value)).filter(|factor| (1..=4).contains(factor));
    let mut components = Vec::with_capacity(usize::from(count));
    for spec in specs.chunks_exact(3) {
        components.push(Component {
            id: spec[0],
            horizontal: factor(spec[1] >> 4).ok_or(Damage::Segment)?,
            vertical: factor(spec[1] & 15).ok_or(Damage::Segment)?,
            quantisation: usize::from(spec[2] & 3),
            blocks: (0, 0),
            stride: 0,
            nonzero: Vec::new(),
        });
    }
    let horizontal_max = components.iter().map(|c| c.horizontal).max().ok_or(Damage::Segment)?;
    let vertical_max = components.iter().map(|c| c.vertical).max().ok_or(Damage::Segment)?;
    let mcus = (width.div_ceil(8 * horizontal_max), height.div_ceil(8 * vertical_max));
    for component in &mut components {
        component.blocks = (
            (width * component.horizontal).div_ceil(8 * horizontal_max),
            (height * component.vertical).div_ceil(8 * vertical_max),
        );
        component.stride = mcus.0 * component.horizontal;
        if progressive {
            component.nonzero = vec![0; (component.stride * mcus.1 * component.vertical) as usize];
        }
    }
    Ok(Frame { progressive, mcus, components })
}

fn read_huffman_tables(mut segment: &[u8], tables: &mut Tables) -> Result<(), Damage> {
    while let Some((&class_and_slot, rest)) = segment.split_first() {
        let counts: [u8; 16] = rest.first_chunk().copied().ok_or(Damage::Segment)?;
        let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let values = rest.get(16..16 + total).ok_or(Damage::Segment)?;
        let table = HuffmanTable::new(&counts, values).ok_or(Damage::Code)?;
        let class = if class_and_slot >> 4 == 0 { &mut tables.dc } else { &mut tables.ac };
        *class.get_mut(usize::from(class_and_slot & 15)).ok_or(Damage::Segment)? = Some(table);
        segment = &rest[16 + total..];
    }
    Ok(())
}

fn read_quantisers(mut segment: &[u8], tables: &mut Tables) -> Result<(), Damage> {
    while let Some((&precision_and_slot, rest)) = segment.split_first() {
        let wide = precision_and_slot >> 4 != 0;
        let values = rest.get(..if wide { 128 } else { 64 }).ok_or(Damage::Segment)?;
        let first = if wide { i32::from(values[0]) << 8 | i32::from(values[1]) } else { values[0].into() };
        *tables.dc_quantiser.get_mut(usize::from(precision_and_slot & 15)).ok_or(Damage::Segment)? = first;
        segment = &rest[values.len()..];
    }
    Ok(())
}

fn read_scan(segment: &[u8], frame: &Frame) -> Result<Scan, Damage> {
    let count = usize::from(*segment.first().ok_or(Damage::Segment)?);
    let (specs, rest) = segment[1..].split_at_checked(count * 2).ok_or(Damage::Segment)?;
    let &[start, end, approximation, ..] = rest else {
        return Err(Damage::Segment);
    };
    let mut components = Vec::with_capacity(count);
    for spec in specs.chunks_exact(2) {
        let position = frame.components.iter().position(|component| component.id == spec[0]);
        components.push(ScanComponent {
            component: position.ok_or(Damage::Segment)?,
            dc: usize::from(spec[1] >> 4 & 3),
            ac: usize::from(spec[1] & 3),
        });
    }
    // Baseline encoders are known to leave the last three fields unset.
    let (start, end, high, low) =
        if frame.progressive { (start, end, approximation >> 4, approximation & 15) } else { (0, 63, 0, 0) };
    if components.is_empty() || start > end || end > 63 || (frame.progressive && start == 0 && end != 0) {
        return Err(Damage::Segment);
    }
    if start > 0 && components.len() > 1 {
        return Err(Damage::Segment);
    }
    Ok(Scan { components, start: start.into(), end: end.into(), refining: high > 0, low: low.into() })
}
