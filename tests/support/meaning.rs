//! What a text of the exposition format says, as anyone would read it. A second reader, made apart from promdrop's own:
//! where the two differ, one of them is wrong.
//!
//! It is generous where a text is broken, since the node_exporters are asked as well; what two people could take for
//! different things it doesn't read at all.

use std::collections::BTreeMap;

/// A series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub name: String,
    /// Without those of empty value; `le` and `quantile` in one spelling where they are numbers.
    pub labels: BTreeMap<String, String>,
}

impl Key {
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self { name: name.to_owned(), labels }
    }

    /// The value of a label and the same series, under another name, without it.
    fn split(&self, label: &str, name: String) -> (Option<f64>, Self) {
        let mut labels = self.labels.clone();
        let value = labels.remove(label).and_then(|value| value.parse().ok());
        (value, Self { name, labels })
    }
}

/// What stands above the samples of one name.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Family {
    /// In lower case.
    pub kind: Option<String>,
    /// Unescaped, never empty.
    pub help: Option<Vec<u8>>,
    pub samples: usize,
}

impl Family {
    /// The kind, which is untyped where none is named.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("untyped")
    }
}

/// What one text says.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Meaning {
    pub series: BTreeMap<Key, f64>,
    pub families: BTreeMap<String, Family>,
}

impl Meaning {
    /// Reads a text; the error says why it can't be read one way only.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let mut meaning = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            meaning.line(line).map_err(|why| format!("{why}: {}", line.escape_ascii()))?;
        }
        Ok(meaning)
    }

    /// The series of several texts.
    pub fn union<'a>(texts: impl IntoIterator<Item = &'a Self>) -> Result<BTreeMap<Key, f64>, String> {
        let mut union = BTreeMap::new();
        for (key, value) in texts.into_iter().flat_map(|meaning| &meaning.series) {
            if union.insert(key.clone(), *value).is_some() {
                return Err(format!("in two files: {key:?}"));
            }
        }
        Ok(union)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let mut cursor = Cursor(line);
        cursor.blanks();
        match cursor.0.first() {
            None => Ok(()),
            Some(b'#') => self.comment(Cursor(&cursor.0[1..])),
            Some(_) => self.sample(cursor),
        }
    }

    fn comment(&mut self, mut cursor: Cursor<'_>) -> Result<(), String> {
        cursor.blanks();
        let word = cursor.take(|byte| !is_blank(byte));
        if !matches!(word, b"HELP" | b"TYPE") {
            return Ok(());
        }
        cursor.blanks();
        if cursor.0.is_empty() {
            return Ok(());
        }
        let name = cursor.name()?;
        if cursor.0.is_empty() {
            return Ok(());
        }
        if !cursor.blanks() {
            return Err("no blank after the name".into());
        }
        if cursor.0.is_empty() {
            return Ok(());
        }
        let family = self.family(&name);
        if word == b"HELP" {
            match family.help.replace(unescape(cursor.0)?) {
                None => Ok(()),
                Some(_) => Err("a second HELP".into()),
            }
        } else {
            // A backslash in here is nothing to any parser.
            let kind = String::from_utf8_lossy(cursor.0).to_ascii_lowercase().replace('\\', "");
            let known = ["counter", "gauge", "gauge_histogram", "histogram", "summary", "untyped"];
            if !known.contains(&kind.as_str()) || family.samples > 0 || family.kind.replace(kind).is_some() {
                return Err("a TYPE unknown, late or twice".into());
            }
            Ok(())
        }
    }

    fn sample(&mut self, mut cursor: Cursor<'_>) -> Result<(), String> {
        let name = cursor.name()?;
        let mut apart = cursor.blanks();
        let mut labels = BTreeMap::new();
        if cursor.eat(b'{') {
            cursor.labels(&mut labels)?;
            cursor.blanks();
            apart = true;
        }
        let value = std::str::from_utf8(cursor.0).ok().and_then(|value| value.parse::<f64>().ok());
        let value = value.filter(|_| apart).ok_or("no value, or more than a value")?;
        let owner = self.owner(&name).to_owned();
        let family = self.family(&name);
        family.samples += 1;
        let bound = match family.kind() {
            "histogram" if name != owner => "le",
            "summary" if name == owner => "quantile",
            _ => "",
        };
        if let Some(bound) = labels.get_mut(bound) {
            *bound = number(bound).ok_or("a bound that is no number")?;
        }
        labels.retain(|_, value| !value.is_empty());
        // A sum of -0 and 0 is 0.
        match self.series.insert(Key { name, labels }, value + 0.0) {
            None => Ok(()),
            Some(_) => Err("a second sample of one series".into()),
        }
    }

    fn family(&mut self, name: &str) -> &mut Family {
        let owner = self.owner(name).to_owned();
        self.families.entry(owner).or_default()
    }

    /// The family of a sample: that of its own name, or the histogram or summary that stands above it.
    fn owner<'a>(&self, name: &'a str) -> &'a str {
        if self.families.contains_key(name) {
            return name;
        }
        for (suffix, kinds) in [
            ("_bucket", &["histogram"][..]),
            ("_sum", &["histogram", "summary"]),
            ("_count", &["histogram", "summary"]),
        ] {
            if let Some(base) = name.strip_suffix(suffix)
                && self.families.get(base).is_some_and(|family| kinds.contains(&family.kind()))
            {
                return base;
            }
        }
        name
    }

    /// The histograms: for each set of labels its buckets by bound, and its count.
    fn histograms(&self) -> impl Iterator<Item = (Vec<(f64, f64)>, Option<f64>)> {
        let histograms = self.families.iter().filter(|(_, family)| family.kind() == "histogram");
        histograms.flat_map(|(name, _)| {
            let mut sets: BTreeMap<Key, Vec<(f64, f64)>> = BTreeMap::new();
            for (key, value) in self.series.iter().filter(|(key, _)| key.name == format!("{name}_bucket")) {
                let (bound, count) = key.split("le", format!("{name}_count"));
                sets.entry(count).or_default().extend(bound.map(|bound| (bound, *value)));
            }
            sets.into_iter().map(|(count, mut buckets)| {
                buckets.sort_by(|(one, _), (two, _)| one.total_cmp(two));
                (buckets, self.series.get(&count).copied())
            })
        })
    }

    /// Whether buckets of a histogram decrease, or the last of them is other than its count.
    pub fn has_impossible_histogram(&self) -> bool {
        self.histograms().any(|(mut buckets, count)| {
            // node_exporter fills in the last one.
            if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
                buckets.extend(count.map(|count| (f64::INFINITY, count)));
            }
            let decreases = buckets.windows(2).any(|pair| pair[0].1 > pair[1].1);
            decreases || buckets.last().map(|(_, last)| *last) != count
        })
    }

    /// Whether a summary has a quantile outside 0 to 1.
    pub fn has_impossible_quantile(&self) -> bool {
        self.series.keys().any(|key| {
            self.families.get(&key.name).is_some_and(|family| family.kind() == "summary")
                && key
                    .split("quantile", String::new())
                    .0
                    .is_some_and(|quantile| !(0.0..=1.0).contains(&quantile))
        })
    }

    /// Whether parts of a gauge_histogram have samples, or TYPE or HELP.
    pub fn has_gauge_histogram(&self) -> bool {
        let gauge_histograms = self.families.iter().filter(|(_, family)| family.kind() == "gauge_histogram");
        gauge_histograms.into_iter().any(|(name, _)| {
            let is_there = |part: &Family| part.samples > 0 || part.kind.is_some() || part.help.is_some();
            let part = |suffix| self.families.get(&format!("{name}{suffix}")).is_some_and(is_there);
            ["_bucket", "_sum", "_count"].into_iter().any(part)
        })
    }

    /// Whether node_exporter would add just this: a bucket +Inf of a histogram, as large as its count.
    pub fn leaves_out(&self, key: &Key, value: f64) -> bool {
        let Some(name) = key.name.strip_suffix("_bucket") else { return false };
        let (bound, count) = key.split("le", format!("{name}_count"));
        let histogram = self.families.get(name).is_some_and(|family| family.kind() == "histogram");
        histogram
            && bound == Some(f64::INFINITY)
            && self.series.get(&count).is_some_and(|count| *count == value)
    }
}

