//! The text exposition format 0.0.4 as node_exporter's textfile collector reads it: families, rendering, parsing
//! with positions, the rules. Pure: no file, clock or socket.

pub mod family;

pub use family::{Descriptor, Family, Kind, Labels, Sample};

// Stubs, for the integrator to drop when the real ones are merged: `render`, `read`, `prove`.

use crate::diagnostic::Problem;
use std::fmt::Write as _;

/// Appends `families` to `out`.
pub fn render(families: &[Family], out: &mut String) {
    for family in families {
        if let Some(help) = &family.help {
            let _ = writeln!(out, "# HELP {} {help}", family.name);
        }
        if let Some(kind) = family.kind {
            let _ = writeln!(out, "# TYPE {} {}", family.name, kind.word());
        }
        for sample in &family.samples {
            let _ = writeln!(out, "{} {}", sample.name, sample.value);
        }
    }
}

/// Reads `text`.
pub fn read(text: &[u8]) -> Result<Vec<Family>, Vec<Problem>> {
    let bad = |line: usize| vec![Problem { line, ..Problem::whole("bad line", "mend it") }];
    let text = std::str::from_utf8(text).map_err(|_| bad(0))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(bad(0));
    }
    let mut families: Vec<Family> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => families.push(Family {
                name: name.to_owned().into(),
                help: Some(help.to_owned().into()),
                kind: None,
                samples: Vec::new(),
            }),
            (Some("#"), Some("TYPE"), Some(_), Some(word)) => {
                families.last_mut().ok_or(bad(i + 1))?.kind = Kind::from_word(word);
            }
            (Some("#"), ..) => {}
            (Some(name), Some(value), None, None) if !name.contains('-') => {
                let value = value.parse().map_err(|_| bad(i + 1))?;
                families.last_mut().ok_or(bad(i + 1))?.push(Labels::new(), value);
            }
            _ => return Err(bad(i + 1)),
        }
    }
    Ok(families)
}

/// Proves `bytes` harmless.
pub fn prove(bytes: &[u8]) -> Result<(), Vec<Problem>> {
    read(bytes).map(drop)
}
