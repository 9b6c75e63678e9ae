//! `--timeout`: a job that takes too long is ended, with all that descends from it.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::collect::command::protocol::{GRACE, KILL_LIMIT};
use crate::collect::command::tree;

/// How often it is looked whether those that were told to end are gone, and they are killed again.
const ROUND: Duration = Duration::from_millis(20);

/// The longest wait at once; nothing is missed by it.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The time that a job may take.
#[derive(Debug)]
pub struct Limit {
    at: Option<Instant>,
    ending: Option<Ending>,
}

/// What was told to end, and when.
#[derive(Debug)]
struct Ending {
    since: Instant,
    processes: Vec<Victim>,
}

/// A process, with its start: once it is gone, any other may have its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Victim(Pid, u64);

impl Victim {
    fn of(pid: Pid) -> Option<Self> {
        Some(Self(pid, tree::stat(pid.as_raw())?.start))
    }

    fn lives(&self) -> bool {
        tree::stat(self.0.as_raw()).is_some_and(|stat| stat.start == self.1 && stat.is_alive())
    }

    fn signal(&self, signal: Signal) {
        if self.lives() {
            // It may have ended by now, or have become somebody else's.
            let _ = kill(self.0, signal);
        }
    }
}

impl Limit {
    /// `timeout` from `start` on; as long as it likes without one.
    pub fn new(start: Instant, timeout: Option<Duration>) -> Self {
        Self { at: timeout.and_then(|timeout| start.checked_add(timeout)), ending: None }
    }

    /// Does what is due to `job`; how long until there is more to do.
    pub fn enforce(&mut self, job: Pid) -> Duration {
        let now = Instant::now();
        let Some(ending) = &mut self.ending else {
            let left = self.at.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now));
            if !left.is_zero() {
                return left.min(LONGEST_WAIT);
            }
            if tree::stat(job.as_raw()).is_some_and(|stat| !stat.is_alive()) {
                // It has ended since that was last asked, and by itself.
                return Duration::ZERO;
            }
            self.ending = Some(Ending::begin(job, now));
            return ROUND;
        };
        let age = now.saturating_duration_since(ending.since);
        if age >= GRACE {
            // What it has started since is killed too.
            ending.add(job);
            ending.processes.iter().for_each(|process| process.signal(Signal::SIGKILL));
        }
        ROUND
    }

    /// Whether the time was over before the job was.
    pub fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether nothing is left to be ended, or nothing that can be.
    pub fn is_settled(&self) -> bool {
        self.ending.as_ref().is_none_or(|ending| {
            ending.since.elapsed() >= GRACE + KILL_LIMIT || !ending.processes.iter().any(Victim::lives)
        })
    }
}

impl Ending {
    fn begin(job: Pid, now: Instant) -> Self {
        let mut ending = Self { since: now, processes: Vec::new() };
        ending.add(job);
        for process in &ending.processes {
            process.signal(Signal::SIGTERM);
            // What is stopped would not notice.
            process.signal(Signal::SIGCONT);
        }
        ending
    }

    fn add(&mut self, job: Pid) {
        let found = [job].into_iter().chain(tree::descendants(job)).filter_map(Victim::of);
        for victim in found {
            if !self.processes.contains(&victim) {
                self.processes.push(victim);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn one_that_has_ended_by_itself_was_not_ended_by_its_time() {
        let mut child = Command::new("true").spawn().unwrap();
        let job = Pid::from_raw(child.id() as i32);
        while tree::stat(job.as_raw()).is_some_and(|stat| stat.is_alive()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut limit = Limit::new(Instant::now(), Some(Duration::ZERO));
        assert_eq!(limit.enforce(job), Duration::ZERO);
        assert!(!limit.is_over() && limit.is_settled());
        child.wait().unwrap();
    }
}
