//! `module: command`: any command or script, run safely and to its very end.
//!
//! promdrop starts itself again as a small `supervisor` that runs the one command ([`process`] is promdrop's side of
//! it), and that once more as the `launch`er that becomes the command. Of what the command printed it makes families
//! by the format that the definition names ([`output`](super::output)).

pub mod ask;
mod fields;
pub(crate) mod launch;
pub mod limits;
mod meaning;
pub mod process;
mod program;
pub mod protocol;
pub(crate) mod ready;
pub mod secrets;
pub(crate) mod spawn;
mod start;
mod supervisor;
pub(crate) mod tree;
pub(crate) mod usage;

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use super::account::Account;
use super::output::Format;
use super::trace::Trace;
use super::{Collection, Collector, Failure, MAX_SERIES, Module, Outcome, Run};
use crate::config::Header;
use crate::config::yaml::{Section, Wrong, read_integer};
use fields::{Argv, Directory, Environment, Status, Text, Umask};
use limits::Limits;
use program::{find, search_path, trusted};
use protocol::Specification;
use secrets::{Known, Secrets};

/// The default of `umask`.
const UMASK: u32 = 0o022;

/// The module.
pub const MODULE: Module = Module {
    name: "command",
    needs_section: true,
    takes_user: true,
    read: |section, header| read(section, header).map(|command| Box::new(command) as Box<dyn Collector>),
};

/// The program of a stage of running a command, by the word that promdrop's own processes are started with.
pub fn stage(word: &OsStr) -> Option<fn() -> ExitCode> {
    match word.to_str()? {
        "supervise" => Some(supervisor::main),
        "launch" => Some(launch::main),
        _ => None,
    }
}

/// A configured command.
#[derive(Debug)]
pub struct Command {
    argv: Vec<String>,
    directory: String,
    environment: Vec<(String, String)>,
    user: Option<String>,
    group: Option<String>,
    exit_statuses: Vec<u8>,
    secrets: Secrets,
    umask: u32,
    nice: Option<i32>,
    no_new_privileges: bool,
    limits: Limits,
    output: Format,
}

/// Reads the section `command:`.
pub fn read(section: &mut Section<'_>, header: &Header) -> Option<Command> {
    let argv = section.optional::<Argv>("argv").map(|argv| argv.0);
    let shell = section.optional::<Text>("shell").map(|shell| shell.0);
    let given = (section.node("argv").is_some(), section.node("shell").is_some());
    match given {
        (true, true) => {
            let message = "`argv` and `shell` exclude each other";
            section.report("shell", Wrong::new(message, "keep one of the two"));
        }
        (false, false) => {
            let cure = "write `argv: [PROGRAM, ARGUMENT]`, or `shell: \"LINE\"` for pipes and the like";
            section.report("argv", Wrong::new("`command` has neither `argv` nor `shell`", cure));
        }
        _ => {}
    }
    let directory =
        section.optional::<Directory>("directory").map_or_else(|| "/".to_owned(), |found| found.0);
    let environment = section.optional::<Environment>("environment").map(|found| found.0).unwrap_or_default();
    let secrets = section.node("secrets");
    let secrets = secrets.and_then(|node| secrets::read(node, section.problems(), &environment));
    let output = Format::read_in(section, header);
    let exit_statuses = section.optional::<Vec<Status>>("exit_statuses");
    if exit_statuses.as_ref().is_some_and(Vec::is_empty) {
        let message = "no exit status at all would be a success";
        section.report("exit_statuses", Wrong::new(message, "write `[0]`, or leave it out"));
    }
    let exit_statuses =
        exit_statuses.map_or_else(|| vec![0], |all| all.into_iter().map(|status| status.0).collect());
    let umask = section.optional::<Umask>("umask").map_or(UMASK, |umask| umask.0);
    let nice = section.node("nice").and_then(|node| read_integer(node, section.problems(), -20, 19));
    let nice = nice.and_then(|nice| i32::try_from(nice).ok());
    let no_new_privileges = section.optional::<bool>("no_new_privileges").unwrap_or(false);
    let limits = section.node("rlimits").and_then(|node| limits::read(node, section.problems(), header));
    let (user, group) = (header.user.clone(), header.group.clone());
    // One that is not there (yet) is no problem of the definition.
    if let Some(program) = argv.as_ref().and_then(|argv| find(argv.first()?, search_path(&environment)).ok())
        && let Err(wrong) = trusted(&program, user.as_deref())
    {
        section.report("argv", wrong);
    }
    let argv = argv.or_else(|| Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), shell?]))?;
    Some(Command {
        argv,
        directory,
        environment,
        user,
        group,
        exit_statuses,
        secrets: secrets.unwrap_or_default(),
        umask,
        nice,
        no_new_privileges,
        limits: limits.unwrap_or_default(),
        output: output?,
    })
}

