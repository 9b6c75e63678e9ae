//! Counters and histograms that go on from run to run, so that `rate()` and `histogram_quantile()` work over runs that
//! last no longer than a second. Pure.
//!
//! They live in the collector's [`State`] as whole numbers and are exposed from these, so that nothing drifts, however
//! many runs add to them. What is not there, or can't be what this promdrop wrote, begins at 0, a histogram as a
//! whole: its count is that of its buckets and nothing of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::State;
use crate::exposition::family::Sample;
use crate::exposition::{Descriptor, Family, Labels};
use crate::fnv;

/// Declares a histogram of durations.
#[derive(Debug, Clone, Copy)]
pub struct Histogram {
    /// Its name and HELP.
    pub family: Descriptor,
    /// The upper bounds of its buckets, from the lowest, without the last, which has none. With other bounds it starts
    /// again.
    pub bounds: &'static [Duration],
}

/// What goes on, while a run adds to it. A series is a key of the module's own, by which the next run finds it again,
/// and the labels that it is shown with now. A run adds to each once, if only 0: it is shown then, else it is
/// [kept](Self::keep) or forgotten.
#[derive(Debug)]
pub struct Totals<'a> {
    previous: &'a State,
    state: State,
    families: BTreeMap<&'static str, Family>,
}

impl<'a> Totals<'a> {
    /// Goes on from where the run before left off.
    pub fn after(previous: &'a State) -> Self {
        Self { previous, state: State::default(), families: BTreeMap::new() }
    }

    /// Adds `n` to the series `key` of a counter.
    pub fn add(&mut self, counter: &Descriptor, key: &[&str], labels: Labels, n: u64) {
        let key = full(key, counter);
        let total = self.previous.get(&key).saturating_add(n);
        self.state.set(key, total);
        self.family(counter).push(labels, shown(total));
    }

    /// Adds `times` to the series `key` of a histogram.
    pub fn observe(&mut self, histogram: &Histogram, key: &[&str], labels: &Labels, times: &[Duration]) {
        let key = full(key, &histogram.family);
        let before = self.previous.numbers(&key).and_then(|numbers| Counted::read(numbers, histogram.bounds));
        let mut counted = before.unwrap_or_else(|| Counted::nothing(histogram.bounds));
        for time in times {
            counted.add(*time, histogram.bounds);
        }
        self.state.set_numbers(key, counted.numbers(histogram.bounds));
        counted.expose(self.family(&histogram.family), labels, histogram.bounds);
    }

    /// Keeps the series whose keys begin with the parts `under` and that this run doesn't show, `most` of them. Returns
    /// how many there were.
    pub fn keep(&mut self, under: &[&str], most: usize) -> usize {
        let (mut kept, mut last, mut keeping) = (0, None, false);
        for (key, numbers) in self.previous.under(&State::key(under)) {
            let Some((series, _)) = key.rsplit_once('/') else { continue };
            if last != Some(series) {
                last = Some(series);
                keeping = kept < most && self.state.under(series).next().is_none();
                kept += usize::from(keeping);
            }
            if keeping {
                self.state.set_numbers(key, numbers.to_vec());
            }
        }
        kept
    }

    /// The families, and what the next run goes on from.
    pub fn finish(self) -> (Vec<Family>, State) {
        (self.families.into_values().collect(), self.state)
    }

    fn family(&mut self, descriptor: &Descriptor) -> &mut Family {
        self.families.entry(descriptor.name).or_insert_with(|| Family::new(descriptor))
    }
}

/// The key of a family's series: a family of another name is another.
fn full(series: &[&str], family: &Descriptor) -> String {
    State::key(&[series, &[family.name]].concat())
}

/// What a histogram has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    /// Nanoseconds.
    sum: u64,
    /// Of each bucket those above the bound of the one before, the last one's included: one more than bounds.
    buckets: Vec<u64>,
}

impl Counted {
    fn nothing(bounds: &[Duration]) -> Self {
        Self { sum: 0, buckets: vec![0; bounds.len() + 1] }
    }

    fn add(&mut self, time: Duration, bounds: &[Duration]) {
        let at = bounds.partition_point(|bound| *bound < time);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket = bucket.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(nanoseconds(time));
    }

