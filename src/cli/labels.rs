//! True labels from a CSV file, and the stored images that they mean.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::error::CliError;
use crate::proto::TrueLabel;
use crate::proto::true_label;

/// Rows of a labels file, at most: what the daemon takes in one evaluation.
const LABELS_MAX: usize = 200_000;

/// Why a labels file can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LabelsError {
    /// The file can't be read.
    #[error("can't read the labels {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A column is not there.
    #[error("{}, line 1: there is no column `{column}`; the header is `{header}`", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// The header found.
        header: String,
    },
    /// A line is no CSV, or not Unicode, or has another number of fields than the header.
    #[error("{}: {source}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: csv::Error,
    },
    /// A field is empty.
    #[error("{}, line {line}: `{column}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
    },
    /// There are more rows than can be evaluated.
    #[error("{}, line {line}: more than {LABELS_MAX} labels", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A class to keep that no row has.
    #[error("{}: no file has the class `{class}`; there are {}", path.display(), classes.join(", "))]
    Class {
        /// The file.
        path: PathBuf,
        /// The class asked for.
        class: String,
        /// The classes found.
        classes: Vec<String>,
    },
}

/// Whether files are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labels {
    /// A file's name as the labels give it, and whether it is needed.
    rows: Vec<(String, bool)>,
}

impl Labels {
    /// Reads a CSV file with the columns `file` and `class`; files of the classes in `keep` are needed.
    pub(super) fn read(path: &Path, keep: &[String]) -> Result<Self, LabelsError> {
        let file =
            File::open(path).map_err(|source| LabelsError::Read { path: path.to_path_buf(), source })?;
        Self::parse(file, path, keep)
    }

    fn parse(input: impl Read, path: &Path, keep: &[String]) -> Result<Self, LabelsError> {
        let path = path.to_path_buf();
        let row_error = |source| LabelsError::Row { path: path.clone(), source };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(input);
        let header = reader.headers().map_err(row_error)?.clone();
        let column = |column: &'static str| {
            // Spreadsheets put a byte order mark before the first name.
            let place = header.iter().position(|name| name.trim_start_matches('\u{feff}') == column);
            let header = header.iter().collect::<Vec<_>>().join(",");
            place.ok_or_else(|| LabelsError::Column { path: path.clone(), column, header })
        };
        let (file_column, class_column) = (column("file")?, column("class")?);
        let mut rows = Vec::new();
        let mut classes = BTreeSet::new();
        for record in reader.records() {
            let record = record.map_err(row_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |place: usize, column: &'static str| match record.get(place) {
                Some(text) if !text.is_empty() => Ok(text.to_string()),
                _ => Err(LabelsError::Empty { path: path.clone(), line, column }),
            };
            let (file, class) = (field(file_column, "file")?, field(class_column, "class")?);
            if rows.len() == LABELS_MAX {
                return Err(LabelsError::TooMany { path, line });
            }
            rows.push((file, keep.contains(&class)));
            classes.insert(class);
        }
        if let Some(class) = keep.iter().find(|class| !classes.contains(*class)) {
            let (class, classes) = (class.clone(), classes.into_iter().collect());
            return Err(LabelsError::Class { path, class, classes });
        }
        Ok(Self { rows })
    }

    /// The labels as the API takes them. A row means the source of that key; where there is none, the source whose
    /// key ends in that file name, if it is the only one. What means no stored image, or several, is left to the daemon
    /// to count.
    pub(super) async fn resolve(&self, client: &Client) -> Result<Vec<TrueLabel>, CliError> {
        let mut by_key: HashMap<String, Option<String>> = HashMap::new();
        let mut by_name: HashMap<String, Option<String>> = HashMap::new();
        let mut pages = client.image_pages(None, false);
        while let Some(images) = pages.next().await? {
            for image in images {
                for source in image.sources {
                    let name = source.key.rsplit('/').next().unwrap_or_default().to_string();
                    note_name(&mut by_name, name, &image.image_id);
                    note_name(&mut by_key, source.key, &image.image_id);
                }
            }
        }
        let label = |(file, needed): &(String, bool)| {
            let id = by_key.get(file).or_else(|| by_name.get(file)).and_then(Option::as_ref);
            let image = match id {
                Some(id) => true_label::Image::ImageId(id.clone()),
                None => true_label::Image::SourceKey(file.clone()),
            };
            TrueLabel { image: Some(image), needed: *needed }
        };
        Ok(self.rows.iter().map(label).collect())
    }
}

/// Notes which image a name means; of several images, none.
fn note_name(names: &mut HashMap<String, Option<String>>, name: String, image_id: &String) {
    let known = names.entry(name).or_insert_with(|| Some(image_id.clone()));
    if known.as_ref() != Some(image_id) {
        *known = None;
    }
}

/// Reads bytes as a labels file; answers how many rows it has.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_labels(bytes: &[u8]) -> Result<usize, String> {
    let labels = Labels::parse(bytes, Path::new("labels.csv"), &[]);
    labels.map(|labels| labels.rows.len()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Labels;

    fn parse(text: &str) -> Result<Vec<(String, bool)>, String> {
        let labels = Labels::parse(text.as_bytes(), Path::new("labels.csv"), &["cat".into()]);
        labels.map(|labels| labels.rows).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_found_by_name() {
        let rows = parse("\u{feff}class,weight, file\ncat,1,\"a\nb.jpg\"\ndog,2,c.jpg\n");
        assert_eq!(rows, Ok(vec![("a\nb.jpg".into(), true), ("c.jpg".into(), false)]));
    }

    #[test]
    fn errors_name_the_line() {
        let table = [
            ("name,class\n", "labels.csv, line 1: there is no column `file`; the header is `name,class`"),
            ("file,class\na,cat\nb,\n", "labels.csv, line 3: `class` is empty"),
            ("file,class\na,dog\n", "labels.csv: no file has the class `cat`; there are dog"),
        ];
        for (text, error) in table {
            assert_eq!(parse(text), Err(error.to_string()));
        }
        assert!(parse("file,class\na,cat\nb\n").is_err_and(|error| error.contains("line: 3")));
    }
}
