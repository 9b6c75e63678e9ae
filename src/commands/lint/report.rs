//! What `lint` found: told at once, or kept for one document.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::super::{FAILED, GOOD, USAGE, show};
use crate::diagnostic::{Problem, printable, show_effect};
use crate::exposition::{Finding, Harm, Spot};

/// What was found, as it is printed with `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    #[serde(skip)]
    json: bool,
    class: Class,
    problems: usize,
    counts: BTreeMap<Class, usize>,
    files: Vec<FileReport>,
    unreadable: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct FileReport {
    path: String,
    class: Class,
    problems: Vec<Shown>,
    /// How many more there are.
    more: usize,
}

/// A path that could not be looked at.
#[derive(Debug, Serialize)]
struct Failure {
    path: String,
    message: String,
}

/// The class of a problem or file; of several, the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    #[default]
    Good,
    Advice,
    Reject,
    Distort,
    Poison,
}

impl From<Option<Harm>> for Class {
    fn from(harm: Option<Harm>) -> Self {
        match harm {
            None => Class::Advice,
            Some(Harm::Reject) => Class::Reject,
            Some(Harm::Distort) => Class::Distort,
            Some(Harm::Poison) => Class::Poison,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Class::Good => "good",
            Class::Advice => "advice",
            Class::Reject => "reject",
            Class::Distort => "distort",
            Class::Poison => "poison",
        })
    }
}

/// A problem, as it is printed with `--json`.
#[derive(Debug, Serialize)]
struct Shown {
    path: String,
    #[serde(flatten)]
    place: Option<Place>,
    rule: &'static str,
    class: Class,
    message: String,
    effect: &'static str,
    rejected_by: Vec<&'static str>,
    cure: String,
    /// The other one of two that contradict each other.
    other: Option<Other>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Other {
    pub path: String,
    #[serde(flatten)]
    pub place: Place,
}

impl Place {
    /// That of `spot`.
    pub fn of(spot: &Spot) -> Self {
        Self { line: spot.line, column: spot.column }
    }
}

impl Report {
    /// An empty one, to be told at once or, with `json`, as one document.
    pub fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// A file whose problems follow; its index.
    pub fn begin(&mut self, path: &Path) -> usize {
        let path = path.to_string_lossy().into_owned();
        self.files.push(FileReport { path, class: Class::Good, problems: Vec::new(), more: 0 });
        self.files.len() - 1
    }

    /// A problem of a file as a whole.
    pub fn whole(&mut self, file: Option<usize>, finding: Finding) {
        self.problem(file, finding, None, None);
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Sorts the files from that index on by their paths.
    pub fn sort_from(&mut self, first: usize) {
        if let Some(files) = self.files.get_mut(first..) {
            files.sort_by(|one, two| one.path.cmp(&two.path));
        }
    }

    /// The worst of the file that was begun last, which may be among what was only counted.
    pub fn is_at_least(&mut self, worst: Option<Harm>) {
        if let Some((file, worst)) = self.files.last_mut().zip(worst) {
            file.class = file.class.max(Class::from(Some(worst)));
        }
    }

    /// The file of that index, or the one that was begun last.
    fn report_of(&mut self, file: Option<usize>) -> Option<&mut FileReport> {
        match file {
            Some(file) => self.files.get_mut(file),
            None => self.files.last_mut(),
        }
    }

    /// Tells a problem at once, or keeps it for the document.
    pub fn problem(
        &mut self,
        file: Option<usize>,
        finding: Finding,
        spot: Option<&Spot>,
        other: Option<Other>,
    ) {
        let json = self.json;
        let Finding { rule, message, cure, harm, .. } = finding;
        let class = Class::from(harm);
        self.problems += 1;
        *self.counts.entry(class).or_default() += 1;
        let Some(file) = self.report_of(file) else { return };
        file.class = file.class.max(class);
        if json {
            file.problems.push(Shown {
                path: file.path.clone(),
                place: spot.map(Place::of),
                rule: rule.name(),
                class,
                message,
                effect: rule.effect(),
                rejected_by: rule.rejected_by().words().collect(),
                cure,
                other,
            });
            return;
        }
        let Place { line, column } = spot.map_or(Place { line: 0, column: 0 }, Place::of);
        let message = format!("{class} {}: {message}", rule.name());
        let problem = Problem { line, column, message, cure };
        let source = spot.map(|spot| (&*spot.before, &*spot.rest));
        show(format_args!("{}\n", show_effect(&file.path, source, &problem, rule.effect())));
    }

    pub fn more(&mut self, file: Option<usize>, count: usize) {
        let json = self.json;
        self.problems += count;
        if let Some(file) = self.report_of(file).filter(|_| count > 0) {
            file.more += count;
            if !json {
                let s = if count == 1 { "" } else { "s" };
                show(format_args!("{}: {count} more problem{s}\n", printable(&file.path)));
            }
        }
    }

    /// That there was nothing to check at `path`.
    pub fn unreadable(&mut self, path: &Path, message: String) {
        self.unreadable.push(Failure { path: path.to_string_lossy().into_owned(), message });
    }

    /// Tells how much there was, or prints the document.
    pub fn finish(mut self, strict: bool) -> ExitCode {
        self.class = self.files.iter().map(|file| file.class).max().unwrap_or_default();
        if self.json {
            let document = serde_json::to_string_pretty(&self).unwrap_or_default();
            show(format_args!("{document}\n"));
        } else if self.problems > 1 {
            let bad = self.files.iter().filter(|file| file.class != Class::Good).count();
            let s = if bad == 1 { "" } else { "s" };
            let counts: Vec<String> =
                self.counts.iter().rev().map(|(class, count)| format!("{count} {class}")).collect();
            show(format_args!("{} problems in {bad} file{s}: {}\n", self.problems, counts.join(", ")));
        }
        let worst = if strict { Class::Advice } else { Class::Reject };
        ExitCode::from(match &self {
            Report { unreadable, .. } if !unreadable.is_empty() => USAGE,
            Report { class, .. } if *class >= worst => FAILED,
            _ => GOOD,
        })
    }
}
