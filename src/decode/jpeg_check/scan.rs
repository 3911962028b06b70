//! One scan: all blocks of some components, with some of their coefficients (ITU-T T.81, annexes F.2.2 and G.2).

use super::bits::{Bits, HuffmanTable};
use super::{Component, Damage, Frame, Tables, next_marker};
use crate::decode::deadline::Deadline;

/// Largest mean of a block of 8-bit samples times the quantiser is 1024; twice that leaves room for encoders that
/// work on coefficients.
const DC_MAX: i32 = 2048;

/// One component's part in a scan.
#[derive(Debug, Clone)]
pub(super) struct ScanComponent {
    pub(super) component: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// A scan header.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient, in zigzag order, in [0, 63].
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether the scan adds a bit to coefficients that earlier scans began.
    pub(super) refining: bool,
    /// The position of the scan's lowest bit.
    pub(super) low: u32,
}

/// What is carried from block to block, until a restart.
#[derive(Default)]
struct Carry {
    dc: [i32; 4],
    /// Blocks still to come of a run that ends all of them.
    end_of_band: u32,
}

/// Follows the scan whose data begins at `at`, and returns where the marker behind it begins; nothing when it needs
/// a table that is not in the file.
pub(super) fn follow(
    bytes: &[u8],
    at: usize,
    scan: &Scan,
    frame: &mut Frame,
    tables: &Tables,
    deadline: Deadline,
) -> Result<Option<usize>, Damage> {
    let needs_dc = scan.start == 0 && !scan.refining;
    let missing = |part: &ScanComponent| {
        needs_dc && tables.dc[part.dc].is_none() || scan.end > 0 && tables.ac[part.ac].is_none()
    };
    if scan.components.len() > 4 || scan.components.iter().any(missing) {
        return Ok(None);
    }
    let alone = scan.components.len() == 1;
    let (columns, rows) =
        if alone { frame.components[scan.components[0].component].blocks } else { frame.mcus };
    let mut bits = Bits::new(bytes, at);
    let mut carry = Carry::default();
    let mut restarts = 0u8;
    let mut until_restart = tables.restart_interval;
    for row in 0..rows {
        if deadline.is_over() {
            return Err(Damage::Late);
        }
        for column in 0..columns {
            if tables.restart_interval > 0 {
                if until_restart == 0 {
                    let (marker, after) = next_marker(bytes, bits.end()?)?;
                    if marker != 0xD0 + restarts % 8 {
                        return Err(Damage::Restart);
                    }
                    bits = Bits::new(bytes, after);
                    carry = Carry::default();
                    restarts = (restarts + 1) % 8;
                    until_restart = tables.restart_interval;
                }
                until_restart -= 1;
            }
            for (slot, part) in scan.components.iter().enumerate() {
                let component = &mut frame.components[part.component];
                let (wide, high) = if alone { (1, 1) } else { (component.horizontal, component.vertical) };
                for place in 0..wide * high {
                    let x = column * wide + place % wide;
                    let y = row * high + place / wide;
                    let index = (y * component.stride + x) as usize;
                    let block = Block { scan, tables, part, slot, index };
                    block.follow(&mut bits, &mut carry, component, frame.progressive)?;
                }
            }
            bits.check()?;
        }
    }
    // A run may not promise more blocks than there are.
    if carry.end_of_band > 0 {
        return Err(Damage::Code);
    }
    bits.end().map(Some)
}

/// One block's part in a scan.
struct Block<'a> {
    scan: &'a Scan,
    tables: &'a Tables,
    part: &'a ScanComponent,
    /// Position of the component in the scan.
    slot: usize,
    /// Position of the block in the component.
    index: usize,
}

