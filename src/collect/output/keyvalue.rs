//! `format: keyvalue`: lines of `key=value` or `key: value`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::record::{Found, Record, Records, Take, line_place};
use super::{Reader, Unreadable, excerpt, metric};
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, quote, read_text};

#[derive(Debug)]
struct KeyValue {
    /// What ends a key; blanks where it is nothing but blanks. `None`: the first of `=` and `:`.
    separator: Option<String>,
    records: Extent,
    /// Whether every line has to be a pair.
    strict: bool,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The whole output.
    Text,
    /// Lines without an empty one between them.
    Block,
    /// Each pair.
    Pair,
}

impl Field for Extent {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let words = [("text", Self::Text), ("block", Self::Block), ("pair", Self::Pair)];
        metric::read_word(node, problems, "something that a record can be", &words)
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let separator = section.node("separator").and_then(|node| {
        read_text(node, section.problems(), |text| match text {
            "" => Err(Wrong::new("the separator is nothing", "write what stands between key and value")),
            _ => Ok(text.to_owned()),
        })
    });
    let records = match section.node("records") {
        Some(node) => Extent::read(node, section.problems()),
        None => Some(Extent::Text),
    };
    let strict = section.optional::<bool>("strict").unwrap_or(false);
    let records =
        records.map(|records| Box::new(KeyValue { separator, records, strict }) as Box<dyn Records>);
    metric::read(section, records)
}

impl Records for KeyValue {
    fn noun(&self) -> &'static str {
        match self.records {
            // Its fields are called `key` and `value` themselves.
            Extent::Pair => "the",
            Extent::Text | Extent::Block => "key",
        }
    }

    fn check_field(&self, field: &str) -> Result<(), Wrong> {
        match (self.records, field) {
            (Extent::Pair, "key" | "value") => Ok(()),
            (Extent::Pair, _) => {
                let message = format!("a pair has no field {}", quote(field));
                Err(Wrong::new(message, "its fields: key, value; with `records: text` keys are fields"))
            }
            (_, "") => Err(Wrong::new("a key is not nothing", "write the key as it is printed")),
            _ if field.trim() != field => {
                Err(Wrong::new("blanks around a key are left out", "write it without them"))
            }
            _ => Ok(()),
        }
    }

    fn each(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable> {
        let mut block = Block::default();
        for (at, text) in output.lines().enumerate() {
            let line = at + 1;
            if text.trim().is_empty() {
                if self.records == Extent::Block {
                    block.hand_over(take)?;
                }
                continue;
            }
            let Some((key, value)) = self.split(text) else {
                if self.strict {
                    let message = format!("{} is not a key and its value", line_place(line));
                    return Err(Unreadable { message, detail: shown(line, text) });
                }
                continue;
            };
            let pair = Pair { line, text, key, value };
            match self.records {
                Extent::Pair => take(&pair)?,
                Extent::Text => block.add(pair),
                Extent::Block => {
                    block.first.get_or_insert(line);
                    block.add(pair);
                }
            }
        }
        block.hand_over(take)
    }
}

impl KeyValue {
    fn split<'t>(&self, line: &'t str) -> Option<(&'t str, Cow<'t, str>)> {
        let line = line.trim();
        let (key, value) = match &self.separator {
            None => line.split_once(['=', ':']),
            Some(blanks) if blanks.trim().is_empty() => line.split_once(char::is_whitespace),
            Some(separator) => line.split_once(separator),
        }?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key, unquoted(value.trim())))
    }
}

/// What stands between quotes, as a shell reads it: os-release is made for one.
fn unquoted(value: &str) -> Cow<'_, str> {
    let between = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(plain) = between('\'') {
        return plain.into();
    }
    let Some(inner) = between('"') else { return value.into() };
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        let escaped = rest.next_if(|next| c == '\\' && matches!(next, '"' | '\\' | '$' | '`'));
        out.push(escaped.unwrap_or(c));
    }
    out.into()
}

fn shown(line: usize, text: &str) -> String {
    format!("line {line}: {}", excerpt(text))
}

/// One line.
struct Pair<'t> {
    line: usize,
    text: &'t str,
    key: &'t str,
    value: Cow<'t, str>,
}

impl Record for Pair<'_> {
    fn place(&self) -> Cow<'static, str> {
        line_place(self.line)
    }

    fn quote(&self, _: &str) -> String {
        shown(self.line, self.text)
    }

    fn field(&self, name: &str) -> Found<'_> {
        Found::Text(if name == "key" { self.key } else { &self.value }.into())
    }
}

/// Lines that are one record.
#[derive(Default)]
struct Block<'t> {
    /// The line that it begins in; `None` where it is the whole output.
    first: Option<usize>,
    /// Each key's first pair, and whether there are more of it.
    pairs: HashMap<&'t str, (Pair<'t>, bool)>,
}

impl<'t> Block<'t> {
    fn add(&mut self, pair: Pair<'t>) {
        match self.pairs.entry(pair.key) {
            Entry::Occupied(mut known) => known.get_mut().1 = true,
            Entry::Vacant(free) => {
                free.insert((pair, false));
            }
        }
    }

    /// Hands it to `take` if there is a pair in it, and begins anew.
    fn hand_over(&mut self, take: &mut Take<'_>) -> Result<(), Unreadable> {
        let block = std::mem::take(self);
        if block.pairs.is_empty() { Ok(()) } else { take(&block) }
    }
}

