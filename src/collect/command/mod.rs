//! `module: command`: any command or script, run safely and to its very end.
//!
//! promdrop starts itself again as a small `supervisor` that runs the one command ([`process`] is promdrop's side of
//! it), and that once more as the `launch`er that becomes the command. Of what the command printed it makes families
//! by the format that the definition names ([`output`](super::output)).

pub mod account;
mod launch;
pub mod limits;
pub mod process;
pub mod protocol;
mod ready;
pub mod secrets;
mod spawn;
mod start;
mod supervisor;
mod tree;

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::output::{Format, Output};
use super::trace::Trace;
use super::{Collection, Collector, Failure, MAX_SERIES, Module, Outcome, Run};
use crate::config::yaml::{
    Field, Node, Problems, Section, Value, Wrong, check_keys, read_integer, read_text,
};
use crate::config::{Header, trust};
use crate::diagnostic::printable;
use account::Account;
use limits::{Limits, Resources};
use protocol::{Captured, End, Report, STDOUT_LIMIT, Specification, Step};
use secrets::{Cut, Known, Secrets};

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
    let output = match section.node("output") {
        Some(_) => section.optional::<Format>("output"),
        None => Some(Format::default()),
    };
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
        tell(report, &secrets, trace);
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

    /// What `report` means.
    fn outcome(
        &self,
        report: &Report,
        specification: &Specification,
        secrets: &Known,
        run: &Run<'_>,
    ) -> Result<Vec<crate::exposition::Family>, Failure> {
        let failure = |outcome, message: String| Err(Failure::new(outcome, message));
        if let Some(message) = self.over_limit(report) {
            return failure(Outcome::Limit, message);
        }
        match report.end {
            End::Exited(status) if self.accepts(status) => {
                let output = Output { stdout: &report.stdout.bytes, status };
                self.output.families(&output).map_err(|unreadable| Failure {
                    detail: self.detail(unreadable.detail, &output, secrets),
                    ..Failure::new(Outcome::Output, unreadable.message)
                })
            }
            End::Exited(status) => failure(Outcome::Exit, format!("it {}", exited(status))),
            End::Signalled(number) => failure(Outcome::Signal, format!("it {}", signalled(number))),
            End::TimedOut => failure(
                Outcome::Timeout,
                format!("it did not end within {}", humantime::format_duration(run.timeout)),
            ),
            End::OverLimit => failure(
                Outcome::Limit,
                format!("it wrote more than {} MiB to its stdout", STDOUT_LIMIT >> 20),
            ),
            End::Stopped if run.stop.is_raised() => Err(Failure::stopped()),
            End::Stopped => failure(Outcome::Internal, "promdrop's supervisor was told to end".into()),
            End::NotStarted(step, errno) => {
                failure(Outcome::Spawn, not_started(step, Errno::from_raw(errno), specification))
            }
        }
    }
}

impl Command {
    fn accepts(&self, status: i32) -> bool {
        self.exit_statuses.iter().any(|accepted| i32::from(*accepted) == status)
            || self.output.accepts(status)
    }

    /// The `detail` of what is wrong with `output`, which may quote parts of it: without any part of a secret.
    fn detail(&self, detail: String, output: &Output<'_>, secrets: &Known) -> String {
        let shown = secrets.hide(output.stdout, None);
        if shown == output.stdout {
            return detail;
        }
        self.output
            .families(&Output { stdout: &shown, ..*output })
            .err()
            .map(|unreadable| unreadable.detail)
            .unwrap_or_default()
    }

    /// That a limit of `rlimits` ended it, if one did.
    fn over_limit(&self, report: &Report) -> Option<String> {
        let limited = |what| self.limits.of(what);
        // A shell exits with 128 and the number of the signal that ended what it waited for.
        let signal = match report.end {
            End::Signalled(number) => number,
            End::Exited(status) if !self.accepts(status) => status - 128,
            _ => return None,
        };
        let seconds = limited(Resources::Cpu);
        // Limits go by ticks of the clock, so that less than they say may have been used.
        let tenth = Duration::from_millis(100);
        let all = |seconds: u64| Duration::from_secs(seconds.saturating_add(limits::CPU_GRACE));
        let spent = |seconds: u64| report.usage.cpu + tenth >= all(seconds);
        match Signal::try_from(signal).ok()? {
            Signal::SIGXCPU => {
                Some(format!("it used more than the {} s of CPU time that `rlimits` allows", seconds?))
            }
            Signal::SIGKILL if seconds.is_some_and(spent) => {
                Some(format!("it went on after the {} s of CPU time that `rlimits` allows", seconds?))
            }
            Signal::SIGXFSZ => Some(format!(
                "it wrote a file longer than the {} bytes that `rlimits` allows",
                limited(Resources::FileSize)?
            )),
            _ => None,
        }
    }
}

/// What root runs, nobody else may have written.
fn trusted(program: &Path, user: Option<&str>) -> Result<(), Wrong> {
    if Uid::effective().is_root() { trust::program(program, user) } else { Ok(()) }
}

