//! What a command's output means: one file a format, one line each in the table.

mod prometheus;
mod value;

use std::fmt;

use crate::config::yaml::{Field, Node, Problems, Section, Wrong, nearest};
use crate::exposition::Family;

/// Makes families of output. Pure.
pub trait Reader: Send + Sync + fmt::Debug {
    /// The families in `output`.
    ///
    /// # Errors
    /// Where it is not what the definition says it is.
    fn families(&self, output: &[u8]) -> Result<Vec<Family>, Unreadable>;
}

/// Why output could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// One line, no byte of the output in it: it is published.
    pub message: String,
    /// The spot of the output, for the operator's eyes only.
    pub detail: String,
}

/// A format: its name, and what reads the other keys of `output:`.
type Format = (&'static str, fn(&mut Section<'_>) -> Option<Box<dyn Reader>>);

/// All formats.
const FORMATS: &[Format] = &[("prometheus", prometheus::read), ("value", value::read)];

/// The reader where there is no `output:`.
pub fn default_reader() -> Box<dyn Reader> {
    Box::new(prometheus::Prometheus)
}

impl Field for Box<dyn Reader> {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let mut section = Section::open("output", node, problems)?;
        let names: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
        let known = format!("formats: {}", names.join(", "));
        let name = section.required::<String>("format", &known)?;
        let Some((_, read)) = FORMATS.iter().find(|(known, _)| *known == name) else {
            let cure = match nearest(&name, &names) {
                Some(near) => format!("did you mean `{near}`? {known}"),
                None => known,
            };
            // The other keys can't be judged without the format.
            section.report("format", Wrong::new(format!("there is no output format `{name}`"), cure));
            return None;
        };
        let reader = read(&mut section);
        section.finish();
        reader
    }
}
