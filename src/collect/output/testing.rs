//! What the tests of formats have in common.

use super::{Bounds, Format, Output};
use crate::config::yaml::{Field, decode};
use crate::exposition;

/// The format that `yaml` configures; or what is wrong with it.
pub fn format(yaml: &str) -> Result<Format, Vec<String>> {
    decode(yaml, Format::read).map_err(|found| found.into_iter().map(|p| p.message).collect())
}

/// The exposition that `yaml` makes of `stdout`; or the message and the detail of why it can't.
pub fn read(yaml: &str, stdout: impl AsRef<[u8]>) -> Result<String, (String, String)> {
    read_status(yaml, stdout, 0)
}

/// As [`read`], where the exit status was `status`.
pub fn read_status(yaml: &str, stdout: impl AsRef<[u8]>, status: i32) -> Result<String, (String, String)> {
    let format = format(yaml).unwrap();
    let families = format.families(&Output { stdout: stdout.as_ref(), status }, &Bounds::none());
    let families = families.map_err(|unreadable| (unreadable.message, unreadable.detail))?;
    let mut text = String::new();
    exposition::render(&families, &mut text);
    exposition::prove(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    Ok(text)
}

/// The message of why `yaml` makes nothing of `stdout`.
pub fn message(yaml: &str, stdout: impl AsRef<[u8]>) -> String {
    read(yaml, stdout).unwrap_err().0
}
