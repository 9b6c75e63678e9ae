//! `promdrop run [NAME...]`: what is due, run and published.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::{FAILED, GOOD, claims, complain, describe, exit_code, finish, no_collector, source};
use crate::cli::Places;
use crate::collect::overall::Overall;
use crate::collect::runner::{Report, Runner, now};
use crate::collect::stop::Stop;
use crate::collect::{Collector, Outcome, read_module};
use crate::config::Definition;
use crate::config::load::{Failed, Loaded, load_directory};
use crate::diagnostic::printable;
use crate::schedule;
use crate::textfile::{Audit, Directory, Withdrawn};

/// Collectors that run at the same time. A slow one delays nobody before so many are slow.
const AT_ONCE: usize = 64;

type Loading = Loaded<Box<dyn Collector>>;
type Due<'a> = (&'a Definition<Box<dyn Collector>>, u64);

/// Runs `names`, or all that is due; the exit status.
pub fn run(places: &Places, names: &[String]) -> ExitCode {
    exit_code(try_run(places, names))
}

fn try_run(places: &Places, names: &[String]) -> Result<u8, String> {
    let clock = Instant::now();
    let began = now();
    let stop = Stop::listen().map_err(|e| format!("can't listen for signals: {}", e.desc()))?;
    let loaded: Loading =
        load_directory(&places.collectors_dir, &read_module).map_err(|error| error.to_string())?;
    check_names(&loaded, names, &places.collectors_dir)?;
    let directory = Directory::open(&places.textfile_dir).map_err(|error| error.to_string())?;
    let source = source(&places.collectors_dir);
    let directory = directory.with_node_exporter(&places.node_exporter);
    let claims = claims(&loaded, &source);
    let runner = Runner { directory: &directory, stop: &stop, claims: &claims };
    let wanted = |stem: &str| names.is_empty() || names.iter().any(|name| name == stem);
    // Someone who watches, or asked for a collector by name, is told everything.
    let watched = !names.is_empty() || std::io::stderr().is_terminal();

    let mut status = GOOD;
    let mut ran = false;
    // First, so that nothing which is no longer true stands in the way of what is.
    if let Err(error) = directory.sweep_aged(began, None) {
        complain(format_args!("promdrop: {error}"));
        status = FAILED;
    }
    let Audit { withdrawn, others, failed } = directory.audit(&claims);
    for message in withdrawn.iter().map(describe_loss).chain(failed.map(|error| format!("promdrop: {error}")))
    {
        complain(message);
        status = FAILED;
        ran = true;
    }
    for failed in &loaded.failed {
        if failed.stem.as_ref().is_none_or(|stem| wanted(stem.as_str())) {
            status = FAILED;
            ran |= report_config(&runner, failed, began, watched);
        }
    }

    let due: Vec<Due<'_>> = loaded
        .definitions
        .iter()
        .filter(|definition| definition.header.enabled && wanted(definition.stem.as_str()))
        .filter_map(|definition| {
            let interval = definition.header.interval;
            let slot = if names.is_empty() {
                runner.due(&definition.stem, interval, began)?
            } else {
                schedule::slot(began, interval)
            };
            Some((definition, slot))
        })
        .collect();
    ran |= !due.is_empty();
    let run_one = |(definition, slot): &Due<'_>| match names.is_empty() {
        true => runner.run_due(definition, *slot),
        false => Some(runner.run(definition, *slot)),
    };
    run_all(&due, run_one, |report| {
        // Of what was ended with promdrop nothing is published, and one line below says so for all.
        if report.stopped {
            return;
        }
        if report.outcome != Outcome::Success && report.outcome != Outcome::Skipped {
            status = FAILED;
        }
        let text = describe(&report);
        if (report.news || watched) && !text.is_empty() {
            complain(text);
        }
    });

    if ran && !stop.is_raised() {
        let enabled = |wanted: bool| loaded.definitions.iter().filter(|d| d.header.enabled == wanted).count();
        let overall = Overall {
            began,
            took: clock.elapsed(),
            enabled: enabled(true),
            disabled: enabled(false),
            failed: loaded.failed.len(),
            others,
        };
        if let Err(error) = overall.publish(&directory, &source) {
            complain(format_args!("promdrop: {error}"));
            status = FAILED;
        }
    }
    if ran && let Err(error) = finish(&directory) {
        complain(format_args!("promdrop: {error}"));
        status = FAILED;
    }
    if stop.is_raised() {
        complain("promdrop: told to end: what ran was ended, what was published before stands");
        status = FAILED;
    }
    Ok(status)
}

