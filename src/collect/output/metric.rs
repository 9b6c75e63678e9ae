//! Metrics: what a definition wants to be made of records. One [`Mapping`] for all formats that give records.

mod reading;
mod series;

use std::borrow::Cow;
use std::collections::HashSet;

use super::record::{Found, Record, Records, Unknown};
use super::{Bounds, Reader, Unreadable, plain};
use crate::config::fields::{is_label_name, read_help, read_labels, read_metric_name};
use crate::config::pattern::Pattern;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, nearest, read_list, read_map, read_text};
use crate::exposition::{Family, Kind, Labels, reserved};
use reading::Reading;
pub(super) use reading::read_factor;
use series::{Reduce, Series};

/// The field that a metric's value stands in where it doesn't say.
const VALUE: &str = "value";

/// Records made families.
#[derive(Debug)]
pub struct Mapping {
    records: Box<dyn Records>,
    metrics: Vec<Metric>,
}

/// One metric.
#[derive(Debug)]
struct Metric {
    name: String,
    kind: Kind,
    help: Option<String>,
    /// The field of the value; `None` where records are only counted.
    value: Option<String>,
    labels: Labels,
    /// Labels and the fields that they are. `None`: the definition doesn't say.
    labels_from: Option<Vec<(String, String)>>,
    filters: Vec<(String, Pattern)>,
    optional: bool,
    reading: Reading,
    reduce: Option<Reduce>,
}

/// Reads the metrics of `output:`, which stand in a list `metrics`, or one directly in it. They are read without
/// `records` too, so that every problem is told.
pub fn read(section: &mut Section<'_>, records: Option<Box<dyn Records>>) -> Option<Box<dyn Reader>> {
    let known = records.as_deref().unwrap_or(&Unknown);
    let metrics = match section.node("metrics") {
        Some(node) => read_metrics(node, section.problems(), known),
        None => Metric::read(section, known).map(|mut metric| {
            metric.take_own_labels(section, known);
            vec![metric]
        }),
    };
    Some(Box::new(Mapping { records: records?, metrics: metrics? }))
}

fn read_metrics(node: &Node, problems: &Problems, records: &dyn Records) -> Option<Vec<Metric>> {
    let items = read_list(node, problems, "write a line `- name: NAME` for each metric")?;
    if items.is_empty() {
        problems.report(node, Wrong::new("the list is empty", "write a line `- name: NAME` for each metric"));
    }
    let mut metrics: Vec<Metric> = Vec::new();
    let mut all_good = true;
    for item in items {
        let read = Section::open("metric", item, problems).and_then(|mut section| {
            let mut metric = Metric::read(&mut section, records);
            if let Some(metric) = &mut metric {
                let first = metrics.iter().find(|first| first.name == metric.name);
                metric.agree_with(first, &section);
            }
            section.finish();
            metric
        });
        match read {
            Some(metric) => metrics.push(metric),
            None => all_good = false,
        }
    }
    all_good.then_some(metrics)
}

impl Metric {
    fn read(section: &mut Section<'_>, records: &dyn Records) -> Option<Self> {
        let name = section.required_node("name", "write `name: ` and what the number shall be called");
        let name = name.and_then(|node| read_metric_name(node, section.problems()));
        let kind = section.optional::<ValueKind>("type").map(|kind| kind.0);
        let help = section.node("help").and_then(|node| read_help(node, section.problems()));
        let reduce = section.optional::<Reduce>("reduce");
        let value = read_value(section, records, reduce);
        let labels = section.node("labels").and_then(|node| read_labels(node, section.problems()));
        let labels = labels.unwrap_or_default();
        let labels_from = section
            .node("labels_from")
            .map(|node| read_labels_from(node, section.problems(), records, &labels).unwrap_or_default());
        let filters = section.node("where").and_then(|node| read_filters(node, section.problems(), records));
        let optional = section.optional::<bool>("optional").unwrap_or(false);
        let reading = Reading::read(section, reduce);
        if let Some(state) = reading.as_ref().and_then(Reading::state_label) {
            let from = labels_from.iter().flatten().map(|(label, _)| label.as_str());
            if labels.iter().map(|(label, _)| label.as_ref()).chain(from).any(|label| label == state) {
                let message = format!("the label `{state}` is that of the states");
                section.report("states", Wrong::new(message, "call one of the two otherwise: `state_label`"));
            }
        }
        let metric = Self {
            name: name?,
            kind: kind.unwrap_or(Kind::Gauge),
            help,
            value,
            labels,
            labels_from,
            filters: filters.unwrap_or_default(),
            optional,
            reading: reading?,
            reduce,
        };
        metric.judge_name(section);
        metric.judge_counter(section);
        Some(metric)
    }

