//! What a collector's file said before a run.

use std::time::Duration;

use super::compose::said;
use super::report::refusal;
use crate::collect::{Failure, State, health};
use crate::config::fields::Stem;
use crate::config::header::{LONGEST_INTERVAL, SHORTEST_INTERVAL};
use crate::exposition::{Descriptor, Family, OWN_PREFIX};
use crate::schedule;
use crate::textfile::{self, Directory, Kind, Previous};

/// What a definition that can't be loaded is taken to have said, where its file doesn't remember better.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(60);

/// What the collector's file said before this run.
#[derive(Default)]
pub struct Before {
    pub slot: Option<u64>,
    pub last_success: Option<u64>,
    pub max_age: Option<Duration>,
    pub failure: Option<String>,
    pub runs: State,
    pub module_state: State,
    health: Vec<Family>,
    file: Option<Previous>,
}

impl Before {
    pub fn read(directory: &Directory, stem: &Stem) -> Result<Self, Failure> {
        // What is somebody else's is refused before anything is run for nothing.
        let file = directory.previous(&textfile::collector_file(stem.as_str())).map_err(|e| refusal(&e))?;
        let Some(file) = file else { return Ok(Self::default()) };
        let header = &file.header;
        if header.kind != Kind::Collector {
            return Err(refusal(&directory.wrong_kind(&header.file, header.kind, Kind::Collector)));
        }
        Ok(Self {
            slot: header.slot,
            last_success: header.last_success,
            max_age: header.max_age,
            failure: header.failure.clone(),
            runs: header.state.part("runs"),
            module_state: header.state.part("module"),
            health: file.own_families().unwrap_or_default(),
            file: Some(file),
        })
    }

    /// The families but for health. Only few runs ask for them, and there may be many.
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.file.as_ref().and_then(Previous::families).unwrap_or_default();
        families.retain(|family| !family.name.starts_with(OWN_PREFIX));
        families
    }

    /// The last success; none where it lies in the future, by more than it would be kept for: whoever asks how long ago
    /// it was would find it fresh until then.
    pub fn success_by(&self, now: u64, max_age: Duration) -> Option<u64> {
        self.last_success.filter(|at| at.saturating_sub(now) <= schedule::millis(max_age))
    }

    /// Whether `failure` (or success) in `slot` is worth saying: another result than last time, or another hour.
    pub fn is_news(&self, slot: u64, failure: Option<&Failure>) -> bool {
        const HOUR: u64 = 3_600_000;
        // The header cuts what is long, but no shorter than this, whatever it has to escape.
        const KEPT: usize = 50;
        let same = match (&self.failure, failure.map(said)) {
            (Some(before), Some(now)) => {
                *before == now || before.len() >= KEPT && now.starts_with(before.as_str())
            }
            (before, now) => before.is_none() && now.is_none(),
        };
        !self.is_known() || !same || self.slot.map(|s| s / HOUR) != Some(slot / HOUR)
    }

    /// Whether there was such a file.
    pub fn is_known(&self) -> bool {
        self.file.is_some()
    }

    /// The interval that its health tells of, for when its definition can't.
    pub fn interval(&self) -> Duration {
        let told = self.told(&health::INTERVAL);
        told.filter(|interval| (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(interval))
            .unwrap_or(UNKNOWN_INTERVAL)
    }

    /// When the last run ended, in ms since the epoch.
    pub fn end(&self) -> Option<u64> {
        let end = self.told(&health::LAST_RUN)?.checked_add(self.told(&health::DURATION)?)?;
        Some(schedule::millis(end))
    }

    /// The seconds that its health tells in the family of `descriptor`.
    fn told(&self, descriptor: &Descriptor) -> Option<Duration> {
        let family = self.health.iter().find(|family| family.name == descriptor.name)?;
        Duration::try_from_secs_f64(family.samples.first()?.value).ok()
    }
}
