//! The modules, their table, and what a module is.
//!
//! A module is one folder here and one line in [`MODULES`]: a function that reads the module's own section of a
//! collector file into a [`Collector`], which has one method. Everything around it (deadline, isolation, health,
//! publishing) is the runner's.

pub mod account;
pub mod alarm;
pub mod aside;
pub mod command;
pub mod crew;
pub mod cumulative;
pub mod file;
pub mod health;
pub mod machine;
pub mod netstat;
pub mod output;
pub mod overall;
pub mod ping;
pub mod runner;
pub mod stop;
pub mod trace;

use std::time::{Duration, Instant};

use crate::config::Header;
use crate::config::yaml::{Node, Section, Value, Wrong, nearest};
use crate::exposition::Family;
pub use crate::textfile::State;
use stop::Stop;
use trace::Trace;

/// How many series may come of what a program or file says, where its definition doesn't say.
pub const MAX_SERIES: usize = 5000;

/// A configured module, ready to run.
pub trait Collector: Send + Sync + std::fmt::Debug {
    /// Measures once. Returns before `run.deadline` and soon after `run.stop` is raised. What is worth telling whatever
    /// the result goes to `trace`.
    ///
    /// # Errors
    /// A [`Failure`] says why there are no numbers; the runner turns it into health and a message.
    fn collect(&self, run: &Run<'_>, trace: &mut Trace) -> Result<Collection, Failure>;

    /// How many series it may have where its definition doesn't say; `None` where the definition itself bounds them.
    fn max_series(&self) -> Option<usize> {
        None
    }
}

/// What a run is given.
#[derive(Debug)]
pub struct Run<'a> {
    /// The collector's name.
    pub collector: &'a str,
    /// When it must have ended.
    pub deadline: Instant,
    /// The time it was given as a whole.
    pub timeout: Duration,
    /// More series than this are refused; `None`: any number.
    pub max_series: Option<usize>,
    /// What it carried over from its last run; empty at the first.
    pub previous: &'a State,
    /// Raised when promdrop itself is told to end.
    pub stop: &'a Stop,
}

impl Run<'_> {
    /// Whether its time is over, or promdrop was told to end.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.stop.is_raised()
    }
}

/// What a run found.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// The families.
    pub families: Vec<Family>,
    /// What to carry over to the next run.
    pub state: State,
}

/// How a run ended: the closed list of `promdrop_collector_runs_total{result}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Measured and published.
    Success,
    /// The definition can't be loaded.
    Config,
    /// The command can't be started.
    Spawn,
    /// The command exited with a status other than 0.
    Exit,
    /// The command was ended by a signal.
    Signal,
    /// It took longer than `timeout`.
    Timeout,
    /// Its output is not what the definition says it is.
    Output,
    /// Its families break a rule of what node_exporter can serve.
    Invalid,
    /// Its families clash with another file of the directory.
    Conflict,
    /// It exceeded a limit (size of output).
    Limit,
    /// It still runs from before.
    Skipped,
    /// The directory's lock could not be had in time.
    Lock,
    /// Anything else: the kernel refused, a file could not be written, a fault in promdrop.
    Internal,
}

impl Outcome {
    /// Every outcome, in the order they are exposed.
    pub const ALL: [Outcome; 13] = [
        Outcome::Success,
        Outcome::Config,
        Outcome::Spawn,
        Outcome::Exit,
        Outcome::Signal,
        Outcome::Timeout,
        Outcome::Output,
        Outcome::Invalid,
        Outcome::Conflict,
        Outcome::Limit,
        Outcome::Skipped,
        Outcome::Lock,
        Outcome::Internal,
    ];

    /// Its word, as in the label `result`.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Config => "config",
            Outcome::Spawn => "spawn",
            Outcome::Exit => "exit",
            Outcome::Signal => "signal",
            Outcome::Timeout => "timeout",
            Outcome::Output => "output",
            Outcome::Invalid => "invalid",
            Outcome::Conflict => "conflict",
            Outcome::Limit => "limit",
            Outcome::Skipped => "skipped",
            Outcome::Lock => "lock",
            Outcome::Internal => "internal",
        }
    }
}

/// Why a run has no numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub outcome: Outcome,
    /// promdrop's own words, one line, with the cure where there is one; never bytes of a command's output, since it
    /// is published.
    pub message: String,
    /// More for the operator's eyes only (a source line with a caret, say); may hold bytes of the output.
    pub detail: String,
    /// promdrop was told to end: not a failure of the collector, nothing is published.
    pub stopped: bool,
}

impl Failure {
    /// A failure with its class and message.
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), detail: String::new(), stopped: false }
    }

    /// What must not happen has happened in promdrop itself.
    pub fn fault() -> Self {
        Self::new(Outcome::Internal, "a fault in promdrop: please report it")
    }

    /// promdrop was told to end while the collector ran.
    pub fn stopped() -> Self {
        Self { stopped: true, ..Self::new(Outcome::Internal, "promdrop was told to end") }
    }
}

/// One line of the table of modules.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// Its name: the value of `module`, and the key of its own section.
    pub name: &'static str,
    /// Whether its section must be there.
    pub needs_section: bool,
    /// Whether `user` and `group` mean something to it.
    pub takes_user: bool,
    /// Reads its section; reports what is wrong there and returns `None`.
    pub read: fn(&mut Section<'_>, &Header) -> Option<Box<dyn Collector>>,
}

/// All modules.
pub const MODULES: &[Module] = &[command::MODULE, file::MODULE, netstat::MODULE, ping::MODULE];

/// Reads the section of the module that `header` names from the file's top level, as [`config`](crate::config)
/// asks for it.
pub fn read_module(top: &mut Section<'_>, header: &Header) -> Option<Box<dyn Collector>> {
    let Some(module) = MODULES.iter().find(|module| module.name == header.module) else {
        let names: Vec<&str> = MODULES.iter().map(|module| module.name).collect();
        let cure = match nearest(&header.module, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("modules: {}", names.join(", ")),
        };
        top.report("module", Wrong::new(format!("there is no module `{}`", header.module), cure));
        // Its section can't be judged, so it is not called unknown.
        top.skip(&header.module);
        return None;
    };
    for (key, is_there) in [("user", header.user.is_some()), ("group", header.group.is_some())] {
        if is_there && !module.takes_user {
            let message =
                format!("`{key}` has no meaning for module {}, which runs inside promdrop", module.name);
            top.report(key, Wrong::new(message, "remove it"));
        }
    }
    let node = top.node(module.name);
    let empty = Node::null();
    if node.is_none_or(|node| node.value == Value::Null) && module.needs_section {
        let message = format!("module {} needs a section `{}:`", module.name, module.name);
        top.report("module", Wrong::new(message, format!("see promdrop.yaml(5), {}", module.name)));
        return None;
    }
    let mut section = Section::open(module.name, node.unwrap_or(&empty), top.problems())?;
    let collector = (module.read)(&mut section, header);
    section.finish();
    collector
}
