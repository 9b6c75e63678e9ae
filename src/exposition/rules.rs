//! What a file must keep so that no supported node_exporter rejects it, distorts it or takes harm from it, checked
//! on families as data. Most of these node_exporter doesn't check itself: it dies of them, or serves other numbers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

use super::family::{Family, Kind, Sample};
use super::scan::number;
use super::{render, reserved};

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A family's name is `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    FamilyName,
    /// No two families have one name.
    DuplicateFamily,
    /// The name is not one that node_exporter or Prometheus uses itself.
    ReservedName,
    /// No family is called like a part (`x_count`, `x_sum`, `x_bucket`) of a histogram or summary `x`.
    SuffixClash,
    /// HELP is not empty, has no blank at an end, no control character but tab and line feed.
    HelpText,
    /// A sample bears the family's name, or the name of a part of its histogram or summary.
    SampleName,
    /// A label name is `[a-zA-Z_][a-zA-Z0-9_]*` and does not begin with `__`, which node_exporter dies of.
    LabelName,
    /// No label stands twice in one sample.
    DuplicateLabel,
    /// `le` belongs to the buckets of a histogram, `quantile` to the quantiles of a summary, and nowhere else.
    MisplacedLabel,
    /// No series stands twice: labels with empty values are no labels, `le` and `quantile` are numbers.
    DuplicateSeries,
    /// Buckets, `_sum` and `_count` are all there and agree.
    Histogram,
    /// Quantiles are between 0 and 1, `_sum` and `_count` are there.
    Summary,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 12] = [
        Rule::FamilyName,
        Rule::DuplicateFamily,
        Rule::ReservedName,
        Rule::SuffixClash,
        Rule::HelpText,
        Rule::SampleName,
        Rule::LabelName,
        Rule::DuplicateLabel,
        Rule::MisplacedLabel,
        Rule::DuplicateSeries,
        Rule::Histogram,
        Rule::Summary,
    ];

    /// Its name for the user, which stays as it is.
    pub fn name(self) -> &'static str {
        match self {
            Rule::FamilyName => "family-name",
            Rule::DuplicateFamily => "duplicate-family",
            Rule::ReservedName => "reserved-name",
            Rule::SuffixClash => "suffix-clash",
            Rule::HelpText => "help-text",
            Rule::SampleName => "sample-name",
            Rule::LabelName => "label-name",
            Rule::DuplicateLabel => "duplicate-label",
            Rule::MisplacedLabel => "misplaced-label",
            Rule::DuplicateSeries => "duplicate-series",
            Rule::Histogram => "histogram",
            Rule::Summary => "summary",
        }
    }

    /// Whether it can seem broken only because a line of the text could not be read.
    pub(super) fn needs_whole_text(self) -> bool {
        matches!(self, Rule::MisplacedLabel | Rule::Histogram | Rule::Summary)
    }
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The family, as an index into what was checked.
    pub family: usize,
    /// The sample, as an index into the family's samples; `None` where it is the family as a whole.
    pub sample: Option<usize>,
    /// The part of the sample or family.
    pub part: Part,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

/// What of a family or sample breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its name.
    Name,
    /// The family's HELP.
    Help,
    /// The sample's label of this index.
    Label(usize),
    /// The sample's value.
    Value,
}

/// Every broken rule of `families`, which are to stand in one file. Families without samples are passed over:
/// they are not written.
pub fn violations(families: &[Family]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let written = || families.iter().enumerate().filter(|(_, family)| !family.samples.is_empty());
    for (index, family) in written() {
        let mut report = Report { family: index, found: &mut found };
        if by_name.insert(&family.name, index).is_some() {
            let message = format!("a second family `{}`", short(&family.name));
            report.family(
                Rule::DuplicateFamily,
                Part::Name,
                message,
                "put all samples of a name into one family",
            );
        }
        names(family, &mut report);
        help(family, &mut report);
        labels(family, &mut report);
        duplicates(family, &mut report);
        match family.kind {
            Some(Kind::Histogram) => histogram(family, &mut report),
            Some(Kind::Summary) => summary(family, &mut report),
            Some(Kind::Counter | Kind::Gauge | Kind::Untyped) | None => {}
        }
    }
    for (_, family) in written() {
        let kind = family.kind.unwrap_or(Kind::Untyped);
        for suffix in kind.suffixes() {
            let part = format!("{}{suffix}", family.name);
            if let Some(&index) = by_name.get(&*part) {
                let message =
                    format!("`{}` is a part of the {} `{}`", short(&part), kind.word(), short(&family.name));
                let mut report = Report { family: index, found: &mut found };
                report.family(Rule::SuffixClash, Part::Name, message, "rename one of the two families");
            }
        }
    }
    found
}

