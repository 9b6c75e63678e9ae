//! What surrounds every module's one method: is it due, is it still running, how long may it take, what becomes of
//! a failure, health, publishing.

mod before;
mod compose;
mod report;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::machine::Machine;
use super::stop::Stop;
use super::trace::Trace;
use super::{Collection, Collector, Failure, Outcome, Run, State};
use crate::config::fields::Stem;
use crate::config::{Definition, Header, OnFailure};
use crate::exposition::{Family, OWN_PREFIX, add_labels, count_series};
use crate::schedule::{self, Slots};
use crate::textfile::{self, Claims, Class, Directory, Guard};
use before::Before;
pub use compose::said;
use compose::{Kept, Ran, compose};
pub use report::{Report, refusal};

/// What runs have in common: where they publish, for whom, and what ends them.
#[derive(Debug)]
pub struct Runner<'a> {
    /// The textfile directory.
    pub directory: &'a Directory,
    /// Raised when promdrop is told to end.
    pub stop: &'a Stop,
    /// Which definitions there are, all of them, and of which collectors directory.
    pub claims: Claims,
    /// The host, which says where in its interval a collector with `splay` runs.
    pub machine: &'a Machine,
}

impl Runner<'_> {
    /// The slots of a collector.
    pub fn slots(&self, stem: &Stem, header: &Header) -> Slots {
        self.machine.slots(stem, header)
    }

    /// The slot that a collector has to serve at `now`, by its file as it was at the directory's last look.
    pub fn due(&self, stem: &Stem, header: &Header, now: u64) -> Option<u64> {
        // A file that can't be ours counts as never run: the run itself says what is wrong with it.
        let served = self.directory.served(&textfile::collector_file(stem.as_str()));
        self.slots(stem, header).due(now, served)
    }

    /// As [`run`](Self::run), unless another promdrop has served the slot since it was found due: then `None`.
    pub fn run_due(&self, definition: &Definition<Box<dyn Collector>>, now: u64) -> Option<Report> {
        self.run_if(definition, |slots, served| slots.due(now, served))
    }

    /// Runs `definition` at `now`, due or not, and publishes what it found, or that it failed.
    pub fn run(&self, definition: &Definition<Box<dyn Collector>>, now: u64) -> Report {
        let report = self.run_if(definition, |slots, _| Some(slots.at(now)));
        report.unwrap_or_else(|| Report::skipped(&definition.stem))
    }

    /// Runs `definition` for the slot that `wanted` says, who is told what was served: only who holds the lock can tell.
    fn run_if(
        &self,
        definition: &Definition<Box<dyn Collector>>,
        wanted: impl FnOnce(Slots, Option<u64>) -> Option<u64>,
    ) -> Option<Report> {
        let Definition { stem, header, module, .. } = definition;
        let slots = self.slots(stem, header);
        let (lock, before) = match self.take(stem) {
            Ok(taken) => taken,
            Err(report) => return Some(*report),
        };
        let slot = wanted(slots, before.slot)?;
        let began = now();
        let clock = Instant::now();
        let mut trace = Trace::default();
        let result = attempt(module.as_ref(), stem, header, &before.module_state, self.stop, &mut trace);
        let report = match result {
            Err(failure) if failure.stopped => {
                Report { notes: trace.notes, stderr: trace.stderr, ..Report::failed(stem, failure) }
            }
            result => {
                let took = clock.elapsed();
                self.publish(stem, header, &before, Ran { slots, slot, began, took, result, trace })
            }
        };
        drop(lock);
        Some(report)
    }

    /// The lock of a collector, and what its file said before; or why not.
    fn take(&self, stem: &Stem) -> Result<(Guard, Before), Box<Report>> {
        let lock = self.directory.lock_collector(stem.as_str());
        let failed = |failure| Box::new(Report::failed(stem, failure));
        let lock = lock.map_err(|error| failed(refusal(&error)))?;
        let lock = lock.ok_or_else(|| Box::new(Report::skipped(stem)))?;
        let before = Before::read(self.directory, stem).map_err(failed)?;
        Ok((lock, before))
    }

    /// Publishes the health of a definition that can't be loaded. The last good numbers stay until their age, which
    /// the file itself remembers: the definition that could say otherwise can't be read. `None` where that was done in
    /// this slot.
    pub fn config_failure(&self, stem: &Stem, message: &str, now: u64) -> Option<Report> {
        let failure = Failure::new(Outcome::Config, message);
        let (lock, before) = match self.take(stem) {
            Ok(taken) => taken,
            Err(report) => return Some(*report),
        };
        let interval = before.interval();
        let slots = Slots::new(interval, Duration::ZERO);
        let slot = slots.due(now, before.slot)?;
        let header = Header {
            interval,
            timeout: interval,
            max_age: before.max_age.unwrap_or_else(|| interval.saturating_mul(5)),
            on_failure: OnFailure::Keep,
            ..Header::new("")
        };
        let (began, took, trace) = (self::now(), Duration::ZERO, Trace::default());
        let ran = Ran { slots, slot, began, took, result: Err(failure), trace };
        let report = self.publish(stem, &header, &before, ran);
        drop(lock);
        Some(report)
    }

    /// Publishes the result; where the numbers can't be published as they are, the failure to.
    fn publish(&self, stem: &Stem, header: &Header, before: &Before, mut ran: Ran) -> Report {
        let mut notes = std::mem::take(&mut ran.trace.notes);
        if let Ok(found) = &mut ran.result
            && let Err(failure) = label(found, header)
        {
            ran.result = Err(failure);
        }
        let own = ran.result.as_ref().err().map(said);
        let mut kept = Kept::All;
        let mut not_kept = Vec::new();
        let mut written = self.write(stem, header, before, &mut ran, &kept);
        // What can't be published is a failure to publish; what can't be kept then is dropped; in the end, the file is.
        while let Err(error) = &written {
            match (error.class, &mut kept) {
                (Class::Conflict, Kept::None) => {
                    let removed = self.directory.withdraw_file(&textfile::collector_file(stem.as_str()));
                    notes.extend(removed.err().map(|error| error.to_string()));
                    break;
                }
                (Class::Conflict, kept) => *kept = kept.without(&error.families),
                (Class::Invalid | Class::Limit, _) if ran.result.is_ok() => {}
                // Another version may have published it.
                (Class::Invalid | Class::Limit, kept @ (Kept::All | Kept::Without(_))) => *kept = Kept::None,
                _ => break,
            }
            if ran.result.is_ok() {
                ran.result = Err(refusal(error));
            } else {
                let messages = error.problems.iter().map(|problem| &problem.message);
                not_kept.extend(messages.map(|message| format!("no longer kept: {message}")));
            }
            written = self.write(stem, header, before, &mut ran, &kept);
        }
        if let Err(error) = written {
            // Nothing of this run is in the directory: that outweighs how the run itself went.
            let mut failure = refusal(&error);
            if let Some(own) = own {
                failure.detail = format!("the run itself had failed: {own}\n{}", failure.detail);
            }
            ran.result = Err(failure);
        } else {
            notes.extend_from_slice(&not_kept);
        }
        let news = !not_kept.is_empty() || before.is_news(ran.slot, ran.result.as_ref().err());
        if ran.result.is_ok() && before.failure.is_some() {
            notes.insert(0, "it succeeds again".to_owned());
        }
        let mut report = match ran.result {
            Ok(_) => Report::success(stem),
            Err(failure) => Report::failed(stem, failure),
        };
        report.notes = notes;
        report.stderr = ran.trace.stderr;
        report.news = news;
        report
    }

    fn write(
        &self,
        stem: &Stem,
        header: &Header,
        before: &Before,
        ran: &mut Ran,
        kept: &Kept,
    ) -> Result<(), textfile::Error> {
        let (head, families) = compose(stem, header, &self.claims, before, ran, kept);
        self.directory.publish_for(&self.claims, &head, &families)
    }
}

