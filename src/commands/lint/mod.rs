//! `promdrop lint`: would any node_exporter reject or distort these files, or die of them?

mod report;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::errno::Errno;

use self::report::{Other, Place, Report};
use super::complain;
use crate::cli::Places;
use crate::diagnostic::{self, Problem};
use crate::exposition::{
    Clash, Facts, Finding, Reading, Rule, Spot, Text, Versions, clashes, inspect_text, spots,
};
use crate::textfile::{Content, Directory, Entry, Survey, entry};

/// More contradictions of one file with others are only counted.
const MOST: usize = 100;

/// How often a directory is looked at again that changes while it is looked at.
const TRIES: usize = 5;

/// Checks `paths`: files, directories, `-` for stdin; without any, the textfile directory.
///
/// Prints every problem to stdout, and nothing where there is none; with `json`, one document in any case. Exit
/// status: 0 no problems, 1 problems (advice counts if `strict`), 2 where a path can't be looked at.
pub fn run(paths: &[PathBuf], places: &Places, json: bool, strict: bool) -> ExitCode {
    let served = Directory::open_to_look(&places.textfile_dir);
    let served = served.ok().map(|directory| directory.with_node_exporter(&places.node_exporter));
    let mut lint = Lint { report: Report::new(json), served };
    match paths {
        [] => lint.directory(&places.textfile_dir),
        paths => paths.iter().for_each(|path| lint.path(path)),
    }
    lint.report.finish(strict)
}

/// A text that was read, and the places of what was found.
struct Read {
    reading: Reading,
    spots: BTreeMap<usize, Spot>,
}

/// A file of a directory with a text.
struct File {
    /// Its index in the report.
    file: usize,
    path: PathBuf,
}

struct Lint {
    report: Report,
    /// What the live node_exporter serves files from.
    served: Option<Directory>,
}

impl Lint {
    fn path(&mut self, path: &Path) {
        if path == Path::new("-") {
            let mut text = Vec::new();
            let read = match entry::read_stream(std::io::stdin().lock(), &mut text) {
                Ok(()) => Content::Text(read(&mut text.as_slice(), self.served.as_ref())),
                Err(errno) => Content::Unreadable(errno),
            };
            self.file(path, read);
        } else if path.is_dir() {
            self.directory(path);
        } else {
            let content = entry::read_file(path, |text| read(text, self.served.as_ref()));
            let facts = self.file(path, content);
            if path.as_os_str().as_encoded_bytes().ends_with(b".prom")
                && let Some(facts) = facts
            {
                self.name(None, path, facts.rejected_by);
            }
        }
    }

    /// A file for itself; what it holds, if it has a text.
    fn file(&mut self, path: &Path, content: Content<Read>) -> Option<Facts> {
        match content {
            Content::Unreadable(errno) if errno != Errno::ENOMEM => {
                let message = format!("can't be read: {}", errno.desc());
                let shown = path.to_string_lossy();
                complain(diagnostic::show(&shown, "", &Problem::whole(&message, "")));
                self.report.unreadable(path, message);
                None
            }
            Content::Text(read) => {
                self.report.begin(path);
                Some(tell(&mut self.report, read))
            }
            content => {
                self.report.begin(path);
                entry::content(path, &content)
                    .into_iter()
                    .for_each(|finding| self.report.whole(None, finding));
                None
            }
        }
    }

    /// A directory, as node_exporter reads it.
    fn directory(&mut self, path: &Path) {
        let first = self.report.len();
        let mut survey: Survey<(usize, Facts)> = Survey::new(entry::LARGEST);
        let surveyed = Directory::open_to_look(path).and_then(|directory| {
            let Self { report, served } = self;
            let make = |_: &OsStr, text: &mut dyn Text| read(text, served.as_ref());
            survey.refresh_and(&directory, make, |name, read| {
                let file = report.begin(&path.join(name));
                (file, tell(report, read))
            })?;
            Ok(directory)
        });
        let directory = match surveyed {
            Ok(directory) => directory,
            Err(error) => {
                complain(&error);
                let message = error.problems.first().map(|problem| problem.message.clone());
                return self.report.unreadable(path, message.unwrap_or_default());
            }
        };
        let found = self.settle(path, &directory, &mut survey);
        if let Some(finding) = entry::directory_mode(&directory) {
            let file = self.report.begin(path);
            self.report.whole(Some(file), finding);
        }
        let mut texts = Vec::new();
        for (name, entry) in survey.entries() {
            self.entry(path.join(name), &directory, entry, &mut texts);
        }
        self.clashes(&texts, &found);
        self.report.sort_from(first);
    }

    /// What the files of `survey` contradict each other in, by their order. Where they do, looks again until nothing has
    /// changed meanwhile: one may have been read before, and the other after, the moment at which what both hold went
    /// from one to the other.
    fn settle(
        &mut self,
        path: &Path,
        directory: &Directory,
        survey: &mut Survey<(usize, Facts)>,
    ) -> Vec<Clash> {
        let mut tries = 0..TRIES;
        loop {
            let names = survey.entries().map(|(name, entry)| (name.to_owned(), entry.content.text()));
            let texts: Vec<_> =
                names.filter_map(|(name, text)| text.map(|(file, facts)| (name, *file, facts))).collect();
            let facts: Vec<&Facts> = texts.iter().map(|(.., facts)| *facts).collect();
            let line = |text: usize, at| entry::line(&path.join(&texts.get(text)?.0), at);
            let found = clashes(&facts, &mut |text, at| line(text, at));
            if found.is_empty() || tries.next().is_none() {
                return found;
            }
            let begun: HashMap<OsString, usize> =
                texts.into_iter().map(|(name, file, _)| (name, file)).collect();
            let make = |_: &OsStr, text: &mut dyn Text| inspect_text(text).facts;
            let again = survey.refresh_and(directory, make, |name, facts| {
                let file = begun.get(name).copied().unwrap_or_else(|| self.report.begin(&path.join(name)));
                (file, facts)
            });
            if !again.unwrap_or(false) {
                return found;
            }
        }
    }

