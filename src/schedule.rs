//! What is due: slots of an interval, aligned to the epoch, so that every host and every start agrees on them
//! without keeping anything but the slot that was last served. Pure: the time is passed in.
//!
//! Times are milliseconds since the Unix epoch.

use std::time::Duration;

/// The start of the slot that a run at `now` serves.
///
/// A tick a little early (timers and cron are) belongs to the slot that is about to begin: by up to a tenth of the
/// interval, 2 s at most.
pub fn slot(now: u64, interval: Duration) -> u64 {
    let interval = millis(interval).max(1);
    let early = (interval / 10).min(2_000);
    let now = now.saturating_add(early);
    now - now % interval
}

/// The slot to serve at `now`, or `None` where it has been served: `served` is the slot of the last run.
///
/// A slot served in the future by more than an interval (the clock was set back) counts as never.
pub fn due(now: u64, interval: Duration, served: Option<u64>) -> Option<u64> {
    let slot = slot(now, interval);
    match served {
        Some(served) if served >= slot && served <= now.saturating_add(millis(interval)) => None,
        _ => Some(slot),
    }
}

/// `duration` in whole milliseconds, at most what fits.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Duration = Duration::from_secs(15);

    #[test]
    fn once_a_slot() {
        assert_eq!(due(30_000, QUARTER, None), Some(30_000));
        assert_eq!(due(30_000, QUARTER, Some(30_000)), None);
        assert_eq!(due(43_000, QUARTER, Some(15_000)), Some(30_000));
        assert_eq!(due(43_000, QUARTER, Some(30_000)), None);
        assert_eq!(due(45_000, QUARTER, Some(30_000)), Some(45_000));
    }

    #[test]
    fn a_tick_a_little_early_serves_the_slot_to_come_and_only_once() {
        assert_eq!(due(43_600, QUARTER, Some(30_000)), Some(45_000));
        assert_eq!(due(45_100, QUARTER, Some(45_000)), None);
        // Two seconds at most, however long the interval.
        let hour = Duration::from_secs(3600);
        assert_eq!(due(3_597_000, hour, Some(0)), None);
        assert_eq!(due(3_598_500, hour, Some(0)), Some(3_600_000));
    }

    #[test]
    fn missed_slots_are_one_and_a_clock_set_back_does_not_stop_it() {
        assert_eq!(due(900_000, QUARTER, Some(30_000)), Some(900_000));
        assert_eq!(due(30_000, QUARTER, Some(900_000)), Some(30_000));
        assert_eq!(due(30_000, QUARTER, Some(45_000)), None);
    }

    #[test]
    fn extremes_do_not_panic() {
        for now in [0, 1, u64::MAX] {
            for interval in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                let _ = due(now, interval, Some(u64::MAX));
            }
        }
    }
}
