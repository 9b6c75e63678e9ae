//! Exposition text as a test reads it: a map of series, made without promdrop's own parser.

use std::collections::{BTreeMap, BTreeSet};

/// Series and their values.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Series(BTreeMap<String, f64>);

impl Series {
    /// Reads well-formed exposition text; panics on anything else.
    pub fn parse(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "no newline at the end of {text:?}");
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut map = BTreeMap::new();
        for line in samples {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line:?}"));
            let value = value.parse().unwrap_or_else(|_| panic!("not a number in {line:?}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no `}}` in {line:?}"));
            let taken = map.insert(key(name, split(labels)), value);
            assert!(taken.is_none(), "twice there: {line:?}");
        }
        Self(map)
    }

    /// The value of the series with just these labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        self.0.get(&key(name, labels)).copied()
    }

    /// As [`get`](Self::get), of a series that has to be there.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in {:#?}", self.0))
    }

    /// Whether any series has this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|key| key.split('{').next() == Some(name))
    }

    /// The names of its series.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().filter_map(|key| key.split('{').next()).collect()
    }

    /// Its series that `other` lacks or has with another value.
    pub fn missing_in<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, f64, Option<f64>)> {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), *value, other.0.get(key).copied()))
            .filter(|(_, ours, theirs)| !theirs.is_some_and(|theirs| same(theirs, *ours)))
            .collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// One spelling for each series, whatever the order of its labels.
fn key(name: &str, mut labels: Vec<String>) -> String {
    labels.sort();
    format!("{name}{{{}}}", labels.join(","))
}

/// The `name="value"` parts of a label set, still escaped, without those of empty value: node_exporter fills up the
/// label names of a family with them, and Prometheus takes them for absent.
fn split(labels: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in labels.chars() {
        match c {
            ',' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => {
                quoted ^= c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty() && !part.ends_with("=\"\""));
    parts
}
