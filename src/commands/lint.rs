//! `promdrop lint`: would any node_exporter reject or distort these files, or die of them?

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::errno::Errno;
use serde::Serialize;

use super::{FAILED, GOOD, USAGE, complain, show};
use crate::cli::Places;
use crate::diagnostic::{self, Problem, printable, show_effect};
use crate::exposition::{Clash, Facts, Finding, Harm, Position, Reading, Rule, Versions, clashes, inspect};
use crate::textfile::{Content, Directory, Entry, Survey, entry};

/// More contradictions of one file with others are only counted.
const MOST: usize = 100;

/// Checks `paths`: files, directories, `-` for stdin; without any, the textfile directory.
///
/// Prints every problem to stdout, and nothing where there is none; with `json`, one document in any case. Exit
/// status: 0 no problems, 1 problems (advice counts if `strict`), 2 where a path can't be looked at.
pub fn run(paths: &[PathBuf], places: &Places, json: bool, strict: bool) -> ExitCode {
    let served = Directory::open_to_look(&places.textfile_dir);
    let served = served.ok().map(|directory| directory.with_node_exporter(&places.node_exporter));
    let mut lint = Lint { json, report: Report::default(), text: Vec::new(), served };
    match paths {
        [] => lint.directory(&places.textfile_dir),
        paths => paths.iter().for_each(|path| lint.path(path)),
    }
    lint.finish(strict)
}

/// What was found, as it is printed with `--json`.
#[derive(Debug, Default, Serialize)]
struct Report {
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
struct Place {
    line: usize,
    column: usize,
}

#[derive(Debug, Serialize)]
struct Other {
    path: String,
    #[serde(flatten)]
    place: Place,
}

/// A line before the place that is meant, and from it on.
type Halves<'a> = (&'a [u8], &'a [u8]);

/// A place of a file that is read again.
struct Spot {
    place: Place,
    before: Vec<u8>,
    rest: Vec<u8>,
}

/// A text of a directory.
struct Text<'a> {
    /// Its index in the report.
    file: usize,
    path: PathBuf,
    facts: &'a Facts,
}

struct Lint {
    json: bool,
    report: Report,
    /// The text that is looked at: one buffer for all.
    text: Vec<u8>,
    /// What the live node_exporter serves files from.
    served: Option<Directory>,
}

impl Lint {
    fn path(&mut self, path: &Path) {
        if path == Path::new("-") {
            let mut text = Vec::new();
            let read = match entry::read_stream(std::io::stdin().lock(), &mut text) {
                Ok(()) => Content::Text(()),
                Err(errno) => Content::Unreadable(errno),
            };
            self.file(path, read, |lint| drop(lint.inspect(&text)));
        } else if path.is_dir() {
            self.directory(path);
        } else {
            let mut text = std::mem::take(&mut self.text);
            let read = entry::read_file(path, &mut text, |_| ());
            self.file(path, read, |lint| {
                let facts = lint.inspect(&text);
                if path.extension().is_some_and(|extension| extension == "prom") {
                    lint.name(None, path, facts.rejected_by);
                }
            });
            self.text = text;
        }
    }

    /// A file for itself: how it was read, and what to do if it was.
    fn file(&mut self, path: &Path, read: Content<()>, look: impl FnOnce(&mut Self)) {
        match read {
            Content::Unreadable(errno) if errno != Errno::ENOMEM => {
                let message = format!("can't be read: {}", errno.desc());
                let shown = path.to_string_lossy();
                complain(diagnostic::show(&shown, "", &Problem::whole(&message, "")));
                self.unreadable(path, message);
            }
            Content::Text(()) => {
                self.begin(path);
                look(self);
            }
            read => {
                self.begin(path);
                entry::content(path, &read).into_iter().for_each(|finding| self.whole(None, finding));
            }
        }
    }

