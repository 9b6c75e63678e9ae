//! One file a subcommand; the only place that prints.

mod arguments;
pub mod check;
pub mod exec;
mod input;
pub mod lint;
pub mod migrate;
pub mod prune;
pub mod push;
pub mod run;
pub mod status;
pub mod test;
pub mod write;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use crate::cli::{Cli, Command};
use crate::collect::health;
use crate::collect::runner::{Report, now};
use crate::collect::{Collector, read_module};
use crate::config::fields::Stem;
use crate::config::load::{Failed, Loaded, load_directory};
use crate::config::yaml::Wrong;
use crate::diagnostic::{self, Problem, printable};
use crate::exec::life;
use crate::exec::record::mend;
use crate::textfile::{self, Claims, Directory, Fate, Mending, Swept};

/// Everything went well.
const GOOD: u8 = 0;
/// It ran, but something failed.
const FAILED: u8 = 1;
/// Usage or configuration.
const USAGE: u8 = 2;

/// Does what the command line says; the exit status. `refused` is what is wrong with `/etc/default/promdrop`: nobody knows
/// where things are then, and nothing is done; but a job runs all the same.
pub fn dispatch(cli: &Cli, refused: Option<Failed>) -> ExitCode {
    let places = &cli.places;
    if let Some(refused) = refused {
        complain(&refused);
        if !matches!(cli.command, Command::Exec(_)) {
            return ExitCode::from(USAGE);
        }
    }
    match &cli.command {
        Command::Run(arguments) => run::run(places, arguments),
        Command::Test { name } => test::run(places, name),
        Command::Write(arguments) => write::run(places, arguments),
        Command::Push(arguments) => push::run(places, arguments),
        Command::Exec(arguments) => exec::run(places, arguments),
        Command::Check { paths, name } => check::run(paths, name.as_deref(), &places.collectors_dir),
        Command::Prune { all, dry_run } => prune::run(places, *all, *dry_run),
        Command::Status { json } => status::run(places, *json),
        Command::Lint { paths, json, strict } => lint::run(paths, places, *json, *strict),
        Command::Migrate(arguments) => migrate::run(arguments),
    }
}

/// The exit status of a command; a message means that there was nothing to run.
fn exit_code(outcome: Result<u8, String>) -> ExitCode {
    ExitCode::from(outcome.unwrap_or_else(|message| {
        complain(format_args!("promdrop: {message}"));
        USAGE
    }))
}

/// Sweeps what is past its age, but for the file `except`. What can't be swept is for `run` to say.
fn sweep(directory: &Directory, except: Option<&str>) {
    if directory.look().is_ok() {
        directory.sweep(&Claims::default(), &now, except, MENDING);
    }
}

/// What a sweep makes of files that are no longer true.
const MENDING: Mending<'static> = Mending {
    stale: &health::make_stale,
    lives: &life::lives,
    lost: &|header, families| mend(header, families, &life::lives),
};

/// Once a run: what was published is made to last, and what a killed promdrop left half written is removed.
fn finish(directory: &Directory) -> Result<(), textfile::Error> {
    directory.sync()?;
    directory.sweep_temporaries(SystemTime::now()).map(drop)
}

/// What is wrong with the argument `what`.
fn misused(what: &str, wrong: &Wrong) {
    complain(diagnostic::show(what, "", &Problem::whole(&wrong.message, &wrong.cure)));
}

/// A line to stderr. That nobody reads it is no reason to fail.
fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Text to stdout, likewise.
fn show(text: impl std::fmt::Display) {
    let _ = write!(std::io::stdout().lock(), "{text}");
}

/// That `name` is no collector, and which there are.
fn no_collector(loaded: &Loading, name: &str, collectors_dir: &Path) -> String {
    let known: Vec<&str> = loaded.definitions.iter().map(|d| d.stem.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("there is no collector {} in {}; there are: {known}", printable(name), collectors_dir.display())
}

/// What the collectors directory holds.
type Loading = Loaded<Box<dyn Collector>>;

/// Reads it; a message where it can't be read or trusted.
fn load(collectors_dir: &Path) -> Result<Loading, String> {
    load_directory(collectors_dir, &read_module).map_err(|error| error.to_string())
}

/// The collectors directory as headers name it.
fn source(collectors_dir: &Path) -> PathBuf {
    collectors_dir.canonicalize().unwrap_or_else(|_| collectors_dir.to_owned())
}

/// What the definitions claim of the directory.
fn claims(loaded: &Loading, source: &Path) -> Claims {
    let file = |stem: &Stem| textfile::collector_file(stem.as_str());
    let good = loaded.definitions.iter().map(|definition| (file(&definition.stem), definition.modified));
    let failed = loaded.failed.iter().filter_map(|failed| Some((file(failed.stem.as_ref()?), None)));
    let disabled = loaded.definitions.iter().filter(|definition| !definition.header.enabled);
    Claims {
        source: source.display().to_string(),
        disabled: disabled.map(|definition| file(&definition.stem)).collect(),
        definitions: good.chain(failed).collect(),
    }
}

/// What a sweep did to a file.
fn describe_swept(Swept { file, fate }: &Swept) -> String {
    match fate {
        Fate::Left => format!("{file}: removed: no definition claims it any more"),
        Fate::Aged => format!("{file}: removed: it is past its age"),
        Fate::Stale => format!("{file}: stale: its numbers are past their age and were removed"),
        Fate::Lost => format!("{file}: its job is gone without a word: the run is counted as lost"),
        Fate::Ours => format!("{file}: removed"),
    }
}

/// A report as lines: result and reason, detail, what the collector wrote to stderr.
fn describe(report: &Report) -> String {
    let name = &report.collector;
    let mut lines = Vec::new();
    if !report.message.is_empty() {
        lines.push(format!("promdrop: {name}: {}: {}", report.outcome.word(), printable(&report.message)));
    }
    lines.extend(report.notes.iter().map(|note| format!("promdrop: {name}: {}", printable(note))));
    lines.extend(report.detail.lines().map(|line| format!("  {}", printable(line))));
    // A collector that succeeds may write to stderr what it likes; it is only worth reading when there is something
    // else to say.
    if !lines.is_empty() {
        lines.extend(report.stderr.lines().map(|line| format!("  stderr: {}", printable(line))));
    }
    lines.join("\n")
}
