//! The moments at which one process of `run --every` looks for what is due.

use std::time::Duration;

use super::{Slots, millis};

/// Ticks aligned to the clock, like the slots they serve, from the one that the start belongs to on.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    slots: Slots,
    length: Duration,
    end: u64,
}

impl Ticks {
    /// Ticks at every multiple of `every`, for as many as fit in `length`; the first is served at `start` itself.
    pub fn new(start: u64, every: Duration, length: Duration) -> Self {
        let slots = Slots::new(every, Duration::ZERO);
        Self { slots, length, end: slots.at(start).saturating_add(millis(length)) }
    }

    /// The next tick after `now`, `elapsed` after the start by a clock that nobody sets; `None` where there is none
    /// any more.
    pub fn next(self, now: u64, elapsed: Duration) -> Option<u64> {
        let next = self.slots.next(now);
        // A clock that is set back must not make it go on for ever.
        (next < self.end && elapsed < self.length).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(start: u64, every: u64, length: u64, late: u64) -> Vec<u64> {
        let ticks = Ticks::new(start, Duration::from_millis(every), Duration::from_millis(length));
        let mut times = Vec::new();
        let mut now = start;
        while let Some(next) = ticks.next(now, Duration::from_millis(now - start)) {
            times.push(next);
            now = next + late;
        }
        times
    }

    #[test]
    fn stop_before_the_next_minutes() {
        // From the moment cron starts it, a little late, or at the very moment.
        for start in [60_000, 60_300, 63_000] {
            assert_eq!(all(start, 15_000, 60_000, 2), [75_000, 90_000, 105_000], "{start}");
        }
        // A little early, it serves the slot to come.
        assert_eq!(all(59_000, 15_000, 60_000, 2), [75_000, 90_000, 105_000]);
        // Started by hand in the middle of a minute: the same number of them.
        assert_eq!(all(100_000, 15_000, 60_000, 2), [105_000, 120_000, 135_000]);
    }

    #[test]
    fn never_drift_and_leave_out_what_is_past() {
        assert_eq!(all(60_000, 15_000, 60_000, 4_000), [75_000, 90_000, 105_000]);
        assert_eq!(all(60_000, 15_000, 60_000, 16_000), [75_000, 105_000]);
        assert_eq!(all(60_000, 15_000, 60_000, 60_000), [75_000]);
    }

    #[test]
    fn a_clock_that_is_set_ends_them_in_time() {
        let ticks = Ticks::new(600_000, Duration::from_secs(15), Duration::from_secs(60));
        assert_eq!(ticks.next(30_000, Duration::from_secs(20)), Some(45_000));
        assert_eq!(ticks.next(45_000, Duration::from_secs(60)), None);
        assert_eq!(ticks.next(9_000_000, Duration::from_secs(20)), None);
    }
}
