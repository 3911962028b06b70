//! Standard output: text for people, or one JSON object on the last line for machines.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use serde_json::Value;

use super::error::CliError;
use super::table::Table;

/// Writes to a locked standard output.
///
/// A reader that closed the pipe (`culld decisions | head`) is no error: the rest is dropped quietly, and work that a
/// command has begun goes on. Any other error is kept for [`Output::finish`].
pub(super) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
    json: bool,
    error: Option<io::Error>,
    list_is_empty: bool,
}

impl Output {
    /// Takes standard output for the rest of the process.
    pub(super) fn stdout(json: bool) -> Self {
        Self { writer: BufWriter::new(io::stdout().lock()), json, error: None, list_is_empty: true }
    }

    /// Whether the caller wants one JSON object.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nothing that is written can arrive any more.
    pub(super) fn is_closed(&self) -> bool {
        self.error.is_some()
    }

    /// A line for people; nothing in JSON mode.
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        if !self.json {
            self.write(text.as_ref());
            self.write("\n");
        }
    }

    /// A table for people; nothing in JSON mode.
    pub(super) fn table(&mut self, table: &Table) {
        if !self.json {
            self.write(&table.to_string());
        }
    }

    /// The object for machines; nothing otherwise. Call it last, once; only what goes on without end writes many, a line
    /// each.
    pub(super) fn object(&mut self, value: &Value) {
        if self.json {
            self.write(&value.to_string());
            self.write("\n");
        }
    }

    /// Begins an object `{"name":[…], …}` whose list is too long to be held in memory; nothing outside JSON mode.
    pub(super) fn begin_list(&mut self, name: &str) {
        if self.json {
            self.write(&format!("{{{}:[", Value::from(name)));
            self.list_is_empty = true;
        }
    }

    /// Adds an element to the list begun.
    pub(super) fn element(&mut self, value: &Value) {
        if self.json {
            if !self.list_is_empty {
                self.write(",");
            }
            self.list_is_empty = false;
            self.write(&value.to_string());
        }
    }

    /// Ends the list begun, adds other fields, and ends the object.
    pub(super) fn end_list(&mut self, fields: &[(&str, Value)]) {
        if self.json {
            self.write("]");
            for (name, value) in fields {
                self.write(&format!(",{}:{value}", Value::from(*name)));
            }
            self.write("}\n");
        }
    }

    /// Hands on what is buffered, so that a reader sees it now.
    pub(super) fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.writer.flush().err();
        }
    }

    /// Flushes and tells whether all was written.
    ///
    /// # Errors
    /// Standard output can't be written, for another reason than a reader who left.
    pub(super) fn finish(&mut self) -> Result<(), CliError> {
        self.flush();
        match self.error.take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Output(error)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, text: &str) {
        if self.error.is_none() {
            self.error = self.writer.write_all(text.as_bytes()).err();
        }
    }
}
