//! The definitions as one look at the collectors directory found them, and what of them is to be run.

use std::path::Path;

use super::order::Order;
use crate::collect::runner::{Report, Runner, now};
use crate::commands::{Loading, no_collector};
use crate::config::Definition;
use crate::config::fields::Stem;

/// The definitions, and what runs them.
pub struct Pass<'a> {
    /// The definitions.
    pub loaded: Loading,
    /// What runs them.
    pub runner: Runner<'a>,
    /// Whether they are run due or not.
    pub due_or_not: bool,
}

/// A definition that is to be run.
pub struct Due {
    /// Which of the pass it is.
    pub number: usize,
    /// Its name.
    pub stem: Stem,
    /// The slot that it is due for.
    pub slot: u64,
}

impl Pass<'_> {
    /// The definitions to run at `now`.
    pub fn due(&self, order: &Order<'_>, now: u64) -> Vec<Due> {
        let due = |(number, definition): (usize, &Definition<_>)| {
            let Definition { stem, header, .. } = definition;
            let wanted = header.enabled && order.wants(stem.as_str());
            let slot = match self.due_or_not {
                _ if !wanted => None,
                true => Some(self.runner.slots(stem, header).at(now)),
                false => self.runner.due(stem, header, now),
            };
            slot.map(|slot| Due { number, stem: stem.clone(), slot })
        };
        self.loaded.definitions.iter().enumerate().filter_map(due).collect()
    }

    /// Runs definition `number`, if its slot has not been served since.
    pub fn run(&self, number: usize) -> Option<Report> {
        let definition = self.loaded.definitions.get(number)?;
        // It may have waited for its turn.
        match self.due_or_not {
            true => Some(self.runner.run(definition, now())),
            false => self.runner.run_due(definition, now()),
        }
    }

    /// When the next slot of any begins, after those that `now` is served for; rounded up to a second, since to look
    /// more often than that would cost more than it brings.
    pub fn next(&self, now: u64) -> Option<u64> {
        let enabled = self.loaded.definitions.iter().filter(|definition| definition.header.enabled);
        let next =
            |definition: &Definition<_>| self.runner.slots(&definition.stem, &definition.header).next(now);
        enabled.map(next).min().map(|next| next.div_ceil(1_000).saturating_mul(1_000))
    }
}

/// Every name must be a collector that may run.
///
/// # Errors
/// That it is not.
pub fn check_names(loaded: &Loading, names: &[String], collectors_dir: &Path) -> Result<(), String> {
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
