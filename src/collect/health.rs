//! What every collector's file says of the collector itself, whether its last run succeeded or not. Pure.

use std::time::Duration;

use super::trace::Usage;
use super::{Outcome, State};
use crate::exposition::{Descriptor, Family, Kind, OWN_PREFIX};

const SUCCESS: Descriptor = Descriptor {
    name: "promdrop_collector_success",
    help: "Whether the last run of the collector succeeded.",
    kind: Kind::Gauge,
};
pub(super) const LAST_RUN: Descriptor = Descriptor {
    name: "promdrop_collector_last_run_timestamp_seconds",
    help: "When the last run of the collector began, in seconds since the epoch.",
    kind: Kind::Gauge,
};
const LAST_SUCCESS: Descriptor = Descriptor {
    name: "promdrop_collector_last_success_timestamp_seconds",
    help: "When the last run of the collector that succeeded began, in seconds since the epoch; 0 for never.",
    kind: Kind::Gauge,
};
pub(super) const DURATION: Descriptor = Descriptor {
    name: "promdrop_collector_duration_seconds",
    help: "How long the last run of the collector took.",
    kind: Kind::Gauge,
};
pub(super) const INTERVAL: Descriptor = Descriptor {
    name: "promdrop_collector_interval_seconds",
    help: "How often the collector is due.",
    kind: Kind::Gauge,
};
const MAX_AGE: Descriptor = Descriptor {
    name: "promdrop_collector_max_age_seconds",
    help: "The age at which numbers of the collector are removed.",
    kind: Kind::Gauge,
};
const SERIES: Descriptor = Descriptor {
    name: "promdrop_collector_series",
    help: "Series of the collector in its file, without those about the collector itself.",
    kind: Kind::Gauge,
};
const STALE: Descriptor = Descriptor {
    name: "promdrop_collector_stale",
    help: "Whether the last success of the collector is longer ago than its max_age, so that its numbers were removed.",
    kind: Kind::Gauge,
};
const RUNS: Descriptor = Descriptor {
    name: "promdrop_collector_runs_total",
    help: "Runs of the collector by result.",
    kind: Kind::Counter,
};
const CPU: Descriptor = Descriptor {
    name: "promdrop_collector_cpu_seconds",
    help: "CPU time that the last run of the collector used, all its processes together.",
    kind: Kind::Gauge,
};
const MEMORY_PEAK: Descriptor = Descriptor {
    name: "promdrop_collector_memory_peak_bytes",
    help: "Peak resident memory of the largest process of the last run of the collector.",
    kind: Kind::Gauge,
};

/// All families of health.
pub const DESCRIPTORS: [Descriptor; 11] =
    [SUCCESS, LAST_RUN, LAST_SUCCESS, DURATION, INTERVAL, MAX_AGE, SERIES, STALE, RUNS, CPU, MEMORY_PEAK];

/// A collector's health after a run.
#[derive(Debug, Clone)]
pub struct Health<'a> {
    /// The collector's name.
    pub collector: &'a str,
    /// Whether this run succeeded.
    pub success: bool,
    /// When this run began, in milliseconds since the epoch.
    pub last_run: u64,
    /// When the last run that succeeded began, in milliseconds since the epoch.
    pub last_success: Option<u64>,
    /// How long this run took.
    pub duration: Duration,
    /// How often it is due.
    pub interval: Duration,
    /// When its numbers are removed.
    pub max_age: Duration,
    /// Series of its own in the file.
    pub series: usize,
    /// Whether its last success is longer ago than that.
    pub stale: bool,
    /// The runs so far, this one included: see [`count`].
    pub runs: &'a State,
    /// What this run used, where that is known.
    pub usage: Option<Usage>,
}

/// Counts `n` runs that ended with `outcome`.
pub fn count(runs: &mut State, outcome: Outcome, n: u64) {
    runs.add(outcome.word(), n);
}