/// What went of a file that was published already, and why.
fn describe_loss(Withdrawn { file, families, reasons }: &Withdrawn) -> String {
    let what = printable(&families.join(", "));
    let reasons: Vec<String> = reasons.iter().map(|reason| format!("  {}", printable(reason))).collect();
    format!("promdrop: {file}: withdrawn, for another file contradicts it: {what}\n{}", reasons.join("\n"))
}

/// Every name must be a collector that may run.
fn check_names(loaded: &Loading, names: &[String], collectors_dir: &Path) -> Result<(), String> {
    for name in names {
        let failed = loaded.failed.iter().any(|f| f.stem.as_ref().is_some_and(|stem| stem.as_str() == name));
        match loaded.definitions.iter().find(|definition| definition.stem.as_str() == name) {
            Some(definition) if !definition.header.enabled => {
                return Err(format!("collector {name} is disabled: its file says `enabled: false`"));
            }
            None if !failed => {
                return Err(no_collector(loaded, name, collectors_dir));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says what is wrong with a definition and publishes it as health; whether anything was published.
fn report_config(runner: &Runner<'_>, failed: &Failed, began: u64, watched: bool) -> bool {
    // Without a valid name there is no file to publish in; the exit status and stderr remain.
    let Some(stem) = &failed.stem else {
        complain(failed);
        return false;
    };
    let Some(slot) = runner.config_due(stem, began) else {
        if watched {
            complain(failed);
        }
        return false;
    };
    let report = runner.config_failure(stem, &summary(failed), slot);
    if report.outcome != Outcome::Config && report.outcome != Outcome::Skipped {
        complain(describe(&report));
    }
    if report.news || watched {
        complain(failed);
    }
    true
}

/// A definition's problems in one line that may be published: where, but nothing of what the file holds.
fn summary(failed: &Failed) -> String {
    let count = failed.problems.len();
    let problems = if count == 1 { "problem" } else { "problems" };
    match failed.problems.first() {
        Some(first) if first.line > 0 => {
            format!(
                "the definition has {count} {problems}, the first in line {}, column {}",
                first.line, first.column
            )
        }
        _ => "the definition can't be loaded".to_owned(),
    }
}

/// Does `run` to all of `due`, each in a thread of its own where there are several, and hands on each report as it
/// comes.
fn run_all<'a>(
    due: &[Due<'a>],
    run: impl Fn(&Due<'a>) -> Option<Report> + Sync,
    mut tell: impl FnMut(Report),
) {
    let next = AtomicUsize::new(0);
    let (sender, reports) = mpsc::channel();
    let work = |sender: &mpsc::Sender<Report>| {
        while let Some(one) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
            // The receiver outlives this scope.
            if let Some(report) = run(one) {
                let _ = sender.send(report);
            }
        }
    };
    thread::scope(|scope| {
        let mut threads = 0;
        while due.len() > 1 && threads < due.len().min(AT_ONCE) {
            let (sender, work) = (sender.clone(), &work);
            // Where the limit of processes allows no more threads, those that there are do it all.
            if thread::Builder::new().spawn_scoped(scope, move || work(&sender)).is_err() {
                break;
            }
            threads += 1;
        }
        if threads == 0 {
            work(&sender);
        }
        drop(sender);
        for report in reports {
            tell(report);
        }
    });
}
