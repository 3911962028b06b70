//! A reader that stops answering after a while, so that no file can keep a decoder busy for ever.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// How many bytes pass between two looks at the clock: a look costs as much as a few hundred of them.
const BYTES_PER_LOOK: usize = 4096;

/// The moment when decoding must be over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Bytes in memory that can be read until a deadline.
#[derive(Debug)]
pub(super) struct DeadlineReader<'a> {
    bytes: io::Cursor<&'a [u8]>,
    deadline: Deadline,
    since_look: usize,
}

impl<'a> DeadlineReader<'a> {
    pub(super) fn new(bytes: &'a [u8], deadline: Deadline) -> Self {
        Self { bytes: io::Cursor::new(bytes), deadline, since_look: 0 }
    }

    /// Counts bytes that are asked for; every call counts, too.
    #[inline]
    fn look(&mut self, bytes: usize) -> io::Result<()> {
        self.since_look += bytes + 1;
        if self.since_look > BYTES_PER_LOOK {
            self.since_look = 0;
            if self.deadline.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

impl Read for DeadlineReader<'_> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.look(buffer.len())?;
        self.bytes.read(buffer)
    }

    #[inline]
    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.look(buffer.len())?;
        self.bytes.read_exact(buffer)
    }
}

impl BufRead for DeadlineReader<'_> {
    /// At most one stretch between two looks, since the caller works on all it gets.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.look(BYTES_PER_LOOK)?;
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(BYTES_PER_LOOK)])
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for DeadlineReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.look(0)?;
        self.bytes.seek(to)
    }
}
