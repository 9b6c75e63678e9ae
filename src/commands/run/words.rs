//! What `run` says of files and definitions.

use crate::config::load::Failed;
use crate::diagnostic::printable;
use crate::textfile::Withdrawn;

/// What went of a file that was published already, and why.
pub fn describe_loss(Withdrawn { file, families, reasons }: &Withdrawn) -> String {
    let what = printable(&families.join(", "));
    let reasons: Vec<String> = reasons.iter().map(|reason| format!("  {}", printable(reason))).collect();
    format!("promdrop: {file}: withdrawn, for another file contradicts it: {what}\n{}", reasons.join("\n"))
}

/// A definition's problems in one line that may be published: where, but nothing of what the file holds.
pub fn summary(failed: &Failed) -> String {
    let count = failed.problems.len();
    let problems = if count == 1 { "problem" } else { "problems" };
    match failed.problems.first() {
        Some(first) if first.line > 0 => {
            format!(
                "the definition has {count} {problems}, the first in line {}, column {}",
                first.line, first.column
            )
        }
        _ => "the definition can't be loaded".to_owned(),
    }
}
