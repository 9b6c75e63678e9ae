//! What becomes of each line of a crontab. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::collector::{self, Source};
use super::crontab::{Form, Job, Line, Meaning, When};
use super::job::{self, Outcome, Plain};
use super::names::Names;
use super::program::{self, Environment, Program, Read, Task, task};
use super::pushes::{Survey, survey};
use super::shell::{self, Script};
use super::stagger::{self, Staggered};
use super::timing::{self, Timing};
use super::words::{comment, duration, quoted};
use super::{Origin, curl, line_of};

/// What becomes of a crontab.
#[derive(Debug, Default)]
pub struct Plan {
    /// Names and texts of collectors.
    pub collectors: Vec<(String, String)>,
    /// Their intervals, in milliseconds.
    pub intervals: Vec<u64>,
    /// What becomes of the lines, by their numbers; others stay.
    pub lines: BTreeMap<usize, Fate>,
}

/// What becomes of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// Comments before it.
    pub notes: String,
    /// What takes its place.
    pub then: Then,
}

/// What takes a line's place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Then {
    /// It stays.
    #[default]
    Stays,
    /// Another line.
    Line(String),
    /// It becomes a comment.
    Goes,
}

/// A line that starts something.
struct Entry<'a> {
    line: &'a Line,
    job: &'a Job,
    environment: Vec<(String, String)>,
    /// None where the shell's text is not understood.
    staggered: Option<Staggered>,
}

impl Entry<'_> {
    /// Whether both run the same, at other seconds.
    fn is_one_with(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (&self.staggered, &other.staggered) else { return false };
        own.core == others.core
            && !own.is_random
            && !others.is_random
            && self.job.when == other.job.when
            && self.job.user == other.job.user
            && self.job.stdin.is_none()
            && other.job.stdin.is_none()
            && self.environment == other.environment
    }

    fn plain(&self) -> Plain<'_> {
        let Self { line, job, environment, staggered } = self;
        Plain { text: &line.text, job, staggered: staggered.as_ref(), environment }
    }

    fn core(&self) -> &str {
        self.staggered.as_ref().map_or(&self.job.command, |staggered| &staggered.core)
    }
}

/// Decides.
pub fn make(lines: &[Line], origin: &Origin<'_>, read: Read<'_>) -> Plan {
    let mut planner = Planner { origin, read, names: Names::default(), plan: Plan::default() };
    let mut series: Vec<Vec<Entry<'_>>> = Vec::new();
    let mut of_command: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for entry in entries(lines) {
        let places = of_command.entry(entry.core().to_owned()).or_default();
        let is_one = |place: &&usize| {
            series
                .get(**place)
                .and_then(|series| series.first())
                .is_some_and(|first| first.is_one_with(&entry))
        };
        match places.iter().find(is_one).copied().and_then(|place| series.get_mut(place)) {
            Some(series) => series.push(entry),
            None => {
                places.push(series.len());
                series.push(vec![entry]);
            }
        }
    }
    for series in &series {
        planner.decide(series);
    }
    planner.plan
}

fn entries(lines: &[Line]) -> Vec<Entry<'_>> {
    let mut environment = Vec::new();
    let mut entries = Vec::new();
    for line in lines {
        match &line.meaning {
            Meaning::Variable(name, value) => environment.push((name.clone(), value.clone())),
            Meaning::Job(job) => {
                let script = shell::parse(&job.command).ok();
                let staggered = script.map(|script| stagger::read(&job.command, &script));
                entries.push(Entry { line, job, environment: environment.clone(), staggered });
            }
            Meaning::Nothing | Meaning::Wrong(_) => {}
        }
    }
    entries
}

struct Planner<'a> {
    origin: &'a Origin<'a>,
    read: Read<'a>,
    names: Names,
    plan: Plan,
}

