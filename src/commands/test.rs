//! `promdrop test NAME`: one collector run for the eyes of whoever writes it; nothing is published.

use std::process::ExitCode;
use std::time::Instant;

use super::{FAILED, GOOD, USAGE, claims, complain, exit_code, load, no_collector, show, source};
use crate::cli::Places;
use crate::collect::runner::rehearse;
use crate::collect::stop::Stop;
use crate::collect::trace::Trace;
use crate::diagnostic::printable;
use crate::exposition;
use crate::textfile::{self, Directory};

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
    let rehearsal = rehearse(definition, directory.as_ref().ok(), &claims, &stop, &mut trace);
    let took = clock.elapsed();

    show(format_args!("collector  {name}, module {}\n", definition.header.module));
    show(format_args!(
        "took       {:.3} s, of {} s at most\n",
        took.as_secs_f64(),
        definition.header.timeout.as_secs_f64()
    ));
    if !definition.header.enabled {
        show("note       it is disabled: `run` passes it by\n");
    }
    for (i, line) in trace.stderr.lines().enumerate() {
        show(format_args!("{:<10} {}\n", if i == 0 { "stderr" } else { "" }, printable(line)));
    }
    for note in &trace.notes {
        show(format_args!("note       {}\n", printable(note)));
    }
    let file = textfile::collector_file(name);
    match rehearsal {
        Ok(found) => {
            let series: usize = found.families.iter().map(|family| family.samples.len()).sum();
            show(format_args!("verdict    good: {series} series, which `run` would publish in {file}\n\n"));
            let mut text = String::new();
            exposition::render(&found.families, &mut text);
            show(text);
            if let Err(error) = directory {
                complain(format_args!("promdrop: but `run` could not publish: {error}"));
                return Ok(FAILED);
            }
            Ok(GOOD)
        }
        Err(failure) => {
            show(format_args!("verdict    {}: {}\n", failure.outcome.word(), printable(&failure.message)));
            for line in failure.detail.lines() {
                show(format_args!("           {}\n", printable(line)));
            }
            show(
                "           `run` would publish its health only, and keep or drop the last good numbers as `on_failure` says\n",
            );
            Ok(FAILED)
        }
    }
}
