//! What is due: slots of an interval, aligned to the epoch, so that every host and every start agrees on them
//! without keeping anything but the slot that was last served. Pure: the time is passed in.
//!
//! Times are milliseconds since the Unix epoch.

mod splay;
mod ticks;

use std::time::Duration;

pub use splay::offset;
pub use ticks::Ticks;

/// The longest time by which a tick may be early and still serve the slot that is about to begin.
const EARLIEST: u64 = 2_000;

/// When a collector is due: once in every slot.
///
/// A tick a little early (timers and cron are) belongs to the slot that is about to begin: by up to a tenth of the
/// interval, 2 s at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    interval: u64,
    offset: u64,
}

impl Slots {
    /// Slots of `interval`, each beginning `offset` after a multiple of it.
    pub fn new(interval: Duration, offset: Duration) -> Self {
        let interval = millis(interval).max(1);
        Self { interval, offset: millis(offset) % interval }
    }

    /// The start of the slot that holds the time `at`.
    fn holding(self, at: u64) -> u64 {
        let past = at.saturating_sub(self.offset);
        (past - past % self.interval).saturating_add(self.offset)
    }

    /// The start of the slot that a tick at `now` serves.
    pub fn at(self, now: u64) -> u64 {
        self.holding(now.saturating_add((self.interval / 10).min(EARLIEST)))
    }

    /// The slot to serve at `now`, or `None` where it has been served: `served` is the slot of the last run.
    ///
    /// Of slots that went by without a tick only the present one is left. A slot served in the future by more than an
    /// interval (the clock was set back) counts as never.
    pub fn due(self, now: u64, served: Option<u64>) -> Option<u64> {
        let slot = self.at(now);
        match served {
            Some(served) if served >= slot && served <= now.saturating_add(self.interval) => None,
            _ => Some(slot),
        }
    }

    /// When the slot begins that comes after the one that a tick at `now` serves.
    pub fn next(self, now: u64) -> u64 {
        self.at(now).saturating_add(self.interval)
    }

    /// How far each slot begins after a multiple of the interval.
    pub fn offset(self) -> Duration {
        Duration::from_millis(self.offset)
    }

    /// When the slot begins that is to be served after `served`, the slot of the last run: in the past where that went by
    /// without a tick, and `now` where it never ran, or counts as if.
    pub fn next_due(self, now: u64, served: Option<u64>) -> u64 {
        match served {
            Some(served) if served <= now.saturating_add(self.interval) => {
                self.holding(served).saturating_add(self.interval)
            }
            _ => now,
        }
    }

    /// How many slots after `served` and before `slot` went by without a run since that for `served` went on into them,
    /// up to `end`: a tick for one of them found it running.
    pub fn skipped(self, served: u64, end: u64, slot: u64) -> u64 {
        let last = self.at(end).min(slot.saturating_sub(self.interval));
        last.saturating_sub(served) / self.interval
    }
}