    /// All its labels.
    fn labels(&self) -> impl Iterator<Item = &str> {
        let fixed = self.labels.iter().map(|(label, _)| label.as_ref());
        let from = self.labels_from.iter().flatten().map(|(label, _)| label.as_str());
        fixed.chain(from).chain(self.reading.state_label())
    }

    /// Reports a name that every node_exporter uses, and that no run could publish.
    fn judge_name(&self, section: &Section<'_>) {
        if let Some(reserved) = reserved::owner(&self.name, self.kind)
            && reserved.tier == reserved::Tier::Default
        {
            section.report("name", Wrong::new(reserved.message, "choose another name"));
        }
    }

    /// Reports what no counter can be.
    fn judge_counter(&self, section: &Section<'_>) {
        if self.kind != Kind::Counter {
            return;
        }
        if self.reading.state_label().is_some() {
            section.report("states", Wrong::new("states are no counter", "leave `type` out"));
        }
        if self.reading.is_negated() {
            let message = "a negative `scale` makes a counter go down";
            section.report("scale", Wrong::new(message, "leave `type` out, or the sign"));
        }
    }

    /// Takes what it doesn't say itself from the `first` metric of its name; reports where the two can't be one family.
    fn agree_with(&mut self, first: Option<&Metric>, section: &Section<'_>) {
        let Some(first) = first else { return };
        let cure = "leave it out here: it is that of the first metric of this name";
        if section.has("type") && self.kind != first.kind {
            section.report("type", Wrong::new("a metric of this name has another `type`", cure));
        }
        if self.help.is_some() && self.help != first.help {
            section.report("help", Wrong::new("a metric of this name has another `help`", cure));
        }
        if self.kind != first.kind {
            self.kind = first.kind;
            self.judge_counter(section);
        }
    }

    /// Of a metric alone, the fields that are labels by themselves are its labels where it doesn't say which: but for
    /// its value's.
    fn take_own_labels(&mut self, section: &Section<'_>, records: &dyn Records) {
        if self.labels_from.is_some() {
            return;
        }
        let mut own = Vec::new();
        for field in records.own_labels() {
            let fixed = self.labels.iter().any(|(taken, _)| taken == field);
            if fixed || self.value.as_ref() == Some(field) {
                continue;
            }
            if self.reading.state_label() == Some(field) {
                let message = format!("the label `{field}` is that of the states");
                section.report("states", Wrong::new(message, "call one of the two otherwise: `state_label`"));
            }
            if !is_label_name(field) {
                let message = format!("the group `{field}` can't be a label of its name");
                let cure = "say which groups are labels: `labels_from: {LABEL: GROUP}`";
                section.report("pattern", Wrong::new(message, cure));
            }
            own.push((field.clone(), field.clone()));
        }
        self.labels_from = Some(own);
    }

    /// Whether it wants `record`; `asked` learns which of its filters' fields there are.
    fn takes(&self, record: &dyn Record, noun: &str, asked: &mut [bool]) -> Result<bool, Unreadable> {
        let mut takes = true;
        for ((field, pattern), there) in self.filters.iter().zip(asked) {
            let Some(pattern) = pattern.compiled() else { return Err(too_large("where")) };
            let text = text_of(record, noun, field)?;
            *there |= text.is_some();
            takes &= text.is_some_and(|text| pattern.is_match(text.trim()));
        }
        Ok(takes)
    }

    /// The labels of a record's series.
    fn labels_of(&self, record: &dyn Record, noun: &str) -> Result<Labels, Unreadable> {
        let mut labels = self.labels.clone();
        for (label, field) in self.labels_from.as_deref().unwrap_or_default() {
            match text_of(record, noun, field)? {
                // An empty label is the same as none.
                Some(text) if text.trim().is_empty() => {}
                Some(text) => labels.push((label.clone().into(), text.trim().to_owned().into())),
                None if self.optional => {}
                None => return Err(missing(record, noun, field)),
            }
        }
        Ok(labels)
    }
}

