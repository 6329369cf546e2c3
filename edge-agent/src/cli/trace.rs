//! `run --trace`: what each thread did, as a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use pipeline::trace::{Trace, Written};

/// Tells how to open the file, and what isn't in it.
pub(super) fn write(trace: &Trace, path: &Path) -> Result<String> {
    let written = save(trace, path).with_context(|| format!("write the trace {}", path.display()))?;
    Ok(said(&path.display().to_string(), written))
}

fn save(trace: &Trace, path: &Path) -> Result<Written> {
    let mut out = BufWriter::new(File::create(path)?);
    let written = trace.write(&mut out)?;
    out.flush()?;
    Ok(written)
}

fn said(path: &str, Written { events, lost }: Written) -> String {
    let lost = match lost {
        0 => String::new(),
        lost => format!(", the newest; {lost} older ones had no room"),
    };
    format!("{events} events in {path}{lost}; open it at https://ui.perfetto.dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let said = |lost| said("t.json", Written { events: 5, lost });
        assert_eq!(said(0), "5 events in t.json; open it at https://ui.perfetto.dev");
        assert_eq!(
            said(7),
            "5 events in t.json, the newest; 7 older ones had no room; open it at https://ui.perfetto.dev"
        );
    }
}
