//! Days of ticks, simulated: late and early ones, clocks that are set, machines that sleep, intervals that are changed,
//! runs that take long, thousands of collectors.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// 12 November 2025, some time in the afternoon.
const START: u64 = 1_762_958_000_123;

/// What a collector's file remembers.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    served: Option<u64>,
    /// When the last run ended, by the clock at its beginning.
    end: u64,
    skipped: u64,
}

/// A collector on a host, as `run` treats it.
#[derive(Debug, Clone)]
struct Collector {
    slots: Slots,
    memory: Memory,
    /// When the run that is going on ends, in real time.
    busy_until: u64,
    /// Each run: when, in real time, and for which slot.
    runs: Vec<(u64, u64)>,
}

impl Collector {
    fn new(interval: u64, offset: u64) -> Self {
        let slots = Slots::new(Duration::from_millis(interval), Duration::from_millis(offset));
        Self { slots, memory: Memory::default(), busy_until: 0, runs: Vec::new() }
    }

    /// A tick at the real time `real`, which the clock calls `now`: a run of it would take `takes`.
    fn tick(&mut self, real: u64, now: u64, takes: u64) {
        if real < self.busy_until {
            return;
        }
        let Some(slot) = self.slots.due(now, self.memory.served) else { return };
        if let Some(served) = self.memory.served {
            self.memory.skipped += self.slots.skipped(served, self.memory.end, slot);
        }
        self.memory.served = Some(slot);
        self.memory.end = now + takes;
        self.busy_until = real + takes;
        self.runs.push((real, slot));
    }

    fn served(&self) -> Vec<u64> {
        self.runs.iter().map(|(_, slot)| *slot).collect()
    }

    /// The longest real time between two runs, and from the last one to `end`.
    fn longest_gap(&self, end: u64) -> u64 {
        let times = self.runs.iter().map(|(real, _)| *real);
        let next = times.clone().skip(1).chain([end]);
        times.zip(next).map(|(one, two)| two - one).max().unwrap_or(u64::MAX)
    }
}

/// The ticks of a timer, each by up to `jitter` early or late, as the bytes of `noise` say.
fn ticks(length: u64, period: u64, jitter: u64, noise: &[u8]) -> Vec<u64> {
    let first = START - START % period + period;
    let times = (first..START + length).step_by(period as usize);
    let noise = noise.iter().cycle();
    let mut ticks: Vec<u64> =
        times.zip(noise).map(|(time, noise)| time + u64::from(*noise) * 2 * jitter / 255 - jitter).collect();
    ticks.sort_unstable();
    ticks
}

