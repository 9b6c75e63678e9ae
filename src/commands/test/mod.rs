//! `promdrop test NAME`: one collector run for the eyes of whoever writes it; nothing is published.

mod difference;
mod shell;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{FAILED, GOOD, USAGE, claims, complain, exit_code, load, no_collector, show, source};
use crate::cli::Places;
use crate::collect::runner::{Rehearsal, rehearse};
use crate::collect::stop::Stop;
use crate::collect::trace::{Start, Trace};
use crate::collect::{Collection, Failure};
use crate::config::Header;
use crate::diagnostic::printable;
use crate::exposition::{self, Family, count_series};
use crate::textfile::{self, Directory};
use difference::Difference;
use shell::Shell;

/// Of a long difference so many lines are shown.
const DIFFERENCES: usize = 20;

/// Runs the collector `name`; the exit status.
pub fn run(places: &Places, name: &str) -> ExitCode {
    exit_code(try_run(places, name))
}

fn try_run(places: &Places, name: &str) -> Result<u8, String> {
    let stop = Stop::listen().map_err(|e| format!("can't listen for signals: {}", e.desc()))?;
    let loaded = load(&places.collectors_dir)?;
    if let Some(failed) = loaded.failed.iter().find(|f| f.stem.as_ref().is_some_and(|s| s.as_str() == name)) {
        complain(failed);
        return Ok(USAGE);
    }
    let Some(definition) = loaded.definitions.iter().find(|definition| definition.stem.as_str() == name)
    else {
        return Err(no_collector(&loaded, name, &places.collectors_dir));
    };
    // What is published is only read, so that counters go on from it; without it they begin at 0.
    let directory = Directory::open(&places.textfile_dir)
        .map(|directory| directory.with_node_exporter(&places.node_exporter));
    let claims = claims(&loaded, &source(&places.collectors_dir));
    let clock = Instant::now();
    let mut trace = Trace::default();
    let Rehearsal { result, published } =
        rehearse(definition, directory.as_ref().ok(), &claims, &stop, &mut trace);
    let took = clock.elapsed();

    let header = &definition.header;
    entry("collector", [format!("{name}, module {}", header.module)]);
    if !header.enabled {
        entry("note", ["it is disabled: `run` passes it by"]);
    }
    if let Some(start) = &trace.start {
        tell_start(start);
    }
    tell_end(&trace, took, header);
    match result {
        Ok(found) => {
            tell_samples(&found, published.as_deref());
            let series = count_series(&found.families);
            let file = textfile::collector_file(name);
            entry("verdict", [format!("good: {series} series, which `run` would publish in {file}")]);
            if let Err(error) = directory {
                complain(format_args!("promdrop: but `run` could not publish: {error}"));
                return Ok(FAILED);
            }
            Ok(GOOD)
        }
        Err(failure) => {
            tell_failure(&failure);
            Ok(FAILED)
        }
    }
}

fn tell_start(start: &Start) {
    entry("program", [&start.program]);
    // One a line: where an argument begins and ends is what is asked.
    entry("argv", &start.argv);
    entry("user", [&start.user]);
    entry("directory", [&start.directory]);
    let umask = format!("umask {:03o}", start.umask);
    entry("limits", [std::iter::once(&umask).chain(&start.limits).cloned().collect::<Vec<_>>().join(", ")]);
    entry("variables", start.environment.iter().map(|(name, value)| format!("{name}={value}")));
    entry("unlike your shell", Shell::of_this_process().unlike(start));
}

fn tell_end(trace: &Trace, took: Duration, header: &Header) {
    entry("took", [format!("{:.3} s, of {} s at most", took.as_secs_f64(), header.timeout.as_secs_f64())]);
    entry("ended", &trace.ended);
    entry(
        "used",
        trace.usage.map(|usage| {
            format!(
                "{:.3} s of CPU, {} KiB of memory at its peak",
                usage.cpu.as_secs_f64(),
                usage.memory_peak >> 10
            )
        }),
    );
    entry("note", &trace.notes);
    entry("stderr", trace.stderr.lines());
    entry("output", String::from_utf8_lossy(&trace.output).lines());
}

fn tell_samples(found: &Collection, published: Option<&[Family]>) {
    let mut text = String::new();
    exposition::render(&found.families, &mut text);
    entry("samples", text.lines());
    let Some(published) = published else {
        entry("published", ["nothing yet"]);
        return;
    };
    let Difference { mut lines, counts: [new, gone, changed, same] } =
        Difference::between(published, &found.families);
    let more = lines.len().saturating_sub(DIFFERENCES);
    lines.truncate(DIFFERENCES);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let counts = format!("{new} series new, {gone} gone, {changed} of another value, {same} the same");
    entry("published", std::iter::once(counts).chain(lines));
}

fn tell_failure(failure: &Failure) {
    let verdict = format!("{}: {}", failure.outcome.word(), failure.message);
    let detail = failure.detail.lines().map(str::to_owned);
    let then =
        "`run` would publish its health only, and keep or drop the last good numbers as `on_failure` says";
    entry("verdict", std::iter::once(verdict).chain(detail).chain([then.to_owned()]));
}

/// Shows `lines` beside `title`, harmless to a terminal; nothing where there are none.
fn entry(title: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
    for (at, line) in lines.into_iter().enumerate() {
        let title = if at == 0 { title } else { "" };
        // A title that is too long for the column stands above it.
        if title.len() > 10 {
            show(format_args!("{title}\n"));
        }
        let title = if title.len() > 10 { "" } else { title };
        show(format_args!("{title:<10} {}\n", printable(line.as_ref())));
    }
}