/// Why a command was not started, and what to do.
fn not_started(step: Step, errno: Errno, specification: &Specification) -> String {
    let program = printable(&specification.program);
    let user = match &specification.identity {
        Some(identity) => format!("user id {}", identity.uid),
        None => format!("user id {}", Uid::effective()),
    };
    let cause = errno.desc();
    match (step, errno) {
        (Step::Launcher, _) => {
            "promdrop's launcher ended too early: was it killed, or is memory short?".to_owned()
        }
        (Step::Nice, Errno::EACCES | Errno::EPERM) => {
            "can't set `nice`: only root, with the capability CAP_SYS_NICE, may raise a priority".to_owned()
        }
        (Step::Nice, _) => format!("can't set `nice`: {cause}"),
        (Step::Privileges, _) => format!("can't set `no_new_privileges`: {cause}"),
        (Step::Limit(what), Errno::EPERM) => {
            let key = what.key();
            format!(
                "can't set `{key}` of `rlimits`: it is more than promdrop itself is allowed, and promdrop lacks \
                 the capability CAP_SYS_RESOURCE; or a sandbox forbids it, see promdrop's unit"
            )
        }
        (Step::Limit(what), _) => format!("can't set `{}` of `rlimits`: {cause}", what.key()),
        (Step::User, _) => {
            format!("can't become {user}: {cause}; promdrop lacks the capability, see its unit")
        }
        (Step::Directory, _) => {
            format!("{user} can't enter its directory `{}`: {cause}", printable(&specification.directory))
        }
        (Step::Program, Errno::ENOENT) if Path::new(&specification.program).exists() => {
            format!("can't start `{program}`: its interpreter is missing, see its first line")
        }
        (Step::Program, Errno::ENOEXEC) => {
            format!(
                "can't start `{program}`: it is no program for this machine, or a script whose first line is not `#!INTERPRETER`"
            )
        }
        (Step::Program, Errno::EAGAIN) => {
            format!("can't start `{program}`: {user} has as many processes as it may have, see `rlimits`")
        }
        (Step::Program, Errno::EACCES) => {
            format!(
                "can't start `{program}`: {user} may not execute it; chmod +x, and see the directories above it"
            )
        }
        (Step::Program, Errno::E2BIG) => {
            format!(
                "can't start `{program}`: its arguments and environment are too long; move them to a script"
            )
        }
        (Step::Program, _) => format!("can't start `{program}`: {cause}"),
    }
}

fn exited(status: i32) -> String {
    format!("exited with status {status}")
}

fn signalled(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => format!("was ended by signal {number} ({signal})"),
        Err(_) => format!("was ended by signal {number}"),
    }
}

/// What is worth telling of `report` whatever it means.
fn tell(report: Report, secrets: &Known, trace: &mut Trace) {
    trace.stderr = stderr_text(&report.stderr, secrets);
    trace.notes = notes(&report);
    trace.ended = match report.end {
        End::Exited(status) => Some(exited(status)),
        End::Signalled(number) => Some(signalled(number)),
        End::TimedOut => Some("was ended at its timeout".into()),
        End::OverLimit => Some("was ended for too much output".into()),
        End::Stopped => Some("was ended because promdrop was told to end".into()),
        End::NotStarted(..) => None,
    };
    // Of what never began, all that was used was the launcher's.
    trace.usage = trace.ended.is_some().then_some(report.usage);
    trace.output = secrets.hide(&report.stdout.bytes, report.stdout.truncated.then_some(Cut::End));
}

fn notes(report: &Report) -> Vec<String> {
    let processes = |count: usize| if count == 1 { "1 process".into() } else { format!("{count} processes") };
    let mut notes = Vec::new();
    if report.leftovers > 0 {
        notes.push(format!("ended {} that it left behind", processes(report.leftovers)));
    }
    if report.survivors > 0 {
        notes.push(format!("{} of it could not be ended", processes(report.survivors)));
    }
    if report.undrained {
        notes.push("a process that is not its descendant holds its output open".into());
    }
    notes
}

fn stderr_text(stderr: &Captured, secrets: &Known) -> String {
    let cut = if stderr.truncated { "[...]" } else { "" };
    let shown = secrets.hide(&stderr.bytes, stderr.truncated.then_some(Cut::Start));
    format!("{cut}{}", String::from_utf8_lossy(&shown))
}

/// The PATH that the command will see.
fn search_path(environment: &[(String, String)]) -> &str {
    let own = environment.iter().find(|(name, _)| name == "PATH");
    own.map_or(account::PATH, |(_, path)| path)
}

/// The program that `name` stands for: itself where it is a path, else the first executable file of that name in
/// `path`. The message says where it was looked for.
fn find(name: &str, path: &str) -> Result<PathBuf, String> {
    let executable = |path: &Path| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.starts_with('/') {
        return match Path::new(name).try_exists() {
            Ok(false) => Err(format!("there is no program `{}`", printable(name))),
            _ => Ok(PathBuf::from(name)),
        };
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| Path::new(dir).join(name))
        .find(|path| executable(path))
        .ok_or_else(|| format!("there is no program `{}` in {}", printable(name), printable(path)))
}

