//! The labels of a sample: what they come to together, and what is wrong with them.

use super::super::family::Kind;
use super::super::number::number;
use super::super::parts::PartKind;
use super::super::rules::{Finding, Harm, Rule};
use super::super::scan::Label;
use super::super::series::{label_hash, spell};
use super::super::text::short;
use super::Reader;

/// What the labels of a sample come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LabelSums {
    /// Of those that are not empty.
    pub hash: u64,
    /// Of all.
    pub raw: u64,
    /// The number of `le` or `quantile`; NaN where there is none.
    pub bound: f64,
    /// Whether they differ from those of the sample before, apart from the bound.
    pub is_new: bool,
}

impl Reader {
    /// What the labels of a sample come to; `None` where a bound is no number, so that nobody can tell.
    pub(super) fn labels(
        &mut self,
        start: usize,
        labels: &[Label<'_>],
        family: usize,
        kind: Kind,
        part: PartKind,
    ) -> Option<LabelSums> {
        let own = kind.bound().map(str::as_bytes);
        let mut bound = f64::NAN;
        let mut bounds = 0;
        // The bounds first: most samples of a histogram are like the one before but for them.
        if own.is_some() {
            for label in labels.iter().filter(|label| Some(label.name.bytes) == own) {
                bounds += 1;
                bound = self.bound(start + label.name.at, label, part, bounds)?;
            }
            if self.before_family == Some(family) && is_same_set(&self.before, labels, own) {
                let LabelSums { hash, raw, .. } = self.before_sums;
                return Some(LabelSums { hash, raw, bound, is_new: false });
            }
        }
        let mut set = LabelSums { hash: 0, raw: 0, bound, is_new: true };
        for label in labels.iter().filter(|label| bounds == 0 || Some(label.name.bytes) != own) {
            let name = label.name.bytes;
            if name.starts_with(b"__") {
                self.reserved_label(start + label.name.at, name);
            } else if matches!(name, b"le" | b"quantile") {
                self.misplaced_label(start + label.name.at, name);
            }
            let hash = label_hash(label);
            set.raw = set.raw.wrapping_add(hash);
            if !label.value.bytes.is_empty() {
                set.hash = set.hash.wrapping_add(hash);
            }
        }
        if labels.len() > 1 {
            repeated(labels, own).into_iter().for_each(|label| self.second_label(start, label));
        }
        if own.is_some() {
            self.before.clear();
            let others = labels.iter().filter(|label| Some(label.name.bytes) != own);
            others.for_each(|label| spell(label, &mut self.before));
            self.before_sums = set;
            self.before_family = Some(family);
        }
        Some(set)
    }

    fn second_label(&mut self, start: usize, label: &Label<'_>) {
        let message = format!("a second label `{}`", short(label.name.str()));
        let at = start + label.name.at;
        self.find(Finding::new(Rule::DuplicateLabel, at, message, "keep one of the two"));
    }

    /// The number of a label `le` or `quantile`.
    fn bound(&mut self, at: usize, label: &Label<'_>, part: PartKind, count: usize) -> Option<f64> {
        let name = label.name.str();
        if count == 2 {
            let message = format!("a second label `{name}`");
            self.find(Finding::new(Rule::RepeatedBound, at, message, "keep one of the two"));
        }
        if matches!(part, PartKind::Sum | PartKind::Count) {
            let message = format!("the label `{name}` on a sum or count");
            let cure = "node_exporter leaves it out: remove the label";
            let finding = Finding::new(Rule::MisplacedLabel, at, message, cure);
            self.find(Finding { harm: Some(Harm::Distort), ..finding });
        }
        let bound = number(label.value.bytes).ok();
        if bound.is_none() {
            let message = format!("`{}` is no number for the label `{name}`", short(label.value.str()));
            self.find(Finding::new(Rule::Bound, at, message, "write a decimal number, or +Inf"));
        }
        bound
    }

    pub(super) fn reserved_label(&mut self, at: usize, name: &[u8]) {
        if name == b"__name__" {
            let message = "the label name `__name__`, which is the metric's own name";
            return self.find(Finding::new(Rule::NameLabel, at, message, "choose another label name"));
        }
        let message = format!(
            "the label name `{}` begins with `__`: node_exporter dies of it",
            short(&String::from_utf8_lossy(name))
        );
        self.find(Finding::new(Rule::ReservedLabel, at, message, "choose another label name"));
    }

    fn misplaced_label(&mut self, at: usize, name: &[u8]) {
        let message =
            format!("the label `{}` on a sample that it has no meaning for", String::from_utf8_lossy(name));
        let cure = "`le` is for the buckets of a histogram, `quantile` for the quantiles of a summary, each with its \
                    TYPE line before the samples";
        self.find(Finding::new(Rule::MisplacedLabel, at, message, cure));
    }
}

/// Whether `labels` are those spelled in `before`, in the same order, but for `own`.
fn is_same_set(before: &[u8], labels: &[Label<'_>], own: Option<&[u8]>) -> bool {
    let mut others = labels.iter().filter(|label| Some(label.name.bytes) != own);
    let rest = others.try_fold(before, |rest, label| {
        let rest = rest.strip_prefix(label.name.bytes)?.strip_prefix(b"=\"")?;
        rest.strip_prefix(label.value.bytes)?.strip_prefix(b"\"")
    });
    rest.is_some_and(<[u8]>::is_empty)
}

/// The first label whose name stands before it already; `own` may.
fn repeated<'a, 't>(labels: &'a [Label<'t>], own: Option<&[u8]>) -> Option<&'a Label<'t>> {
    const FEW: usize = 16;
    let is_other = |label: &&Label<'t>| Some(label.name.bytes) != own;
    if labels.len() <= FEW {
        let is_there = |(index, label): &(usize, &Label<'t>)| {
            labels.iter().take(*index).any(|before| before.name.bytes == label.name.bytes)
        };
        return labels
            .iter()
            .enumerate()
            .filter(|(_, label)| is_other(label))
            .find(is_there)
            .map(|(_, label)| label);
    }
    let mut sorted: Vec<&Label<'t>> = labels.iter().filter(is_other).collect();
    sorted.sort_by_key(|label| (label.name.bytes, label.name.at));
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    pairs
        .filter(|(one, two)| one.name.bytes == two.name.bytes)
        .map(|(_, two)| *two)
        .min_by_key(|two| two.name.at)
}
