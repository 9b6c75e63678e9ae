//! Histograms and summaries: what their samples come to together. node_exporter checks none of it: it makes up what is
//! missing, takes the last of what is there twice, and serves the rest as whole 64-bit numbers.

use super::family::Kind;
use super::render;
use super::rules::{Finding, Rule};
use super::series::{SeriesRef, duplicates, label_set};
use super::text::{Text, short};

/// Which part of its histogram or summary a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    /// It bears the family's own name.
    Bare,
    Bucket,
    Sum,
    Count,
}

/// A sample of a histogram or summary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub at: usize,
    pub value_at: usize,
    pub value: f64,
    /// Its `le` or `quantile`; NaN where there is none.
    pub bound: f64,
    pub kind: PartKind,
    /// Whether node_exporter leaves it out.
    pub ignored: bool,
}

/// Samples that follow each other and have the same labels but for the bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The hash of all labels but the bound: node_exporter puts those together that have the same.
    pub raw: u64,
    /// The hash of those that are not empty.
    pub hash: u64,
    /// The index of its first part.
    pub start: usize,
}

/// The samples of a family that is a histogram or summary, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub parts: Vec<Part>,
    pub runs: Vec<Run>,
}

/// What the samples of a family come to.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// A series for each histogram or summary, that is for each label set, sorted.
    pub groups: Vec<SeriesRef>,
    /// Those that are the same but for empty labels: the first, and where it stands again.
    pub duplicates: Vec<(usize, usize)>,
}

impl Parts {
    /// Puts together what belongs together, of the family `name`, and tells `find` what is wrong with it: one by one,
    /// since there may be more than anybody keeps.
    pub fn whole(&self, text: &mut dyn Text, name: &str, kind: Kind, find: &mut dyn FnMut(Finding)) -> Whole {
        let mut whole = Whole::default();
        let ends = self.runs.iter().skip(1).map(|run| run.start).chain([self.parts.len()]);
        let mut runs: Vec<(Run, &[Part])> = self
            .runs
            .iter()
            .zip(ends)
            .filter_map(|(run, end)| Some((*run, self.parts.get(run.start..end)?)))
            .collect();
        runs.sort_unstable_by_key(|(run, _)| (run.raw, run.start));
        let mut check = |run: &Run, parts: &[Part]| {
            let Some(first) = parts.first() else { return };
            whole.groups.push(SeriesRef { hash: run.hash, at: first.at });
            Group { name, kind, first: first.at, parts, find }.check();
        };
        for same in runs.chunk_by(|(one, _), (two, _)| one.raw == two.raw) {
            match same {
                [(run, parts)] => check(run, parts),
                _ => exact_groups(text, kind, same).iter().for_each(|(run, parts)| check(run, parts)),
            }
        }
        let labels = |at| label_set(&text.line(at)?, kind.bound(), false);
        whole.duplicates = duplicates(&mut whole.groups, labels);
        whole
    }
}

/// The samples of `runs`, whose hashes are equal, by their labels to the byte.
fn exact_groups(text: &mut dyn Text, kind: Kind, runs: &[(Run, &[Part])]) -> Vec<(Run, Vec<Part>)> {
    let mut known: Vec<Option<Vec<u8>>> = Vec::new();
    let mut groups: Vec<(Run, Vec<Part>)> = Vec::new();
    for (run, parts) in runs {
        let labels = parts.first().and_then(|part| label_set(&text.line(part.at)?, kind.bound(), true));
        match known.iter().position(|other| *other == labels).and_then(|index| groups.get_mut(index)) {
            Some((_, group)) => group.extend_from_slice(parts),
            None => {
                known.push(labels);
                groups.push((*run, parts.to_vec()));
            }
        }
    }
    groups
}

/// One histogram or summary.
struct Group<'a> {
    name: &'a str,
    kind: Kind,
    /// Where its first sample stands.
    first: usize,
    parts: &'a [Part],
    find: &'a mut dyn FnMut(Finding),
}

