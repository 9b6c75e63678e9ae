//! Counters, histograms and summaries that go on from run to run, so that `rate()` and `histogram_quantile()` work over
//! runs that last no longer than a second. Pure.
//!
//! They live in the collector's [`State`] as whole numbers and are exposed from these, so that nothing drifts, however
//! many runs add to them. What is not there, or can't be what this promdrop wrote, begins at 0, a histogram as a
//! whole: its count is that of its buckets and nothing of its own. So what is still 0 isn't there.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use smol_str::{SmolStr, ToSmolStr as _, format_smolstr};

use super::State;
use crate::exposition::family::Sample;
use crate::exposition::{Descriptor, Family, Labels};
use crate::fnv;

/// Declares a histogram of durations.
#[derive(Debug, Clone, Copy)]
pub struct Histogram<'b> {
    /// Its name and HELP.
    pub family: Descriptor,
    /// The upper bounds of its buckets, from the lowest, without the last, which has none. With other bounds it starts
    /// again.
    pub bounds: &'b [Duration],
}

/// A share of the values: 0.5 is the median.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quantile(f64);

impl Quantile {
    /// From 0, the lowest value, to 1, the highest; `None` of any other number.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// The value below which this share of the `sorted` ones lies, on a straight line between the two next to it, as
    /// `quantile_over_time()` of Prometheus has it; `None` where there are none.
    fn of(self, sorted: &[Duration]) -> Option<f64> {
        let rank = self.0 * sorted.len().checked_sub(1)? as f64;
        let [low, high] = [rank.floor(), rank.ceil()].map(|at| sorted.get(at as usize).copied());
        Some((low? + (high? - low?).mul_f64(rank.fract())).as_secs_f64())
    }
}

/// What goes on, while a run adds to it. A series is a key of the module's own ([`State::key`]), by which the next run
/// finds it again, and the labels that it is shown with now. A run adds to each once, if only 0: it is shown then, else it is
/// [kept](Self::keep) or forgotten.
#[derive(Debug)]
pub struct Totals<'a> {
    previous: &'a State,
    state: State,
    families: BTreeMap<&'static str, Family>,
    /// Of each histogram, its bounds as they are written: they are the same for all series.
    bounds: BTreeMap<&'static str, Rc<[SmolStr]>>,
}

impl<'a> Totals<'a> {
    /// Goes on from where the run before left off.
    pub fn after(previous: &'a State) -> Self {
        Self { previous, state: State::default(), families: BTreeMap::new(), bounds: BTreeMap::new() }
    }

    /// Adds `n` to the series `key` of a counter.
    pub fn add(&mut self, counter: &Descriptor, key: &str, labels: Labels, n: u64) {
        let key = full(key, counter);
        let total = self.previous.get(&key).saturating_add(n);
        self.set(key, &[total]);
        self.family(counter).push(labels, shown(total));
    }