/// A pattern whose program is too large for the crate.
pub(super) fn too_large(key: &str) -> Unreadable {
    let message = format!("a pattern of `{key}` is too large: repeat less in it");
    Unreadable { message, detail: String::new() }
}

/// That a record has no `field`.
fn missing(record: &dyn Record, noun: &str, field: &str) -> Unreadable {
    let message = format!("there is no {noun} `{}` in {}", plain(field), record.place());
    Unreadable { message, detail: record.quote(field) }
}

/// The text of `field`, if it is there.
fn text_of<'r>(record: &'r dyn Record, noun: &str, field: &str) -> Result<Option<Cow<'r, str>>, Unreadable> {
    match record.field(field) {
        Found::Text(text) => Ok(Some(text)),
        Found::Missing => Ok(None),
        Found::Other(what) => {
            let message = format!("{} is {what} where one value is expected", subject(record, noun, field));
            Err(Unreadable { message, detail: record.quote(field) })
        }
    }
}

/// What a message about `field` is about.
fn subject(record: &dyn Record, noun: &str, field: &str) -> String {
    match record.place() {
        place if noun.is_empty() || field.is_empty() => place.into_owned(),
        place => format!("{noun} `{}` in {place}", plain(field)),
    }
}

impl Reader for Mapping {
    fn labels(&self) -> Vec<&str> {
        self.metrics.iter().flat_map(Metric::labels).collect()
    }

    fn families(&self, output: &super::Output<'_>, bounds: &Bounds<'_>) -> Result<Vec<Family>, Unreadable> {
        let text = super::text(output.stdout)?;
        let mut series: Vec<Series> = self.metrics.iter().map(|metric| Series::new(metric.reduce)).collect();
        let mut asked: Vec<Vec<bool>> = self.metrics.iter().map(|m| vec![false; m.filters.len()]).collect();
        let mut any = false;
        let noun = self.records.noun();
        self.records.each(text, &mut |record| {
            any = true;
            for ((metric, series), asked) in self.metrics.iter().zip(&mut series).zip(&mut asked) {
                if metric.takes(record, noun, asked)? {
                    metric.read_into(series, record, noun)?;
                }
            }
            bounds.check(series.iter().map(Series::len).sum())
        })?;
        for (metric, asked) in self.metrics.iter().zip(&asked) {
            let never = metric.filters.iter().zip(asked).find(|(_, there)| !**there);
            if let Some(((field, _), _)) = never.filter(|_| any && !metric.optional) {
                let message = format!(
                    "there is no {noun} `{}`, which `where` asks for, in all of its output",
                    plain(field)
                );
                return Err(Unreadable { message, detail: String::new() });
            }
        }
        let mut families: Vec<Family> = Vec::new();
        let mut seen = HashSet::new();
        for (metric, series) in self.metrics.iter().zip(series) {
            let samples =
                series.finish(metric.labels_from.as_ref().is_none_or(Vec::is_empty), &metric.labels);
            let family = match families.iter_mut().find(|family| family.name == metric.name) {
                Some(family) => family,
                None => {
                    families.push(Family {
                        name: metric.name.clone().into(),
                        help: metric.help.clone().map(Cow::Owned),
                        kind: Some(metric.kind),
                        samples: Vec::new(),
                    });
                    let Some(family) = families.last_mut() else { continue };
                    family
                }
            };
            let alone = self.metrics.iter().filter(|other| other.name == metric.name).count() == 1;
            for (labels, value) in samples {
                let sorted = || {
                    let mut labels = labels.clone();
                    labels.sort_unstable();
                    labels
                };
                if !alone && !seen.insert((&metric.name, sorted())) {
                    let message = format!(
                        "two metrics give `{}` a value for the same labels: tell them apart",
                        metric.name
                    );
                    return Err(Unreadable { message, detail: String::new() });
                }
                family.push(labels, value);
            }
        }
        families.retain(|family| !family.samples.is_empty());
        Ok(families)
    }
}

