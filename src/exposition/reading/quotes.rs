//! Samples whose names stand in quotes, or that have none: what is wrong with them on which version.

use super::super::quoted::Quoted;
use super::super::rules::{Finding, Rule, Versions};
use super::super::scan::is_label_byte;
use super::Reader;

impl Reader {
    /// A sample with quotes or without a name.
    pub(super) fn quoted(&mut self, at: usize, quoted: &Quoted) {
        let cure = "write a name of letters, digits, `_` and `:` before the brace, without quotes: name{label=\"value\"} 1";
        let Some(name) = &quoted.name else {
            return self.nameless(at, quoted.ends_in_value, cure);
        };
        let legal = is_name(name, true) && quoted.labels.iter().all(|label| is_name(label, false));
        if let Some(label) = quoted.labels.iter().find(|label| label.starts_with(b"__")) {
            self.reserved_label(at, label);
        }
        let index = match self.whole_of(name) {
            Some((index, _)) => index,
            None => self.family(at, name),
        };
        self.last_sample = Some(index);
        if let Some(family) = self.families.get_mut(index) {
            family.sample_at.get_or_insert(at);
            family.opaque = true;
        }
        let finding = if legal {
            Finding::new(Rule::QuotedName, at, "a name in quotes", cure)
        } else {
            let message = "in quotes, a name that is none without them: node_exporter 1.9.0 dies of it";
            Finding::new(Rule::IllegalName, at, message, cure)
        };
        self.find(finding);
    }

    fn nameless(&mut self, at: usize, ends_in_value: bool, cure: &str) {
        if self.current.is_none() && ends_in_value {
            let message = "labels without a metric name";
            return self.find(Finding::new(Rule::MetricName, at, message, cure));
        }
        let Some(last_sample) = self.last_sample else {
            // It does so within its parser, before it comes to what it would reject below.
            self.dies_reading |= !self.rejected_above.contains(Versions::V1_9);
            let message = "labels without a metric name: node_exporter 1.9.0 dies of it";
            return self.find(Finding::new(Rule::NamelessBraces, at, message, cure));
        };
        // The sample before gets the value, and the family of the line before gets the sample.
        for index in [Some(last_sample), self.current].into_iter().flatten() {
            if let Some(family) = self.families.get_mut(index) {
                family.sample_at.get_or_insert(at);
                family.opaque = true;
            }
        }
        self.find(Finding::new(Rule::OverwritingBraces, at, "labels without a metric name", cure));
    }
}

fn is_name(name: &[u8], colons: bool) -> bool {
    name.first().is_some_and(|byte| !byte.is_ascii_digit())
        && name.iter().all(|byte| is_label_byte(*byte) || colons && *byte == b':')
}
