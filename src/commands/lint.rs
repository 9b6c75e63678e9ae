//! `promdrop lint`: would any node_exporter reject or distort these files, or die of them?

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat};
use serde::Serialize;

use super::{FAILED, GOOD, USAGE, complain, show};
use crate::diagnostic::{Problem, printable, show_effect};
use crate::exposition::{Clash, Facts, Finding, Harm, Position, Rule, Versions, clashes, inspect};
use crate::textfile::entry::{self, Unread};

/// More contradictions of one file with others are only counted.
const MOST: usize = 100;

/// Checks `paths`: files, directories, `-` for stdin; without any, the directory `textfile_dir`.
///
/// Prints every problem to stdout, and nothing where there is none; with `json`, one document in any case. Exit
/// status: 0 no problems, 1 problems (advice counts if `strict`), 2 where a path can't be looked at.
pub fn run(paths: &[PathBuf], textfile_dir: &Path, json: bool, strict: bool) -> ExitCode {
    let mut lint = Lint { json, report: Report::default(), text: Vec::new() };
    match paths {
        [] => lint.directory(textfile_dir),
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

struct Lint {
    json: bool,
    report: Report,
    /// The text that is looked at: one buffer for all.
    text: Vec<u8>,
}

impl Lint {
    fn path(&mut self, path: &Path) {
        if path == Path::new("-") {
            match entry::read_stream(std::io::stdin().lock(), &mut self.text) {
                Err(Unread::Io(errno)) => self.unreadable("-", errno),
                read => {
                    self.begin("-".to_owned());
                    match read {
                        Ok(()) => drop(self.inspect()),
                        Err(unread) => self.whole(unread.finding()),
                    }
                }
            }
        } else if path.is_dir() {
            self.directory(path);
        } else {
            self.file(path);
        }
    }

    /// A file of any name, for itself.
    fn file(&mut self, path: &Path) {
        let shown = path.to_string_lossy().into_owned();
        let read = match entry::read(AT_FDCWD, path.as_os_str(), &mut self.text) {
            Err(Unread::Io(errno)) => return self.unreadable(&shown, errno),
            read => read,
        };
        self.begin(shown);
        match read {
            Ok(read) => {
                let facts = self.content(read.changed);
                if path.extension().is_some_and(|extension| extension == "prom") {
                    self.name(path, facts.rejected_by);
                }
            }
            Err(unread) => self.whole(unread.finding()),
        }
    }

    /// A directory, as node_exporter reads it.
    fn directory(&mut self, path: &Path) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened =
            open(path, flags, Mode::empty()).and_then(|dir| Ok((fstat(&dir)?, entry::names(&dir)?, dir)));
        let shown = path.to_string_lossy().into_owned();
        let (stat, names, dir) = match opened {
            Ok(opened) => opened,
            Err(errno) => return self.unreadable(&shown, errno),
        };
        if let Some(finding) = entry::directory_mode(&stat) {
            self.begin(shown);
            self.whole(finding);
        }
        let first = self.report.files.len();
        let facts: Vec<Facts> = names.iter().map(|name| self.entry(path, (&dir, &stat), name)).collect();
        let held: Vec<&Facts> = facts.iter().collect();
        let mut line = |file: usize, at| entry::line(dir.as_fd(), names.get(file)?, at);
        let found = clashes(&held, &mut line);
        drop(facts);
        self.clashes(dir.as_fd(), &names, first, &found);
    }

    /// An entry of a directory: what is wrong with it, and what it holds.
    fn entry(&mut self, path: &Path, (dir, dir_stat): (&OwnedFd, &FileStat), name: &OsString) -> Facts {
        let path = path.join(name);
        self.begin(path.to_string_lossy().into_owned());
        let rejected = Facts { rejected_by: Versions::ALL, ..Facts::default() };
        match entry::read(dir.as_fd(), name, &mut self.text) {
            Ok(read) => {
                let unreadable = entry::file_mode(&read.stat, dir_stat);
                let facts = self.content(read.changed);
                self.name(&path, facts.rejected_by);
                unreadable.into_iter().for_each(|finding| self.whole(finding));
                facts
            }
            // Removed since it was listed.
            Err(Unread::Io(Errno::ENOENT)) if !is_there(dir, name) => rejected,
            Err(unread) => {
                let finding = unread.finding();
                self.name(&path, finding.rule.rejected_by());
                self.whole(finding);
                rejected
            }
        }
    }

    /// The text that was read.
    fn content(&mut self, changed: bool) -> Facts {
        if !changed {
            return self.inspect();
        }
        self.whole(Finding::new(
            Rule::ChangingFile,
            0,
            "somebody writes to it while it is read",
            "write to a name that does not end in .prom, then rename it",
        ));
        // What stands there so far may be seen too; where it ends is chance.
        self.text.truncate(memchr::memrchr(b'\n', &self.text).map_or(0, |last| last + 1));
        self.inspect()
    }

    fn inspect(&mut self) -> Facts {
        let text = std::mem::take(&mut self.text);
        let reading = inspect(&text);
        let mut position = Position::new(&text);
        for finding in reading.findings {
            let (line, column) = position.of(finding.at);
            self.problem(None, finding, Some((Place { line, column }, position.line())), None);
        }
        self.more(None, reading.more);
        // It may be one of those that were only counted.
        if let (Some(file), Some(worst)) = (self.report_of(None), reading.facts.worst) {
            file.class = file.class.max(Class::from(Some(worst)));
        }
        self.text = text;
        reading.facts
    }

    /// What comes of a name that is not UTF-8, where not all versions reject what bears it.
    fn name(&mut self, path: &Path, rejected_by: Versions) {
        let finding = entry::file_name(path.as_os_str()).filter(|_| !rejected_by.is_all());
        finding.into_iter().for_each(|finding| self.whole(finding));
    }

    /// What was found between files, each told at the later one, which is read again to show the line.
    fn clashes(&mut self, dir: BorrowedFd<'_>, names: &[OsString], first: usize, found: &[Clash]) {
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
            let Some(name) = names.get(file) else { continue };
            let mut text = std::mem::take(&mut self.text);
            if entry::read(dir, name, &mut text).is_ok() {
                let mut position = Position::new(&text);
                for ((_, at), spot) in spots.range_mut((file, 0)..=(file, usize::MAX)) {
                    let (line, column) = position.of(*at);
                    let (before, rest) = position.line();
                    let (before, rest) = (before.to_vec(), rest.to_vec());
                    *spot = Some(Spot { place: Place { line, column }, before, rest });
                }
            }
            self.text = text;
        }
        let spot = |file, at| spots.get(&(file, at)).and_then(Option::as_ref);
        for clash in kept {
            let name = names.get(clash.other).map(|name| name.to_string_lossy()).unwrap_or_default();
            let other = spot(clash.other, clash.other_at).map(|spot| spot.place);
            let message = match other {
                Some(Place { line, .. }) => format!("{} {name}:{line}", clash.message),
                None => format!("{} {name}", clash.message),
            };
            let path = self.report.files.get(first + clash.other).map(|file| file.path.clone());
            let other = path.zip(other).map(|(path, place)| Other { path, place });
            let at = spot(clash.file, clash.at).map(|spot| (spot.place, (&*spot.before, &*spot.rest)));
            let finding = Finding::new(clash.rule, clash.at, message, clash.cure);
            self.problem(Some(first + clash.file), finding, at, other);
        }
        for (file, count) in told {
            self.more(Some(first + file), count.saturating_sub(MOST));
        }
    }

    fn begin(&mut self, path: String) {
        self.report.files.push(FileReport { path, class: Class::Good, problems: Vec::new(), more: 0 });
    }

    /// A problem of the current file as a whole.
    fn whole(&mut self, finding: Finding) {
        self.problem(None, finding, None, None);
    }

    /// The file of that index, or the current one.
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
    fn unreadable(&mut self, path: &str, errno: Errno) {
        let message = format!("can't be read: {}", errno.desc());
        complain(format_args!("{}: {message}", printable(path)));
        self.report.unreadable.push(Failure { path: path.to_owned(), message });
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

/// Whether `dir` still has an entry `name`, be it a link that leads nowhere.
fn is_there(dir: &OwnedFd, name: &OsStr) -> bool {
    nix::sys::stat::fstatat(dir, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
}