impl Metric {
    fn read_into(&self, series: &mut Series, record: &dyn Record, noun: &str) -> Result<(), Unreadable> {
        let labels = self.labels_of(record, noun)?;
        let Some(field) = &self.value else { return series.add(labels, 1.0, &self.name, record) };
        let text = match text_of(record, noun, field)? {
            Some(text) => text,
            None if self.optional => return Ok(()),
            None => return Err(missing(record, noun, field)),
        };
        let read = self.reading.read_text(&text).map_err(|wrong| Unreadable {
            message: wrong.about(&subject(record, noun, field)),
            detail: record.quote(field),
        })?;
        match read {
            reading::Read::Number(value)
                if self.kind == Kind::Counter && !(value >= 0.0 && value.is_finite()) =>
            {
                let message =
                    format!("{} is no number that a counter can have", subject(record, noun, field));
                Err(Unreadable { message, detail: record.quote(field) })
            }
            reading::Read::Number(value) => series.add(labels, value, &self.name, record),
            reading::Read::State { label, states, is } => {
                for (state, _) in states {
                    let mut labels = labels.clone();
                    labels.push((label.to_owned().into(), state.clone().into()));
                    series.add(labels, f64::from(u8::from(state == is)), &self.name, record)?;
                }
                Ok(())
            }
        }
    }
}

fn read_value(section: &mut Section<'_>, records: &dyn Records, reduce: Option<Reduce>) -> Option<String> {
    let counted = reduce == Some(Reduce::Count);
    let Some(node) = section.node("value") else {
        if counted {
            return None;
        }
        if let Err(wrong) = records.check_field(VALUE) {
            section.report("value", wrong);
        }
        return Some(VALUE.to_owned());
    };
    if counted {
        let cure = "remove `value`; to count only some records there is `where`";
        section.report("value", Wrong::new("records are counted, whatever their value", cure));
    }
    read_field(node, section.problems(), records)
}

/// Reads the name of a field.
fn read_field(node: &Node, problems: &Problems, records: &dyn Records) -> Option<String> {
    read_text(node, problems, |text| records.check_field(text).map(|()| text.to_owned()))
}

fn read_labels_from(
    node: &Node,
    problems: &Problems,
    records: &dyn Records,
    fixed: &Labels,
) -> Option<Vec<(String, String)>> {
    let entries = read_map(node, problems, "write `{LABEL: FIELD}`")?;
    let read = entries.iter().map(|(key, value)| {
        let label = crate::config::fields::read_label_name(key, problems);
        if let Some(label) = &label
            && fixed.iter().any(|(name, _)| name == label)
        {
            let message = format!("`labels` has the label `{label}` as well");
            problems.report(key, Wrong::new(message, "keep one of the two"));
        }
        let field = read_field(value, problems, records);
        Some((label?, field?))
    });
    // Every entry is read, so that every problem is found.
    let read: Vec<Option<_>> = read.collect();
    read.into_iter().collect()
}

fn read_filters(node: &Node, problems: &Problems, records: &dyn Records) -> Option<Vec<(String, Pattern)>> {
    let entries = read_map(node, problems, "write `{FIELD: PATTERN}`")?;
    let read = entries.iter().map(|(key, value)| {
        let field = read_field(key, problems, records);
        let pattern = Pattern::read_whole(value, problems);
        Some((field?, pattern?))
    });
    let read: Vec<Option<_>> = read.collect();
    read.into_iter().collect()
}

/// A TYPE that a family of plain numbers can have.
struct ValueKind(Kind);

impl Field for ValueKind {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match Kind::from_word(text) {
            Some(kind @ (Kind::Gauge | Kind::Counter | Kind::Untyped)) => Ok(Self(kind)),
            _ => {
                let message = format!("`{text}` is not a type that one number can have");
                Err(Wrong::new(message, "write gauge, counter or untyped"))
            }
        })
    }
}

/// Reads one of a few words; says what they are, or the nearest.
pub(super) fn read_word<T: Copy>(
    node: &Node,
    problems: &Problems,
    what: &str,
    words: &[(&'static str, T)],
) -> Option<T> {
    read_text(node, problems, |text| {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let cure = match nearest(text, &known) {
            Some(near) => format!("did you mean `{near}`? known: {}", known.join(", ")),
            None => format!("known: {}", known.join(", ")),
        };
        Err(Wrong::new(format!("{} is not {what}", crate::config::yaml::quote(text)), cure))
    })
}

#[cfg(test)]
mod tests;