impl Block<'_> {
    fn follow(
        &self,
        bits: &mut Bits<'_>,
        carry: &mut Carry,
        component: &mut Component,
        progressive: bool,
    ) -> Result<(), Damage> {
        if self.scan.start == 0 {
            if self.scan.refining {
                bits.skip(1);
            } else {
                self.dc(bits, carry, component)?;
            }
        }
        let Some(ac) = self.tables.ac[self.part.ac].as_ref().filter(|_| self.scan.end > 0) else {
            return Ok(());
        };
        if !progressive {
            return sequential(bits, ac);
        }
        let nonzero = component.nonzero.get_mut(self.index).ok_or(Damage::Segment)?;
        let band = self.scan.start..=self.scan.end;
        if self.scan.refining {
            refine(bits, ac, band, carry, nonzero)
        } else {
            first(bits, ac, band, carry, nonzero)
        }
    }

    /// The mean, as a difference to the block before (F.2.2.1).
    fn dc(&self, bits: &mut Bits<'_>, carry: &mut Carry, component: &Component) -> Result<(), Damage> {
        let Some(table) = &self.tables.dc[self.part.dc] else {
            return Err(Damage::Code);
        };
        let length = u32::from(bits.code(table)?);
        if length > 11 {
            return Err(Damage::Code);
        }
        let mean = &mut carry.dc[self.slot];
        *mean += bits.signed(length);
        let quantiser = self.tables.dc_quantiser[component.quantisation].max(1);
        if ((*mean << self.scan.low) * quantiser).abs() > DC_MAX + quantiser {
            return Err(Damage::Code);
        }
        Ok(())
    }
}

/// All 63 coefficients after the mean (F.2.2.2).
fn sequential(bits: &mut Bits<'_>, table: &HuffmanTable) -> Result<(), Damage> {
    let mut at = 1;
    while at < 64 {
        let code = bits.code(table)?;
        let (run, length) = (usize::from(code >> 4), u32::from(code & 15));
        match (run, length) {
            (0, 0) => return Ok(()),
            (15, 0) => at += 16,
            _ => {
                at += run + 1;
                bits.skip(length);
            }
        }
    }
    if at > 64 { Err(Damage::Code) } else { Ok(()) }
}

/// The first bits of a band (G.1.2.2).
fn first(
    bits: &mut Bits<'_>,
    table: &HuffmanTable,
    band: std::ops::RangeInclusive<usize>,
    carry: &mut Carry,
    nonzero: &mut u64,
) -> Result<(), Damage> {
    if carry.end_of_band > 0 {
        carry.end_of_band -= 1;
        return Ok(());
    }
    let (mut at, end) = band.into_inner();
    while at <= end {
        let code = bits.code(table)?;
        let (run, length) = (usize::from(code >> 4), u32::from(code & 15));
        if length == 0 && run < 15 {
            carry.end_of_band = (1 << run) - 1 + bits.take(run as u32);
            return Ok(());
        }
        at += run;
        if at > end {
            return Err(Damage::Code);
        }
        if length > 0 {
            bits.skip(length);
            *nonzero |= 1 << at;
        }
        at += 1;
    }
    Ok(())
}

/// One more bit of a band (G.1.2.3): coefficients that are not zero take a bit each as they are passed.
fn refine(
    bits: &mut Bits<'_>,
    table: &HuffmanTable,
    band: std::ops::RangeInclusive<usize>,
    carry: &mut Carry,
    nonzero: &mut u64,
) -> Result<(), Damage> {
    let (mut at, end) = band.into_inner();
    while carry.end_of_band == 0 && at <= end {
        let code = bits.code(table)?;
        let (mut run, length) = (u32::from(code >> 4), code & 15);
        match length {
            0 if run < 15 => {
                carry.end_of_band = (1 << run) + bits.take(run);
                break;
            }
            0 => {}
            1 => bits.skip(1),
            _ => return Err(Damage::Code),
        }
        // Over `run` zeros, to the place of the new coefficient.
        while at <= end {
            if *nonzero >> at & 1 == 1 {
                bits.skip(1);
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            at += 1;
        }
        if at > end && (length == 1 || run > 0) {
            return Err(Damage::Code);
        }
        if length == 1 {
            *nonzero |= 1 << at;
        }
        at += 1;
    }
    if carry.end_of_band > 0 {
        let rest = (u64::MAX >> (63 - end)) & (u64::MAX << at.min(63));
        let pending = if at > end { 0 } else { (*nonzero & rest).count_ones() };
        (0..pending).for_each(|_| bits.skip(1));
        carry.end_of_band -= 1;
    }
    Ok(())
}
