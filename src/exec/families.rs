//! What a job's file says of the job, made of its header. Pure.

use std::time::Duration;

use super::About;
use super::record::{DURATIONS, Verdict, count, key};
use crate::collect::cumulative::{Histogram, Totals};
use crate::collect::health::seconds;
use crate::exposition::{Descriptor, Family, Kind, Labels};
use crate::textfile::{Header, State};

const fn gauge(name: &'static str, help: &'static str) -> Descriptor {
    Descriptor { name, help, kind: Kind::Gauge }
}

pub(super) const RUNNING: Descriptor =
    gauge("promdrop_exec_running", "Whether a run of the job is in progress.");
const START: Descriptor = gauge(
    "promdrop_exec_start_timestamp_seconds",
    "When the last run of the job began, in seconds since the epoch; 0 for never.",
);
const END: Descriptor = gauge(
    "promdrop_exec_end_timestamp_seconds",
    "When a run of the job last ended, in seconds since the epoch; 0 for never.",
);
const DURATION: Descriptor =
    gauge("promdrop_exec_duration_seconds", "How long the run of the job took that ended last.");
const EXIT_STATUS: Descriptor = gauge(
    "promdrop_exec_exit_status",
    "Exit status of the run of the job that ended last; 128 and the signal's number where one ended it.",
);
const SIGNAL: Descriptor = gauge(
    "promdrop_exec_signal",
    "Number of the signal that ended the run of the job that ended last; 0 for none.",
);
pub(super) const SUCCESS: Descriptor = gauge(
    "promdrop_exec_success",
    "Whether the run of the job that ended last succeeded; 0 for one that nobody saw end, too.",
);
const LAST_SUCCESS: Descriptor = gauge(
    "promdrop_exec_last_success_timestamp_seconds",
    "When a run of the job last ended in success, in seconds since the epoch; 0 for never.",
);
pub(super) const RUNS: Descriptor = Descriptor {
    name: "promdrop_exec_runs_total",
    help: "Runs of the job by result: skipped where the last one still ran, lost where nobody saw it end.",
    kind: Kind::Counter,
};
const CPU: Descriptor = gauge(
    "promdrop_exec_cpu_seconds",
    "CPU time of the run of the job that ended last, with all processes that it waited for.",
);
const MEMORY_PEAK: Descriptor = gauge(
    "promdrop_exec_memory_peak_bytes",
    "Peak resident memory of the largest process of the run of the job that ended last.",
);
const READ: Descriptor = gauge(
    "promdrop_exec_read_bytes",
    "Bytes that the run of the job that ended last had storage read, with all processes that it waited for.",
);
const WRITTEN: Descriptor = gauge(
    "promdrop_exec_written_bytes",
    "Bytes that the run of the job that ended last had storage write, with all processes that it waited for.",
);
const EXPECTED: Descriptor =
    gauge("promdrop_exec_expected_interval_seconds", "How often a run of the job is expected to succeed.");
const MAX_AGE: Descriptor = gauge(
    "promdrop_exec_max_age_seconds",
    "The age at which the file that tells of the job is removed; 0 for never.",
);
const SERIES: Descriptor = gauge(
    "promdrop_exec_series",
    "Series of its own that the run of the job that ended last gave to be published.",
);
const ACCEPTED: Descriptor = gauge(
    "promdrop_exec_output_accepted",
    "Whether the metrics of its own of the run of the job that ended last were published; 1 where it gave none.",
);
const RUN_DURATION: Descriptor = Descriptor {
    name: "promdrop_exec_run_duration_seconds",
    help: "How long the runs of the job took.",
    kind: Kind::Histogram,
};

/// All of them.
pub const DESCRIPTORS: [Descriptor; 18] = [
    RUNNING,
    START,
    END,
    DURATION,
    EXIT_STATUS,
    SIGNAL,
    SUCCESS,
    LAST_SUCCESS,
    RUNS,
    CPU,
    MEMORY_PEAK,
    READ,
    WRITTEN,
    EXPECTED,
    MAX_AGE,
    SERIES,
    ACCEPTED,
    RUN_DURATION,
];

/// The labels that promdrop's own samples bear beside those of `--label`, which can't be one of them.
pub const OWN_LABELS: [&str; 3] = ["name", "result", "le"];

/// The families of the job that `header` tells of. What only a run that ended can tell is not there before.
pub fn families(about: &About, header: &Header) -> Vec<Family> {
    let state = &header.state;
    let of = |descriptor: &Descriptor, value: f64| {
        let mut family = Family::new(descriptor);
        family.push(labels(about), value);
        family
    };
    let number = |descriptor: &Descriptor, key: &str| Some(of(descriptor, known(state, key)? as f64));
    let time = |descriptor: &Descriptor, key: &str| Some(of(descriptor, known(state, key)? as f64 / 1e9));
    let age = |age: Option<Duration>| age.map(|age| age.as_secs_f64());
    [
        Some(of(&RUNNING, if header.running.is_empty() { 0.0 } else { 1.0 })),
        Some(of(&START, seconds(state.get(key::BEGAN)))),
        Some(of(&END, seconds(state.get(key::ENDED)))),
        time(&DURATION, key::DURATION),
        number(&EXIT_STATUS, key::STATUS),
        number(&SIGNAL, key::SIGNAL),
        number(&SUCCESS, key::SUCCESS),
        Some(of(&LAST_SUCCESS, header.last_success.map_or(0.0, seconds))),
        Some(runs(about, state)),
        time(&CPU, key::CPU),
        number(&MEMORY_PEAK, key::MEMORY),
        number(&READ, key::READ),
        number(&WRITTEN, key::WRITTEN),
        // During the first run nothing can have succeeded yet, and that is nothing to alert for.
        known(state, key::SUCCESS).and(age(about.expect_every)).map(|every| of(&EXPECTED, every)),
        Some(of(&MAX_AGE, age(about.max_age).unwrap_or(0.0))),
        number(&SERIES, key::SERIES),
        number(&ACCEPTED, key::ACCEPTED),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Adds how long runs took to the histogram that `state` carries; its family, where there is to be one.
pub fn observe(about: &About, state: &mut State, times: &[Duration]) -> Option<Family> {
    if about.buckets.is_empty() {
        return None;
    }
    let before = state.part(DURATIONS);
    let mut totals = Totals::after(&before);
    let histogram = Histogram { family: RUN_DURATION, bounds: &about.buckets };
    totals.observe(&histogram, "all", &labels(about), times);
    let (families, after) = totals.finish();
    state.put(DURATIONS, &after);
    families.into_iter().next()
}

fn known(state: &State, key: &str) -> Option<u64> {
    state.numbers(key).map(|_| state.get(key))
}

fn runs(about: &About, state: &State) -> Family {
    let mut runs = Family::new(&RUNS);
    for verdict in Verdict::ALL {
        let mut labels = labels(about);
        labels.push(("result".into(), verdict.word().into()));
        runs.push(labels, count(state, verdict) as f64);
    }
    runs
}

fn labels(about: &About) -> Labels {
    let name = ("name".into(), about.name.as_str().into());
    [name].into_iter().chain(about.labels.iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
