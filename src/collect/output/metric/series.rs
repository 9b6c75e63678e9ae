//! The series of one metric, gathered over records.

use std::collections::HashMap;

use super::read_word;
use crate::collect::output::Unreadable;
use crate::collect::output::record::Record;
use crate::config::yaml::{Field, Node, Problems};
use crate::exposition::Labels;

/// How values whose labels are equal become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// How many there are.
    Count,
    /// All together.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The arithmetic mean.
    Mean,
}

impl Field for Reduce {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let words = [
            ("count", Self::Count),
            ("sum", Self::Sum),
            ("min", Self::Min),
            ("max", Self::Max),
            ("mean", Self::Mean),
        ];
        read_word(node, problems, "a way to make one of several", &words)
    }
}

/// The series so far.
pub struct Series {
    reduce: Option<Reduce>,
    all: Vec<(Labels, Reduced)>,
    places: HashMap<Labels, usize, foldhash::fast::RandomState>,
}

/// What there was of one series.
struct Reduced {
    count: f64,
    value: f64,
    /// Where the first of it stood.
    first: String,
}

impl Series {
    pub fn new(reduce: Option<Reduce>) -> Self {
        Self { reduce, all: Vec::new(), places: HashMap::default() }
    }

    /// Adds the value of `record` for `metric`.
    ///
    /// # Errors
    /// Where there is a value with these labels already, and nothing says what becomes of two.
    pub fn add(
        &mut self,
        labels: Labels,
        value: f64,
        metric: &str,
        record: &dyn Record,
    ) -> Result<(), Unreadable> {
        let known = self.places.get(&labels).and_then(|at| self.all.get_mut(*at));
        let Some((_, so_far)) = known else {
            self.places.insert(labels.clone(), self.all.len());
            let first = if self.reduce.is_none() { record.place().into_owned() } else { String::new() };
            self.all.push((labels, Reduced { count: 1.0, value, first }));
            return Ok(());
        };
        let Some(reduce) = self.reduce else {
            let message = format!(
                "{} gives `{metric}` a second value for the labels of {}: tell them apart by `labels_from`, or `reduce` them",
                record.place(),
                so_far.first
            );
            return Err(Unreadable { message, detail: record.quote("") });
        };
        so_far.count += 1.0;
        so_far.value = match reduce {
            Reduce::Min => least(so_far.value, value),
            Reduce::Max => -least(-so_far.value, -value),
            Reduce::Count | Reduce::Sum | Reduce::Mean => so_far.value + value,
        };
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The series. Where there was no record, none but a sum or count that needs no labels of one: then 0.
    pub fn finish(self, no_labels_from: bool, fixed: &Labels) -> Vec<(Labels, f64)> {
        let of_nothing = matches!(self.reduce, Some(Reduce::Count | Reduce::Sum)) && no_labels_from;
        if self.all.is_empty() && of_nothing {
            return vec![(fixed.clone(), 0.0)];
        }
        let reduce = self.reduce;
        let value = |found: &Reduced| match reduce {
            Some(Reduce::Count) => found.count,
            Some(Reduce::Mean) => found.value / found.count,
            _ => found.value,
        };
        self.all.into_iter().map(|(labels, found)| (labels, value(&found))).collect()
    }
}

/// The lesser of two numbers; NaN where either is, since it says nothing.
fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}