/// `text`, cut where it is too long for a message.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
    }
}

/// Takes what is found in one family.
struct Report<'a> {
    family: usize,
    found: &'a mut Vec<Violation>,
}

impl Report<'_> {
    fn family(&mut self, rule: Rule, part: Part, message: impl Into<String>, cure: &str) {
        self.push(rule, None, part, message.into(), cure);
    }

    fn sample(&mut self, rule: Rule, sample: usize, part: Part, message: impl Into<String>, cure: &str) {
        self.push(rule, Some(sample), part, message.into(), cure);
    }

    fn push(&mut self, rule: Rule, sample: Option<usize>, part: Part, message: String, cure: &str) {
        self.found.push(Violation { rule, family: self.family, sample, part, message, cure: cure.into() });
    }
}

fn names(family: &Family, report: &mut Report<'_>) {
    let name: &str = &family.name;
    let kind = family.kind.unwrap_or(Kind::Untyped);
    if !is_metric_name(name) {
        let message = format!("`{}` is no metric name", short(name));
        let cure = "a name has letters, digits, `_` and `:`, no digit first";
        report.family(Rule::FamilyName, Part::Name, message, cure);
    }
    if let Some(message) = reserved::owner(name, kind) {
        report.family(Rule::ReservedName, Part::Name, message, "choose another name");
    }
    for (index, sample) in family.samples.iter().enumerate() {
        let suffix = sample.name.strip_prefix(name);
        let fits = match suffix {
            // A histogram is its parts alone; node_exporter drops a sample that bears its bare name.
            Some("") => kind != Kind::Histogram,
            Some(suffix) => kind.suffixes().contains(&suffix),
            None => false,
        };
        if !fits {
            let (sample, name) = (short(&sample.name), short(name));
            let message = format!("a sample `{sample}` in the {} `{name}`", kind.word());
            let cure = match kind {
                Kind::Histogram => "its samples end in `_bucket`, `_sum` and `_count`",
                Kind::Summary => "its samples bear its name, or end in `_sum` and `_count`",
                _ => "a sample bears the name of its family",
            };
            report.sample(Rule::SampleName, index, Part::Name, message, cure);
        }
    }
}

/// The legacy grammar, which every node_exporter takes without quotes.
fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

fn help(family: &Family, report: &mut Report<'_>) {
    let Some(help) = &family.help else { return };
    let (message, cure) = if help.trim().is_empty() {
        ("an empty HELP", "write what the number means, or leave HELP out")
    } else if help.starts_with([' ', '\t']) || help.ends_with([' ', '\t']) {
        ("blanks at an end of HELP", "remove them: HELP must be the same byte for byte in all files")
    } else if help.contains(|c: char| c.is_control() && c != '\t' && c != '\n') {
        ("a control character in HELP", "remove it")
    } else {
        return;
    };
    report.family(Rule::HelpText, Part::Help, message, cure);
}

