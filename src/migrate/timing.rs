//! When a series of runs comes, as an interval of promdrop's. Pure.

use std::collections::BTreeSet;

use super::crontab::When;
use super::words::{duration, list, seconds};

/// Longer, the time of day is part of what a line says, which an interval can't.
pub const LONGEST_INTERVAL: u64 = 60 * 60 * 1000;

const MINUTE: u64 = 60 * 1000;
const SHORTEST_INTERVAL: u64 = 1000;

/// When a series of runs comes; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// From one run to the next, where that is always the same.
    pub interval: Option<u64>,
    /// The longest time between two runs, where there are two.
    pub longest: Option<u64>,
    /// Whether the runs come later than the schedule says, so that hosts don't run at one moment.
    pub splay: bool,
    /// In words.
    pub told: String,
    /// What an operator should know of it.
    pub remark: Option<String>,
}

/// The timing of what starts at `when`, and so long after each start.
pub fn read(when: &When, offsets: &[u64], is_random: bool) -> Timing {
    let rhythm = match when {
        When::Reboot => None,
        When::At(schedule) => schedule.rhythm(),
    };
    let longest = rhythm.map(|rhythm| rhythm.longest * MINUTE);
    match rhythm.and_then(super::schedule::Rhythm::regular) {
        Some(minutes) => {
            let mut timing = regular(minutes * MINUTE, offsets, is_random);
            timing.remark = match (timing.remark, shifted(when, minutes)) {
                (Some(remark), Some(shift)) => Some(format!("{remark} {shift}")),
                (remark, shift) => remark.or(shift),
            };
            timing
        }
        None => {
            let told = match (when, longest) {
                (When::Reboot, _) => "at boot".to_owned(),
                (_, None) => "never".to_owned(),
                (_, Some(longest)) => format!("at most {} apart", duration(longest)),
            };
            Timing { interval: None, longest, splay: false, told, remark: None }
        }
    }
}

/// What becomes of a first minute that is not the full hour's; minutes of the day are not told.
fn shifted(when: &When, period: u64) -> Option<String> {
    let When::At(schedule) = when else { return None };
    let shift = schedule.first_minute() % period;
    (shift > 0 && period <= 60).then(|| {
        format!(
            "It ran {shift} minutes past each full {}: an interval begins at the full one.",
            duration(period * MINUTE)
        )
    })
}

fn regular(period: u64, offsets: &[u64], is_random: bool) -> Timing {
    let starts: BTreeSet<u64> = offsets.iter().map(|offset| offset % period).collect();
    // Of a command that isn't understood no offset is known.
    let starts = if starts.is_empty() { vec![0] } else { starts.into_iter().collect() };
    let every = duration(period);
    let timing = |interval, splay, told, remark| Timing {
        interval: Some(interval),
        longest: Some(interval),
        splay,
        told,
        remark,
    };
    if let [only] = starts.as_slice() {
        return timing(period, is_random || *only > 0, format!("every {every}"), splayed(*only, is_random));
    }
    let count = starts.len() as u64;
    let seconds: Vec<String> = starts.iter().copied().map(seconds).collect();
    let told = format!("{} seconds into every {every}", list(&seconds));
    let wrapped = starts.iter().skip(1).copied().chain(starts.first().map(|first| first + period));
    let gaps: Vec<u64> = starts.iter().zip(wrapped).map(|(one, next)| next - one).collect();
    if gaps.iter().all(|gap| gap * count == period) && period / count >= SHORTEST_INTERVAL {
        return timing(period / count, false, told, None);
    }
    let interval = whole_divisor(period, count);
    let remark = format!(
        "Those times are not evenly spaced, which an interval is: {} is the longest of whole seconds that divides {every} \
         and runs it at least as often, {count} times.",
        duration(interval)
    );
    Timing { longest: gaps.into_iter().max(), ..timing(interval, false, told, Some(remark)) }
}

/// What became of waiting before the only run.
fn splayed(offset: u64, is_random: bool) -> Option<String> {
    if is_random {
        let remark = "The random sleep became `splay`: an offset that is always the same on one host.";
        return Some(remark.to_owned());
    }
    (offset > 0).then(|| {
        format!(
            "The sleep of {} seconds became `splay`: an offset shorter than the interval, which the host's machine id \
             and the collector's name decide.",
            seconds(offset)
        )
    })
}

/// The longest time in whole seconds that fits into `period` a whole number of times, and that `count` times or more.
fn whole_divisor(period: u64, count: u64) -> u64 {
    let most = period / 1000;
    let runs = (count..=most).find(|runs| most.is_multiple_of(*runs)).unwrap_or(most);
    period.checked_div(runs).unwrap_or(period).max(SHORTEST_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Schedule;
    use super::*;

    fn timing(fields: [&str; 5], offsets: &[u64]) -> (Option<u64>, Option<u64>, bool, bool) {
        let offsets: Vec<u64> = offsets.iter().map(|offset| offset * 1000).collect();
        let found = read(&When::At(Schedule::read(fields).unwrap()), &offsets, false);
        (
            found.interval.map(|i| i / 1000),
            found.longest.map(|l| l / 1000),
            found.splay,
            found.remark.is_some(),
        )
    }

    #[test]
    fn a_series_has_the_interval_that_it_comes_at() {
        const MINUTELY: [&str; 5] = ["*"; 5];
        for (fields, offsets, expected) in [
            (MINUTELY, &[0][..], (Some(60), Some(60), false, false)),
            (MINUTELY, &[0, 15, 30, 45], (Some(15), Some(15), false, false)),
            (MINUTELY, &[50, 10, 30], (Some(20), Some(20), false, false)),
            (MINUTELY, &[0, 60, 30], (Some(30), Some(30), false, false)),
            (["*/5", "*", "*", "*", "*"], &[0, 150], (Some(150), Some(150), false, false)),
            (["7", "*", "*", "*", "*"], &[0], (Some(3600), Some(3600), false, true)),
            (["3-58/5", "*", "*", "*", "*"], &[0], (Some(300), Some(300), false, true)),
            (["0", "*", "*", "*", "*"], &[0], (Some(3600), Some(3600), false, false)),
            // A lone one only lies elsewhere.
            (MINUTELY, &[30], (Some(60), Some(60), true, true)),
            // Uneven: as often at least.
            (MINUTELY, &[0, 20, 30], (Some(20), Some(30), false, true)),
            (MINUTELY, &[0, 10], (Some(30), Some(50), false, true)),
            (MINUTELY, &[0, 10, 20, 30, 40, 50, 55], (Some(6), Some(10), false, true)),
            (["0", "8-18", "*", "*", "*"], &[0, 30], (None, Some(14 * 3600), false, false)),
        ] {
            assert_eq!(timing(fields, offsets), expected, "{fields:?} {offsets:?}");
        }
        let boot = read(&When::Reboot, &[0], false);
        assert_eq!((boot.interval, boot.longest, boot.told.as_str()), (None, None, "at boot"));
        let all: Vec<u64> = (0..60).collect();
        assert_eq!(timing(MINUTELY, &all).0, Some(1));
    }
}
