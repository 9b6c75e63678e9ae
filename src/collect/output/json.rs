//! `format: json`: records at a place of a document, or of one document a line.
//!
//! A document is not made a tree: each level on the way to a field is cut into pieces of its text. So numbers of any
//! size stay what they are, and what nobody asks for costs nothing but the reading.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::record::{Found, Record, Records, Take, line_place};
use super::{Reader, Unreadable, excerpt, metric};
use crate::config::yaml::{Section, Wrong, quote, read_text};
use crate::diagnostic::printable;

#[derive(Debug)]
struct Json {
    at: Vec<Step>,
    /// Whether each line is a document.
    lines: bool,
}

/// A step of `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Into the element or member of this name.
    Into(String),
    /// Into each.
    Each,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let at = match section.node("at") {
        Some(node) => read_text(node, section.problems(), pointer),
        None => Some(Vec::new()),
    };
    let lines = section.optional::<bool>("lines").unwrap_or(false);
    let step = |name: String| if name == "*" { Step::Each } else { Step::Into(name) };
    let json = at.map(|at| {
        let at = at.into_iter().map(step).collect();
        Box::new(Json { at, lines }) as Box<dyn Records>
    });
    metric::read(section, json)
}

/// The steps of a JSON pointer, RFC 6901.
fn pointer(text: &str) -> Result<Vec<String>, Wrong> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(steps) = text.strip_prefix('/') else {
        return Err(Wrong::new(format!("{} is not a JSON pointer", quote(text)), "write `/NAME/NAME`"));
    };
    if text.replace("~0", "").replace("~1", "").contains('~') {
        let message = format!("{} is not a JSON pointer", quote(text));
        return Err(Wrong::new(message, "write `~0` for `~`, and `~1` for `/` in a name"));
    }
    Ok(steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

/// What the name of a field asks for.
enum Asked<'f> {
    /// A member, or an element by its number.
    Member(&'f str),
    /// What a pointer leads to from the record, or from the document.
    Pointer { from_root: bool, steps: Vec<String> },
    /// What the so manieth `*`, from 1, stands for.
    Star(usize),
}

impl<'f> Asked<'f> {
    fn parse(field: &'f str) -> Result<Self, Wrong> {
        let (from_root, path) = match field.strip_prefix('$') {
            None if field.is_empty() || field.starts_with('/') => (false, field),
            None => return Ok(Self::Member(field)),
            Some(path) if path.starts_with('/') => (true, path),
            Some(number) => {
                return number.parse().ok().filter(|number| *number > 0).map(Self::Star).ok_or_else(|| {
                    let cure = format!("for the member of that name write `/{field}`");
                    Wrong::new(format!("{} is neither `$1` nor `$/NAME`", quote(field)), cure)
                });
            }
        };
        let steps = pointer(path)?;
        if steps.iter().any(|step| step == "*") {
            let wrong = format!("{} would be many values", quote(field));
            return Err(Wrong::new(wrong, "write `*` in `at`, which makes a record of each"));
        }
        Ok(Self::Pointer { from_root, steps })
    }
}

impl Records for Json {
    fn noun(&self) -> &'static str {
        "member"
    }

    fn check_field(&self, field: &str) -> Result<(), Wrong> {
        let stars = self.at.iter().filter(|step| **step == Step::Each).count();
        match Asked::parse(field)? {
            Asked::Star(number) if number > stars => {
                let message = format!("`at` has {stars} `*`, so there is no {}", quote(field));
                Err(Wrong::new(message, "write as many `*` as there are levels to walk"))
            }
            _ => Ok(()),
        }
    }

    fn each(&self, output: &str, take: &mut Take<'_>) -> Result<(), Unreadable> {
        if !self.lines {
            return self.each_of(output, None, take);
        }
        for (at, line) in output.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            self.each_of(line, Some(at + 1), take)?;
        }
        Ok(())
    }
}

impl Json {
    /// Hands every record of one document to `take`; `line` is where it stands if each line is one.
    fn each_of(&self, text: &str, line: Option<usize>, take: &mut Take<'_>) -> Result<(), Unreadable> {
        let root = serde_json::from_str(text).map_err(|error| not_json(text, line, &error))?;
        let document = Document { root, line, looked_up: RefCell::default() };
        let mut walk = Walk { document: &document, number: 0, trail: Vec::new(), stars: Vec::new(), take };
        walk.to(root, &self.at, true)
    }
}

