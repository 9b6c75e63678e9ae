//! `promdrop doctor`: what each step of the way came to, and the cure.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{FAILED, GOOD, claims, show, source};
use crate::cli::{NODE_EXPORTER, Places, TEXTFILE_DIR, VARIABLES};
use crate::config::defaults;
use crate::diagnostic::printable;
use crate::doctor::{Check, Host, Verdict, examine};

/// What is printed with `--json`.
#[derive(Debug, Serialize)]
struct Document {
    promdrop: &'static str,
    checks: Vec<Check>,
    warnings: usize,
    failures: usize,
}

/// Walks the way and prints what was found, with `json` as one document; the exit status: 1 where anything is broken.
pub fn run(places: &Places, json: bool) -> ExitCode {
    let real = source(&places.collectors_dir);
    let host = Host {
        textfile_dir: &places.textfile_dir,
        default_dir: &default_dir(),
        collectors_dir: &places.collectors_dir,
        source: &real.display().to_string(),
        node_exporter: &places.node_exporter,
        is_default: places.node_exporter == NODE_EXPORTER,
    };
    let checks = examine(&host, |loaded| claims(loaded, &real));
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (warnings, failures) = (count(Verdict::Warning), count(Verdict::Failure));
    if json {
        let document = Document { promdrop: env!("CARGO_PKG_VERSION"), checks, warnings, failures };
        show(format_args!("{}\n", serde_json::to_string_pretty(&document).unwrap_or_default()));
    } else {
        show(render(&checks, warnings, failures));
    }
    ExitCode::from(if failures > 0 { FAILED } else { GOOD })
}

/// Where a promdrop publishes that is told nothing but what stands in `/etc/default/promdrop`.
fn default_dir() -> PathBuf {
    let told = defaults::read(Path::new(defaults::FILE), &VARIABLES).unwrap_or_default();
    let told = told.into_iter().find(|(name, _)| name == "PROMDROP_TEXTFILE_DIR");
    PathBuf::from(told.map_or_else(|| TEXTFILE_DIR.to_owned(), |(_, value)| value))
}

/// A line for each check, the cure indented below, and one that counts.
fn render(checks: &[Check], warnings: usize, failures: usize) -> String {
    let words = Verdict::Warning.word().len();
    let names = checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { check, verdict, message, cure } in checks {
        let (word, message) = (verdict.word(), printable(message));
        text.push_str(&format!("{word:words$}  {check:names$}  {message}\n"));
        if !cure.is_empty() {
            let indent = words + names + 4;
            text.push_str(&format!("{:indent$}= {}\n", "", printable(cure)));
        }
    }
    let s = |count: usize| if count == 1 { "" } else { "s" };
    text.push_str(&format!("{failures} failure{}, {warnings} warning{}\n", s(failures), s(warnings)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_its_cure_another() {
        let checks = [
            Check::ok("a", "good"),
            Check::warning("long-name", "not \x1b[2J so good", "mend it"),
            Check::failure("b", "bad", "mend that"),
        ];
        let expected = "ok       a          good\n\
                        warning  long-name  not \\x1b[2J so good\n                    = mend it\n\
                        failure  b          bad\n                    = mend that\n\
                        1 failure, 1 warning\n";
        assert_eq!(render(&checks, 1, 1), expected);
    }
}
