//! What the header of a job's file remembers of its runs, and how each event changes that. Pure.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::families::{RUNNING, RUNS, SUCCESS};
use crate::exposition::Family;
use crate::textfile::{Header, Running, State};

/// How a run ended, or why there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The job exited with 0.
    Success,
    /// With another status.
    Exit,
    /// A signal ended it.
    Signal,
    /// `--timeout` did.
    Timeout,
    /// It can't be started.
    Spawn,
    /// The last one still ran.
    Skipped,
    /// Nobody saw it end: promdrop was killed, or the host went down.
    Lost,
}

impl Verdict {
    /// All of them, in the order they are exposed.
    pub const ALL: [Verdict; 7] = [
        Verdict::Success,
        Verdict::Exit,
        Verdict::Signal,
        Verdict::Timeout,
        Verdict::Spawn,
        Verdict::Skipped,
        Verdict::Lost,
    ];

    /// The value of the label `result`.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Success => "success",
            Verdict::Exit => "exit",
            Verdict::Signal => "signal",
            Verdict::Timeout => "timeout",
            Verdict::Spawn => "spawn",
            Verdict::Skipped => "skipped",
            Verdict::Lost => "lost",
        }
    }
}

/// What a job read from storage and wrote to it, with all processes that it waited for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

/// What a job and all processes that it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// CPU time.
    pub cpu: Duration,
    /// The peak memory of the largest of them, in bytes, where it is known to be theirs.
    pub memory_peak: Option<u64>,
}

/// A run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub verdict: Verdict,
    /// Its exit status; 128 and the signal's number where one ended it.
    pub status: u64,
    /// The signal that ended it; 0: none.
    pub signal: u64,
    /// When it began, in ms since the epoch.
    pub began: u64,
    /// When it ended, in ms since the epoch.
    pub at: u64,
    /// How long it took.
    pub duration: Duration,
    /// What it used, where that is known.
    pub usage: Option<Used>,
    /// What it moved, where that is known.
    pub transfer: Option<Transfer>,
}

impl Ended {
    /// promdrop's own words on it for the header; `None` of a success.
    pub fn failure(&self) -> Option<String> {
        let told = match self.verdict {
            // What was skipped is no run that could fail.
            Verdict::Success | Verdict::Skipped => return None,
            Verdict::Exit => format!("the job exited with status {}", self.status),
            Verdict::Signal => {
                let number = i32::try_from(self.signal).ok();
                let name = number.and_then(|number| Signal::try_from(number).ok()).map_or("", Signal::as_str);
                format!("signal {} {name} ended the job", self.signal)
            }
            Verdict::Timeout => "the job took longer than its --timeout and was ended".to_owned(),
            Verdict::Spawn => "the job can't be started".to_owned(),
            Verdict::Lost => "nobody saw the job end".to_owned(),
        };
        Some(format!("{}: {told}", self.verdict.word()))
    }
}

/// What a run may have left beside its own outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// How many series of its own it wrote.
    pub series: usize,
    /// Whether they could be published; true where there were none.
    pub accepted: bool,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A run began, in ms since the epoch.
    Began(u64, Option<Running>),
    /// A run ended; the second is what `Began` had.
    Ended(Ended, Option<Running>, Own),
    /// None began, since one still ran.
    Skipped,
}

/// The part of the state with the runs by result.
const COUNTS: &str = "runs";
/// The part with the histogram.
pub const DURATIONS: &str = "durations";

/// The names of what is remembered.
pub(super) mod key {
    pub const BEGAN: &str = "began";
    pub const ENDED: &str = "ended";
    /// Nanoseconds.
    pub const DURATION: &str = "duration";
    pub const STATUS: &str = "status";
    pub const SIGNAL: &str = "signal";
    pub const SUCCESS: &str = "success";
    /// Nanoseconds.
    pub const CPU: &str = "cpu";
    pub const MEMORY: &str = "memory";
    pub const READ: &str = "read";
    pub const WRITTEN: &str = "written";
    pub const SERIES: &str = "series";
    pub const ACCEPTED: &str = "accepted";
}