fn not_json(text: &str, line: Option<usize>, error: &serde_json::Error) -> Unreadable {
    let at = line.unwrap_or_else(|| error.line().max(1));
    let shown = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let place = line_place(at);
    let message = match error.to_string().starts_with("trailing characters") {
        true if line.is_none() => {
            format!(
                "{place} goes on after the end of the JSON document: `lines: true` reads a document a line"
            )
        }
        _ => format!("{place} is not JSON"),
    };
    let detail = format!("{}\nline {at}: {}", printable(&error.to_string()), excerpt(shown));
    Unreadable { message, detail }
}

/// A document, and what the records' fields want of its root.
struct Document<'t> {
    root: &'t RawValue,
    line: Option<usize>,
    looked_up: RefCell<HashMap<Vec<String>, Found<'t>>>,
}

/// The way to the records of a document.
struct Walk<'w, 't, 'c> {
    document: &'w Document<'t>,
    /// How many records there were.
    number: usize,
    /// Names of the elements and members on the way here.
    trail: Vec<Cow<'t, str>>,
    /// What the stars on the way here stand for.
    stars: Vec<Cow<'t, str>>,
    take: &'w mut Take<'c>,
}

impl<'t> Walk<'_, 't, '_> {
    /// Takes the records that `steps` lead to from `value`. Where they lead nowhere that is an error, but for what a
    /// star stands for: some have the rest of the way and some don't.
    fn to(&mut self, value: &'t RawValue, steps: &[Step], must_be: bool) -> Result<(), Unreadable> {
        match steps.split_first() {
            None => match Kind::of(value) {
                Kind::List => {
                    for (at, element) in elements(value).into_iter().enumerate() {
                        self.trail.push(at.to_string().into());
                        self.record(element)?;
                        self.trail.pop();
                    }
                    Ok(())
                }
                Kind::Null if must_be => Err(self.nowhere(value)),
                Kind::Null => Ok(()),
                _ => self.record(value),
            },
            Some((Step::Into(name), rest)) => match child(value, name) {
                Some(inner) => {
                    self.trail.push(name.clone().into());
                    self.to(inner, rest, must_be)?;
                    self.trail.pop();
                    Ok(())
                }
                None if must_be => Err(self.nowhere(value)),
                None => Ok(()),
            },
            Some((Step::Each, rest)) => {
                let children: Vec<(Cow<'t, str>, &'t RawValue)> = match Kind::of(value) {
                    Kind::List => {
                        let numbered = elements(value).into_iter().enumerate();
                        numbered.map(|(at, element)| (at.to_string().into(), element)).collect()
                    }
                    Kind::Map => members(value)
                        .into_iter()
                        .map(|(name, inner)| (decoded(name).unwrap_or_default(), inner))
                        .collect(),
                    _ if must_be => return Err(self.nowhere(value)),
                    _ => return Ok(()),
                };
                for (name, inner) in children {
                    self.trail.push(name.clone());
                    self.stars.push(name);
                    self.to(inner, rest, false)?;
                    self.stars.pop();
                    self.trail.pop();
                }
                Ok(())
            }
        }
    }

    fn record(&mut self, value: &'t RawValue) -> Result<(), Unreadable> {
        self.number += 1;
        let parts = match Kind::of(value) {
            Kind::Map => members(value),
            _ => Vec::new(),
        };
        (self.take)(&Part {
            document: self.document,
            number: self.number,
            trail: &self.trail,
            stars: &self.stars,
            value,
            members: parts,
        })
    }

    fn nowhere(&self, value: &RawValue) -> Unreadable {
        let place = self.document.line.map_or_else(|| "its output".into(), line_place);
        let message = format!("there is nothing where `at` leads to in {place}");
        Unreadable { message, detail: format!("at {}: {}", spelt(&self.trail), excerpt(value.get())) }
    }
}

/// The pointer of `trail`, harmless to a terminal.
fn spelt(trail: &[Cow<'_, str>]) -> String {
    let steps = trail.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
    excerpt(&steps.collect::<String>())
}

/// A record.
struct Part<'w, 't> {
    document: &'w Document<'t>,
    number: usize,
    trail: &'w [Cow<'t, str>],
    stars: &'w [Cow<'t, str>],
    value: &'t RawValue,
    members: Vec<(&'t RawValue, &'t RawValue)>,
}