    /// Adds to the series `key` of a counter that has one for each of the `values` of its label `label`.
    pub fn add_each(
        &mut self,
        counter: &Descriptor,
        key: &str,
        labels: &Labels,
        label: &'static str,
        values: &[&'static str],
        added: &[u64],
    ) {
        let key = full(key, counter);
        let before =
            self.previous.numbers(&key).filter(|numbers| numbers.len() == values.len()).unwrap_or_default();
        let before = before.iter().copied().chain(std::iter::repeat(0));
        let totals: Vec<u64> =
            added.iter().zip(before).map(|(n, before)| before.saturating_add(*n)).collect();
        for (value, total) in values.iter().zip(&totals) {
            self.family(counter).push(with(labels, label, SmolStr::new_static(value)), shown(*total));
        }
        self.set(key, &totals);
    }

    /// Adds `times` to the series `key` of a histogram.
    pub fn observe(&mut self, histogram: &Histogram<'_>, key: &str, labels: &Labels, times: &[Duration]) {
        let key = full(key, &histogram.family);
        let before = self.previous.numbers(&key).and_then(|numbers| Counted::read(numbers, histogram.bounds));
        let mut counted = before.unwrap_or_else(|| Counted::nothing(histogram.bounds));
        for time in times {
            counted.add(*time, histogram.bounds);
        }
        if counted.buckets.iter().any(|n| *n > 0) {
            self.state.set_numbers(key, counted.numbers(histogram.bounds));
        }
        let texts =
            self.bounds.entry(histogram.family.name).or_insert_with(|| texts(histogram.bounds)).clone();
        counted.expose(self.family(&histogram.family), labels, &texts);
    }

    /// Adds `times` to the series `key` of a summary of durations, whose quantiles are those of `times` alone.
    pub fn summarize(
        &mut self,
        summary: &Descriptor,
        key: &str,
        labels: &Labels,
        quantiles: &[Quantile],
        times: &[Duration],
    ) {
        let key = full(key, summary);
        let [sum, count] = match self.previous.numbers(&key) {
            Some(&[sum, count]) => [sum, count],
            _ => [0, 0],
        };
        let added = times.iter().fold(0_u64, |sum, time| sum.saturating_add(nanoseconds(*time)));
        let [sum, count] = [sum.saturating_add(added), count.saturating_add(times.len() as u64)];
        self.set(key, &[sum, count]);
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let family = self.family(summary);
        for quantile in quantiles {
            let Some(value) = quantile.of(&sorted) else { continue };
            family.push(with(labels, "quantile", quantile.0.to_string().into()), value);
        }
        for (suffix, value) in [("_sum", sum as f64 / 1e9), ("_count", shown(count))] {
            family.samples.push(Sample { name: name(family, suffix), labels: labels.clone(), value });
        }
    }

    /// The numbers that go on with the series `key` of a gauge, in units of the module's own; none at its start.
    pub fn carried<const N: usize>(&self, gauge: &Descriptor, key: &str) -> Option<[u64; N]> {
        self.previous.numbers(&full(key, gauge))?.try_into().ok()
    }

    /// Has `numbers` go on with the series `key` of a gauge.
    pub fn carry(&mut self, gauge: &Descriptor, key: &str, numbers: &[u64]) {
        self.set(full(key, gauge), numbers);
    }

    /// Keeps the series whose keys begin with the parts `under` and that this run doesn't show, `most` of them, those that
    /// were shown last. Returns how many there were.
    pub fn keep(&mut self, under: &[&str], most: usize) -> usize {
        let mut hidden: Vec<(u64, &str)> = Vec::new();
        for (key, _) in self.previous.under(&State::key(under)) {
            let Some((series, _)) = key.rsplit_once('/') else { continue };
            if hidden.last().is_none_or(|(_, last)| *last != series)
                && self.state.under(series).next().is_none()
            {
                hidden.push((self.previous.get(&idle(series)), series));
            }
        }
        // Stable: of those that are hidden for as long, the first.
        hidden.sort_by_key(|(idle, _)| *idle);
        hidden.truncate(most);
        for (runs, series) in &hidden {
            for (key, numbers) in self.previous.under(series) {
                self.state.set_numbers(key, numbers.to_vec());
            }
            self.state.set(idle(series), runs.saturating_add(1));
        }
        hidden.len()
    }

    /// The families, and what the next run goes on from.
    pub fn finish(self) -> (Vec<Family>, State) {
        (self.families.into_values().collect(), self.state)
    }

    fn set(&mut self, key: String, numbers: &[u64]) {
        if numbers.iter().any(|n| *n > 0) {
            self.state.set_numbers(key, numbers.to_vec());
        }
    }

    fn family(&mut self, descriptor: &Descriptor) -> &mut Family {
        self.families.entry(descriptor.name).or_insert_with(|| Family::new(descriptor))
    }
}

/// The key of how many runs ago a series was shown; no family can have that name.
fn idle(series: &str) -> String {
    [series, "/-"].concat()
}

/// The key of a family's series: a family of another name is another.
fn full(series: &str, family: &Descriptor) -> String {
    [series, "/", family.name].concat()
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

    /// `bounds` are those of the buckets, as they are written.
    fn expose(&self, family: &mut Family, labels: &Labels, bounds: &[SmolStr]) {
        let [bucket, sum, counted] = ["_bucket", "_sum", "_count"].map(|suffix| name(family, suffix));
        let mut count = 0_u64;
        let mut push = |name: &SmolStr, labels, value| {
            family.samples.push(Sample { name: name.clone(), labels, value });
        };
        for (bound, n) in bounds.iter().zip(&self.buckets) {
            count = count.saturating_add(*n);
            push(&bucket, with(labels, "le", bound.clone()), shown(count));
        }
        push(&sum, labels.clone(), self.sum as f64 / 1e9);
        push(&counted, labels.clone(), shown(count));
    }
}

/// The bounds of all buckets as they are written, the last one's included.
fn texts(bounds: &[Duration]) -> Rc<[SmolStr]> {
    bounds.iter().map(|bound| bound.as_secs_f64().to_smolstr()).chain(["+Inf".into()]).collect()
}

/// `labels` and one more.
fn with(labels: &Labels, name: &'static str, value: SmolStr) -> Labels {
    let mut all = Labels::with_capacity(labels.len() + 1);
    all.extend_from_slice(labels);
    all.push((SmolStr::new_static(name), value));
    all
}

/// The name of the family's samples that end in `suffix`.
fn name(family: &Family, suffix: &str) -> SmolStr {
    format_smolstr!("{}{suffix}", family.name)
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
mod tests;