fn labels(family: &Family, report: &mut Report<'_>) {
    for (index, sample) in family.samples.iter().enumerate() {
        let own = bound_label(family, sample);
        for (at, (name, _)) in sample.labels.iter().enumerate() {
            let label = short(name);
            if !is_metric_name(name) || name.contains(':') {
                let message = format!("`{label}` is no label name");
                let cure = "a label name has letters, digits and `_`, no digit first";
                report.sample(Rule::LabelName, index, Part::Label(at), message, cure);
            } else if name.starts_with("__") {
                let message = format!("the label name `{label}` begins with `__`: node_exporter dies of it");
                report.sample(Rule::LabelName, index, Part::Label(at), message, "choose another label name");
            }
            if matches!(&**name, "le" | "quantile") && own != Some(&**name) {
                let message = format!("the label `{label}` on `{}`", short(&sample.name));
                let cure = "`le` is for the buckets of a histogram, `quantile` for the quantiles of a summary, \
                            each with its TYPE line before the samples";
                report.sample(Rule::MisplacedLabel, index, Part::Label(at), message, cure);
            }
        }
        if let Some(at) = second_of_a_name(sample) {
            let name = sample.labels.get(at).map_or("", |(name, _)| name);
            let message = format!("a second label `{}`", short(name));
            report.sample(Rule::DuplicateLabel, index, Part::Label(at), message, "keep one of the two");
        }
    }
}

/// The first label whose name stands before it already.
fn second_of_a_name(sample: &Sample) -> Option<usize> {
    let mut order: Vec<usize> = (0..sample.labels.len()).collect();
    let name = |at: usize| sample.labels.get(at).map(|(name, _)| name);
    order.sort_by_key(|at| name(*at));
    order
        .windows(2)
        .filter_map(|pair| match pair {
            [one, two] if name(*one) == name(*two) => Some(*two),
            _ => None,
        })
        .min()
}

/// The label of `sample` that is a number: the bound of a bucket, or a quantile.
fn bound_label(family: &Family, sample: &Sample) -> Option<&'static str> {
    match (family.kind?, sample.name.strip_prefix(&*family.name)?) {
        (Kind::Histogram, "_bucket") => Some("le"),
        (Kind::Summary, "") => Some("quantile"),
        _ => None,
    }
}

/// What makes a series of its family: its name, its labels without the empty ones, in order, and apart from them the
/// bound, as a number.
#[derive(PartialEq, Eq, Hash)]
struct Series<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    bound: Option<u64>,
}

impl<'a> Series<'a> {
    fn of(family: &Family, sample: &'a Sample) -> Self {
        let own = bound_label(family, sample);
        let bound = own.and_then(|own| bound(sample, own)).and_then(|text| number(text.as_bytes()).ok());
        // Adding zero makes -0 0: they are one bound.
        let bound = bound.map(|bound| (bound + 0.0).to_bits());
        Series { name: &sample.name, labels: labels_without(sample, own.filter(|_| bound.is_some())), bound }
    }
}

/// The labels of `sample` without the empty ones and the one called `own`, by name.
fn labels_without<'a>(sample: &'a Sample, own: Option<&str>) -> Vec<(&'a str, &'a str)> {
    let mut labels: Vec<(&str, &str)> = sample
        .labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .filter(|(name, value)| !value.is_empty() && Some(*name) != own)
        .collect();
    labels.sort_unstable();
    labels
}

fn bound<'a>(sample: &'a Sample, own: &str) -> Option<&'a str> {
    sample.labels.iter().find(|(name, value)| name == own && !value.is_empty()).map(|(_, value)| &**value)
}

fn duplicates(family: &Family, report: &mut Report<'_>) {
    // Most families are one sample.
    if family.samples.len() < 2 {
        return;
    }
    let mut seen = HashMap::with_capacity(family.samples.len());
    for (index, sample) in family.samples.iter().enumerate() {
        if let Some(first) = seen.insert(Series::of(family, sample), index) {
            let name = short(&sample.name);
            let message = format!("this series of `{name}` is there already, as sample {}", first + 1);
            let cure = "print each series once; give it a label that tells the two apart";
            report.sample(Rule::DuplicateSeries, index, Part::Name, message, cure);
        }
    }
}

/// The samples of a histogram or summary that have the same labels, apart from the bound.
#[derive(Default)]
struct Group {
    first: usize,
    /// Index of the sample, its bound and its value.
    bounds: Vec<(usize, f64, f64)>,
    sum: bool,
    count: Option<(usize, f64)>,
}