    /// A directory, as node_exporter reads it.
    fn directory(&mut self, path: &Path) {
        let first = self.report.files.len();
        let mut survey: Survey<(usize, Facts)> = Survey::new(entry::LARGEST);
        let surveyed = Directory::open_to_look(path).and_then(|directory| {
            survey.refresh(&directory, |name, text| {
                let file = self.begin(&path.join(name));
                (file, self.inspect(text))
            })?;
            Ok(directory)
        });
        let directory = match surveyed {
            Ok(directory) => directory,
            Err(error) => {
                complain(&error);
                let message = error.problems.first().map(|problem| problem.message.clone());
                return self.unreadable(path, message.unwrap_or_default());
            }
        };
        if let Some(finding) = entry::directory_mode(&directory) {
            let file = self.begin(path);
            self.whole(Some(file), finding);
        }
        let mut texts = Vec::new();
        for (name, entry) in survey.entries() {
            self.entry(path.join(name), &directory, entry, &mut texts);
        }
        let facts: Vec<&Facts> = texts.iter().map(|text| text.facts).collect();
        let found = clashes(&facts, &mut |text, at| entry::line(&texts.get(text)?.path, at));
        self.clashes(&texts, &found);
        if let Some(files) = self.report.files.get_mut(first..) {
            files.sort_by(|one, two| one.path.cmp(&two.path));
        }
    }