/// One run of a module, a panic of it included: whatever happens there stays there.
fn attempt(
    module: &dyn Collector,
    stem: &Stem,
    header: &Header,
    previous: &State,
    stop: &Stop,
    trace: &mut Trace,
) -> Result<Collection, Failure> {
    let run = Run {
        collector: stem.as_str(),
        deadline: Instant::now() + header.timeout,
        timeout: header.timeout,
        max_series: header.max_series.or_else(|| module.max_series()),
        previous,
        stop,
    };
    let found = catch_unwind(AssertUnwindSafe(|| module.collect(&run, trace)))
        .unwrap_or_else(|_| Err(Failure::fault()))?;
    if let Some(family) = found.families.iter().find(|family| family.name.starts_with(OWN_PREFIX)) {
        let message = format!("names that begin with `{OWN_PREFIX}` are promdrop's own");
        let mut failure = Failure::new(Outcome::Invalid, message);
        failure.detail = format!("the output has a family `{}`: rename it", family.name);
        return Err(failure);
    }
    within_budget(&found.families, run.max_series)?;
    Ok(found)
}

/// Whether there are no more series than `most`: a script gone wild must not flood Prometheus.
fn within_budget(families: &[Family], most: Option<usize>) -> Result<(), Failure> {
    const SHOWN: usize = 5;
    let series = count_series(families);
    let Some(most) = most.filter(|most| series > *most) else { return Ok(()) };
    let message = format!("it has {series} series, its `max_series` is {most}: drop a label, or raise it");
    let mut largest: Vec<&Family> = families.iter().collect();
    largest.sort_by_key(|family| std::cmp::Reverse(family.samples.len()));
    let largest =
        largest.iter().take(SHOWN).map(|family| format!("{} {}", family.samples.len(), family.name));
    let detail = format!("most of them: {}", largest.collect::<Vec<_>>().join(", "));
    Err(Failure { detail, ..Failure::new(Outcome::Limit, message) })
}