/// A text that a program can be given.
struct Text(String);

fn without_nul(text: &str) -> Result<String, Wrong> {
    if text.contains('\0') {
        return Err(Wrong::new("a program can't be given a NUL byte", "remove the `\\0`"));
    }
    Ok(text.to_owned())
}

impl Field for Text {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match text.trim() {
            "" => Err(Wrong::new("there is nothing to run", "write a command line")),
            _ => without_nul(text).map(Self),
        })
    }
}

/// A program, by absolute path or bare name, and its arguments.
struct Argv(Vec<String>);

impl Field for Argv {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        const CURE: &str =
            "write `[PROGRAM, ARGUMENT, ...]`; for one line with pipes and the like there is `shell`";
        let Value::List(items) = &node.value else {
            let message = format!("this is {}, where a list is expected", node.value.kind());
            problems.report(node, Wrong::new(message, CURE));
            return None;
        };
        let Some(first) = items.first() else {
            problems.report(node, Wrong::new("the list is empty", CURE));
            return None;
        };
        let words = items.iter().map(|item| read_text(item, problems, without_nul));
        let words: Vec<Option<String>> = words.collect();
        let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
        let program = words.first()?;
        let wrong = if program.is_empty() {
            Wrong::new("the program's name is empty", CURE)
        } else if !program.starts_with('/') && program.contains('/') {
            let message = format!("`{program}` is relative, and to what would depend on who starts promdrop");
            Wrong::new(message, "write the absolute path, or a bare name to be found in PATH")
        } else if !program.starts_with('/') && program.contains(char::is_whitespace) {
            Wrong::new(format!("no program is called `{program}`"), CURE)
        } else {
            return Some(Self(words));
        };
        problems.report(first, wrong);
        None
    }
}

/// An exit status.
struct Status(u8);

impl Field for Status {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_integer(node, problems, 0, 255).and_then(|status| u8::try_from(status).ok()).map(Self)
    }
}

/// The permissions that new files don't get.
struct Umask(u32);

impl Field for Umask {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        const CURE: &str = "write three octal digits in quotes, such as \"022\" or \"077\"";
        if let Value::Integer(_) = node.value {
            let message = "a umask is text: as a number, its digits would be decimal ones";
            problems.report(node, Wrong::new(message, CURE));
            return None;
        }
        read_text(node, problems, |text| {
            let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
            match u32::from_str_radix(text, 8) {
                Ok(mask) if digits && mask <= 0o777 => Ok(Self(mask)),
                _ => Err(Wrong::new(format!("`{text}` is not a umask"), CURE)),
            }
        })
    }
}

/// An absolute path.
struct Directory(String);

impl Field for Directory {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match text.starts_with('/') {
            true => without_nul(text).map(Self),
            false => Err(Wrong::new(format!("`{text}` is not an absolute path"), "begin it with `/`")),
        })
    }
}

/// The name of a variable. Of a key that is no text, `check_keys` has told.
fn read_variable(key: &Node, problems: &Problems) -> Option<String> {
    let Value::Text(name) = &key.value else { return None };
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let fits = name.bytes().next().is_some_and(letter);
    if !fits || !name.bytes().all(|b| letter(b) || b.is_ascii_digit()) {
        let message = format!("`{name}` is not the name of a variable");
        problems.report(key, Wrong::new(message, "use letters, digits and `_`, no digit first"));
        return None;
    }
    Some(name.clone())
}

/// Names and values for the environment.
struct Environment(Vec<(String, String)>);

impl Field for Environment {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let message = format!("this is {}, where a map is expected", node.value.kind());
            problems.report(node, Wrong::new(message, "write a line `NAME: value` for each"));
            return None;
        };
        check_keys(entries, problems);
        let mut all = Vec::new();
        for (key, value) in entries {
            let name = read_variable(key, problems);
            let value = read_text(value, problems, without_nul);
            all.extend(name.zip(value));
        }
        Some(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnFailure;
    use crate::config::yaml::decode;

    fn problems(text: &str) -> Vec<String> {
        let header = Header {
            module: "command".into(),
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            max_age: Duration::from_secs(300),
            on_failure: OnFailure::Drop,
            splay: false,
            enabled: true,
            user: None,
            max_series: None,
            group: None,
            labels: Vec::new(),
        };
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

    #[test]
    fn a_bare_name_is_found_in_the_path_that_the_command_sees() {
        assert_eq!(find("sh", account::PATH), Ok(PathBuf::from("/usr/bin/sh")));
        let own = [("PATH".to_owned(), "relative:/no/such:/bin".to_owned())];
        assert_eq!(find("sh", search_path(&own)), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(find("passwd", "/etc"), Err("there is no program `passwd` in /etc".into()));
    }
}