impl<'t> Part<'_, 't> {
    /// What `asked` leads to.
    fn find(&self, asked: &Asked<'_>) -> Option<&'t RawValue> {
        match asked {
            // Of two of one name the last, as everywhere.
            Asked::Member(name) => {
                self.members.iter().rev().find(|(known, _)| is(known, name)).map(|(_, value)| *value)
            }
            Asked::Pointer { from_root, steps } => {
                let from = if *from_root { self.document.root } else { self.value };
                steps.iter().try_fold(from, |value, step| child(value, step))
            }
            Asked::Star(_) => None,
        }
    }
}

impl Record for Part<'_, '_> {
    /// The names of members are of the output: records are told by their number.
    fn place(&self) -> Cow<'static, str> {
        match self.document.line {
            Some(line) if self.number == 1 => line_place(line),
            Some(line) => format!("record {} in {}", self.number, line_place(line)).into(),
            None if self.trail.is_empty() => "its output".into(),
            None => format!("record {} of its output", self.number).into(),
        }
    }

    fn quote(&self, field: &str) -> String {
        let found = Asked::parse(field).ok().and_then(|asked| self.find(&asked)).unwrap_or(self.value);
        let line = self.document.line.map_or(String::new(), |line| format!("line {line}, "));
        let place = if self.trail.is_empty() { "its output".into() } else { spelt(self.trail) };
        format!("{line}{place}: {}", excerpt(found.get()))
    }

    fn field(&self, name: &str) -> Found<'_> {
        match Asked::parse(name) {
            Err(_) => Found::Missing,
            Ok(Asked::Star(number)) => Found::or_missing(self.stars.get(number - 1).map(Cow::as_ref)),
            // Once a document, not once a record.
            Ok(Asked::Pointer { from_root: true, steps }) => {
                if let Some(found) = self.document.looked_up.borrow().get(&steps) {
                    return found.clone();
                }
                let asked = Asked::Pointer { from_root: true, steps: steps.clone() };
                let found = self.find(&asked).map_or(Found::Missing, found);
                self.document.looked_up.borrow_mut().insert(steps, found.clone());
                found
            }
            Ok(asked) => self.find(&asked).map_or(Found::Missing, found),
        }
    }
}

/// What a piece of JSON is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Map,
    Null,
    Text,
    /// A number, true or false.
    Plain,
}

impl Kind {
    fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'[') => Self::List,
            Some(b'{') => Self::Map,
            Some(b'n') => Self::Null,
            Some(b'"') => Self::Text,
            _ => Self::Plain,
        }
    }
}

fn found(value: &RawValue) -> Found<'_> {
    match Kind::of(value) {
        Kind::List => Found::Other("a list"),
        Kind::Map => Found::Other("a map"),
        Kind::Null => Found::Missing,
        Kind::Text => decoded(value).map_or(Found::Other("half a character"), Found::Text),
        Kind::Plain => Found::Text(value.get().into()),
    }
}

/// The text that a string stands for; `None` where it escapes half of a surrogate pair.
fn decoded(string: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = string.get();
    if quoted.contains('\\') {
        return serde_json::from_str(quoted).ok().map(Cow::Owned);
    }
    quoted.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// Whether the string `known` stands for `name`.
fn is(known: &RawValue, name: &str) -> bool {
    decoded(known).is_some_and(|known| known == name)
}

fn child<'t>(value: &'t RawValue, name: &str) -> Option<&'t RawValue> {
    match Kind::of(value) {
        Kind::Map => {
            members(value).into_iter().rev().find(|(known, _)| is(known, name)).map(|(_, value)| value)
        }
        Kind::List => {
            let number = name.parse::<usize>().ok().filter(|number| number.to_string() == name)?;
            elements(value).get(number).copied()
        }
        _ => None,
    }
}

/// The elements of a list. None of anything else, nor of what is no JSON: a piece of a document that was read is.
fn elements(list: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(list.get()).unwrap_or_default()
}

