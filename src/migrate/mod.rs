//! What takes the place of a crontab: collectors, `promdrop exec` and `promdrop push`. Pure.
//!
//! ```text
//! crontab text -> lines (crontab) -> series (stagger, timing) -> plans (program, pushes) -> text (render)
//! ```
//!
//! - [`crontab`] reads the lines, [`schedule`] their time fields.
//! - [`shell`] makes a tree of a command or a script; [`stagger`] tells waiting from running in it.
//! - [`series`] finds the lines that run the same.
//! - [`program`] finds the script that a line calls, [`pushes`] and [`curl`] what it pushes.
//! - [`plan`] decides what becomes of each series: a [`collector`], where its script has the [`fitness`], with its script made a printing one by
//!   [`rewrite`], or a [`job`] that stays in the crontab.
//! - [`render`] writes all of it as one text, from which nothing of the crontab is missing.
//!
//! Where one of them doesn't understand something for certain, the line stays as it is, and a comment says why.

pub mod collector;
pub mod crontab;
pub mod curl;
pub mod fitness;
pub mod job;
pub mod names;
pub mod plan;
pub mod program;
pub mod pushes;
pub mod render;
pub mod rewrite;
pub mod schedule;
pub mod series;
pub mod shell;
pub mod stagger;
pub mod timing;
mod words;
pub mod yaml;

use crate::diagnostic::Problem;
use crontab::{Form, Meaning};
use program::Read;

/// What is known of a crontab besides its text.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Its path, or what stands for it.
    pub name: &'a str,
    /// Whose it is.
    pub form: Form,
    /// Its owner, if it is a user's and the owner is known.
    pub owner: Option<&'a str>,
}

/// What takes the place of a crontab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Names and texts of collectors.
    pub collectors: Vec<(String, String)>,
    /// What to do with all this, as comments.
    pub head: String,
    /// The same where the collectors were written.
    pub written_head: String,
    /// The crontab as it is then.
    pub crontab: String,
    /// What of the crontab can't be understood.
    pub problems: Vec<Problem>,
}

/// What takes the place of the crontab `text`; the scripts that it calls are read by `read`.
pub fn migrate(text: &str, origin: &Origin<'_>, read: Read<'_>) -> Migration {
    let lines = crontab::read(text, origin.form);
    let problems = lines.iter().filter_map(|line| match &line.meaning {
        Meaning::Wrong(problems) | Meaning::Strange(problems) => Some(problems.iter().cloned()),
        _ => None,
    });
    let problems = problems.flatten().collect();
    let plan = plan::make(&lines, origin, read);
    let head = render::head(&plan, origin, false);
    let written_head = render::head(&plan, origin, true);
    let crontab = render::crontab(&lines, &plan, origin);
    Migration { collectors: plan.collectors, head, written_head, crontab, problems }
}

/// The line, from 1, that byte `at` of `text` is in.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
