//! The text exposition format 0.0.4 as node_exporter's textfile collector reads it: families, rendering, parsing
//! with positions, the rules. Pure: no file, clock or socket.

pub mod family;

pub use family::{Descriptor, Family, Kind, Labels, Sample};

// Stands in until exposition/read.rs is merged: lines of `name value` and comments, no labels.
/// Reads exposition text.
///
/// # Errors
/// Every rule that it breaks, with its place.
pub fn read(text: &[u8]) -> Result<Vec<Family>, Vec<crate::diagnostic::Problem>> {
    let mut families = Vec::new();
    let problem = |line: usize, column: usize| {
        vec![crate::diagnostic::Problem { line, column, message: "not a sample".into(), cure: String::new() }]
    };
    for (number, line) in String::from_utf8_lossy(text).lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once(' ').ok_or_else(|| problem(number + 1, 1))?;
        let value = value.parse().map_err(|_| problem(number + 1, name.len() + 2))?;
        let mut family = Family { name: name.to_owned().into(), help: None, kind: None, samples: Vec::new() };
        family.push(Vec::new(), value);
        families.push(family);
    }
    if text.last().is_some_and(|byte| *byte != b'\n') {
        return Err(problem(1, 1));
    }
    Ok(families)
}
