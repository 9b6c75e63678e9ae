//! Families, samples and their kinds: what a collector measured, before it is text.

use std::collections::HashMap;

use smol_str::SmolStr;

/// Every name that begins so is promdrop's own: nothing that is collected or written may use it.
pub const OWN_PREFIX: &str = "promdrop_";

/// The TYPE of a family, as the text format 0.0.4 knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only goes up, or starts again at 0.
    Counter,
    /// Any number.
    Gauge,
    /// Cumulative buckets `_bucket{le}`, `_sum` and `_count`.
    Histogram,
    /// Quantiles `{quantile}`, `_sum` and `_count`.
    Summary,
    /// Nothing is known.
    Untyped,
}

impl Kind {
    /// Every kind, in the order they are listed in messages.
    pub const ALL: [Kind; 5] = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Untyped];

    /// The word in a TYPE line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Untyped => "untyped",
        }
    }

    /// The endings of the samples that make up a family of this kind beside those of its own name.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Summary => &["_sum", "_count"],
            Kind::Counter | Kind::Gauge | Kind::Untyped => &[],
        }
    }

    /// The label that is a number and no part of a series' label set: the bound of a bucket, or the quantile.
    pub fn bound(self) -> Option<&'static str> {
        match self {
            Kind::Histogram => Some("le"),
            Kind::Summary => Some("quantile"),
            Kind::Counter | Kind::Gauge | Kind::Untyped => None,
        }
    }

    /// The kind of a TYPE word in lower case.
    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Name, HELP and TYPE of a family of promdrop's own. HELP must be the same in all files of a directory and for
/// ever, so it is a constant; a new meaning gets a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// The family's name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
    /// Its TYPE.
    pub kind: Kind,
}

/// Label names and values, in the order they are written.
pub type Labels = Vec<(SmolStr, SmolStr)>;

/// One number with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family's name, or that with `_bucket`, `_sum` or `_count` for a histogram or summary.
    pub name: SmolStr,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// A metric family: one name, at most one HELP and TYPE, its samples.
///
/// A family may hold anything; whether it may be published is for [`rules`](super::rules) to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The family's name.
    pub name: SmolStr,
    /// HELP, unescaped; `None` leaves the line out.
    pub help: Option<SmolStr>,
    /// TYPE; `None` leaves the line out, which readers take as untyped.
    pub kind: Option<Kind>,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Family {
    /// An empty family of promdrop's own.
    pub fn new(descriptor: &Descriptor) -> Self {
        Self {
            name: SmolStr::new_static(descriptor.name),
            help: Some(SmolStr::new_static(descriptor.help)),
            kind: Some(descriptor.kind),
            samples: Vec::new(),
        }
    }

    /// Adds a sample that bears the family's own name.
    pub fn push(&mut self, labels: Labels, value: f64) {
        self.samples.push(Sample { name: self.name.clone(), labels, value });
    }
}

/// Puts `labels` on every sample.
///
/// # Errors
/// The name of one that is on a sample already. What the families hold then is of no use.
pub fn add_labels<'a>(families: &mut [Family], labels: &'a Labels) -> Result<(), &'a str> {
    for sample in families.iter_mut().flat_map(|family| &mut family.samples) {
        for (name, value) in labels {
            if sample.labels.iter().any(|(taken, _)| taken == name) {
                return Err(name);
            }
            sample.labels.push((name.clone(), value.clone()));
        }
    }
    Ok(())
}

/// How many series there are.
pub fn count_series(families: &[Family]) -> usize {
    families.iter().map(|family| family.samples.len()).sum()
}

/// Makes one family of those that have the same name, HELP and TYPE, in the order of the first of each.
pub fn merge(families: impl IntoIterator<Item = Family>) -> Vec<Family> {
    let mut merged: Vec<Family> = Vec::new();
    let mut places: HashMap<SmolStr, usize> = HashMap::new();
    for family in families {
        let known = places.get(&family.name).and_then(|at| merged.get_mut(*at));
        match known.filter(|known| known.help == family.help && known.kind == family.kind) {
            Some(known) => known.samples.extend(family.samples),
            None => {
                places.entry(family.name.clone()).or_insert(merged.len());
                merged.push(family);
            }
        }
    }
    merged
}
