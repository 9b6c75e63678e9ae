//! The samples of a text one by one, whoever wrote it: what node_exporter serves, beside what it was given.

use std::borrow::Cow;

use super::number::number;
use super::scan::{Line, Scanner};

/// A sample as a text holds it.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: f64,
    /// Its series as it is written, for a message.
    pub written: &'a [u8],
    /// One spelling for each series, whatever the order of its labels.
    pub key: &'a [u8],
    labels: &'a [(&'a [u8], Cow<'a, [u8]>)],
}

impl Served<'_> {
    /// The value of the label `name`.
    pub fn label(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.labels.iter().find(|(label, _)| *label == name.as_bytes())?;
        Some(String::from_utf8_lossy(value))
    }
}

/// Hands each sample of `text` to `take`; a line that can't be read is passed over.
pub fn each_sample(text: &[u8], mut take: impl FnMut(Served<'_>)) {
    let mut scanner = Scanner::of(text);
    let mut key = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(Line::Sample { name, value_at, value }) = scanner.scan(line) else { continue };
        let labels = scanner.labels.iter().map(|label| (label.name.bytes, label.value.unescaped()));
        // An empty label is none: node_exporter fills up a family's label names with them.
        let mut labels: Vec<_> = labels.filter(|(_, value)| !value.is_empty()).collect();
        labels.sort_unstable();
        spell(name.bytes, &labels, &mut key);
        let written = line.get(name.at..value_at).unwrap_or_default().trim_ascii_end();
        take(Served { name: name.str(), value, written, key: &key, labels: &labels });
    }
}

/// Writes the one spelling of a series to `key`: a length before each part, so that no two can be taken for each other. A
/// bound is a number, which is written in more than one way.
fn spell(name: &[u8], labels: &[(&[u8], Cow<'_, [u8]>)], key: &mut Vec<u8>) {
    key.clear();
    let mut part = |bytes: &[u8]| {
        key.extend_from_slice(&bytes.len().to_le_bytes());
        key.extend_from_slice(bytes);
    };
    part(name);
    for (label, value) in labels {
        part(label);
        match number(value) {
            Ok(bound) if matches!(*label, b"le" | b"quantile") => {
                part(&(bound + 0.0).to_bits().to_le_bytes())
            }
            _ => part(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        each_sample(text.as_bytes(), |sample| keys.push(sample.key.to_vec()));
        keys
    }

    #[test]
    fn a_series_has_one_key() {
        let same = keys(
            "a{x=\"1\",y=\"\\\\2\"} 1\na{y=\"\\\\2\",x=\"1\"} 2\na{y=\"\\\\2\",z=\"\",x=\"1\"} 3\n a{ y=\"\\\\2\" , x=\"1\",} 4",
        );
        assert_eq!(same.len(), 4);
        assert!(same.iter().all(|key| *key == same[0]), "{same:?}");
        let bounds = keys("a_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1\na_bucket{le=\"1e0\"} 1\n");
        assert!(bounds.iter().all(|key| *key == bounds[0]), "{bounds:?}");
        let mut others = keys(
            "a 1\nb 1\na{x=\"1\"} 1\na{x=\"1.0\"} 1\na{x=\"1\",y=\"1\"} 1\na{xy=\"1\"} 1\na{y=\"1\"} 1\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\n",
        );
        assert_eq!(others.len(), 9);
        others.sort();
        others.dedup();
        assert_eq!(others.len(), 9);
    }

    #[test]
    fn what_is_no_sample_is_passed_over() {
        let mut seen = Vec::new();
        let text = "# HELP a A.\n# TYPE a gauge\na{file=\"/d/\\\"x\\\".prom\"} 1.5e+09\n\nnonsense\nb NaN\n";
        each_sample(text.as_bytes(), |sample| {
            let written = String::from_utf8_lossy(sample.written).into_owned();
            seen.push((written, sample.label("file").map(Cow::into_owned), sample.value.to_string()));
        });
        let expected = [
            ("a{file=\"/d/\\\"x\\\".prom\"}", Some("/d/\"x\".prom".to_owned()), "1500000000"),
            ("b", None, "NaN"),
        ];
        assert_eq!(seen, expected.map(|(text, label, value)| (text.to_owned(), label, value.to_owned())));
    }
}