impl Planner<'_> {
    fn decide(&mut self, series: &[Entry<'_>]) {
        let Some(first) = series.first() else { return };
        let is_ours = shell::parse(&first.job.command).is_ok_and(|script| runs_promdrop(&script.statements));
        if is_ours || (first.staggered.is_none() && first.job.command.contains("promdrop ")) {
            return;
        }
        if let Some(shell) = strange_shell(&first.environment) {
            let notes = comment(&format!(
                "Kept as it is: {shell} reads its command, and that shell is not known here."
            ));
            self.plan.lines.insert(first.line.number, Fate { notes, then: Then::Stays });
            return;
        }
        let note = match task(first.core(), &first.environment, self.read) {
            Task::Shell(program) if self.pushes(series, &program) => return,
            Task::Shell(_) | Task::Other(None) => String::new(),
            Task::Other(Some(path)) => comment(&format!(
                "{} has the URL of a Pushgateway and is no shell script: have it print what it pushes, and make it a \
                 collector, module command; or pipe that to `promdrop push`.",
                path.display()
            )),
            Task::Unread(path) => {
                comment(&format!("{} can't be read here, so whether it pushes is not known.", path.display()))
            }
        };
        self.plain(series, note);
    }

    /// Whether `program` pushes; then it is seen to.
    fn pushes(&mut self, series: &[Entry<'_>], program: &Program) -> bool {
        let parsed = shell::parse(&program.text);
        let (script, unclear) = match parsed {
            Ok(script) => (script, None),
            Err(unknown) => (Script::default(), Some(unknown).filter(|_| program.text.contains(curl::MARK))),
        };
        let survey = match unclear {
            Some(unknown) => Survey { unclear: vec![unknown], ..Survey::default() },
            None if script == Script::default() => Survey::default(),
            None => survey(&program.text, &script),
        };
        let pushes = !survey.pushes.is_empty() || !survey.unclear.is_empty();
        if pushes {
            self.pushing(series, program, &script, &survey);
        }
        pushes
    }

    /// Lines that push.
    fn pushing(&mut self, series: &[Entry<'_>], program: &Program, script: &Script, survey: &Survey<'_>) {
        let Some(first) = series.first() else { return };
        let timing = &timing_of(series);
        let lines: Vec<usize> = series.iter().map(|entry| entry.line.number).collect();
        let user = first.job.user.as_deref().or(self.origin.owner);
        let source = Source { lines: &lines, timing, user, environment: &first.environment, program, script };
        let fitting = match survey.unclear.first() {
            _ if first.job.stdin.is_some() => Err("the line has an input behind its `%`".to_owned()),
            Some(_) => Err("not all of it is understood".to_owned()),
            None => collector::fitting(&source, survey),
        };
        match fitting {
            Ok(found) => {
                let name = self.names.claim(&collector::wish(&source, found));
                let text = collector::render(&source, found, &name);
                for number in &lines {
                    let notes = comment(&format!("replaced by {name}.yaml:"));
                    self.plan.lines.insert(*number, Fate { notes, then: Then::Goes });
                }
                self.plan.collectors.push((name, text));
                self.plan.intervals.extend(timing.interval);
            }
            Err(why) => {
                let file = program.path.as_ref().map(|path| path.display().to_string());
                let notes =
                    comment(&format!("No collector: {why}.")) + &replacements(file, &program.text, survey);
                for (entry, notes) in
                    series.iter().zip(std::iter::once(notes).chain(std::iter::repeat(String::new())))
                {
                    let outcome = job::pushed(&entry.line.text, entry.job);
                    self.put(entry, notes, outcome);
                }
            }
        }
    }

    /// Lines that don't.
    fn plain(&mut self, series: &[Entry<'_>], mut notes: String) {
        let Some(first) = series.first() else { return };
        let timing = timing_of(series);
        let is_plain =
            series.iter().all(|entry| entry.staggered.as_ref().is_none_or(|staggered| staggered.is_plain));
        // Of a line that runs its command several times, the line is the job.
        let job = if is_plain { timing.clone() } else { timing::read(&first.job.when, &[0], false) };
        // Lines that are one series are one job.
        let name = self.names.claim(&first.plain().wish());
        let runs: usize = series
            .iter()
            .filter_map(|entry| entry.staggered.as_ref())
            .map(|staggered| staggered.offsets.len())
            .sum();
        notes += &match (timing.interval, timing.longest, &first.job.when) {
            (Some(interval), ..) if runs > 1 => comment(&suggestion(first.core(), interval, &name)),
            (None, Some(longest), _) => {
                comment(&format!("{} is the longest time between two starts.", duration(longest)))
            }
            (None, None, When::At(_)) => comment("Its time never comes."),
            _ => String::new(),
        };
        notes += &named(&first.job.command, self.read);
        if self.origin.form == Form::User && first.job.command.starts_with("root ") {
            notes += &comment("The command begins with `root`: a system crontab is read with --system.");
        }
        for (entry, notes) in
            series.iter().zip(std::iter::once(notes).chain(std::iter::repeat(String::new())))
        {
            let outcome = entry.plain().run_by_exec(&name, &job);
            self.put(entry, notes, outcome);
        }
    }

    fn put(&mut self, entry: &Entry<'_>, mut notes: String, outcome: Outcome) {
        let then = match outcome {
            Outcome::Line(line) => Then::Line(line),
            Outcome::Same => Then::Stays,
            Outcome::Unwritable => {
                notes +=
                    &comment("Kept as it is: with its input, another command can't be written in a crontab.");
                Then::Stays
            }
        };
        self.plan.lines.insert(entry.line.number, Fate { notes, then });
    }
}

/// When all of them together run.
fn timing_of(series: &[Entry<'_>]) -> Timing {
    let Some(first) = series.first() else { return timing::read(&When::Reboot, &[], false) };
    let staggered = series.iter().filter_map(|entry| entry.staggered.as_ref());
    let offsets: Vec<u64> = staggered.flat_map(|staggered| staggered.offsets.iter().copied()).collect();
    let is_random = first.staggered.as_ref().is_some_and(|staggered| staggered.is_random);
    timing::read(&first.job.when, &offsets, is_random)
}

fn runs_promdrop(statements: &[shell::Statement]) -> bool {
    statements.iter().flat_map(|statement| &statement.commands).any(|command| match command {
        shell::Command::Compound(compound) => runs_promdrop(&compound.body),
        shell::Command::Simple(simple) => {
            let mut words = simple.words.iter().filter_map(shell::Word::constant);
            words.any(|word| word == "promdrop" || word.ends_with("/promdrop"))
        }
    })
}

/// What to change in the script `file`, or why that can't be said.
fn replacements(file: Option<String>, text: &str, survey: &Survey<'_>) -> String {
    let mut notes = String::new();
    for unknown in &survey.unclear {
        let at = file
            .as_ref()
            .map_or_else(String::new, |file| format!("{file}, line {}: ", line_of(text, unknown.at)));
        notes += &comment(&format!("Not understood: {at}{}.", unknown.message));
    }
    let Some(file) = file else {
        return notes;
    };
    for found in &survey.pushes {
        let line = line_of(text, found.simple.span.start);
        notes += &comment(&format!("In {file}, line {line}, replace"));
        notes += &quoted(text.get(found.simple.span.clone()).unwrap_or_default());
        notes += "# with\n";
        notes += &quoted(&found.replacement(text));
    }
    notes
}

/// The same for scripts that a line only names, such as behind `flock` or in a longer command.
fn named(command: &str, read: Read<'_>) -> String {
    let words = command.split(|c: char| c.is_whitespace() || "\"'`;&|()<>=".contains(c));
    let paths: BTreeSet<&Path> = words.filter(|word| word.starts_with('/')).map(Path::new).collect();
    let texts = paths
        .into_iter()
        .filter_map(|path| Some((path, read(path).filter(|text| text.contains(curl::MARK))?)));
    let notes = texts.filter(|(_, text)| program::shebang(text).is_some()).map(|(path, text)| {
        let file = path.display().to_string();
        match shell::parse(&text) {
            Ok(script) => replacements(Some(file), &text, &survey(&text, &script)),
            Err(unknown) => {
                let survey = Survey { unclear: vec![unknown], ..Survey::default() };
                replacements(Some(file), &text, &survey)
            }
        }
    });
    notes.collect()
}

/// The shell that a crontab names, if it is none like sh.
fn strange_shell(environment: &Environment) -> Option<&str> {
    let shell = program::variable(environment, "SHELL")?;
    let name = shell.rsplit('/').next().unwrap_or_default();
    (!["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"].contains(&name)).then_some(shell)
}

/// A job that runs so often is a collector, if it prints numbers.
fn suggestion(core: &str, interval: u64, name: &str) -> String {
    let parts = [
        format!(
            "It runs every {} and pushes nothing that is seen here. If it prints numbers, a collector takes the place",
            duration(interval)
        ),
        format!("of all its lines: {name}.yaml with `module: command`, `interval: {}`,", duration(interval)),
        format!("`command:` with `shell: {core}` and the `output:` that fits, see promdrop.yaml(5)."),
    ];
    parts.join(" ")
}