impl Record for Block<'_> {
    fn place(&self) -> Cow<'static, str> {
        match self.first {
            Some(line) => format!("the block from line {line} of its output on").into(),
            None => "its output".into(),
        }
    }

    fn quote(&self, field: &str) -> String {
        let found = self.pairs.get(field).map(|(pair, _)| pair);
        let pair = found.or_else(|| self.pairs.values().map(|(pair, _)| pair).min_by_key(|pair| pair.line));
        pair.map_or(String::new(), |pair| shown(pair.line, pair.text))
    }

    /// A key that stands twice is none of the reader's business until it is asked for: `systemctl show` has such.
    fn field(&self, name: &str) -> Found<'_> {
        match self.pairs.get(name) {
            Some((_, true)) => Found::Other("several values"),
            Some((pair, false)) => Found::Text(pair.value.as_ref().into()),
            None => Found::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read};

    fn samples(more: &str, output: &str) -> String {
        let text = read(&format!("{{format: keyvalue, name: a, {more}}}"), output).unwrap();
        text.lines().skip(1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_whole_output_is_a_record_of_its_keys() {
        let output = "MemTotal:       16 kB\nRTC time = 12:30\n\n nothing \nA B\t: 5%\r\n=7\n";
        assert_eq!(samples("value: MemTotal", output), "a 16384");
        assert_eq!(samples("value: A B, labels_from: {t: RTC time}", output), "a{t=\"12:30\"} 0.05");
        let yaml = "{format: keyvalue, name: a, value: B}";
        assert_eq!(message(yaml, output), "there is no key `B` in its output");
        let (message, detail) = read(yaml, "A=1\nB=SECRET\n").unwrap_err();
        assert_eq!(
            (message.as_str(), detail.as_str()),
            ("key `B` in its output is not one number", "line 2: \"B=SECRET\"")
        );
    }

    #[test]
    fn blocks_are_records() {
        let output = "Id=a\nN=1\n\n\nnothing\n\nN=2\nId=b\n";
        let yaml = "records: block, value: N, labels_from: {u: Id}";
        assert_eq!(samples(yaml, output), "a{u=\"a\"} 1 a{u=\"b\"} 2");
        assert_eq!(
            message(&format!("{{format: keyvalue, name: a, {yaml}}}"), "Id=a\nN=1\n\nId=b\nX=1\n"),
            "there is no key `N` in the block from line 4 of its output on"
        );
    }

    #[test]
    fn each_pair_is_a_record() {
        let output = "nr_free 12\n\nnr_dirty\t 3\nflag\n";
        let yaml = "records: pair, separator: ' ', labels_from: {k: key}";
        assert_eq!(samples(yaml, output), "a{k=\"nr_free\"} 12 a{k=\"nr_dirty\"} 3");
        let yaml = "{format: keyvalue, name: a, records: pair, labels_from: {k: key}}";
        let (message, detail) = read(yaml, "x=1\n\ny=SECRET\n").unwrap_err();
        assert_eq!(message, "the `value` in line 3 of its output is not one number");
        assert_eq!(detail, "line 3: \"y=SECRET\"");
        assert_eq!(
            format("{format: keyvalue, name: a, records: pair, value: x}").unwrap_err(),
            ["a pair has no field `x`"]
        );
    }

    #[test]
    fn the_separator_may_be_anything() {
        assert_eq!(samples("value: 'a:b', separator: ' = '", "a:b = 1\nc=d\n"), "a 1");
        assert_eq!(samples("value: 'net.eth0:1.x', separator: '='", "net.eth0:1.x = 7"), "a 7");
        assert_eq!(samples("value: b, separator: ->", "a->b->1\nb->2\n"), "a 2");
    }

    #[test]
    fn quotes_are_taken_off() {
        let output = "A=\"Debian \\\"x\\\" \\n\"\nB='a\\b'\nC=\"\nD=1\n";
        assert_eq!(
            samples("value: D, labels_from: {a: A, b: B, c: C}", output),
            r#"a{a="Debian \"x\" \\n",b="a\\b",c="\""} 1"#
        );
    }

    #[test]
    fn a_key_twice_is_an_error_where_it_is_asked_for() {
        let output = "Exec=1\nExec=2\nN=3\n";
        assert_eq!(samples("value: N", output), "a 3");
        for more in ["value: Exec", "value: N, labels_from: {e: Exec}", "value: N, where: {Exec: '1'}"] {
            assert_eq!(
                message(&format!("{{format: keyvalue, name: a, {more}}}"), output),
                "key `Exec` in its output is several values where one value is expected"
            );
        }
    }

    #[test]
    fn without_a_pair_there_is_no_record() {
        for records in ["text", "block", "pair"] {
            assert_eq!(samples(&format!("records: {records}, reduce: count"), "\nnothing\n"), "a 0");
        }
        assert_eq!(samples("reduce: count", "x=1\ny=2\n"), "a 1");
    }

    #[test]
    fn strict_is_every_line() {
        let yaml = "{format: keyvalue, name: a, value: N, strict: true}";
        let (message, detail) = read(yaml, "N=1\n\nSECRET\n").unwrap_err();
        assert_eq!(message, "line 3 of its output is not a key and its value");
        assert_eq!(detail, "line 3: \"SECRET\"");
    }

    #[test]
    fn what_can_be_no_key_is_told() {
        for (more, expected) in [
            ("value: ''", "a key is not nothing"),
            ("value: ' a'", "blanks around a key are left out"),
            ("value: a, separator: ''", "the separator is nothing"),
            ("value: a, records: blok", "`blok` is not something that a record can be"),
        ] {
            let yaml = format!("{{format: keyvalue, name: a, {more}}}");
            assert_eq!(format(&yaml).unwrap_err(), [expected]);
        }
    }
}
