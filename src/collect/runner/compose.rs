//! What is published of a run: the header and the families, data and health. Pure.

use std::time::Duration;

use super::before::Before;
use crate::collect::health::{self, Health};
use crate::collect::trace::Trace;
use crate::collect::{Collection, Failure, Outcome, State};
use crate::config::fields::Stem;
use crate::config::{Header, OnFailure};
use crate::exposition::{Family, count_series};
use crate::schedule::Slots;
use crate::textfile::{self, Claims};

/// Which of the last good families a failure may keep.
#[derive(Debug)]
pub enum Kept {
    All,
    /// All but those that contradict another file.
    Without(Vec<String>),
    None,
}

impl Kept {
    /// Fewer than before: without `families` too, or none, where that was tried.
    pub fn without(&self, families: &[String]) -> Self {
        match self {
            Kept::All => Kept::Without(families.to_vec()),
            Kept::Without(known) if families.iter().any(|family| !known.contains(family)) => {
                Kept::Without([known.as_slice(), families].concat())
            }
            Kept::Without(_) | Kept::None => Kept::None,
        }
    }

    fn holds(&self, family: &Family) -> bool {
        match self {
            Kept::All => true,
            Kept::Without(families) => !families.iter().any(|name| *name == family.name),
            Kept::None => false,
        }
    }
}

/// What a run found, and when.
pub struct Ran {
    pub slots: Slots,
    pub slot: u64,
    pub began: u64,
    pub took: Duration,
    pub result: Result<Collection, Failure>,
    pub trace: Trace,
}

/// The header and the families that tell of `ran`, which what it found is taken out of. Pure.
pub fn compose(
    stem: &Stem,
    header: &Header,
    claims: &Claims,
    before: &Before,
    ran: &mut Ran,
    kept: &Kept,
) -> (textfile::Header, Vec<Family>) {
    let outcome = match &ran.result {
        Ok(_) => Outcome::Success,
        Err(failure) => failure.outcome,
    };
    let success = outcome == Outcome::Success;
    let mut runs = before.runs.clone();
    health::count(&mut runs, outcome, 1);
    if let (Some(served), Some(end)) = (before.slot, before.end()) {
        health::count(&mut runs, Outcome::Skipped, ran.slots.skipped(served, end, ran.slot));
    }
    let mut state = State::default();
    state.put("runs", &runs);
    state.put("module", ran.result.as_ref().map_or(&before.module_state, |found| &found.state));
    let file = textfile::collector_file(stem.as_str());
    let mut head = textfile::Header {
        slot: Some(ran.slot),
        last_success: if success { Some(ran.began) } else { before.success_by(ran.began, header.max_age) },
        max_age: Some(header.max_age),
        definition: claims.definitions.get(&file).copied().flatten(),
        failure: ran.result.as_ref().err().map(said),
        state,
        ..textfile::Header::new(textfile::Kind::Collector, claims.source.clone(), file)
    };
    head.stale = head.is_past(ran.began);
    let mut families: Vec<Family> = match &mut ran.result {
        Ok(found) => std::mem::take(&mut found.families),
        Err(_) if header.on_failure == OnFailure::Keep && head.last_success.is_some() && !head.stale => {
            before.families().into_iter().filter(|family| kept.holds(family)).collect()
        }
        Err(_) => Vec::new(),
    };
    let series = count_series(&families);
    let health = Health {
        collector: stem.as_str(),
        success,
        last_run: ran.began,
        last_success: head.last_success,
        duration: ran.took,
        interval: header.interval,
        max_age: header.max_age,
        series,
        stale: head.stale,
        runs: &runs,
        usage: ran.trace.usage,
    };
    families.extend(health.families());
    (head, families)
}

/// A failure as its header keeps it: promdrop's own words.
pub fn said(failure: &Failure) -> String {
    format!("{}: {}", failure.outcome.word(), failure.message)
}
