//! `format: prometheus`: the text exposition format, as most scripts for the textfile collector print it.

use super::{Output, Reader, Unreadable};
use crate::config::yaml::Section;
use crate::diagnostic;
use crate::exposition::{self, Family};

/// Of a long list of problems so many are shown.
const SHOWN: usize = 5;

#[derive(Debug)]
pub(super) struct Prometheus;

/// It has no keys of its own.
pub(super) fn read(_: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    Some(Box::new(Prometheus))
}

impl Reader for Prometheus {
    fn families(&self, output: &Output<'_>) -> Result<Vec<Family>, Unreadable> {
        let problems = match exposition::read(output.stdout) {
            Ok(families) => return Ok(families),
            Err(problems) => problems,
        };
        let place = match problems.first() {
            Some(first) if first.line > 0 => {
                format!("line {}, column {} of its output", first.line, first.column)
            }
            _ => "its output".to_owned(),
        };
        // The words of the problem may quote the output, so they are for the detail.
        let message = match problems.len() {
            0 | 1 => format!("{place} breaks the exposition format"),
            count => format!("{place} breaks the exposition format, the first of {count} problems"),
        };
        let text = String::from_utf8_lossy(output.stdout);
        let shown = problems.iter().take(SHOWN);
        let shown: Vec<String> = shown.map(|p| diagnostic::show("output", &text, p).to_string()).collect();
        Err(Unreadable { message, detail: shown.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_the_place_and_the_detail_the_line() {
        let unreadable =
            Prometheus.families(&Output { stdout: b"good 1\nSECRET what\n", status: 0 }).unwrap_err();
        assert_eq!(unreadable.message, "line 2, column 8 of its output breaks the exposition format");
        assert!(unreadable.detail.contains("SECRET what"), "{}", unreadable.detail);
    }
}
