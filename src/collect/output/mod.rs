//! What a command's output, or a file's content, means: one file a format, one line each in the table.
//!
//! Most formats cut the output into records, of which `mapping` makes families as the definition's metrics want it.

mod bounds;
mod json;
mod keyvalue;
mod mapping;
mod metric;
mod nagios;
mod number;
mod prometheus;
mod record;
mod regex;
mod table;
mod value;

use std::fmt;

use crate::config::Header;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, nearest};
use crate::diagnostic::printable;
use crate::exposition::Family;
pub use bounds::Bounds;

/// What there is to read.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// What was written.
    pub stdout: &'a [u8],
    /// The exit status of what wrote it; 0 for a file.
    pub status: i32,
}

/// Makes families of output. Pure.
pub trait Reader: Send + Sync + fmt::Debug {
    /// The families in `output`, read within `bounds`.
    ///
    /// # Errors
    /// Where it is not what the definition says it is, or a bound is met.
    fn families(&self, output: &Output<'_>, bounds: &Bounds<'_>) -> Result<Vec<Family>, Unreadable>;

    /// The labels that its series get whatever the output is.
    fn labels(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Whether it is about the exit status of what wrote the output, which a file has none of.
    fn needs_status(&self) -> bool {
        false
    }

    /// Whether the format has a meaning for an exit status that otherwise is a failure.
    fn accepts(&self, _status: i32) -> bool {
        false
    }
}

/// Why output could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// One line, no byte of the output in it: it is published.
    pub message: String,
    /// The spot of the output, for the operator's eyes only.
    pub detail: String,
}

/// What reads the keys of a format in `output:`.
type Read = fn(&mut Section<'_>) -> Option<Box<dyn Reader>>;

/// All formats.
const FORMATS: &[(&str, Read)] = &[
    ("prometheus", prometheus::read),
    ("value", value::read),
    ("regex", regex::read),
    ("json", json::read),
    ("keyvalue", keyvalue::read),
    ("table", table::read),
    ("nagios", nagios::read),
];

/// A format as a definition configures it.
#[derive(Debug)]
pub struct Format {
    reader: Box<dyn Reader>,
    allow_empty: bool,
}

impl Default for Format {
    fn default() -> Self {
        Self { reader: Box::new(prometheus::Prometheus::default()), allow_empty: false }
    }
}

impl Format {
    /// Reads `output:` in the section of a module, or the default where it is not there.
    pub fn read_in(section: &mut Section<'_>, header: &Header) -> Option<Self> {
        let Some(node) = section.node("output") else { return Some(Self::default()) };
        let format = Self::read(node, section.problems())?;
        let labels = format.reader.labels();
        if let Some((name, _)) = header.labels.iter().find(|(name, _)| labels.contains(&name.as_ref())) {
            let message = format!("the label `{name}` is one of the header's `labels`, too");
            section.report("output", Wrong::new(message, "call one of the two otherwise"));
        }
        Some(format)
    }

    /// The families in `output`, read within `bounds`.
    ///
    /// # Errors
    /// Where it is not what the definition says it is, there is nothing in it where that is not allowed, or a bound
    /// is met.
    pub fn families(&self, output: &Output<'_>, bounds: &Bounds<'_>) -> Result<Vec<Family>, Unreadable> {
        let families = match self.reader.families(output, bounds) {
            // What can make something of nothing, a count, has done so.
            // A bad exit status is none the better for it.
            Err(_) if self.allow_empty && !self.needs_status() && output.stdout.trim_ascii().is_empty() => {
                return Ok(Vec::new());
            }
            read => read?,
        };
        if !self.allow_empty && families.iter().all(|family| family.samples.is_empty()) {
            let message = "there is no sample in its output".to_owned();
            let text = String::from_utf8_lossy(output.stdout);
            return Err(Unreadable { message, detail: format!("its output: {}", excerpt(text.trim())) });
        }
        Ok(families)
    }

    /// Whether nothing at all is a result too.
    pub fn allows_empty(&self) -> bool {
        self.allow_empty
    }

    /// Whether the format has a meaning for an exit status that otherwise is a failure.
    pub fn accepts(&self, status: i32) -> bool {
        self.reader.accepts(status)
    }

    /// Whether it is about the exit status of what wrote the output, which a file has none of.
    pub fn needs_status(&self) -> bool {
        self.reader.needs_status()
    }
}

impl Field for Format {
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
        let allow_empty = section.optional::<bool>("allow_empty").unwrap_or(false);
        let reader = read(&mut section);
        section.finish();
        Some(Self { reader: reader?, allow_empty })
    }
}

/// `output` as text.
fn text(output: &[u8]) -> Result<&str, Unreadable> {
    // Some programs begin with a byte order mark.
    let output = output.strip_prefix(b"\xef\xbb\xbf").unwrap_or(output);
    std::str::from_utf8(output).map_err(|error| {
        let before = output.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let message = format!("{} is not UTF-8", record::line_place(line));
        let shown = output.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
        Unreadable { message, detail: format!("line {line}: {}", excerpt(&String::from_utf8_lossy(shown))) }
    })
}

/// The beginning of `text`, harmless to a terminal.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}\" ...", printable(text.get(..end).unwrap_or_default())),
        None => format!("\"{}\"", printable(text)),
    }
}

/// A word of the definition, fit for a message.
fn plain(word: &str) -> String {
    printable(word).to_string()
}

#[cfg(test)]
mod testing;