    /// The bounds' hash, the sum, and of each bucket that holds something its place and its number: most are empty.
    fn numbers(&self, bounds: &[Duration]) -> Vec<u64> {
        let filled = (0..).zip(&self.buckets).filter(|(_, n)| **n > 0);
        [hash(bounds), self.sum].into_iter().chain(filled.flat_map(|(at, n)| [at, *n])).collect()
    }

    /// Reads what [`numbers`](Self::numbers) made; `None` where the bounds were others, or on any doubt.
    fn read(numbers: &[u64], bounds: &[Duration]) -> Option<Self> {
        let [hashed, sum, filled @ ..] = numbers else { return None };
        if *hashed != hash(bounds) {
            return None;
        }
        let mut counted = Self { sum: *sum, ..Self::nothing(bounds) };
        let (filled, []) = filled.as_chunks() else { return None };
        for [at, n] in filled {
            let bucket = counted.buckets.get_mut(usize::try_from(*at).ok()?)?;
            if std::mem::replace(bucket, *n) != 0 {
                return None;
            }
        }
        Some(counted)
    }

    fn expose(&self, family: &mut Family, labels: &Labels, bounds: &[Duration]) {
        let name = family.name.clone();
        let mut push = |suffix: &str, labels: Labels, value: f64| {
            family.samples.push(Sample { name: format!("{name}{suffix}").into(), labels, value });
        };
        let mut count = 0_u64;
        let bounds = bounds.iter().map(|bound| bound.as_secs_f64().to_string()).chain(["+Inf".to_owned()]);
        for (bound, n) in bounds.zip(&self.buckets) {
            count = count.saturating_add(*n);
            let mut labels = labels.clone();
            labels.push((Cow::Borrowed("le"), bound.into()));
            push("_bucket", labels, shown(count));
        }
        push("_sum", labels.clone(), self.sum as f64 / 1e9);
        push("_count", labels.clone(), shown(count));
    }
}

