//! A crontab line that stays one: run by `promdrop exec`, or with `promdrop push` in the place of curl. Pure.

use super::crontab::{Job, encode};
use super::names;
use super::program::{Environment, variable};
use super::pushes::{edited, survey};
use super::shell::{self, After, Script, Simple, Statement, Word};
use super::stagger::Staggered;
use super::timing::Timing;
use super::words::duration;

/// What only a shell can do, or does otherwise than a program of that name: the builtins of dash and bash.
const BUILTINS: &str = ". : [ alias bg bind break builtin caller cd chdir command compgen complete compopt continue \
                        declare dirs disown echo enable eval exec exit export false fc fg getopts hash help history \
                        jobs kill let local logout mapfile popd print printf pushd pwd read readarray readonly return \
                        set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset \
                        wait whence";

/// What `promdrop exec` can expect at most: a leap year, in milliseconds.
const LONGEST_EXPECTED: u64 = 366 * 24 * 60 * 60 * 1000;

/// Bytes of the longest command, for one more of which Debian's cron refuses the whole crontab.
const LONGEST_COMMAND: usize = 998;

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This line takes its place.
    Line(String),
    /// It stays as it is.
    Same,
    /// It stays as it is, since what would take its place can't be written in a crontab.
    Unwritable,
    /// It stays as it is, since cron would refuse what would take its place.
    TooLong,
}

/// A job without a push.
#[derive(Debug)]
pub struct Plain<'a> {
    /// The line.
    pub text: &'a str,
    /// What it means.
    pub job: &'a Job,
    /// What of it is waiting.
    pub staggered: Option<&'a Staggered>,
    /// The variables above it.
    pub environment: &'a Environment,
}

impl Plain<'_> {
    /// The name that the job may have.
    pub fn wish(&self) -> String {
        let core = self.staggered.map_or(self.job.command.as_str(), |staggered| &staggered.core);
        let script = shell::parse(core).ok();
        let told = script.as_ref().and_then(names::of_script);
        told.unwrap_or_else(|| names::of_path(core.split_whitespace().next().unwrap_or_default()))
    }

    /// The line with `promdrop exec` in it.
    pub fn run_by_exec(&self, name: &str, timing: &Timing) -> Outcome {
        let command = &self.job.command;
        let at = self.staggered.filter(|staggered| staggered.is_plain).map_or(0, |staggered| staggered.at);
        let (before, core) = command.split_at_checked(at).unwrap_or(("", command));
        let expected = timing.longest.filter(|time| *time <= LONGEST_EXPECTED);
        let every = expected.map_or_else(String::new, |time| format!(" --expect-every {}", duration(time)));
        let exec = format!("promdrop exec {name}{every} -- ");
        let script = shell::parse(core).ok();
        let rewritten = match script.as_ref().and_then(runnable) {
            Some(simple) => {
                let start = simple.words.first().map_or(0, |word| word.span.start);
                edited(core, vec![(start..start, exec)])
            }
            None => {
                let shell = variable(self.environment, "SHELL").unwrap_or("/bin/sh");
                format!("{exec}{} -c {}", shell::quote(shell), shell::quote(core.trim_end()))
            }
        };
        written(self.text, self.job, &format!("{before}{rewritten}"))
    }
}

/// The one command that `promdrop exec` can start itself.
fn runnable(script: &Script) -> Option<&Simple> {
    let (last, before) = script.statements.split_last()?;
    let simple = last.simple().filter(|simple| simple.words.first().is_some_and(|word| !word.expands))?;
    // One with a path is a program.
    let program = simple.words.first().and_then(Word::constant);
    let starts = program.is_none_or(|program| !BUILTINS.split(' ').any(|builtin| builtin == program));
    let is_prefix = |statement: &Statement| {
        let changes = statement.simple().and_then(Simple::program).is_some_and(|program| program == "cd");
        changes && matches!(statement.after, After::And | After::Next)
    };
    (starts && before.iter().all(is_prefix)).then_some(simple)
}

/// The line with every push in it made one of promdrop's.
pub fn pushed(text: &str, job: &Job, environment: &Environment) -> Outcome {
    let command = &job.command;
    let Ok(script) = shell::parse(command) else { return Outcome::Same };
    let survey = survey(command, &script, environment);
    if survey.pushes.is_empty() {
        return Outcome::Same;
    }
    let edits = survey.pushes.iter().map(|found| (found.simple.span.clone(), found.replacement(command)));
    written(text, job, &edited(command, edits.collect()))
}

/// The line with another command in it.
fn written(text: &str, job: &Job, command: &str) -> Outcome {
    let before = text.get(..job.at).unwrap_or_default();
    match encode(command, job.stdin.as_deref()) {
        Some(raw) if raw.len() > LONGEST_COMMAND => Outcome::TooLong,
        Some(raw) => Outcome::Line(format!("{before}{raw}")),
        None => Outcome::Unwritable,
    }
}
