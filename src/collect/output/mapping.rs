//! Records made families, as [`metric`](super::metric)s want it.

use std::borrow::Cow;
use std::collections::HashSet;

use super::metric::{Metric, Read, Series};
use super::record::{Found, Record, Records};
use super::text as text_of_output;
use super::{Bounds, Output, Reader, Unreadable, plain};
use crate::exposition::{Family, Kind, Labels, merge};

/// Records made families.
#[derive(Debug)]
pub struct Mapping {
    /// The format.
    pub records: Box<dyn Records>,
    /// What is made of each record.
    pub metrics: Vec<Metric>,
}

impl Reader for Mapping {
    fn labels(&self) -> Vec<&str> {
        self.metrics.iter().flat_map(Metric::all_labels).collect()
    }

    fn families(&self, output: &Output<'_>, bounds: &Bounds<'_>) -> Result<Vec<Family>, Unreadable> {
        let text = text_of_output(output.stdout)?;
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
        self.check_asked(&asked, any)?;
        let samples = self.metrics.iter().zip(series).map(|(metric, series)| {
            series.finish(metric.labels_from.as_ref().is_none_or(Vec::is_empty), &metric.labels)
        });
        let samples: Vec<_> = samples.collect();
        self.check_apart(&samples)?;
        let families = self.metrics.iter().zip(samples).map(|(metric, samples)| metric.family(samples));
        Ok(merge(families.filter(|family| !family.samples.is_empty())))
    }
}

impl Mapping {
    /// That each field which a `where` asks for was there: lest a misspelt one has nothing counted for ever. `any`:
    /// whether there was a record.
    fn check_asked(&self, asked: &[Vec<bool>], any: bool) -> Result<(), Unreadable> {
        for (metric, asked) in self.metrics.iter().zip(asked) {
            let never = metric.filters.iter().zip(asked).find(|(_, there)| !**there);
            if let Some(((field, _), _)) = never.filter(|_| any && !metric.optional) {
                let noun = self.records.noun();
                let message = format!(
                    "there is no {noun} `{}`, which `where` asks for, in all of its output",
                    plain(field)
                );
                return Err(Unreadable { message, detail: String::new() });
            }
        }
        Ok(())
    }

    /// That no two metrics of one name give the same series.
    fn check_apart(&self, samples: &[Vec<(Labels, f64)>]) -> Result<(), Unreadable> {
        let mut seen = HashSet::new();
        for (metric, samples) in self.metrics.iter().zip(samples) {
            if self.metrics.iter().filter(|other| other.name == metric.name).count() == 1 {
                continue;
            }
            for (labels, _) in samples {
                let mut labels = labels.clone();
                labels.sort_unstable();
                if !seen.insert((&metric.name, labels)) {
                    let name = &metric.name;
                    let message =
                        format!("two metrics give `{name}` a value for the same labels: tell them apart");
                    return Err(Unreadable { message, detail: String::new() });
                }
            }
        }
        Ok(())
    }
}

impl Metric {
    fn family(&self, samples: Vec<(Labels, f64)>) -> Family {
        let mut family = Family {
            name: self.name.clone().into(),
            help: self.help.as_deref().map(Into::into),
            kind: Some(self.kind),
            samples: Vec::new(),
        };
        for (labels, value) in samples {
            family.push(labels, value);
        }
        family
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
            Read::Number(value) if self.kind == Kind::Counter && !(value >= 0.0 && value.is_finite()) => {
                let message =
                    format!("{} is no number that a counter can have", subject(record, noun, field));
                Err(Unreadable { message, detail: record.quote(field) })
            }
            Read::Number(value) => series.add(labels, value, &self.name, record),
            Read::State { label, states, is } => {
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