/// A total as it is exposed. node_exporter reads a histogram's counts as 64-bit whole numbers, and the largest of them
/// is, as the nearest float, one too many.
fn shown(total: u64) -> f64 {
    total.min(1 << 63) as f64
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn hash(bounds: &[Duration]) -> u64 {
    fnv::hash(bounds.iter().flat_map(|bound| nanoseconds(*bound).to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exposition::{Kind, prove, render};

    const SENT: Descriptor = Descriptor { name: "x_sent_total", help: "S.", kind: Kind::Counter };
    const TIMES: Histogram = Histogram {
        family: Descriptor { name: "x_seconds", help: "T.", kind: Kind::Histogram },
        bounds: &[Duration::from_micros(250), Duration::from_secs(1)],
    };
    /// The same in another version.
    const FINER: Histogram = Histogram {
        bounds: &[Duration::from_micros(250), Duration::from_millis(1), Duration::from_secs(1)],
        ..TIMES
    };

    fn labels(host: &str) -> Labels {
        vec![("host".into(), host.to_owned().into())]
    }

    /// A run that adds to both, and what it publishes, which keeps every rule.
    #[track_caller]
    fn run(previous: &State, histogram: &Histogram, n: u64, times: &[Duration]) -> (Vec<Family>, State) {
        let mut totals = Totals::after(previous);
        totals.add(&SENT, &["a"], labels("a"), n);
        totals.observe(histogram, &["a"], &labels("a"), times);
        let (families, state) = totals.finish();
        let mut text = String::new();
        render(&families, &mut text);
        assert!(prove(text.as_bytes()).is_ok(), "{:?}\n{text}", prove(text.as_bytes()));
        (families, state)
    }

    fn text(families: &[Family]) -> String {
        let mut text = String::new();
        render(families, &mut text);
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }

    fn values(families: &[Family]) -> Vec<f64> {
        families.iter().flat_map(|family| &family.samples).map(|sample| sample.value).collect()
    }

    /// What the next run reads of `state`.
    fn read_back(state: &State) -> State {
        State::parse(&state.render()).unwrap()
    }

    #[test]
    fn each_time_is_in_its_bucket_and_all_go_on() {
        let micros = |all: &[u64]| all.iter().map(|n| Duration::from_micros(*n)).collect::<Vec<_>>();
        let (_, state) = run(&State::default(), &TIMES, 3, &micros(&[0, 250, 251]));
        let (families, _) = run(&read_back(&state), &TIMES, 2, &micros(&[1_000_000, 5_000_000]));
        let expected = "x_seconds_bucket{host=\"a\",le=\"0.00025\"} 2\n\
                        x_seconds_bucket{host=\"a\",le=\"1\"} 4\n\
                        x_seconds_bucket{host=\"a\",le=\"+Inf\"} 5\n\
                        x_seconds_sum{host=\"a\"} 6.000501\n\
                        x_seconds_count{host=\"a\"} 5\n\
                        x_sent_total{host=\"a\"} 5\n";
        assert_eq!(text(&families), expected);
    }

    #[test]
    fn nothing_seen_is_all_zeros() {
        let (families, state) = run(&State::default(), &TIMES, 0, &[]);
        assert_eq!(values(&families), [0.0; 6]);
        assert_eq!(values(&run(&read_back(&state), &TIMES, 0, &[]).0), [0.0; 6]);
    }

    #[test]
    fn a_million_runs_add_up_to_the_last_nanosecond() {
        // As floats, added up one by one, these would be off by some microseconds.
        let times = [Duration::from_nanos(100_000_001), Duration::from_nanos(33_333)];
        let mut state = State::default();
        for round in 0..1000 {
            // Most of a run's time is the making of samples, which the rounds' last runs look at.
            let mut counted = Counted::read(state.numbers("a/x_seconds").unwrap_or_default(), TIMES.bounds)
                .unwrap_or_else(|| Counted::nothing(TIMES.bounds));
            let mut sent = state.get("a/x_sent_total");
            for _ in 1..1000 {
                sent = sent.saturating_add(5);
                times.iter().for_each(|time| counted.add(*time, TIMES.bounds));
                counted = Counted::read(&counted.numbers(TIMES.bounds), TIMES.bounds).unwrap();
            }
            state.set("a/x_sent_total", sent);
            state.set_numbers("a/x_seconds", counted.numbers(TIMES.bounds));
            let (families, next) = run(&read_back(&state), &TIMES, 5, &times);
            let runs = f64::from((round + 1) * 1000);
            let sum = f64::from(round + 1) * 1000.0 * 100_033_334.0 / 1e9;
            assert_eq!(values(&families), [runs, 2.0 * runs, 2.0 * runs, sum, 2.0 * runs, 5.0 * runs]);
            state = next;
        }
        assert_eq!(state.get("a/x_sent_total"), 5_000_000);
        let numbers = state.numbers("a/x_seconds").unwrap();
        assert_eq!(numbers[1..], [100_033_334_000_000, 0, 1_000_000, 1, 1_000_000]);
    }

    #[test]
    fn other_bounds_start_the_histogram_again_and_nothing_else() {
        let (_, state) = run(&State::default(), &TIMES, 3, &[Duration::from_millis(2); 3]);
        let (families, state) = run(&read_back(&state), &FINER, 1, &[Duration::from_millis(2)]);
        assert_eq!(values(&families), [0.0, 0.0, 1.0, 1.0, 0.002, 1.0, 4.0]);
        let (families, _) = run(&read_back(&state), &FINER, 1, &[Duration::from_millis(2)]);
        assert_eq!(values(&families), [0.0, 0.0, 2.0, 2.0, 0.004, 2.0, 5.0]);
    }

    #[test]
    fn at_the_end_of_the_numbers_they_stay_where_they_are() {
        let mut state = State::default();
        state.set("a/x_sent_total", u64::MAX - 1);
        let full = vec![hash(TIMES.bounds), u64::MAX - 1, 0, u64::MAX - 1, 2, 7];
        state.set_numbers("a/x_seconds", full);
        let mut before = values(&run(&state, &TIMES, 0, &[]).0);
        for _ in 0..3 {
            let (families, next) = run(&read_back(&state), &TIMES, 2, &[Duration::ZERO, Duration::MAX]);
            let now = values(&families);
            assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?} {now:?}");
            (before, state) = (now, next);
        }
        assert_eq!(state.get("a/x_sent_total"), u64::MAX);
        assert_eq!(state.numbers("a/x_seconds").unwrap()[1..], [u64::MAX, 0, u64::MAX, 2, 10]);
    }

    #[test]
    fn numbers_that_this_promdrop_does_not_write_are_a_new_start() {
        let bounds = hash(TIMES.bounds);
        for bad in [
            vec![],
            vec![bounds],
            vec![bounds + 1, 5, 0, 1],
            vec![bounds, 5, 0],
            vec![bounds, 5, 3, 1],
            vec![bounds, 5, u64::MAX, 1],
            vec![bounds, 5, 0, 1, 0, 1],
        ] {
            let mut state = State::default();
            state.set_numbers("a/x_seconds", bad.clone());
            state.set_numbers("a/x_sent_total", vec![5, 5]);
            assert_eq!(values(&run(&state, &TIMES, 0, &[]).0), [0.0; 6], "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_shown_is_kept_series_by_series_or_forgotten() {
        let nothing = State::default();
        let mut before = Totals::after(&nothing);
        for key in [["a", "1"], ["a", "2"], ["a", "3"], ["a/b", "1"], ["ab", "1"]] {
            before.add(&SENT, &key, labels("a"), 1);
            before.observe(&TIMES, &key, &labels("a"), &[]);
        }
        let (_, mut before) = before.finish();
        before.set("a/1/x_of_old_total", 1);
        before.set("a", 1);
        let mut totals = Totals::after(&before);
        totals.add(&SENT, &["a", "1"], labels("a"), 1);
        assert_eq!([totals.keep(&["a"], 1), totals.keep(&["a"], 0), totals.keep(&["none"], 9)], [1, 0, 0]);
        let (families, state) = totals.finish();
        assert_eq!(text(&families), "x_sent_total{host=\"a\"} 2\n", "what is kept is not shown");
        let keys: Vec<&str> = state.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a/1/x_sent_total", "a/2/x_seconds", "a/2/x_sent_total"]);
    }

    /// What befalls the state between two runs.
    #[derive(Debug, Clone)]
    enum Between {
        Nothing,
        Gone,
        /// This byte is put in the place of the one there.
        Edited(proptest::sample::Index, u8),
        /// Another version, with other bounds, runs next.
        Upgrade,
    }

    proptest! {
        #[test]
        fn nothing_decreases_but_by_a_new_start_of_all(
            runs in proptest::collection::vec(
                (
                    0..1_000_u64,
                    proptest::collection::vec((0..4_000_000_000_u64).prop_map(Duration::from_nanos), 0..4),
                    prop_oneof![
                        6 => Just(Between::Nothing),
                        1 => Just(Between::Gone),
                        2 => any::<(proptest::sample::Index, u8)>().prop_map(|(at, to)| Between::Edited(at, to)),
                        1 => Just(Between::Upgrade),
                    ],
                ),
                1..12,
            ),
        ) {
            let (mut state, mut before, mut histogram) = (State::default(), Vec::new(), &TIMES);
            for (n, times, between) in runs {
                let mut line = state.render().into_bytes();
                let mut upgraded = false;
                match between {
                    Between::Nothing => {}
                    Between::Gone => line.clear(),
                    Between::Edited(at, to) => *at.get_mut(&mut line) = to,
                    Between::Upgrade => {
                        upgraded = true;
                        histogram = if histogram.bounds == TIMES.bounds { &FINER } else { &TIMES };
                    }
                }
                let read = std::str::from_utf8(&line).ok().and_then(State::parse);
                let in_doubt = read.as_ref() != Some(&state);
                let (families, next) = run(&read.unwrap_or_default(), histogram, n, &times);
                let alone = values(&run(&State::default(), histogram, n, &times).0);
                let now = values(&families);
                let parts = histogram.bounds.len() + 3;
                if in_doubt {
                    prop_assert_eq!(&now, &alone);
                } else {
                    if upgraded {
                        prop_assert_eq!(&now[..parts], &alone[..parts]);
                        before.drain(..before.len().saturating_sub(1));
                    }
                    // From the end, where the counter is.
                    for (before, now) in before.iter().rev().zip(now.iter().rev()) {
                        prop_assert!(before <= now, "{before} {now}");
                    }
                }
                (state, before) = (next, now);
            }
        }

        #[test]
        fn any_numbers_make_a_histogram_that_keeps_the_rules(
            known in any::<bool>(), numbers in proptest::collection::vec(prop_oneof![any::<u64>(), 0..4_u64], 0..8),
        ) {
            let mut state = State::default();
            let hash = known.then_some(hash(TIMES.bounds));
            state.set_numbers("a/x_seconds", hash.into_iter().chain(numbers).collect());
            run(&state, &TIMES, 1, &[Duration::from_millis(1)]);
        }
    }
}
