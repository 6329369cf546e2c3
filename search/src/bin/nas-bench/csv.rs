//! Comma-separated files, gzipped or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;

/// A header and rows as long as it.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    pub(crate) path: PathBuf,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Csv {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let zipped = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> = if zipped {
            Box::new(GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        Self::parse(BufReader::new(reader), path)
    }

    fn parse(reader: impl BufRead, path: &Path) -> Result<Self> {
        let mut csv = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        for (number, line) in (1..).zip(reader.lines()) {
            let line = line.with_context(|| format!("read {} line {number}", path.display()))?;
            let fields: Vec<String> = line.trim_end().split(',').map(str::to_owned).collect();
            if number == 1 {
                csv.header = fields;
            } else if fields.len() == csv.header.len() {
                csv.rows.push(fields);
            } else if !line.trim().is_empty() {
                bail!(
                    "{} line {number}: {} fields, the header has {}",
                    path.display(),
                    fields.len(),
                    csv.header.len()
                );
            }
        }
        if csv.rows.is_empty() {
            bail!("{} has no rows", path.display());
        }
        Ok(csv)
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    pub(crate) fn text(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row[column].as_str())
    }

    /// The numbers of a column; NaN where a field is empty.
    pub(crate) fn numbers(&self, column: usize) -> Result<Vec<f64>> {
        let number = |(row, text): (usize, &str)| {
            if text.is_empty() {
                return Ok(f64::NAN);
            }
            text.parse::<f64>().with_context(|| {
                let (path, name) = (self.path.display(), &self.header[column]);
                format!("{path} line {}, column {name}: {text:?} is no number", row + 2)
            })
        };
        self.text(column).enumerate().map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Csv> {
        Csv::parse(text.as_bytes(), Path::new("t.csv"))
    }

    #[test]
    fn faults_name_their_place() {
        for (text, message) in [
            ("a,b\n", "t.csv has no rows"),
            ("a,b\n1,2\n3\n", "t.csv line 3: 1 fields, the header has 2"),
        ] {
            assert_eq!(csv(text).unwrap_err().to_string(), message);
        }
        let table = csv("a,b\n1,\n2,x\n").unwrap();
        assert_eq!(
            table.numbers(1).unwrap_err().to_string(),
            "t.csv line 3, column b: \"x\" is no number"
        );
        assert_eq!(table.numbers(0).unwrap(), [1.0, 2.0]);
    }
}