impl Group<'_> {
    fn rule(&self) -> Rule {
        if self.kind == Kind::Histogram { Rule::Histogram } else { Rule::Summary }
    }

    fn find(&mut self, rule: Rule, at: usize, message: impl Into<String>, cure: &str) {
        (self.find)(Finding::new(rule, at, message, cure));
    }

    fn check(mut self) {
        self.one_of(PartKind::Sum, "_sum");
        let count = self.one_of(PartKind::Count, "_count");
        if let Some(count) = count {
            self.is_count(count);
        }
        let is_bound = |part: &Part| !part.ignored && matches!(part.kind, PartKind::Bare | PartKind::Bucket);
        let mut bounds: Vec<Part> = self.parts.iter().copied().filter(is_bound).collect();
        // -0 and 0 are one bound.
        bounds.sort_by(|one, two| (one.bound + 0.0).total_cmp(&(two.bound + 0.0)).then(one.at.cmp(&two.at)));
        for pair in bounds.windows(2) {
            if let [one, two] = pair
                && one.bound == two.bound
            {
                self.again(one.at, two.at);
            }
        }
        match self.kind {
            Kind::Histogram => self.buckets(&bounds, count),
            _ => self.quantiles(&bounds),
        }
    }

    /// The sum or the count, which must be there, and once.
    fn one_of(&mut self, kind: PartKind, suffix: &str) -> Option<Part> {
        let mut all = self.parts.iter().copied().filter(|part| part.kind == kind);
        let first = all.next();
        let second = all.next();
        match (first, second) {
            (None, _) => {
                let message = format!("no `{}{suffix}` with the labels of this sample", short(self.name));
                self.find(self.rule(), self.first, message, "node_exporter would invent it as 0: print it");
            }
            (Some(one), Some(two)) => self.again(one.at, two.at),
            (Some(_), None) => {}
        }
        first
    }

    fn again(&mut self, first: usize, at: usize) {
        let message = format!("this series of `{}` is there already", short(self.name));
        let finding = Finding::new(
            Rule::DuplicateSeries,
            at,
            message,
            "print each series once: node_exporter takes the last and says nothing",
        );
        (self.find)(Finding { other: Some(first), ..finding });
    }

    /// node_exporter makes a count a 64-bit whole number.
    fn is_count(&mut self, part: Part) {
        const END: f64 = 18_446_744_073_709_551_616.0; // 2^64
        if !(0.0..END).contains(&part.value) || part.value.fract() != 0.0 {
            let message = format!("{} is no count", text(part.value));
            self.find(self.rule(), part.value_at, message, "a count is a whole number from 0 to below 2^64");
        }
    }

    fn buckets(&mut self, bounds: &[Part], count: Option<Part>) {
        for bucket in bounds {
            self.is_count(*bucket);
        }
        for pair in bounds.windows(2) {
            if let [lower, bucket] = pair
                && bucket.value < lower.value
            {
                let message = format!(
                    "{} in this bucket, but {} in the one below",
                    text(bucket.value),
                    text(lower.value)
                );
                let cure = "buckets are cumulative: each counts all up to its bound";
                self.find(Rule::Histogram, bucket.value_at, message, cure);
            }
        }
        match (bounds.last(), count) {
            (Some(Part { bound: f64::INFINITY, value, .. }), Some(count)) if *value != count.value => {
                let message = format!(
                    "the count is {}, but the bucket le=\"+Inf\" has {}",
                    text(count.value),
                    text(*value)
                );
                self.find(Rule::Histogram, count.value_at, message, "the two are the same number");
            }
            (Some(Part { bound: f64::INFINITY, .. }), _) => {}
            (Some(last), Some(count)) if last.value > count.value => {
                let message =
                    format!("the count is {}, but a bucket has {}", text(count.value), text(last.value));
                self.find(
                    Rule::Histogram,
                    count.value_at,
                    message,
                    "the count is of all, in any bucket or none",
                );
            }
            _ => {
                let message = "no bucket le=\"+Inf\" with the labels of this sample";
                self.find(Rule::ImpliedBucket, self.first, message, "print it: it equals the count");
            }
        }
    }

    fn quantiles(&mut self, bounds: &[Part]) {
        for part in bounds {
            if !(0.0..=1.0).contains(&part.bound) {
                let message = format!("the quantile {}", text(part.bound));
                self.find(Rule::Summary, part.at, message, "a quantile is between 0 and 1");
            }
        }
    }
}

fn text(value: f64) -> String {
    let mut out = String::new();
    render::number(value, &mut out);
    out
}