impl Health<'_> {
    /// The families, in the order of [`DESCRIPTORS`]; without those of what is not known.
    pub fn families(&self) -> Vec<Family> {
        let gauge = |descriptor: &Descriptor, value: f64| {
            let mut family = Family::new(descriptor);
            family.push(self.labels(), value);
            family
        };
        let mut runs = Family::new(&RUNS);
        for outcome in Outcome::ALL {
            let mut labels = self.labels();
            labels.push(("result".into(), outcome.word().into()));
            runs.push(labels, self.runs.get(outcome.word()) as f64);
        }
        let mut families = vec![
            gauge(&SUCCESS, truth(self.success)),
            gauge(&LAST_RUN, seconds(self.last_run)),
            gauge(&LAST_SUCCESS, self.last_success.map_or(0.0, seconds)),
            gauge(&DURATION, self.duration.as_secs_f64()),
            gauge(&INTERVAL, self.interval.as_secs_f64()),
            gauge(&MAX_AGE, self.max_age.as_secs_f64()),
            gauge(&SERIES, self.series as f64),
            gauge(&STALE, truth(self.stale)),
            runs,
        ];
        if let Some(usage) = &self.usage {
            families.push(gauge(&CPU, usage.cpu.as_secs_f64()));
            families.push(gauge(&MEMORY_PEAK, usage.memory_peak as f64));
        }
        families
    }

    fn labels(&self) -> crate::exposition::Labels {
        vec![("collector".into(), self.collector.into())]
    }
}

/// Removes from a collector's families, as published, its numbers, which have become stale, and has its health say so.
pub fn make_stale(families: &mut Vec<Family>) {
    families.retain(|family| family.name.starts_with(OWN_PREFIX));
    for (descriptor, value) in [(&SERIES, 0.0), (&STALE, 1.0)] {
        let of_it = families.iter_mut().filter(|family| family.name == descriptor.name);
        of_it.flat_map(|family| &mut family.samples).for_each(|sample| sample.value = value);
    }
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Milliseconds as seconds.
pub fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HELP must be equal in all files of a directory, those an older promdrop wrote included: a change here is a
    /// conflict on every host that upgrades. A new meaning gets a new name.
    #[test]
    fn names_and_help_texts_never_change() {
        let golden = [
            ("promdrop_collector_success", "Whether the last run of the collector succeeded."),
            (
                "promdrop_collector_last_run_timestamp_seconds",
                "When the last run of the collector began, in seconds since the epoch.",
            ),
            (
                "promdrop_collector_last_success_timestamp_seconds",
                "When the last run of the collector that succeeded began, in seconds since the epoch; 0 for never.",
            ),
            ("promdrop_collector_duration_seconds", "How long the last run of the collector took."),
            ("promdrop_collector_interval_seconds", "How often the collector is due."),
            ("promdrop_collector_max_age_seconds", "The age at which numbers of the collector are removed."),
            (
                "promdrop_collector_series",
                "Series of the collector in its file, without those about the collector itself.",
            ),
            (
                "promdrop_collector_stale",
                "Whether the last success of the collector is longer ago than its max_age, so that its numbers were removed.",
            ),
            ("promdrop_collector_runs_total", "Runs of the collector by result."),
            (
                "promdrop_collector_cpu_seconds",
                "CPU time that the last run of the collector used, all its processes together.",
            ),
            (
                "promdrop_collector_memory_peak_bytes",
                "Peak resident memory of the largest process of the last run of the collector.",
            ),
        ];
        assert_eq!(DESCRIPTORS.map(|d| (d.name, d.help)), golden);
    }

    #[test]
    fn every_result_is_always_there_and_usage_where_it_is_known() {
        let mut runs = State::default();
        count(&mut runs, Outcome::Timeout, 1);
        let health = Health {
            collector: "x",
            success: false,
            last_run: 1_500,
            last_success: None,
            duration: Duration::from_millis(250),
            interval: Duration::from_secs(60),
            max_age: Duration::from_secs(300),
            series: 0,
            stale: true,
            runs: &runs,
            usage: None,
        };
        let families = health.families();
        let values: Vec<f64> = families.iter().flat_map(|f| f.samples.iter().map(|s| s.value)).collect();
        assert_eq!(&values[..8], [0.0, 1.5, 0.0, 0.25, 60.0, 300.0, 0.0, 1.0]);
        let runs: Vec<(String, f64)> =
            families[8].samples.iter().map(|s| (s.labels[1].1.to_string(), s.value)).collect();
        assert_eq!(runs.len(), Outcome::ALL.len());
        assert_eq!(
            runs.iter().filter(|(_, n)| *n == 1.0).map(|(r, _)| r.as_str()).collect::<Vec<_>>(),
            ["timeout"]
        );
        assert_eq!(families.len(), 9);
        let usage = Some(Usage { cpu: Duration::from_millis(1_500), memory_peak: 4096 });
        let families = Health { usage, ..health }.families();
        let values: Vec<f64> = families[9..].iter().map(|f| f.samples[0].value).collect();
        assert_eq!(values, [1.5, 4096.0]);
    }
}