/// A run that publishes nothing.
#[derive(Debug)]
pub struct Rehearsal {
    /// What would be published, without health; or the failure that a run would report.
    pub result: Result<Collection, Failure>,
    /// What is published of the collector, without health; `None` where it has no file.
    pub published: Option<Vec<Family>>,
}

/// Runs `definition` as [`Runner::run`] would and publishes nothing: what would be published, with what `claims` claim,
/// in `directory` as it is now, or why not; either way, what else is worth telling is in `trace`.
pub fn rehearse(
    definition: &Definition<Box<dyn Collector>>,
    directory: Option<&Directory>,
    claims: &Claims,
    stop: &Stop,
    trace: &mut Trace,
) -> Rehearsal {
    let before =
        directory.map_or(Ok(Before::default()), |directory| Before::read(directory, &definition.stem));
    match before {
        Ok(before) => Rehearsal {
            result: rehearse_after(&before, definition, directory, claims, stop, trace),
            published: before.is_known().then(|| before.families()),
        },
        Err(failure) => Rehearsal { result: Err(failure), published: None },
    }
}

fn rehearse_after(
    before: &Before,
    definition: &Definition<Box<dyn Collector>>,
    directory: Option<&Directory>,
    claims: &Claims,
    stop: &Stop,
    trace: &mut Trace,
) -> Result<Collection, Failure> {
    let Definition { stem, header, module, .. } = definition;
    let (began, clock) = (now(), Instant::now());
    let mut found = attempt(module.as_ref(), stem, header, &before.module_state, stop, trace)?;
    label(&mut found, header)?;
    let slots = Slots::new(header.interval, Duration::ZERO);
    let (slot, took) = (slots.at(began), clock.elapsed());
    let mut ran = Ran { slots, slot, began, took, result: Ok(found.clone()), trace: std::mem::take(trace) };
    let (head, families) = compose(stem, header, claims, before, &mut ran, &Kept::All);
    let refused = match directory {
        Some(directory) => directory.rehearse_for(claims, &head, &families),
        None => textfile::check(&head, &families),
    };
    *trace = ran.trace;
    refused.map_err(|error| refusal(&error))?;
    Ok(found)
}

/// Puts the definition's labels on every sample.
fn label(found: &mut Collection, header: &Header) -> Result<(), Failure> {
    add_labels(&mut found.families, &header.labels).map_err(|name| {
        let message = format!("the definition's label `{name}` is already on a sample of the output");
        Failure::new(Outcome::Invalid, message)
    })
}

/// Milliseconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, schedule::millis)
}
