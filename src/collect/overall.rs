//! What there is to say of a run as a whole: promdrop.prom.

use std::path::Path;
use std::time::Duration;

use super::health::seconds;
use crate::exposition::{Descriptor, Family, Kind};
use crate::schedule::{Slots, millis};
use crate::textfile::{self, Directory, Others};

/// The age of promdrop.prom. A host where nothing has run for so long has other news than this.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

const BUILD_INFO: Descriptor = Descriptor {
    name: "promdrop_build_info",
    help: "The version of promdrop that ran last; always 1.",
    kind: Kind::Gauge,
};
const LAST_RUN: Descriptor = Descriptor {
    name: "promdrop_last_run_timestamp_seconds",
    help: "When promdrop last ran a collector, in seconds since the epoch.",
    kind: Kind::Gauge,
};
const DURATION: Descriptor = Descriptor {
    name: "promdrop_last_run_duration_seconds",
    help: "How long that run of promdrop took as a whole.",
    kind: Kind::Gauge,
};
const DEFINITIONS: Descriptor = Descriptor {
    name: "promdrop_definitions",
    help: "Collector definitions by state: enabled, disabled, or failed to load.",
    kind: Kind::Gauge,
};
const FOREIGN_FILES: Descriptor = Descriptor {
    name: "promdrop_foreign_files",
    help: "Files of others in the textfile directory, by the worst that each does to a scrape: harmless, reject, distort or poison, or unproven where it can't be read.",
    kind: Kind::Gauge,
};

const VERIFY_SUCCESS: Descriptor = Descriptor {
    name: "promdrop_verify_success",
    help: "Whether the last scrape of node_exporter that promdrop compared with its files held each of them with all its series.",
    kind: Kind::Gauge,
};
const VERIFY_LAST_RUN: Descriptor = Descriptor {
    name: "promdrop_verify_last_run_timestamp_seconds",
    help: "When promdrop last compared a scrape of node_exporter with its files, in seconds since the epoch.",
    kind: Kind::Gauge,
};

/// What came of a comparison of a scrape with promdrop's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// Whether all of it was there.
    pub success: bool,
    /// When it ended, in ms since the epoch.
    pub at: u64,
}

impl Verification {
    /// The last one that promdrop.prom tells of.
    pub fn published(directory: &Directory) -> Option<Self> {
        let families = directory.previous(textfile::RUN_FILE).ok()??.own_families()?;
        let value = |descriptor: &Descriptor| {
            let family = families.iter().find(|family| family.name == descriptor.name)?;
            Some(family.samples.first()?.value)
        };
        let at = Duration::try_from_secs_f64(value(&VERIFY_LAST_RUN)?).ok()?;
        Some(Self { success: value(&VERIFY_SUCCESS)? == 1.0, at: millis(at) })
    }

    /// Whether it is worth saying after `last`: another result, or another hour.
    pub fn is_news(&self, last: Option<&Self>) -> bool {
        let hour = |verification: &Self| slots().at(verification.at);
        last.is_none_or(|last| last.success != self.success || hour(last) != hour(self))
    }
}

/// A run.
#[derive(Debug)]
pub struct Overall {
    /// When it began, in ms since the epoch.
    pub began: u64,
    /// How long it took.
    pub took: Duration,
    /// How many definitions are enabled.
    pub enabled: usize,
    /// How many are disabled.
    pub disabled: usize,
    /// How many can't be loaded.
    pub failed: usize,
    /// What else the directory holds, where it could be told.
    pub others: Option<Others>,
    /// What came of the last comparison with a scrape, where that is asked for.
    pub verification: Option<Verification>,
}

/// How often it is told of at least, though no collector is due: what it says of the files of others changes.
const INTERVAL: Duration = Duration::from_secs(3600);

fn slots() -> Slots {
    Slots::new(INTERVAL, Duration::ZERO)
}

impl Overall {
    /// Whether it has to be told of at `now` though no collector is due, by the directory's last look.
    pub fn is_due(directory: &Directory, now: u64) -> bool {
        slots().due(now, directory.served(textfile::RUN_FILE)).is_some()
    }

    /// Publishes it, as of the collectors directory `source`.
    ///
    /// # Errors
    /// As [`Directory::publish`].
    pub fn publish(&self, directory: &Directory, source: &Path) -> Result<(), textfile::Error> {
        let header = textfile::Header {
            slot: Some(slots().at(self.began)),
            last_success: Some(self.began),
            max_age: Some(MAX_AGE),
            ..textfile::Header::new(
                textfile::Kind::Collector,
                source.display().to_string(),
                textfile::RUN_FILE,
            )
        };
        directory.publish(&header, &self.families())
    }

    fn families(&self) -> Vec<Family> {
        let one = |descriptor: &Descriptor, value: f64| {
            let mut family = Family::new(descriptor);
            family.push(Vec::new(), value);
            family
        };
        let counts = |descriptor: &Descriptor, label: &'static str, counts: &[(&'static str, usize)]| {
            let mut family = Family::new(descriptor);
            for (value, count) in counts {
                family.push(vec![(label.into(), (*value).into())], *count as f64);
            }
            family
        };
        let mut build = Family::new(&BUILD_INFO);
        build.push(vec![("version".into(), env!("CARGO_PKG_VERSION").into())], 1.0);
        let states = [("enabled", self.enabled), ("disabled", self.disabled), ("failed", self.failed)];
        let mut families = vec![
            build,
            one(&LAST_RUN, seconds(self.began)),
            one(&DURATION, self.took.as_secs_f64()),
            counts(&DEFINITIONS, "state", &states),
        ];
        if let Some(Verification { success, at }) = self.verification {
            families.push(one(&VERIFY_SUCCESS, f64::from(u8::from(success))));
            families.push(one(&VERIFY_LAST_RUN, seconds(at)));
        }
        // Better no number than a wrong one.
        if let Some(Others { harmless, reject, distort, poison, unproven }) = self.others {
            let classes = [
                ("harmless", harmless),
                ("reject", reject),
                ("distort", distort),
                ("poison", poison),
                ("unproven", unproven),
            ];
            families.push(counts(&FOREIGN_FILES, "class", &classes));
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_told_of_the_files_of_others_is_not_told() {
        let took = Duration::ZERO;
        let names = |others| {
            let overall =
                Overall { began: 0, took, enabled: 0, disabled: 0, failed: 0, others, verification: None };
            overall.families().into_iter().map(|family| family.name).collect::<Vec<_>>()
        };
        let (without, with) = (names(None), names(Some(Others::default())));
        assert_eq!(with.strip_prefix(&*without), Some(&[FOREIGN_FILES.name.into()][..]));
    }

    #[test]
    fn a_verification_is_news_when_it_changes_and_hourly() {
        let of = |success, at| Verification { success, at };
        let hour = 3_600_000;
        let failed = of(false, 10 * hour + 5_000);
        assert!(failed.is_news(None));
        assert!(failed.is_news(Some(&of(true, 10 * hour))));
        assert!(!failed.is_news(Some(&of(false, 10 * hour))));
        assert!(failed.is_news(Some(&of(false, 10 * hour - 5_000))));
    }
}
