//! Metrics: what a definition wants to be made of records.

mod reading;
mod series;

use super::Reader;
use super::mapping::Mapping;
use super::record::{Records, Unknown};
use crate::config::fields::{is_label_name, read_help, read_label_name, read_labels, read_metric_name};
use crate::config::pattern::Pattern;
use crate::config::yaml::{
    Field, Node, Problems, Section, Wrong, nearest, quote, read_entries, read_list, read_text,
};
use crate::exposition::{Kind, Labels, reserved};
pub(super) use reading::{Read, Reading, read_factor};
use series::Reduce;
pub(super) use series::Series;

/// The field that a metric's value stands in where it doesn't say.
const VALUE: &str = "value";

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: String,
    pub kind: Kind,
    pub help: Option<String>,
    /// The field of the value; `None` where records are only counted.
    pub value: Option<String>,
    pub labels: Labels,
    /// Labels and the fields that they are. `None`: the definition doesn't say.
    pub labels_from: Option<Vec<(String, String)>>,
    pub filters: Vec<(String, Pattern)>,
    pub optional: bool,
    pub reading: Reading,
    pub reduce: Option<Reduce>,
}

/// Reads the metrics of `output:`, which stand in a list `metrics`, or one directly in it. They are read without
/// `records` too, so that every problem is told.
pub fn read(section: &mut Section<'_>, records: Option<Box<dyn Records>>) -> Option<Box<dyn Reader>> {
    let known = records.as_deref().unwrap_or(&Unknown);
    let metrics = match section.node("metrics") {
        Some(node) => read_metrics(node, section.problems(), known),
        None => Metric::read(section, known).map(|mut metric| {
            metric.take_own_labels(section, known);
            metric.judge_labels(section);
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
                metric.judge_labels(&section);
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

    /// All its labels, that of the states last.
    pub fn all_labels(&self) -> impl Iterator<Item = &str> {
        let fixed = self.labels.iter().map(|(label, _)| label.as_ref());
        let from = self.labels_from.iter().flatten().map(|(label, _)| label.as_str());
        fixed.chain(from).chain(self.reading.state_label())
    }

    /// Reports another label that is called like that of the states.
    fn judge_labels(&self, section: &Section<'_>) {
        let Some(state) = self.reading.state_label() else { return };
        if self.all_labels().filter(|label| *label == state).count() > 1 {
            let message = format!("the label `{state}` is that of the states");
            section.report("states", Wrong::new(message, "call one of the two otherwise: `state_label`"));
        }
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
        self.help.clone_from(&first.help);
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
            if !is_label_name(field) {
                let message = format!("the group `{field}` can't be a label of its name");
                let cure = "say which groups are labels: `labels_from: {LABEL: GROUP}`";
                section.report("pattern", Wrong::new(message, cure));
            }
            own.push((field.clone(), field.clone()));
        }
        self.labels_from = Some(own);
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
    read_entries(node, problems, "write `{LABEL: FIELD}`", |(key, value)| {
        let label = read_label_name(key, problems);
        if let Some(label) = &label
            && fixed.iter().any(|(name, _)| name == label)
        {
            let message = format!("`labels` has the label `{label}` as well");
            problems.report(key, Wrong::new(message, "keep one of the two"));
        }
        let field = read_field(value, problems, records);
        Some((label?, field?))
    })
}

fn read_filters(node: &Node, problems: &Problems, records: &dyn Records) -> Option<Vec<(String, Pattern)>> {
    read_entries(node, problems, "write `{FIELD: PATTERN}`", |(key, value)| {
        let field = read_field(key, problems, records);
        let pattern = Pattern::read_whole(value, problems);
        Some((field?, pattern?))
    })
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
        Err(Wrong::new(format!("{} is not {what}", quote(text)), cure))
    })
}

#[cfg(test)]
mod tests;
