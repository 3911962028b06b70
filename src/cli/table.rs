//! Columns of text.

use std::fmt;

/// A table with a header; every row has as many cells.
#[derive(Debug, Clone)]
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet. A column whose name begins with `>` is aligned to the right.
    pub(super) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = |name: &'static str| name.strip_prefix('>').unwrap_or(name);
        let header: Vec<String> = self.header.iter().map(|name| title(name).to_string()).collect();
        let lines = || std::iter::once(&header).chain(&self.rows);
        let width = |column: usize| {
            lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        for line in lines() {
            let mut text = String::new();
            for ((cell, width), name) in line.iter().zip(&widths).zip(&self.header) {
                let padding = " ".repeat(width - cell.chars().count());
                let (before, after) =
                    if name.starts_with('>') { (padding, String::new()) } else { (String::new(), padding) };
                text.extend([&before, cell, &after, "  "]);
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn numbers_stand_at_the_right() {
        let mut table = Table::new(&["name", ">size"]);
        table.row(["a".into(), "5".into()]);
        table.row(["long".into(), "10000".into()]);
        assert_eq!(table.to_string(), "name   size\na         5\nlong  10000\n");
    }
}