/// `duration` in whole milliseconds, at most what fits.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    fn every(seconds: u64) -> Slots {
        Slots::new(Duration::from_secs(seconds), Duration::ZERO)
    }

    #[test]
    fn once_a_slot() {
        let quarter = every(15);
        assert_eq!(quarter.due(30_000, None), Some(30_000));
        assert_eq!(quarter.due(30_000, Some(30_000)), None);
        assert_eq!(quarter.due(43_000, Some(15_000)), Some(30_000));
        assert_eq!(quarter.due(43_000, Some(30_000)), None);
        assert_eq!(quarter.due(45_000, Some(30_000)), Some(45_000));
        assert_eq!(quarter.next(45_000), 60_000);
    }

    #[test]
    fn a_tick_a_little_early_serves_the_slot_to_come_and_only_once() {
        assert_eq!(every(15).due(43_600, Some(30_000)), Some(45_000));
        assert_eq!(every(15).due(45_100, Some(45_000)), None);
        assert_eq!(every(15).next(43_600), 60_000);
        // Two seconds at most, however long the interval.
        assert_eq!(every(3600).due(3_597_000, Some(0)), None);
        assert_eq!(every(3600).due(3_598_500, Some(0)), Some(3_600_000));
    }

    #[test]
    fn missed_slots_are_one_and_a_clock_set_back_does_not_stop_it() {
        assert_eq!(every(15).due(900_000, Some(30_000)), Some(900_000));
        assert_eq!(every(15).due(30_000, Some(900_000)), Some(30_000));
        // By less than an interval: it waits until the clock has caught up.
        assert_eq!(every(15).due(30_000, Some(45_000)), None);
    }

    #[test]
    fn an_offset_moves_every_slot() {
        let slots = Slots::new(Duration::from_secs(60), Duration::from_secs(7));
        assert_eq!(slots.due(65_000, Some(7_000)), Some(67_000));
        assert_eq!(slots.due(64_000, Some(7_000)), None);
        assert_eq!(slots.next(64_000), 67_000);
        assert_eq!(slots.due(3_000, None), Some(7_000));
    }

    #[test]
    fn next_due_is_the_slot_after_the_last_one() {
        let slots = Slots::new(Duration::from_secs(60), Duration::from_secs(7));
        assert_eq!(slots.next_due(70_000, Some(67_000)), 127_000);
        assert_eq!(slots.next_due(700_000, Some(67_000)), 127_000);
        assert_eq!(slots.next_due(70_000, None), 70_000);
        // The clock was set back.
        assert_eq!(slots.next_due(70_000, Some(127_000)), 187_000);
        assert_eq!(slots.next_due(70_000, Some(1_000_000)), 70_000);
    }

    proptest::proptest! {
        #[test]
        fn what_is_due_is_due_since_or_about_to_be(
            interval in 1_000..1_000_000_u64, offset in 0..1_000_000_u64, now in 1_000_000..9_000_000_u64,
            served in 1_000_000..9_000_000_u64,
        ) {
            let slots = Slots::new(Duration::from_millis(interval), Duration::from_millis(offset));
            let next = slots.next_due(now, Some(served));
            proptest::prop_assert_eq!(slots.due(now, Some(served)).is_some(), next <= slots.at(now).max(now));
        }
    }

    #[test]
    fn another_interval_goes_on_from_the_slot_that_was_served() {
        // From an hour to a minute: its next minute.
        assert_eq!(every(60).due(3_725_000, Some(3_600_000)), Some(3_720_000));
        // From a minute to an hour: the next full hour.
        assert_eq!(every(3600).due(3_790_000, Some(3_780_000)), None);
        assert_eq!(every(3600).due(7_200_000, Some(3_780_000)), Some(7_200_000));
    }

    #[test]
    fn a_slot_is_skipped_that_came_and_went_while_it_ran() {
        let quarter = every(15);
        // It ended in its own slot, or in the next, which was then served.
        assert_eq!(quarter.skipped(15_000, 28_499, 60_000), 0);
        assert_eq!(quarter.skipped(15_000, 31_000, 30_000), 0);
        // It ended in the next, which nobody served.
        assert_eq!(quarter.skipped(15_000, 30_000, 45_000), 1);
        // It ended in its own, after the tick for the next, which came early.
        assert_eq!(quarter.skipped(15_000, 28_500, 45_000), 1);
        assert_eq!(quarter.skipped(15_000, 31_000, 45_000), 1);
        // Slots after its end were not skipped: nothing ticked.
        assert_eq!(quarter.skipped(15_000, 31_000, 900_000), 1);
        assert_eq!(quarter.skipped(15_000, 61_000, 900_000), 3);
        // The clock was set back.
        assert_eq!(quarter.skipped(900_000, 910_000, 30_000), 0);
    }

    #[test]
    fn extremes_do_not_panic() {
        let times = [0, 1, 1_999, u64::MAX - 1, u64::MAX];
        for interval in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1), Duration::MAX] {
            for offset in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
                let slots = Slots::new(interval, offset);
                for one in times {
                    let _ = (slots.due(one, None), slots.next(one));
                    for two in times {
                        let _ = (slots.due(one, Some(two)), slots.skipped(one, two, one));
                    }
                }
            }
        }
    }
}
