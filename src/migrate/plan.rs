//! What becomes of each line of a crontab. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::collector::{self, Source};
use super::crontab::{Form, Line, When};
use super::job::{self, Outcome};
use super::names::Names;
use super::program::{self, Environment, Program, Read, Task, task};
use super::pushes::{Found, Survey, survey};
use super::series::{self, Entry, essence};
use super::shell::{self, Script};
use super::timing::{self, Timing};
use super::words::{comment, duration, quoted};
use super::yaml::scalar;
use super::{Origin, curl, fitness, line_of};

/// What becomes of a crontab.
#[derive(Debug, Default)]
pub struct Plan {
    /// Names and texts of collectors.
    pub collectors: Vec<(String, String)>,
    /// Their intervals, in milliseconds.
    pub intervals: Vec<u64>,
    /// Whether one has a script that has a file.
    pub has_copies: bool,
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

/// Decides.
pub fn make(lines: &[Line], origin: &Origin<'_>, read: Read<'_>) -> Plan {
    let variables = series::variables(lines);
    let mut planner = Planner {
        origin,
        read,
        names: Names::default(),
        taken: BTreeMap::new(),
        jobs: Vec::new(),
        plan: Plan::default(),
    };
    for series in &series::read(lines, &variables) {
        planner.decide(series);
    }
    planner.tell_of_jobs();
    planner.plan
}

struct Planner<'a> {
    origin: &'a Origin<'a>,
    read: Read<'a>,
    names: Names,
    /// What has a collector already, and how it is called.
    taken: BTreeMap<String, String>,
    /// The `job` that the series of each collector had.
    jobs: Vec<String>,
    plan: Plan,
}

impl Planner<'_> {
    fn decide(&mut self, series: &[Entry<'_>]) {
        let Some(first) = series.first() else { return };
        let is_ours = shell::parse(&first.job.command).is_ok_and(|script| runs_promdrop(&script.statements));
        if is_ours || (first.staggered.is_none() && first.job.command.contains("promdrop ")) {
            return;
        }
        if let Some(shell) = strange_shell(first.environment) {
            let notes = comment(&format!(
                "Kept as it is: {shell} reads its command, and that shell is not known here."
            ));
            self.plan.lines.insert(first.line.number, Fate { notes, then: Then::Stays });
            return;
        }
        let note = match task(first.core(), first.environment, self.read) {
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
        let environment = series.first().map_or(&[][..], |first| first.environment);
        let parsed = shell::parse(&program.text);
        let (script, unclear) = match parsed {
            Ok(script) => (script, None),
            Err(unknown) => (Script::default(), Some(unknown).filter(|_| program.text.contains(curl::MARK))),
        };
        let survey = match unclear {
            Some(unknown) => Survey { unclear: vec![unknown], ..Survey::default() },
            None if script == Script::default() => Survey::default(),
            None => survey(&program.text, &script, environment),
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
        let source = Source { lines: &lines, timing, user, environment: first.environment, program, script };
        let fitting = match survey.unclear.first() {
            _ if first.job.stdin.is_some() => Err("the line has an input behind its `%`".to_owned()),
            Some(_) => Err("not all of it is understood".to_owned()),
            None => fitness::fitting(&source, survey),
        };
        match fitting {
            Ok(found) => self.collected(series, &source, found),
            Err(why) => {
                let file = program.path.as_ref().map(|path| path.display().to_string());
                let notes =
                    comment(&format!("No collector: {why}.")) + &replacements(file, &program.text, survey);
                for (entry, notes) in
                    series.iter().zip(std::iter::once(notes).chain(std::iter::repeat(String::new())))
                {
                    let outcome = job::pushed(&entry.line.text, entry.job, entry.environment);
                    self.put(entry, notes, outcome);
                }
            }
        }
    }

    /// Lines that a collector takes the place of, if none has its series already.
    fn collected(&mut self, series: &[Entry<'_>], source: &Source<'_>, found: &Found<'_>) {
        let program = source.program;
        let file = program.path.as_ref().map(|path| path.display().to_string());
        let what = file.clone().unwrap_or_else(|| essence(&program.text));
        if let Some(name) = self.taken.get(&what) {
            let what = file.as_deref().unwrap_or("the command");
            let why = format!(
                "Kept as it is: {what} has a collector already, {name}.yaml, whose series would be the same."
            );
            for entry in series {
                let fate = Fate { notes: comment(&why), then: Then::Stays };
                self.plan.lines.insert(entry.line.number, fate);
            }
            return;
        }
        let name = self.names.claim(&collector::wish(source, found));
        let text = collector::render(source, found, &name);
        for entry in series {
            let notes = comment(&format!("replaced by {name}.yaml:"));
            self.plan.lines.insert(entry.line.number, Fate { notes, then: Then::Goes });
        }
        let job = curl::labels(&found.push.group).and_then(|labels| Some(curl::shown(&labels.first()?.1)));
        self.plan.has_copies |= file.is_some();
        self.jobs.push(job.unwrap_or_default());
        self.taken.insert(what, name.clone());
        self.plan.collectors.push((name, text));
        self.plan.intervals.extend(source.timing.interval);
    }

    /// Where jobs told series apart, each collector must say so: one host has one job and instance.
    fn tell_of_jobs(&mut self) {
        let is_only = self.jobs.windows(2).all(|pair| pair.first() == pair.last());
        if is_only {
            return;
        }
        let note = comment(
            "Another collector here had another job: where both have a series of one name and the same labels, they are \
             in conflict now; give each a label of its own.",
        );
        for (_, text) in &mut self.plan.collectors {
            *text = text.replacen("\nmodule: command\n", &format!("\n{note}module: command\n"), 1);
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
        let kept = match outcome {
            Outcome::Line(line) => {
                self.plan.lines.insert(entry.line.number, Fate { notes, then: Then::Line(line) });
                return;
            }
            Outcome::Same => None,
            Outcome::Unwritable => Some("with its input, another command can't be written in a crontab"),
            Outcome::TooLong => Some("with promdrop in it, it is longer than the 998 bytes that cron takes"),
        };
        notes += &kept.map_or_else(String::new, |why| comment(&format!("Kept as it is: {why}.")));
        let then = Then::Stays;
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
        shell::Command::Simple(simple) => simple.program().is_some_and(|program| program == "promdrop"),
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
    let texts = paths.into_iter().filter_map(|path| Some((path, read(path)?.text)));
    let texts = texts.filter(|(_, text)| text.contains(curl::MARK));
    let notes = texts.filter(|(_, text)| program::shebang(text).is_some()).map(|(path, text)| {
        let file = path.display().to_string();
        match shell::parse(&text) {
            Ok(script) => replacements(Some(file), &text, &survey(&text, &script, &[])),
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
        format!(
            "`command:` with `shell: {}` and the `output:` that fits, see promdrop.yaml(5).",
            scalar(core)
        ),
    ];
    parts.join(" ")
}