/// Intervals that people write, in ms.
fn intervals() -> impl Strategy<Value = u64> {
    proptest::sample::select(vec![15, 20, 30, 45, 60, 61, 90, 300, 3600, 86_400])
        .prop_map(|seconds| seconds * SECOND)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_slot_with_a_tick_is_served_once(
        interval in intervals(), offset in 0..HOUR, noise in proptest::collection::vec(any::<u8>(), 1..200),
        jitter in 0..1_400_u64,
    ) {
        let mut collector = Collector::new(interval, offset);
        let ticks = ticks(3 * DAY, 15 * SECOND, jitter, &noise);
        for now in &ticks {
            collector.tick(*now, *now, 100);
        }
        let wanted: BTreeSet<u64> = ticks.iter().map(|now| collector.slots.at(*now)).collect();
        let all = (wanted.last().unwrap() - wanted.first().unwrap()) / interval + 1;
        // A run that ended at the edge of a slot without a tick may count as what kept that from being served.
        prop_assert!(collector.memory.skipped <= all - wanted.len() as u64);
        prop_assert_eq!(collector.served(), Vec::from_iter(wanted));
    }

    /// With jitter below the tolerance, a timer of the same period serves every slot there is: none is left out since one
    /// tick came early and the next one late.
    #[test]
    fn no_slot_is_lost_to_jitter(
        offset in Just(0), noise in proptest::collection::vec(any::<u8>(), 1..200), jitter in 0..1_400_u64,
    ) {
        let mut collector = Collector::new(15 * SECOND, offset);
        for now in ticks(DAY, 15 * SECOND, jitter, &noise) {
            collector.tick(now, now, 100);
        }
        let served = collector.served();
        prop_assert!(served.windows(2).all(|pair| pair[1] - pair[0] == 15 * SECOND));
        prop_assert_eq!(served.len() as u64, DAY / (15 * SECOND));
    }

    /// Minutes without a tick, hours of sleep: one run makes up for all that was missed, and none is run twice.
    #[test]
    fn what_was_slept_through_is_one_run(
        interval in intervals(), noise in proptest::collection::vec(any::<u8>(), 100),
    ) {
        let mut collector = Collector::new(interval, 0);
        let (mut awake, mut seen) = (Vec::new(), BTreeSet::new());
        for (number, now) in ticks(3 * DAY, 15 * SECOND, 500, &noise).into_iter().enumerate() {
            // About every fourth stretch of half an hour it sleeps.
            if noise[number / 120 % noise.len()] < 64 {
                continue;
            }
            awake.push(now);
            seen.insert(collector.slots.at(now));
            collector.tick(now, now, 100);
        }
        prop_assert_eq!(collector.served(), Vec::from_iter(seen));
        prop_assert_eq!(collector.memory.skipped, 0);
    }

    /// Runs that take up to their whole interval: each slot that had a tick was either served, or is counted as
    /// skipped.
    #[test]
    fn what_is_not_served_for_a_long_run_is_counted(
        interval in intervals(), noise in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut collector = Collector::new(interval, 0);
        let mut wanted = BTreeSet::new();
        for (now, takes) in ticks(3 * DAY, 15 * SECOND, 500, &noise).into_iter().zip(noise.iter().rev().cycle()) {
            wanted.insert(collector.slots.at(now));
            collector.tick(now, now, interval * u64::from(*takes) / 255);
        }
        let served = collector.served();
        prop_assert!(served.windows(2).all(|pair| pair[0] < pair[1]));
        // Of those after the last run nobody has counted yet.
        let last = served.last().copied().unwrap_or_default();
        let wanted = wanted.range(..=last).count() as u64;
        prop_assert_eq!(served.len() as u64 + collector.memory.skipped, wanted);
    }

    /// A clock that is set, back or forth, by seconds or by years, stops nothing for longer than an interval.
    #[test]
    fn a_clock_that_is_set_stops_nothing(
        interval in intervals().prop_filter("runs in the time", |interval| *interval <= HOUR),
        steps in proptest::collection::vec((0..12 * HOUR, prop_oneof![
            -20 * SECOND as i64..20 * SECOND as i64,
            -3 * HOUR as i64..3 * HOUR as i64,
            -(10 * 365 * DAY as i64)..10 * 365 * DAY as i64,
        ]), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut collector = Collector::new(interval, 0);
        for real in ticks(12 * HOUR, 15 * SECOND, 500, &noise) {
            let set: i64 = steps.iter().filter(|(at, _)| START + at <= real).map(|(_, by)| by).sum();
            collector.tick(real, real.saturating_add_signed(set), 100);
        }
        // It waits at most for the clock to catch up by an interval, then for a slot, at each step.
        let allowed = (1 + steps.len() as u64) * (2 * interval + 17 * SECOND);
        let gap = collector.longest_gap(START + 12 * HOUR);
        prop_assert!(gap <= allowed, "{} > {}", gap, allowed);
        // With a single step it may have come near the end of a slot.
        if steps.len() <= 1 {
            let gap = collector.longest_gap(START + 12 * HOUR);
            prop_assert!(gap <= 3 * interval + 17 * SECOND, "{}", gap);
        }
        // Nor does it run more often than there are slots, but once more for each step.
        let most = 12 * HOUR / interval + 2 + 2 * steps.len() as u64;
        prop_assert!(collector.runs.len() as u64 <= most, "{} > {}", collector.runs.len(), most);
    }

    /// Another interval goes on from the last slot: no slot of either is run twice, and the next one of the new is run.
    #[test]
    fn a_changed_interval_goes_on(
        intervals in proptest::collection::vec(intervals().prop_filter("many", |i| *i <= 300 * SECOND), 2..8),
        noise in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut collector = Collector::new(intervals[0], 0);
        let ticks = ticks(12 * HOUR, 15 * SECOND, 500, &noise);
        let part = ticks.len() / intervals.len() + 1;
        for (part, interval) in ticks.chunks(part).zip(&intervals) {
            collector.slots = Slots::new(Duration::from_millis(*interval), Duration::ZERO);
            let before = collector.runs.len();
            for now in part {
                collector.tick(*now, *now, 100);
            }
            let slots: BTreeSet<u64> = part.iter().map(|now| collector.slots.at(*now)).collect();
            let served = collector.runs.len() - before;
            // The slot in which it was changed may have been served under the old interval.
            prop_assert!(served == slots.len() || served + 1 == slots.len(), "{} of {}", served, slots.len());
        }
        prop_assert!(collector.served().windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn thousands_of_splayed_collectors_are_spread_over_the_ticks() {
    let interval = 5 * MINUTE;
    let mut collectors: Vec<Collector> = (0..3000)
        .map(|number| {
            let offset = offset("5f1dd5b1d1c14c3f8f3e8d0c2f6b7a90", &format!("c{number}"), {
                Duration::from_millis(interval)
            });
            Collector::new(interval, millis(offset))
        })
        .collect();
    let mut by_tick: BTreeMap<u64, usize> = BTreeMap::new();
    for now in ticks(HOUR, 15 * SECOND, 0, &[0]) {
        for collector in &mut collectors {
            let before = collector.runs.len();
            collector.tick(now, now, 100);
            *by_tick.entry(now).or_default() += collector.runs.len() - before;
        }
    }
    // The first tick serves all: they had never run. Then 150 of them a tick, with a deviation of 12.
    let (first, rest) =
        by_tick.values().collect::<Vec<_>>().split_first().map(|(f, r)| (**f, r.to_vec())).unwrap();
    assert_eq!(first, 3000);
    let settled = &rest[20..];
    assert!(settled.iter().all(|runs| (100..200).contains(*runs)), "{settled:?}");
    for collector in &collectors {
        assert!(collector.runs.windows(2).all(|pair| pair[1].1 - pair[0].1 == interval));
    }
}