/// The groups of `family`, in the order they begin.
fn groups(family: &Family, rule: Rule, report: &mut Report<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_labels: HashMap<Vec<(&str, &str)>, usize> = HashMap::new();
    for (index, sample) in family.samples.iter().enumerate() {
        let own = bound_label(family, sample);
        let at = *by_labels.entry(labels_without(sample, own)).or_insert_with(|| {
            groups.push(Group { first: index, ..Group::default() });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(at) else { continue };
        match (own, sample.name.strip_prefix(&*family.name)) {
            (Some(own), _) => match bound(sample, own).map(|text| (text, number(text.as_bytes()))) {
                Some((_, Ok(bound))) if !bound.is_nan() => group.bounds.push((index, bound, sample.value)),
                Some((text, _)) => {
                    let message = format!("`{}` is no number for the label `{own}`", short(text));
                    report.sample(rule, index, Part::Name, message, "write a decimal number, or +Inf");
                }
                None => {
                    let message = format!("`{}` without the label `{own}`", short(&sample.name));
                    let cure = "node_exporter drops it: add the label, or remove the sample";
                    report.sample(rule, index, Part::Name, message, cure);
                }
            },
            (None, Some("_sum")) => group.sum = true,
            (None, Some("_count")) => {
                group.count = Some((index, sample.value));
                is_count(index, sample.value, rule, report);
            }
            // Not a part of it; said elsewhere.
            (None, _) => {}
        }
    }
    for group in &groups {
        for (there, suffix) in [(group.sum, "_sum"), (group.count.is_some(), "_count")] {
            if !there {
                let name = short(&family.name);
                let message = format!("no `{name}{suffix}` with the labels of this sample");
                let cure = "node_exporter would invent it as 0: print it";
                report.sample(rule, group.first, Part::Name, message, cure);
            }
        }
    }
    groups
}

/// Reports a count that doesn't survive the way through node_exporter, which makes it a 64-bit whole number, and Prometheus,
/// which makes it a 64-bit float.
fn is_count(index: usize, value: f64, rule: Rule, report: &mut Report<'_>) {
    const LARGEST: f64 = 9_007_199_254_740_992.0; // 2^53
    if !(0.0..=LARGEST).contains(&value) || value.fract() != 0.0 {
        let message = format!("{} is no count", text(value));
        report.sample(rule, index, Part::Value, message, "a count is a whole number from 0 to 2^53");
    }
}

fn text(value: f64) -> String {
    let mut out = String::new();
    render::number(value, &mut out);
    out
}

fn histogram(family: &Family, report: &mut Report<'_>) {
    for mut group in groups(family, Rule::Histogram, report) {
        group.bounds.sort_by(|(_, one, _), (_, two, _)| one.total_cmp(two));
        for (index, _, value) in &group.bounds {
            is_count(*index, *value, Rule::Histogram, report);
        }
        for pair in group.bounds.windows(2) {
            if let [(_, _, lower), (index, _, value)] = pair
                && value < lower
            {
                let message =
                    format!("{} in this bucket, but {} in the one below", text(*value), text(*lower));
                let cure = "buckets are cumulative: each counts all up to its bound";
                report.sample(Rule::Histogram, *index, Part::Value, message, cure);
            }
        }
        match (group.bounds.last(), group.count) {
            (Some((_, f64::INFINITY, top)), Some((index, count))) if *top != count => {
                let (count, top) = (text(count), text(*top));
                let message = format!("the count is {count}, but the bucket le=\"+Inf\" has {top}");
                report.sample(Rule::Histogram, index, Part::Value, message, "the two are the same number");
            }
            (Some((_, f64::INFINITY, _)), _) => {}
            _ => {
                let message = "no bucket le=\"+Inf\" with the labels of this sample";
                report.sample(
                    Rule::Histogram,
                    group.first,
                    Part::Name,
                    message,
                    "print it: it equals the count",
                );
            }
        }
    }
}

fn summary(family: &Family, report: &mut Report<'_>) {
    for group in groups(family, Rule::Summary, report) {
        for (index, quantile, _) in group.bounds {
            if !(0.0..=1.0).contains(&quantile) {
                let message = format!("the quantile {}", text(quantile));
                report.sample(Rule::Summary, index, Part::Name, message, "a quantile is between 0 and 1");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spec<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    fn family(name: &str, kind: Kind, samples: &[Spec<'_>]) -> Family {
        let samples = samples.iter().map(|(name, labels, value)| Sample {
            name: (*name).to_owned().into(),
            labels: labels.iter().map(|(n, v)| ((*n).to_owned().into(), (*v).to_owned().into())).collect(),
            value: *value,
        });
        Family { name: name.to_owned().into(), help: None, kind: Some(kind), samples: samples.collect() }
    }

    /// The rule, sample and part of each violation of one family.
    fn broken(family: Family) -> Vec<(Rule, Option<usize>, Part)> {
        violations(&[family]).iter().map(|found| (found.rule, found.sample, found.part)).collect()
    }

    fn gauge(samples: &[Spec<'_>]) -> Vec<(Rule, Option<usize>, Part)> {
        broken(family("c_a", Kind::Gauge, samples))
    }

    const GOOD_HISTOGRAM: [Spec<'static>; 8] = [
        ("c_h_bucket", &[("le", "1")], 2.0),
        ("c_h_bucket", &[("le", "+Inf")], 3.0),
        ("c_h_sum", &[], f64::NAN),
        ("c_h_count", &[], 3.0),
        // In any order, and each label set for itself.
        ("c_h_count", &[("x", "1")], 0.0),
        ("c_h_bucket", &[("le", "inf"), ("x", "1")], 0.0),
        ("c_h_bucket", &[("x", "1"), ("le", "-5")], 0.0),
        ("c_h_sum", &[("x", "1"), ("y", "")], -1.0),
    ];

    const GOOD_SUMMARY: [Spec<'static>; 4] = [
        ("c_s", &[("quantile", "0")], -2.0),
        ("c_s", &[("quantile", "1")], f64::NAN),
        ("c_s_sum", &[], 4.5),
        ("c_s_count", &[], 9_007_199_254_740_992.0),
    ];

    fn histogram_with(change: impl Fn(&mut Vec<Spec<'static>>)) -> Vec<(Rule, Option<usize>, Part)> {
        let mut samples = GOOD_HISTOGRAM.to_vec();
        change(&mut samples);
        broken(family("c_h", Kind::Histogram, &samples))
    }

    fn summary_with(change: impl Fn(&mut Vec<Spec<'static>>)) -> Vec<(Rule, Option<usize>, Part)> {
        let mut samples = GOOD_SUMMARY.to_vec();
        change(&mut samples);
        broken(family("c_s", Kind::Summary, &samples))
    }

    #[test]
    fn every_rule_has_its_own_name() {
        let names: std::collections::BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }

    #[test]
    fn names_are_of_the_legacy_grammar() {
        for name in ["", "1a", "c-a", "c.a", "c a", "é", "c_a\n"] {
            let found = broken(family(name, Kind::Gauge, &[(name, &[], 1.0)]));
            assert_eq!(found, [(Rule::FamilyName, None, Part::Name)], "{name:?}");
            let found = gauge(&[("c_a", &[("x", "1"), (name, "1")], 1.0)]);
            assert_eq!(found, [(Rule::LabelName, Some(0), Part::Label(1))], "{name:?}");
        }
        assert_eq!(broken(family(":a:1", Kind::Gauge, &[(":a:1", &[], 1.0)])), []);
        assert_eq!(gauge(&[("c_a", &[("a:b", "1")], 1.0)]), [(Rule::LabelName, Some(0), Part::Label(0))]);
        // It kills node_exporter even when it is empty.
        assert_eq!(gauge(&[("c_a", &[("__x", "")], 1.0)]), [(Rule::LabelName, Some(0), Part::Label(0))]);
        assert_eq!(gauge(&[("c_a", &[("_x", "1"), ("x__", "1")], 1.0)]), []);
    }

    #[test]
    fn a_sample_belongs_to_its_family() {
        for (kind, sample) in [
            (Kind::Gauge, "c_b"),
            (Kind::Gauge, "c_a_count"),
            (Kind::Counter, "c_a_total"),
            (Kind::Summary, "c_a_bucket"),
            (Kind::Histogram, "c_a"),
        ] {
            let found = broken(family("c_a", kind, &[(sample, &[], 1.0)]));
            assert!(found.contains(&(Rule::SampleName, Some(0), Part::Name)), "{kind:?} {sample}: {found:?}");
        }
    }

    #[test]
    fn help_says_something_and_hides_nothing() {
        let with = |help: &str| {
            let mut family = family("c_a", Kind::Gauge, &[("c_a", &[], 1.0)]);
            family.help = Some(help.to_owned().into());
            broken(family)
        };
        for help in ["", " ", "\n", " x", "x\t", "x\r", "a\0b", "a\x1b[0m", "a\u{85}b"] {
            assert_eq!(with(help), [(Rule::HelpText, None, Part::Help)], "{help:?}");
        }
        for help in ["x", "a\tb", "a\nb", "\\d \"é\""] {
            assert_eq!(with(help), [], "{help:?}");
        }
    }

    #[test]
    fn no_series_stands_twice_however_it_is_spelt() {
        for (one, two) in [
            (&[][..], &[][..]),
            (&[("x", "1")], &[("x", "1")]),
            (&[("x", "1"), ("y", "2")], &[("y", "2"), ("x", "1")]),
            (&[], &[("x", "")]),
            (&[("x", ""), ("y", "1")], &[("y", "1")]),
        ] {
            let found = gauge(&[("c_a", one, 1.0), ("c_a", &[("z", "1")], 1.0), ("c_a", two, 1.0)]);
            assert_eq!(found, [(Rule::DuplicateSeries, Some(2), Part::Name)], "{one:?} {two:?}");
        }
        assert_eq!(gauge(&[("c_a", &[("x", "1")], 1.0), ("c_a", &[("x", "1.0")], 1.0)]), []);
        for again in
            [("c_h_bucket", &[("le", "1.0")][..], 2.0), ("c_h_sum", &[], 1.0), ("c_h_count", &[], 3.0)]
        {
            let found = histogram_with(|samples| samples.push(again));
            assert_eq!(found, [(Rule::DuplicateSeries, Some(8), Part::Name)], "{again:?}");
        }
        let found = summary_with(|samples| samples.push(("c_s", &[("quantile", "-0")], 1.0)));
        assert_eq!(found, [(Rule::DuplicateSeries, Some(4), Part::Name)]);
    }

    #[test]
    fn a_label_stands_once_and_where_it_means_something() {
        let found = gauge(&[("c_a", &[("x", "1"), ("y", "1"), ("x", "")], 1.0)]);
        assert_eq!(found, [(Rule::DuplicateLabel, Some(0), Part::Label(2))]);
        for label in ["le", "quantile"] {
            let found = gauge(&[("c_a", &[("x", "1"), (label, "1")], 1.0)]);
            assert_eq!(found, [(Rule::MisplacedLabel, Some(0), Part::Label(1))]);
        }
        let found = histogram_with(|samples| samples[0].1 = &[("le", "1"), ("le", "2")]);
        assert_eq!(found, [(Rule::DuplicateLabel, Some(0), Part::Label(1))]);
        let found = histogram_with(|samples| samples[3].1 = &[("le", "")]);
        assert_eq!(found, [(Rule::MisplacedLabel, Some(3), Part::Label(0))]);
        let found = summary_with(|samples| samples[2].1 = &[("quantile", "")]);
        assert_eq!(found, [(Rule::MisplacedLabel, Some(2), Part::Label(0))]);
    }

    #[test]
    fn a_histogram_is_whole_and_agrees_with_itself() {
        assert_eq!(histogram_with(|_| {}), []);
        let value = |index| (Rule::Histogram, Some(index), Part::Value);
        let name = |index| (Rule::Histogram, Some(index), Part::Name);
        // Without its _sum, its _count, its +Inf.
        assert_eq!(
            histogram_with(|samples| {
                samples.remove(2);
            }),
            [name(0)]
        );
        assert_eq!(
            histogram_with(|samples| {
                samples.remove(3);
            }),
            [name(0)]
        );
        assert_eq!(
            histogram_with(|samples| {
                samples.remove(1);
            }),
            [name(0)]
        );
        // A bound that is none.
        for labels in [&[("le", "x")][..], &[("le", "NaN")], &[("le", "")], &[]] {
            assert_eq!(histogram_with(|samples| samples[0].1 = labels), [name(0)], "{labels:?}");
        }
        // Numbers that contradict each other.
        assert_eq!(histogram_with(|samples| samples[3].2 = 4.0), [value(3)]);
        assert_eq!(histogram_with(|samples| samples[0].2 = 4.0), [value(1)]);
        // Numbers that are no counts.
        for bad in [0.5, -1.0, f64::NAN, f64::INFINITY, 9_007_199_254_740_994.0] {
            let found = histogram_with(|samples| samples[6].2 = bad);
            assert!(found.contains(&value(6)), "{bad}: {found:?}");
            let found = histogram_with(|samples| samples[3].2 = bad);
            assert!(found.contains(&value(3)), "{bad}: {found:?}");
        }
        // A _sum with fewer labels is another histogram.
        let found = histogram_with(|samples| samples[7].1 = &[("z", "1")]);
        assert_eq!(found, [name(4), name(7), name(7)]);
    }

    #[test]
    fn a_summary_is_whole() {
        assert_eq!(summary_with(|_| {}), []);
        let name = |index| (Rule::Summary, Some(index), Part::Name);
        assert_eq!(
            summary_with(|samples| {
                samples.remove(2);
            }),
            [name(0)]
        );
        assert_eq!(
            summary_with(|samples| {
                samples.remove(3);
            }),
            [name(0)]
        );
        for labels in [
            &[("quantile", "p50")][..],
            &[("quantile", "NaN")],
            &[("quantile", "")],
            &[],
            &[("quantile", "1.1")],
            &[("quantile", "-0.1")],
        ] {
            assert_eq!(summary_with(|samples| samples[0].1 = labels), [name(0)], "{labels:?}");
        }
        assert_eq!(summary_with(|samples| samples[3].2 = 0.5), [(Rule::Summary, Some(3), Part::Value)]);
    }

    #[test]
    fn names_clash_with_parts_in_either_order() {
        let histogram = family("c_h", Kind::Histogram, &GOOD_HISTOGRAM);
        let summary = family("c_s", Kind::Summary, &GOOD_SUMMARY);
        let clashes = |whole: &Family, name: &str| {
            let other = family(name, Kind::Gauge, &[(name, &[], 1.0)]);
            let before = violations(&[other.clone(), whole.clone()]);
            let after = violations(&[whole.clone(), other]);
            assert_eq!(before.len(), after.len());
            let rules: Vec<_> = before.iter().chain(&after).map(|found| (found.rule, found.family)).collect();
            assert!(
                rules.is_empty() || rules == [(Rule::SuffixClash, 0), (Rule::SuffixClash, 1)],
                "{rules:?}"
            );
            !rules.is_empty()
        };
        assert!(
            clashes(&histogram, "c_h_bucket")
                && clashes(&histogram, "c_h_sum")
                && clashes(&histogram, "c_h_count")
        );
        assert!(clashes(&summary, "c_s_sum") && clashes(&summary, "c_s_count"));
        assert!(
            !clashes(&summary, "c_s_bucket")
                && !clashes(&summary, "c_s_total")
                && !clashes(&histogram, "c_h_x")
        );
        // What has no samples is not written.
        let empty = family("c_x", Kind::Histogram, &[]);
        assert_eq!(violations(&[empty, family("c_x_count", Kind::Gauge, &[("c_x_count", &[], 1.0)])]), []);
    }

    #[test]
    fn families_of_one_name_and_of_anothers_name_are_found() {
        let one = family("c_a", Kind::Gauge, &[("c_a", &[], 1.0)]);
        let found = violations(&[one.clone(), one]);
        assert_eq!((found.len(), found[0].rule, found[0].family), (1, Rule::DuplicateFamily, 1));
        let found = broken(family("node_load1", Kind::Gauge, &[("node_load1", &[("x", "1")], 1.0)]));
        assert_eq!(found, [(Rule::ReservedName, None, Part::Name)]);
    }
}