/// One spelling of a number.
fn number(text: &str) -> Option<String> {
    text.parse::<f64>().ok().map(|number| format!("{}", number + 0.0))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, byte == &b'\\') {
            (_, true) => match bytes.next() {
                Some(b'\\') => b'\\',
                Some(b'"') => b'"',
                Some(b'n') => b'\n',
                _ => return Err("an unknown escape".into()),
            },
            (byte, false) => *byte,
        });
    }
    Ok(out)
}

/// The rest of a line.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn blanks(&mut self) -> bool {
        !self.take(is_blank).is_empty()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.take(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
        match name.first() {
            Some(first) if !first.is_ascii_digit() => Ok(String::from_utf8_lossy(name).into_owned()),
            _ => Err("no name".into()),
        }
    }

    fn labels(&mut self, labels: &mut BTreeMap<String, String>) -> Result<(), String> {
        loop {
            self.blanks();
            if self.eat(b'}') {
                return Ok(());
            }
            let name = self.name()?;
            self.blanks();
            let opens = self.eat(b'=');
            self.blanks();
            if name.contains(':') || !opens || !self.eat(b'"') {
                return Err("no label".into());
            }
            let value = self.value()?;
            if labels.insert(name, value).is_some() {
                return Err("a label twice".into());
            }
            self.blanks();
            if !self.eat(b',') {
                return if self.eat(b'}') { Ok(()) } else { Err("no end of the labels".into()) };
            }
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let end = end.ok_or("no end of a label's value")?;
        let value = unescape(&self.0[..end])?;
        self.0 = &self.0[end + 1..];
        String::from_utf8(value).map_err(|_| "not UTF-8".into())
    }
}
