//! `format: prometheus`: the text exposition format, as most scripts for the textfile collector print it.

use super::{Reader, Unreadable};
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
    fn families(&self, output: &[u8]) -> Result<Vec<Family>, Unreadable> {
        let problems = match exposition::read(output) {
            Ok(families) if families.iter().any(|family| !family.samples.is_empty()) => return Ok(families),
            Ok(_) => {
                let message = "there is no sample in its output".to_owned();
                return Err(Unreadable { message, detail: String::new() });
            }
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
        let text = String::from_utf8_lossy(output);
        let shown = problems.iter().take(SHOWN);
        let shown: Vec<String> = shown.map(|p| diagnostic::show("output", &text, p).to_string()).collect();
        Err(Unreadable { message, detail: shown.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_is_no_result() {
        for nothing in ["", "\n\n", "# HELP a b\n"] {
            let unreadable = Prometheus.families(nothing.as_bytes()).unwrap_err();
            assert_eq!(unreadable.message, "there is no sample in its output", "{nothing:?}");
        }
    }

    #[test]
    fn the_message_tells_the_place_and_the_detail_the_line() {
        let unreadable = Prometheus.families(b"good 1\nSECRET what\n").unwrap_err();
        assert_eq!(unreadable.message, "line 2, column 8 of its output breaks the exposition format");
        assert!(unreadable.detail.contains("SECRET what"), "{}", unreadable.detail);
    }
}