impl Collector for Command {
    fn max_series(&self) -> Option<usize> {
        Some(MAX_SERIES)
    }

    fn collect(&self, run: &Run<'_>, trace: &mut Trace) -> Result<Collection, Failure> {
        self.collect_by(Path::new("/proc/self/exe"), run, trace)
    }
}

impl Command {
    /// As [`collect`](Collector::collect), with promdrop's program file at `supervisor`: a test is none.
    ///
    /// # Errors
    /// As `collect`.
    pub fn collect_by(
        &self,
        supervisor: &Path,
        run: &Run<'_>,
        trace: &mut Trace,
    ) -> Result<Collection, Failure> {
        if run.stop.is_raised() {
            return Err(Failure::stopped());
        }
        let secrets = self.secrets.read()?;
        let specification = self.specification(run, &secrets, trace)?;
        let report = process::run(supervisor, &specification, run.stop.as_fd()).map_err(|fault| {
            // Told to end before it knew what to run, a supervisor has nothing to report.
            if run.stop.is_raised() {
                return Failure::stopped();
            }
            Failure::new(Outcome::Internal, fault.to_string())
        })?;
        let found = self.outcome(&report, &specification, &secrets, run);
        meaning::tell(report, &secrets, trace);
        let families = found?;
        if let Some(name) = secrets.published_in(&families) {
            let message =
                format!("its families would publish the secret `{name}`: have it print something else");
            return Err(Failure::new(Outcome::Invalid, message));
        }
        Ok(Collection { families, ..Collection::default() })
    }

    fn environment(&self, account: &Account, secrets: &Known) -> Vec<(String, String)> {
        let mut all = account.environment(std::env::var("TZ").ok(), &self.environment);
        all.retain(|(name, _)| secrets.variables().iter().all(|(secret, _)| secret != name));
        all
    }