    /// What is wrong with an entry as such. Adds it to `texts` if it is one.
    fn entry<'a>(
        &mut self,
        path: PathBuf,
        directory: &Directory,
        entry: &'a Entry<(usize, Facts)>,
        texts: &mut Vec<Text<'a>>,
    ) {
        let (file, rejected_by, finding) = match &entry.content {
            Content::Text((file, facts)) => (*file, facts.rejected_by, entry::file_mode(entry, directory)),
            other => {
                let finding = entry::content(&path, other);
                let rejected_by =
                    finding.as_ref().map_or(Versions::NONE, |finding| finding.rule.rejected_by());
                (self.begin(&path), rejected_by, finding)
            }
        };
        finding.into_iter().for_each(|finding| self.whole(Some(file), finding));
        self.name(Some(file), &path, rejected_by);
        if let Content::Text((file, facts)) = &entry.content {
            texts.push(Text { file: *file, path, facts });
        }
    }

    /// The text of the file that was begun last.
    fn inspect(&mut self, text: &[u8]) -> Facts {
        let mut reading = inspect(text);
        self.ask_node_exporter(&mut reading);
        let mut position = Position::new(text);
        for finding in reading.findings {
            let (line, column) = position.of(finding.at);
            self.problem(None, finding, Some((Place { line, column }, position.line())), None);
        }
        self.more(None, reading.more);
        // It may be one of those that were only counted.
        if let (Some(file), Some(worst)) = (self.report_of(None), reading.facts.worst) {
            file.class = file.class.max(Class::from(Some(worst)));
        }
        reading.facts
    }

    /// The name of an optional collector's family is taken where the live node_exporter serves it.
    fn ask_node_exporter(&self, reading: &mut Reading) {
        let taken = self.served.as_ref().map(|directory| directory.taken(&reading.facts));
        for taken in taken.unwrap_or_default() {
            let harm = Some(taken.harm);
            reading.facts.worst = reading.facts.worst.max(harm);
            let is_its =
                |finding: &&mut Finding| finding.rule == Rule::OptionalName && finding.at == taken.at;
            if let Some(advice) = reading.findings.iter_mut().find(is_its) {
                let finding = Finding::new(Rule::ReservedName, taken.at, taken.message, taken.cure);
                *advice = Finding { harm, ..finding };
            }
        }
    }

    /// What comes of a name that is not UTF-8, where not all versions reject what bears it.
    fn name(&mut self, file: Option<usize>, path: &Path, rejected_by: Versions) {
        let finding = entry::file_name(path.as_os_str()).filter(|_| !rejected_by.is_all());
        finding.into_iter().for_each(|finding| self.whole(file, finding));
    }

    /// What was found between files, each told at the later one, which is read again to show the line.
    fn clashes(&mut self, texts: &[Text<'_>], found: &[Clash]) {
        let mut told: BTreeMap<usize, usize> = BTreeMap::new();
        let mut kept = Vec::new();
        for clash in found {
            let count = told.entry(clash.file).or_default();
            *count += 1;
            if *count <= MOST {
                kept.push(clash);
            }
        }
        let mut spots: BTreeMap<(usize, usize), Option<Spot>> = BTreeMap::new();
        for clash in &kept {
            spots.insert((clash.file, clash.at), None);
            spots.insert((clash.other, clash.other_at), None);
        }
        let mut files: Vec<usize> = spots.keys().map(|(file, _)| *file).collect();
        files.dedup();
        for file in files {
            let Some(text) = texts.get(file) else { continue };
            entry::read_file(&text.path, &mut self.text, |text| {
                let mut position = Position::new(text);
                for ((_, at), spot) in spots.range_mut((file, 0)..=(file, usize::MAX)) {
                    let (line, column) = position.of(*at);
                    let (before, rest) = position.line();
                    let (before, rest) = (before.to_vec(), rest.to_vec());
                    *spot = Some(Spot { place: Place { line, column }, before, rest });
                }
            });
        }
        let spot = |file, at| spots.get(&(file, at)).and_then(Option::as_ref);
        for clash in kept {
            let (Some(text), Some(twin)) = (texts.get(clash.file), texts.get(clash.other)) else { continue };
            let name = twin.path.file_name().unwrap_or_default().to_string_lossy();
            let other = spot(clash.other, clash.other_at).map(|spot| spot.place);
            let message = match other {
                Some(Place { line, .. }) => format!("{} {name}:{line}", clash.message),
                None => format!("{} {name}", clash.message),
            };
            let other = other.map(|place| Other { path: twin.path.to_string_lossy().into_owned(), place });
            let at = spot(clash.file, clash.at).map(|spot| (spot.place, (&*spot.before, &*spot.rest)));
            let finding = Finding::new(clash.rule, clash.at, message, clash.cure);
            self.problem(Some(text.file), finding, at, other);
        }
        for (file, count) in told {
            self.more(texts.get(file).map(|text| text.file), count.saturating_sub(MOST));
        }
    }

    /// A file whose problems follow; its index.
    fn begin(&mut self, path: &Path) -> usize {
        let path = path.to_string_lossy().into_owned();
        self.report.files.push(FileReport { path, class: Class::Good, problems: Vec::new(), more: 0 });
        self.report.files.len() - 1
    }

    /// A problem of a file as a whole.
    fn whole(&mut self, file: Option<usize>, finding: Finding) {
        self.problem(file, finding, None, None);
    }

    /// The file of that index, or the one that was begun last.
    fn report_of(&mut self, file: Option<usize>) -> Option<&mut FileReport> {
        match file {
            Some(file) => self.report.files.get_mut(file),
            None => self.report.files.last_mut(),
        }
    }

    /// Tells a problem at once, or keeps it for the document.
    fn problem(
        &mut self,
        file: Option<usize>,
        finding: Finding,
        at: Option<(Place, Halves<'_>)>,
        other: Option<Other>,
    ) {
        let json = self.json;
        let Finding { rule, message, cure, harm, .. } = finding;
        let class = Class::from(harm);
        self.report.problems += 1;
        *self.report.counts.entry(class).or_default() += 1;
        let Some(file) = self.report_of(file) else { return };
        file.class = file.class.max(class);
        if json {
            file.problems.push(Shown {
                path: file.path.clone(),
                place: at.map(|(place, _)| place),
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
        let place = at.map_or(Place { line: 0, column: 0 }, |(place, _)| place);
        let message = format!("{class} {}: {message}", rule.name());
        let problem = Problem { line: place.line, column: place.column, message, cure };
        let source = at.map(|(_, source)| source);
        show(format_args!("{}\n", show_effect(&file.path, source, &problem, rule.effect())));
    }

    fn more(&mut self, file: Option<usize>, count: usize) {
        let json = self.json;
        self.report.problems += count;
        if let Some(file) = self.report_of(file).filter(|_| count > 0) {
            file.more += count;
            if !json {
                let s = if count == 1 { "" } else { "s" };
                show(format_args!("{}: {count} more problem{s}\n", printable(&file.path)));
            }
        }
    }

    /// That there was nothing to check at `path`.
    fn unreadable(&mut self, path: &Path, message: String) {
        self.report.unreadable.push(Failure { path: path.to_string_lossy().into_owned(), message });
    }

    fn finish(mut self, strict: bool) -> ExitCode {
        let report = &mut self.report;
        report.class = report.files.iter().map(|file| file.class).max().unwrap_or_default();
        if self.json {
            let document = serde_json::to_string_pretty(report).unwrap_or_default();
            show(format_args!("{document}\n"));
        } else if report.problems > 1 {
            let bad = report.files.iter().filter(|file| file.class != Class::Good).count();
            let s = if bad == 1 { "" } else { "s" };
            let counts: Vec<String> =
                report.counts.iter().rev().map(|(class, count)| format!("{count} {class}")).collect();
            show(format_args!("{} problems in {bad} file{s}: {}\n", report.problems, counts.join(", ")));
        }
        let worst = if strict { Class::Advice } else { Class::Reject };
        ExitCode::from(match report {
            Report { unreadable, .. } if !unreadable.is_empty() => USAGE,
            Report { class, .. } if *class >= worst => FAILED,
            _ => GOOD,
        })
    }
}