/// Takes `event` into `header`; `lives` says of each run in it whether it still goes on.
pub fn take_in(header: &mut Header, event: &Event, lives: &dyn Fn(&Running) -> bool) {
    match event {
        Event::Began(at, running) => {
            bury(header, lives);
            header.running.extend(*running);
            header.slot = Some(*at);
            header.state.set(key::BEGAN, *at);
        }
        Event::Ended(ended, running, own) => {
            // First its own: it is over, and not lost.
            header.running.retain(|there| Some(there) != running.as_ref());
            bury(header, lives);
            end(header, ended, *own);
        }
        Event::Skipped => {
            bury(header, lives);
            add(&mut header.state, Verdict::Skipped, 1);
        }
    }
}

/// How often a run ended so.
pub fn count(state: &State, verdict: Verdict) -> u64 {
    state.get(&counter(verdict))
}

fn counter(verdict: Verdict) -> String {
    State::key(&[COUNTS, verdict.word()])
}

fn add(state: &mut State, verdict: Verdict, n: u64) {
    state.add(counter(verdict), n);
}

fn end(header: &mut Header, ended: &Ended, own: Own) {
    let before = std::mem::take(&mut header.state);
    let state = &mut header.state;
    for part in [COUNTS, DURATIONS] {
        state.put(part, &before.part(part));
    }
    add(state, ended.verdict, 1);
    // That of a run that began later and still goes on; one in the future is of a clock that was set back
    // since.
    let began = before.get(key::BEGAN);
    let began = if began <= ended.at { began.max(ended.began) } else { ended.began };
    let success = ended.verdict == Verdict::Success;
    for (key, number) in [
        (key::BEGAN, Some(began)),
        (key::ENDED, Some(ended.at)),
        (key::DURATION, Some(nanoseconds(ended.duration))),
        (key::STATUS, Some(ended.status)),
        (key::SIGNAL, Some(ended.signal)),
        (key::SUCCESS, Some(u64::from(success))),
        (key::CPU, ended.usage.map(|usage| nanoseconds(usage.cpu))),
        (key::MEMORY, ended.usage.and_then(|usage| usage.memory_peak)),
        (key::READ, ended.transfer.map(|transfer| transfer.read)),
        (key::WRITTEN, ended.transfer.map(|transfer| transfer.written)),
        (key::SERIES, Some(own.series as u64)),
        (key::ACCEPTED, Some(u64::from(own.accepted))),
    ] {
        if let Some(number) = number {
            state.set(key, number);
        }
    }
    header.slot = Some(ended.at);
    header.failure = ended.failure();
    if success {
        header.last_success = Some(ended.at);
    }
}

/// Takes out the runs that don't go on any more and counts them as lost; how many there were.
fn bury(header: &mut Header, lives: &dyn Fn(&Running) -> bool) -> u64 {
    let before = header.running.len();
    header.running.retain(|running| lives(running));
    let lost = before.saturating_sub(header.running.len()) as u64;
    if lost > 0 {
        add(&mut header.state, Verdict::Lost, lost);
        header.state.set(key::SUCCESS, 0);
        header.failure = Some("lost: nobody saw the last run of the job end".to_owned());
    }
    lost
}

/// What a sweep makes of a job's file with runs that don't go on any more.
pub fn mend(header: &mut Header, families: &mut Vec<Family>, lives: &dyn Fn(&Running) -> bool) {
    if bury(header, lives) == 0 {
        return;
    }
    if !families.iter().any(|family| *family.name == *SUCCESS.name)
        && let Some(running) = families.iter().find(|family| *family.name == *RUNNING.name)
    {
        // None had ended so far.
        let mut success = Family::new(&SUCCESS);
        running.samples.iter().for_each(|sample| success.push(sample.labels.clone(), 0.0));
        families.push(success);
    }
    let running = if header.running.is_empty() { 0.0 } else { 1.0 };
    let lost = count(&header.state, Verdict::Lost) as f64;
    for family in families {
        let counts = *family.name == *RUNS.name;
        let value = match &*family.name {
            name if name == RUNNING.name => running,
            name if name == SUCCESS.name => 0.0,
            name if name == RUNS.name => lost,
            _ => continue,
        };
        for sample in &mut family.samples {
            let is_lost =
                sample.labels.iter().any(|(name, of)| name == "result" && of == Verdict::Lost.word());
            if !counts || is_lost {
                sample.value = value;
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