/// The members of a map, in the order they stand; twice where they stand twice.
fn members(map: &RawValue) -> Vec<(&RawValue, &RawValue)> {
    serde_json::Deserializer::from_str(map.get()).deserialize_map(Members).unwrap_or_default()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = map.next_entry()? {
            all.push(member);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{format, message, read};

    const DRIVES: &str = r#"{"host": {"id": 7}, "drives": [
        {"dev": "sda", "temp": 40, "smart": {"ok": true}, "a/b~": "5ms", "part": [1, 2]},
        {"dev": "sdb", "temp": "41 C", "smart": {"ok": false}, "a/b~": 2.50, "part": null}]}"#;

    /// What `format: json` with `more` makes of `output`; the samples only.
    fn samples(more: &str, output: &str) -> String {
        let text = read(&format!("{{format: json, name: a, {more}}}"), output).unwrap();
        text.lines().skip(1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_list_is_records_and_anything_else_is_one() {
        let drives = "at: /drives, labels_from: {d: dev}";
        assert_eq!(samples(&format!("{drives}, value: temp"), DRIVES), r#"a{d="sda"} 40 a{d="sdb"} 41"#);
        assert_eq!(samples(&format!("{drives}, value: /smart/ok"), DRIVES), r#"a{d="sda"} 1 a{d="sdb"} 0"#);
        assert_eq!(samples(&format!("{drives}, value: a/b~"), DRIVES), r#"a{d="sda"} 0.005 a{d="sdb"} 2.5"#);
        assert_eq!(
            samples(&format!("{drives}, value: /a~1b~0"), DRIVES),
            r#"a{d="sda"} 0.005 a{d="sdb"} 2.5"#
        );
        assert_eq!(samples(&format!("{drives}, value: /part/1, optional: true"), DRIVES), r#"a{d="sda"} 2"#);
        assert_eq!(samples("at: /host, value: id", DRIVES), "a 7");
        assert_eq!(samples("value: /host/id", DRIVES), "a 7");
        assert_eq!(samples("at: /drives, reduce: count", DRIVES), "a 2");
        assert_eq!(samples("value: ''", " -4.5e1\n"), "a -45");
    }

    #[test]
    fn the_root_can_be_asked_from_each_record() {
        let more = "at: /drives, value: temp, labels_from: {d: dev, id: $/host/id, part: $/drives/0/part/0}";
        assert_eq!(samples(more, DRIVES), r#"a{d="sda",id="7",part="1"} 40 a{d="sdb",id="7",part="1"} 41"#);
    }

    #[test]
    fn a_star_walks_all_and_says_which() {
        let output = r#"{"b": {"x": 1, "y": {"z": 2}}, "a": {"x": 3}, "c": {"y\"": 4}, "d": 5}"#;
        assert_eq!(
            samples("at: /*/x, value: '', labels_from: {of: $1}", output),
            r#"a{of="b"} 1 a{of="a"} 3"#
        );
        assert_eq!(samples("at: /*/*, value: '', where: {$2: 'y\"'}", output), "a 4");
        let lists = "[[1, 2], [3]]";
        assert_eq!(
            samples("at: /*/*, value: '', labels_from: {row: $1, column: $2}", lists),
            r#"a{row="0",column="0"} 1 a{row="0",column="1"} 2 a{row="1",column="0"} 3"#
        );
        assert_eq!(
            samples("value: /0, labels_from: {rest: /1}, optional: true", lists),
            r#"a{rest="2"} 1 a 3"#
        );
    }

    #[test]
    fn lines_are_documents() {
        let output = "{\"q\": \"deferred\", \"r\": [1, 2]}\n\n {\"q\": \"active\", \"r\": []}\r\n";
        assert_eq!(
            samples("lines: true, reduce: count, labels_from: {q: q}", output),
            r#"a{q="deferred"} 1 a{q="active"} 1"#
        );
        assert_eq!(
            samples("lines: true, at: /r, reduce: sum, value: '', labels_from: {q: $/q}", output),
            r#"a{q="deferred"} 3"#
        );
        let lines = "{format: json, name: a, lines: true, at: /r, value: x}";
        assert_eq!(message(lines, output), "there is no member `x` in line 1 of its output");
        assert_eq!(
            message(lines, "\n{\"r\": [{\"x\": 1}, 2]}"),
            "there is no member `x` in record 2 in line 2 of its output"
        );
        assert_eq!(message(lines, "\n{\"r\": }"), "line 2 of its output is not JSON");
        assert_eq!(
            message(lines, "\n{\"s\": 1}"),
            "there is nothing where `at` leads to in line 2 of its output"
        );
        assert_eq!(
            message("{format: json, name: a}", output),
            "line 3 of its output goes on after the end of the JSON document: `lines: true` reads a document a line"
        );
    }

    #[test]
    fn numbers_are_what_they_are() {
        let yaml = "{format: json, name: a, value: v, labels_from: {id: id}}";
        let output =
            |v: &str| format!(r#"{{"v": {v}, "id": 340282366920938463463374607431768211456, "w": 1e999}}"#);
        assert_eq!(
            read(yaml, output("18446744073709551617")).unwrap().lines().nth(1).unwrap(),
            r#"a{id="340282366920938463463374607431768211456"} 1.8446744073709552e19"#
        );
        assert_eq!(message(yaml, output("1e999")), "the number in member `v` in its output is too large");
    }

    #[test]
    fn null_is_missing() {
        let output = r#"[{"v": 1, "l": null}, {"v": null, "l": "x"}]"#;
        assert_eq!(samples("value: v, labels_from: {l: l}, optional: true", output), "a 1");
        let yaml = "{format: json, name: a, value: v}";
        assert_eq!(message(yaml, output), "there is no member `v` in record 2 of its output");
    }

    #[test]
    fn what_is_no_single_value_is_told() {
        let of = |value: &str| {
            message(
                "{format: json, name: a, value: v, optional: true}",
                format!("[{{\"v\": 1}}, {{\"v\": {value}}}]"),
            )
        };
        assert_eq!(of("[1]"), "member `v` in record 2 of its output is a list where one value is expected");
        assert_eq!(of("{}"), "member `v` in record 2 of its output is a map where one value is expected");
        assert_eq!(of("\"x\""), "member `v` in record 2 of its output is not one number");
        assert_eq!(
            of(r#""\ud800""#),
            "member `v` in record 2 of its output is half a character where one value is expected"
        );
        let labels = "{format: json, name: a, value: v, labels_from: {l: l}}";
        assert_eq!(
            message(labels, r#"{"v": 1, "l": {}}"#),
            "member `l` in its output is a map where one value is expected"
        );
        assert_eq!(
            message("{format: json, name: a, value: ''}", "[1, \"x\"]"),
            "record 2 of its output is not one number"
        );
    }

    #[test]
    fn names_of_members_and_values_are_for_the_detail() {
        let yaml = "{format: json, name: a, at: '/*/*', value: v, optional: true}";
        let (message, detail) = read(yaml, r#"{"SEC/RET": {"SE~CRET": {"v": "\u001bSECRET"}}}"#).unwrap_err();
        assert_eq!(message, "member `v` in record 1 of its output is not one number");
        assert_eq!(detail, r#""/SEC~1RET/SE~0CRET": ""\u001bSECRET"""#);
        let (message, detail) = read(yaml, "{\n \"a\": SECRET}").unwrap_err();
        assert_eq!(message, "line 2 of its output is not JSON");
        assert!(detail.contains("column 7") && detail.contains("SECRET"), "{detail}");
        let (message, detail) =
            read("{format: json, name: a, at: /x/y}", r#"{"x": ["SECRET"]}"#).unwrap_err();
        assert_eq!(message, "there is nothing where `at` leads to in its output");
        assert_eq!(detail, r#"at "/x": "["SECRET"]""#);
    }

    #[test]
    fn of_two_members_of_a_name_the_last_counts() {
        assert_eq!(samples("value: v", r#"{"v": 1, "v": 2}"#), "a 2");
        assert_eq!(samples("value: /v", r#"{"v": 1, "\u0076": 2}"#), "a 2");
    }

    #[test]
    fn what_is_no_place_is_told() {
        for (more, expected) in [
            ("at: drives", "`drives` is not a JSON pointer"),
            ("at: /a~2", "`/a~2` is not a JSON pointer"),
            ("value: /a~", "`/a~` is not a JSON pointer"),
            ("value: '/*/b'", "`/*/b` would be many values"),
            ("value: $x", "`$x` is neither `$1` nor `$/NAME`"),
            ("value: $0", "`$0` is neither `$1` nor `$/NAME`"),
            ("at: '/*', value: $2", "`at` has 1 `*`, so there is no `$2`"),
        ] {
            assert_eq!(format(&format!("{{format: json, name: a, {more}}}")).unwrap_err(), [expected]);
        }
    }

    #[test]
    fn nesting_without_end_is_read_like_anything_else() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let yaml = "{format: json, name: a, value: ''}";
        assert_eq!(message(yaml, deep), "record 1 of its output is a list where one value is expected");
    }
}
