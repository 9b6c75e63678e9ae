//! strace(1): which system calls a program makes, and a fault put into any of them.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{fmt, fs};

use super::need;

/// How many seconds a program may take: one that takes longer ends with status 124.
const LIMIT: &str = "30";

/// A system call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The how manieth of its name it is, from 1.
    pub nth: usize,
    /// As strace tells it, descriptors with their paths.
    pub line: String,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
pub enum Fault<'a> {
    /// Its process is killed in place of it.
    Kill,
    /// It fails with the errno of this name, and does nothing.
    Error(&'a str),
}

/// From which call of its name on.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// This one only.
    At(usize),
    /// This one and all after it.
    From(usize),
}

/// Which processes are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The program alone.
    Itself,
    /// Also all that it starts, each with a count of its own.
    All,
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill => out.write_str("signal=KILL"),
            Fault::Error(errno) => write!(out, "error={errno}"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::At(nth) => write!(out, "when={nth}"),
            When::From(nth) => write!(out, "when={nth}+"),
        }
    }
}

/// How a program ended into which a fault was put.
#[derive(Debug)]
pub struct Faulted {
    /// Its output; killed as the program was.
    pub output: Output,
    /// The calls that failed for it.
    pub failed: Vec<String>,
    /// How many processes were killed.
    pub killed: usize,
}

/// The calls of `command` itself, which is run to its end.
pub fn trace(command: &Command, stdin: Stdio, log: &Path) -> Vec<Call> {
    let output = run(command, stdin, log, &["-qq", "-y"]);
    assert!(output.status.success(), "{output:?}");
    let mut counts = BTreeMap::new();
    let text = fs::read_to_string(log).unwrap();
    let calls = text.lines().filter_map(|line| {
        let (name, _) = line.split_once('(')?;
        let nth = counts.entry(name.to_owned()).or_insert(0);
        *nth += 1;
        Some(Call { name: name.to_owned(), nth: *nth, line: line.to_owned() })
    });
    calls.collect()
}

/// Runs `command` to its end, with `fault` in the call `name`.
pub fn put(
    fault: Fault<'_>,
    name: &str,
    when: When,
    whom: Whom,
    (command, stdin): (&Command, Stdio),
    log: &Path,
) -> Faulted {
    let (trace, inject) = (format!("trace={name}"), format!("inject={name}:{fault}:{when}"));
    let mut options = vec!["-q", "-y", "-e", &trace, "-e", &inject];
    if whom == Whom::All {
        options.push("-f");
        // Stops at no other call, which is quicker, but at this one too late for a signal.
        if matches!(fault, Fault::Error(_)) {
            options.push("--seccomp-bpf");
        }
    }
    let output = run(command, stdin, log, &options);
    let text = fs::read_to_string(log).unwrap();
    let failed = text.lines().filter(|line| line.ends_with("(INJECTED)")).map(str::to_owned).collect();
    let killed = text.lines().filter(|line| line.contains("+++ killed by SIGKILL")).count();
    Faulted { output, failed, killed }
}

impl Faulted {
    /// Whether the program itself was killed.
    pub fn was_killed(&self) -> bool {
        self.output.status.signal() == Some(9)
    }
}

fn run(command: &Command, stdin: Stdio, log: &Path, options: &[&str]) -> Output {
    need("strace");
    // Ended, strace lets the program go, which then ends without a fault.
    let mut strace = Command::new("timeout");
    strace
        .args([LIMIT, "strace", "-I2"])
        .args(options)
        .arg("-o")
        .arg(log)
        .arg(command.get_program())
        .args(command.get_args());
    strace.env_clear();
    strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.stdin(stdin).output().unwrap()
}