    fn specification(
        &self,
        run: &Run<'_>,
        secrets: &Known,
        trace: &mut Trace,
    ) -> Result<Specification, Failure> {
        let account = Account::of(self.user.as_deref(), self.group.as_deref())?;
        let name = self.argv.first().map_or("", String::as_str);
        let program = find(name, search_path(&self.environment))
            .map_err(|message| Failure::new(Outcome::Spawn, message))?;
        // Again, since it can be another than when the definition was read.
        trusted(&program, self.user.as_deref())
            .map_err(|wrong| Failure::new(Outcome::Spawn, format!("{}: {}", wrong.message, wrong.cure)))?;
        let specification = Specification {
            // Text that came from text.
            program: program.to_string_lossy().into_owned(),
            argv: self.argv.clone(),
            environment: self.environment(&account, secrets),
            secrets: secrets.variables().to_vec(),
            directory: self.directory.clone(),
            identity: account.identity.clone(),
            umask: self.umask,
            nice: self.nice,
            no_new_privileges: self.no_new_privileges,
            limits: self.limits.clone(),
            timeout: run.deadline.saturating_duration_since(Instant::now()),
        };
        trace.start = Some(start::told(&specification, &account));
        Ok(specification)
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::yaml::decode;

    fn problems(text: &str) -> Vec<String> {
        let header = Header::new("command");
        let decoded = decode(text, |root, problems| {
            let mut section = Section::open("command", root, problems)?;
            let command = read(&mut section, &header);
            section.finish();
            command
        });
        let problems = decoded.err().unwrap_or_default().into_iter();
        problems.map(|p| format!("{}:{}: {} = {}", p.line, p.column, p.message, p.cure)).collect()
    }

    #[test]
    fn good_definitions() {
        for text in [
            "argv: [netstat, -an]",
            "argv: [/no/such/program/yet]",
            "shell: netstat -an | wc -l\ndirectory: /tmp\nenvironment: {A_1: ''}",
            "argv: [a]\noutput: {format: prometheus}",
            "argv: [a]\noutput: {format: value, name: a:b_c, type: untyped, help: x, labels: {a: b}}",
        ] {
            assert_eq!(problems(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn bad_definitions_and_the_whole_of_what_is_said() {
        const LIST: &str =
            "write `[PROGRAM, ARGUMENT, ...]`; for one line with pipes and the like there is `shell`";
        for (text, said) in [
            (
                "directory: /",
                "1:1: `command` has neither `argv` nor `shell` = write `argv: [PROGRAM, ARGUMENT]`, or \
                 `shell: \"LINE\"` for pipes and the like"
                    .into(),
            ),
            (
                "argv: [a]\nshell: b",
                "2:8: `argv` and `shell` exclude each other = keep one of the two".into(),
            ),
            ("argv: netstat -an", format!("1:7: this is text, where a list is expected = {LIST}")),
            ("argv: []", format!("1:7: the list is empty = {LIST}")),
            ("argv: ['']", format!("1:8: the program's name is empty = {LIST}")),
            ("argv: [netstat -an]", format!("1:8: no program is called `netstat -an` = {LIST}")),
            (
                "argv: [bin/check]",
                "1:8: `bin/check` is relative, and to what would depend on who starts promdrop = write the \
                 absolute path, or a bare name to be found in PATH"
                    .into(),
            ),
            ("argv: [sleep, 5]", "1:15: this is a number, where text is expected = put it in quotes".into()),
            ("argv: [a, \"\\0\"]", "1:11: a program can't be given a NUL byte = remove the `\\0`".into()),
            ("shell: ' '", "1:8: there is nothing to run = write a command line".into()),
            ("argv: [a]\ndirectory: tmp", "2:12: `tmp` is not an absolute path = begin it with `/`".into()),
            (
                "argv: [a]\nenvironment: {1A: b}",
                "2:15: `1A` is not the name of a variable = use letters, digits and `_`, no digit first"
                    .into(),
            ),
            (
                "argv: [a]\nenvironment: {A: 1}",
                "2:18: this is a number, where text is expected = put it in quotes".into(),
            ),
            (
                "argv: [a]\noutput: {format: value}",
                "2:9: `output` has no `name` = write `name: ` and what the number shall be called".into(),
            ),
            (
                "argv: [a]\noutput: {format: value, name: a-b}",
                "2:31: `a-b` is not a metric's name = use letters, digits, `_` and `:`, no digit first"
                    .into(),
            ),
            (
                "argv: [a]\noutput: {format: value, name: a, type: histogram}",
                "2:40: `histogram` is not a type that one number can have = write gauge, counter or untyped"
                    .into(),
            ),
            (
                "argv: [a]\noutput: {format: value, name: a, labels: {__a: b}}",
                "2:43: the label `__a` begins with `__`, which kills node_exporter = choose another name"
                    .into(),
            ),
        ] {
            assert_eq!(problems(text), [said as String], "{text}");
        }
    }
}
