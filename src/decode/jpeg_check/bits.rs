//! Bits and Huffman codes of entropy-coded JPEG data (ITU-T T.81, annexes B.1.1.5, C and F.2.2).

use super::Damage;

/// Codes up to this length are found in one look.
const LOOK_BITS: u32 = 9;

/// One Huffman table.
pub(super) struct HuffmanTable {
    /// For the next [`LOOK_BITS`] bits: value and code length, length 0 when the code is longer.
    look: [(u8, u8); 1 << LOOK_BITS],
    /// Per length − 1: one more than the largest code, left-aligned in 16 bits; never reached when there is none.
    limit: [u32; 16],
    /// Per length − 1: what to add to a code to get the place of its value.
    offset: [i32; 16],
    values: Vec<u8>,
}

impl HuffmanTable {
    /// Takes the number of codes of each length and the values in code order; nothing for codes that overlap.
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut table =
            Self { look: [(0, 0); 1 << LOOK_BITS], limit: [0; 16], offset: [0; 16], values: values.to_vec() };
        let (mut code, mut place) = (0u32, 0usize);
        for (length, &count) in (1..=16u32).zip(counts) {
            let slot = length as usize - 1;
            table.offset[slot] = place as i32 - code as i32;
            for &value in values.get(place..place + usize::from(count))? {
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOK_BITS {
                    let first = (code << (LOOK_BITS - length)) as usize;
                    table.look[first..first + (1 << (LOOK_BITS - length))].fill((value, length as u8));
                }
                code += 1;
            }
            place += usize::from(count);
            table.limit[slot] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// Bits between two markers. Past the end zeros follow, and [`Bits::check`] tells.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, left-aligned.
    buffer: u64,
    /// Bits in the buffer.
    count: u32,
    /// Zero bits that were added past the end.
    added: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, buffer: 0, count: 0, added: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes.get(self.at) {
                Some(&0xFF) if self.bytes.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xFF
                }
                None | Some(&0xFF) => {
                    self.added += 8;
                    0
                }
                Some(&byte) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Passes over `length` bits, at most 16.
    pub(super) fn skip(&mut self, length: u32) {
        self.take(length);
    }

    /// The next `length` bits, at most 16.
    pub(super) fn take(&mut self, length: u32) -> u32 {
        if self.count < length {
            self.fill();
        }
        let bits = (self.buffer >> 48) as u32 >> (16 - length);
        self.buffer <<= length;
        self.count -= length;
        bits
    }

    /// The value of the next code.
    pub(super) fn code(&mut self, table: &HuffmanTable) -> Result<u8, Damage> {
        if self.count < 16 {
            self.fill();
        }
        let (value, length) = table.look[(self.buffer >> (64 - LOOK_BITS)) as usize];
        if length > 0 {
            self.buffer <<= length;
            self.count -= u32::from(length);
            return Ok(value);
        }
        let next = (self.buffer >> 48) as u32;
        let longer = LOOK_BITS as usize..16;
        let slot = longer.into_iter().find(|&slot| next < table.limit[slot]).ok_or(Damage::Code)?;
        let length = slot as u32 + 1;
        let place = (next >> (16 - length)) as i32 + table.offset[slot];
        self.buffer <<= length;
        self.count -= length;
        usize::try_from(place).ok().and_then(|place| table.values.get(place)).copied().ok_or(Damage::Code)
    }

    /// A signed number of `length` bits, at most 15 (figure F.12).
    pub(super) fn signed(&mut self, length: u32) -> i32 {
        if length == 0 {
            return 0;
        }
        let bits = self.take(length) as i32;
        if bits < 1 << (length - 1) { bits - (1 << length) + 1 } else { bits }
    }

    /// Fails when more bits were taken than there are.
    pub(super) fn check(&self) -> Result<(), Damage> {
        if self.count < self.added { Err(Damage::EndsEarly) } else { Ok(()) }
    }

    /// Ends at the next marker, over the rest of the last byte, and returns where the marker begins.
    pub(super) fn end(mut self) -> Result<usize, Damage> {
        self.check()?;
        self.fill();
        if self.added == 0 || self.count - self.added >= 8 {
            return Err(Damage::LeftOver);
        }
        Ok(self.at)
    }
}