    /// What is wrong with an entry as such. Adds it to `texts` if it is one.
    fn entry(
        &mut self,
        path: PathBuf,
        directory: &Directory,
        entry: &Entry<(usize, Facts)>,
        texts: &mut Vec<File>,
    ) {
        let (file, rejected_by, finding) = match &entry.content {
            Content::Text((file, facts)) => (*file, facts.rejected_by, entry::file_mode(entry, directory)),
            other => {
                let finding = entry::content(&path, other);
                let rejected_by =
                    finding.as_ref().map_or(Versions::NONE, |finding| finding.rule.rejected_by());
                (self.report.begin(&path), rejected_by, finding)
            }
        };
        finding.into_iter().for_each(|finding| self.report.whole(Some(file), finding));
        self.name(Some(file), &path, rejected_by);
        if let Content::Text((file, _)) = &entry.content {
            texts.push(File { file: *file, path });
        }
    }

    /// What comes of a name that is not UTF-8, where not all versions reject what bears it.
    fn name(&mut self, file: Option<usize>, path: &Path, rejected_by: Versions) {
        let finding = entry::file_name(path.as_os_str()).filter(|_| !rejected_by.is_all());
        finding.into_iter().for_each(|finding| self.report.whole(file, finding));
    }

    /// What was found between files, each told at the later one, which is read again to show the line.
    fn clashes(&mut self, texts: &[File], found: &[Clash]) {
        let mut told: BTreeMap<usize, usize> = BTreeMap::new();
        let mut kept = Vec::new();
        for clash in found {
            let count = told.entry(clash.file).or_default();
            *count += 1;
            if *count <= MOST {
                kept.push(clash);
            }
        }
        let spots = spots_of(&kept, texts);
        let spot = |file, at| spots.get(&file).and_then(|spots| spots.get(&at));
        for clash in kept {
            let (Some(text), Some(twin)) = (texts.get(clash.file), texts.get(clash.other)) else { continue };
            let name = twin.path.file_name().unwrap_or_default().to_string_lossy();
            let other = spot(clash.other, clash.other_at).map(Place::of);
            let message = match other {
                Some(Place { line, .. }) => format!("{} {name}:{line}", clash.message),
                None => format!("{} {name}", clash.message),
            };
            let other = other.map(|place| Other { path: twin.path.to_string_lossy().into_owned(), place });
            let finding = Finding::new(clash.rule, clash.at, message, clash.cure);
            self.report.problem(Some(text.file), finding, spot(clash.file, clash.at), other);
        }
        for (file, count) in told {
            self.report.more(texts.get(file).map(|text| text.file), count.saturating_sub(MOST));
        }
    }
}

/// The places that `clashes` tell of, by file and by bytes: the files are read again for them.
fn spots_of(clashes: &[&Clash], texts: &[File]) -> BTreeMap<usize, BTreeMap<usize, Spot>> {
    let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for clash in clashes {
        wanted.entry(clash.file).or_default().push(clash.at);
        wanted.entry(clash.other).or_default().push(clash.other_at);
    }
    let read = |(file, wanted): (usize, Vec<usize>)| {
        let path = &texts.get(file)?.path;
        let found = entry::read_file(path, |text| spots(text, wanted.iter().copied()));
        Some((file, found.into_text()?))
    };
    wanted.into_iter().filter_map(read).collect()
}

/// Reads `text`. The name of an optional collector's family is taken where the live node_exporter, which reads `served`,
/// serves it.
fn read(text: &mut dyn Text, served: Option<&Directory>) -> Read {
    let mut reading = inspect_text(text);
    for taken in served.map(|directory| directory.taken(&reading.facts)).unwrap_or_default() {
        let harm = Some(taken.harm);
        // What every version rejects does nothing else.
        if !reading.facts.rejected_by.is_all() {
            reading.facts.worst = reading.facts.worst.max(harm);
        }
        let is_its = |finding: &&mut Finding| finding.rule == Rule::OptionalName && finding.at == taken.at;
        if let Some(advice) = reading.findings.iter_mut().find(is_its) {
            let finding = Finding::new(Rule::ReservedName, taken.at, taken.message, taken.cure);
            *advice = Finding { harm, ..finding };
        }
    }
    let spots = spots(text, reading.findings.iter().map(|finding| finding.at));
    Read { reading, spots }
}

/// Tells `report` what was found in the file that was begun last; what that holds.
fn tell(report: &mut Report, Read { reading, spots }: Read) -> Facts {
    for finding in reading.findings {
        let spot = spots.get(&finding.at);
        report.problem(None, finding, spot, None);
    }
    report.more(None, reading.more);
    report.is_at_least(reading.facts.worst);
    reading.facts
}
