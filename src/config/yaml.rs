//! YAML, behind one file: a text to a tree of nodes, and a decoder that reports every problem of a file at its exact
//! place instead of the first one only.
//!
//! serde_yaml knows the place of an error but not of a value. So each node gets a number in the order the parser
//! meets it, problems are noted by number, and only where there are some the text is read again with a visitor that
//! fails at just that node: the error that comes back carries line and column.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::diagnostic::Problem;

/// More brackets than this left open are refused before the parser sees them: its time grows with their square.
const MAX_OPEN_BRACKETS: usize = 200;

/// More values than this in one document are refused, counting what aliases repeat: a few lines of aliases of
/// aliases would otherwise fill the memory.
const MAX_VALUES: usize = 100_000;

/// Problems that are shown of one document. Finding the place of each costs a reading of the text.
const MAX_PROBLEMS: usize = 20;

/// A value of a document, and its number there.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    at: usize,
    /// What it is.
    pub value: Value,
}

impl Node {
    /// Nothing: stands for a section that is not there.
    pub fn null() -> Self {
        Self { at: 0, value: Value::Null }
    }
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, keys and values in the order they stand.
    Map(Vec<(Node, Node)>),
    /// Anything with a `!tag`.
    Tagged,
}

impl Value {
    /// What to call it in a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Tagged => "a value with a tag",
        }
    }
}

/// What is wrong with a value: the message and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do.
    pub cure: String,
}

impl Wrong {
    /// A message with its cure.
    pub fn new(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { message: message.into(), cure: cure.into() }
    }
}

/// The problems of one document, noted while it is decoded.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<(usize, Wrong)>>);

impl Problems {
    /// Notes a problem at `node`.
    pub fn report(&self, node: &Node, wrong: Wrong) {
        self.0.borrow_mut().push((node.at, wrong));
    }
}

/// A type that a node can be read as. On a problem, the implementation reports it and returns `None`.
pub trait Field: Sized {
    /// Reads `node`, noting what is wrong in `problems`.
    fn read(node: &Node, problems: &Problems) -> Option<Self>;
}

/// A mapping that is being decoded: each key is asked for once, and what was not asked for is unknown.
#[derive(Debug)]
pub struct Section<'a> {
    name: &'a str,
    node: &'a Node,
    entries: &'a [(Node, Node)],
    asked: Vec<&'static str>,
    skipped: Vec<&'a str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// Opens `node` as a mapping called `name` in messages; nothing (`ping:` with no value) is an empty one.
    /// Reports duplicate keys and keys that are not text.
    pub fn open(name: &'a str, node: &'a Node, problems: &'a Problems) -> Option<Self> {
        let entries: &[(Node, Node)] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let message = format!("`{name}` must be a map of keys and values, not {}", other.kind());
                problems.report(node, Wrong::new(message, "write `key: value` lines, indented below it"));
                return None;
            }
        };
        check_keys(entries, problems);
        Some(Self { name, node, entries, asked: Vec::new(), skipped: Vec::new(), problems })
    }

    /// The value of `key`, if it is there.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.find(key)
    }

    /// The value of `key` as a `T`; `None` if it is missing or wrong (then reported).
    pub fn optional<T: Field>(&mut self, key: &'static str) -> Option<T> {
        let node = self.node(key)?;
        T::read(node, self.problems)
    }

    /// As [`optional`](Self::optional), but a missing key is a problem; `cure` says how to write it.
    pub fn required<T: Field>(&mut self, key: &'static str, cure: &str) -> Option<T> {
        let node = self.required_node(key, cure)?;
        T::read(node, self.problems)
    }

    /// As [`node`](Self::node), but a missing key is a problem; `cure` says how to write it.
    pub fn required_node(&mut self, key: &'static str, cure: &str) -> Option<&'a Node> {
        let found = self.node(key);
        if found.is_none() {
            self.problems.report(self.node, Wrong::new(format!("`{}` has no `{key}`", self.name), cure));
        }
        found
    }

    /// Whether `key` is there.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Reports a problem at the value of `key`, or at the section where the key is not there.
    pub fn report(&self, key: &str, wrong: Wrong) {
        self.problems.report(self.find(key).unwrap_or(self.node), wrong);
    }

    /// Lets `key` pass though nobody asks for it.
    pub fn skip(&mut self, key: &str) {
        self.skipped.extend(self.entries.iter().filter_map(|(k, _)| match &k.value {
            Value::Text(word) if word == key => Some(word.as_str()),
            _ => None,
        }));
    }

    /// Lets every key that holds a map pass: sections of modules, which can't be judged before the module is known.
    pub fn skip_maps(&mut self) {
        self.skipped.extend(self.entries.iter().filter_map(|(k, v)| match (&k.value, &v.value) {
            (Value::Text(word), Value::Map(_)) => Some(word.as_str()),
            _ => None,
        }));
    }

    /// Where problems of nested values go.
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.entries {
            let Value::Text(word) = &key.value else { continue };
            if self.asked.contains(&word.as_str()) || self.skipped.contains(&word.as_str()) {
                continue;
            }
            let cure = match nearest(word, &self.asked) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.asked.is_empty() => format!("`{}` takes no keys", self.name),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            self.problems
                .report(key, Wrong::new(format!("unknown key {} in `{}`", quote(word), self.name), cure));
        }
    }

    fn find(&self, key: &str) -> Option<&'a Node> {
        self.entries
            .iter()
            .find(|(k, _)| matches!(&k.value, Value::Text(word) if word == key))
            .map(|(_, v)| v)
    }
}

/// Reports keys that are not text or stand twice. [`Section`] does it itself; free-form maps call it.
pub fn check_keys(entries: &[(Node, Node)], problems: &Problems) {
    let mut seen = std::collections::HashSet::new();
    for (key, _) in entries {
        match &key.value {
            Value::Text(word) if !seen.insert(word.as_str()) => {
                let message = format!("the key {} stands here for the second time", quote(word));
                problems.report(key, Wrong::new(message, "keep one of the two"));
            }
            Value::Text(_) => {}
            other => {
                let message = format!("a key must be text, not {}", other.kind());
                problems.report(key, Wrong::new(message, "put it in quotes"));
            }
        }
    }
}

/// Reads `text`, which must hold one document, and hands its root to `decode`. All problems come back at once, in
/// the order of the text.
pub fn decode<T>(text: &str, decode: impl FnOnce(&Node, &Problems) -> Option<T>) -> Result<T, Vec<Problem>> {
    guard_nesting(text)?;
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let numbers = Cell::new(0);
    let Some(first) = documents.next() else {
        return Err(vec![empty()]);
    };
    let root =
        Seed { numbers: &numbers, stop_at: None }.deserialize(first).map_err(|e| vec![syntax(text, &e)])?;
    if root.value == Value::Null {
        return Err(vec![empty()]);
    }
    if let Some(second) = documents.next() {
        let place = Seed { numbers: &Cell::new(0), stop_at: Some(0) }.deserialize(second).err();
        let (line, column) = place.as_ref().and_then(position).unwrap_or((1, 1));
        return Err(vec![Problem {
            line,
            column,
            message: "a second document starts here".into(),
            cure: "one file is one collector: move it to a file of its own".into(),
        }]);
    }
    let problems = Problems::default();
    let value = decode(&root, &problems);
    let mut noted = problems.0.into_inner();
    noted.sort_by_key(|(at, _)| *at);
    let left_out = noted.len().saturating_sub(MAX_PROBLEMS);
    let mut found: Vec<Problem> =
        noted.into_iter().take(MAX_PROBLEMS).map(|(at, wrong)| locate(text, at, wrong)).collect();
    found.sort_by_key(|p| (p.line, p.column));
    // What is wrong behind an anchor is wrong again behind each alias.
    found.dedup();
    if left_out > 0 {
        found.push(Problem::whole(format!("{left_out} more problems"), "mend those above first"));
    }
    match value {
        Some(value) if found.is_empty() => Ok(value),
        _ if found.is_empty() => Err(vec![Problem::whole("the file can't be read", "")]),
        _ => Err(found),
    }
}

fn empty() -> Problem {
    Problem::whole("the file is empty", "it needs at least `module: NAME`")
}

fn guard_nesting(text: &str) -> Result<(), Vec<Problem>> {
    let mut open = 0_usize;
    for (number, line) in text.lines().enumerate() {
        for (column, c) in line.chars().enumerate() {
            match c {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > MAX_OPEN_BRACKETS {
                return Err(vec![Problem {
                    line: number + 1,
                    column: column + 1,
                    message: format!("more than {MAX_OPEN_BRACKETS} brackets are open here"),
                    cure: "close them".into(),
                }]);
            }
        }
    }
    Ok(())
}

/// The place of node number `at`: reads the text again up to there.
fn locate(text: &str, at: usize, wrong: Wrong) -> Problem {
    let error = serde_yaml::Deserializer::from_str(text)
        .next()
        .and_then(|document| Seed { numbers: &Cell::new(0), stop_at: Some(at) }.deserialize(document).err());
    let (line, column) = error.as_ref().and_then(position).unwrap_or((0, 0));
    Problem { line, column, message: wrong.message, cure: wrong.cure }
}

fn position(error: &serde_yaml::Error) -> Option<(usize, usize)> {
    error.location().map(|place| (place.line(), place.column()))
}

/// An error of the parser itself: `WHAT at line L column C, CONTEXT`, less the position that it repeats.
fn syntax(text: &str, error: &serde_yaml::Error) -> Problem {
    let (line, column) = position(error).unwrap_or((0, 0));
    let words = error.to_string();
    if words.contains(TOO_MANY_VALUES) {
        return Problem { line, column, message: TOO_MANY_VALUES.into(), cure: "use fewer aliases".into() };
    }
    let (what, place) = words.split_once(" at line ").unwrap_or((&words, ""));
    let context = place.split_once(", ").map_or("", |(_, context)| context);
    let spot = line.checked_sub(1).and_then(|above| text.lines().nth(above));
    let cure = match spot.and_then(|source| source.chars().nth(column.saturating_sub(1))) {
        Some('\t') => "indent with blanks: YAML takes no tabs there",
        Some('@' | '`' | '%') => "put the value in quotes",
        _ => context,
    };
    Problem { line, column, message: format!("not valid YAML: {what}"), cure: cure.into() }
}

const TOO_MANY_VALUES: &str = "the file holds more than 100000 values, counting what aliases repeat";

/// `text` as it is quoted in a message: cut where it is long, so that no file makes a message of its own length.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}...`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

/// The word of `known` that `word` was most likely meant to be.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|k| (distance(word, k), *k))
        .filter(|(d, k)| *d <= (k.len() / 3).clamp(1, 3))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Edits from `a` to `b`: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&above, j) + usize::from(ca != cb)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

/// Builds nodes; fails at node `stop_at`, so that the parser tells where it is.
#[derive(Clone, Copy)]
struct Seed<'c> {
    numbers: &'c Cell<usize>,
    stop_at: Option<usize>,
}

impl Seed<'_> {
    fn number<E: de::Error>(self) -> Result<usize, E> {
        let at = self.numbers.get();
        if at >= MAX_VALUES {
            return Err(E::custom(TOO_MANY_VALUES));
        }
        self.numbers.set(at + 1);
        if self.stop_at == Some(at) { Err(E::custom("here")) } else { Ok(at) }
    }

    fn leaf<E: de::Error>(self, value: Value) -> Result<Node, E> {
        Ok(Node { at: self.number()?, value })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.leaf(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.leaf(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.leaf(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.leaf(Value::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.leaf(Value::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.leaf(Value::Integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        self.leaf(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        self.leaf(Value::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Node, E> {
        self.leaf(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let at = self.number()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node { at, value: Value::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let at = self.number()?;
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry_seed(self, self)? {
            map.push(entry);
        }
        Ok(Node { at, value: Value::Map(map) })
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let at = self.number()?;
        let (de::IgnoredAny, content) = tagged.variant()?;
        de::VariantAccess::newtype_variant::<de::IgnoredAny>(content)?;
        Ok(Node { at, value: Value::Tagged })
    }
}

impl Field for Node {
    fn read(node: &Node, _: &Problems) -> Option<Self> {
        Some(node.clone())
    }
}

/// Reads text by `parse`; a number or other value where text is meant is told to be quoted.
pub fn read_text<T>(
    node: &Node,
    problems: &Problems,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<T> {
    let wrong = match &node.value {
        Value::Text(text) => match parse(text) {
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        },
        other @ (Value::Bool(_) | Value::Integer(_) | Value::Float(_)) => {
            Wrong::new(format!("this is {}, where text is expected", other.kind()), "put it in quotes")
        }
        other => Wrong::new(format!("this is {}, where text is expected", other.kind()), "write a text"),
    };
    problems.report(node, wrong);
    None
}

impl Field for String {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| Ok(text.to_owned()))
    }
}

impl Field for bool {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        let message = format!("this is {}, where true or false is expected", node.value.kind());
        problems.report(node, Wrong::new(message, "write `true` or `false`"));
        None
    }
}

/// Reads a whole number between `low` and `high`.
pub fn read_integer(node: &Node, problems: &Problems, low: i128, high: i128) -> Option<i128> {
    let message = match node.value {
        Value::Integer(value) if (low..=high).contains(&value) => return Some(value),
        Value::Integer(value) => format!("{value} is out of range"),
        ref other => format!("this is {}, where a whole number is expected", other.kind()),
    };
    problems.report(node, Wrong::new(message, format!("write a whole number from {low} to {high}")));
    None
}

/// The items of a list; `cure` says how to write one.
pub fn read_list<'a>(node: &'a Node, problems: &Problems, cure: &str) -> Option<&'a [Node]> {
    let Value::List(items) = &node.value else {
        let message = format!("this is {}, where a list is expected", node.value.kind());
        problems.report(node, Wrong::new(message, cure));
        return None;
    };
    Some(items)
}

/// The entries of a free-form map; `cure` says how to write one. Keys that are not text or stand twice are reported.
pub fn read_map<'a>(node: &'a Node, problems: &Problems, cure: &str) -> Option<&'a [(Node, Node)]> {
    let Value::Map(entries) = &node.value else {
        let message = format!("this is {}, where a map is expected", node.value.kind());
        problems.report(node, Wrong::new(message, cure));
        return None;
    };
    check_keys(entries, problems);
    Some(entries)
}

/// What `read` makes of each entry of a free-form map; `cure` says how to write one.
pub fn read_entries<T>(
    node: &Node,
    problems: &Problems,
    cure: &str,
    read: impl FnMut(&(Node, Node)) -> Option<T>,
) -> Option<Vec<T>> {
    // Every entry is read, so that every problem is found.
    let read: Vec<Option<T>> = read_map(node, problems, cure)?.iter().map(read).collect();
    read.into_iter().collect()
}

impl<T: Field> Field for Vec<T> {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let items = read_list(node, problems, "write `[one, two]`, or a line `- one` for each")?;
        // Every item is read, so that every problem is found.
        let read: Vec<Option<T>> = items.iter().map(|item| T::read(item, problems)).collect();
        read.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(usize, usize, String)> {
        let decoded = decode(text, |root, problems| {
            let mut top = Section::open("file", root, problems)?;
            let _ = top.required::<String>("module", "write it");
            let _ = top.optional::<Vec<String>>("list");
            if let Some(node) = top.node("inner") {
                let mut inner = Section::open("inner", node, problems)?;
                let _ = inner.optional::<bool>("flag");
                inner.finish();
            }
            top.finish();
            Some(())
        });
        decoded.err().unwrap_or_default().into_iter().map(|p| (p.line, p.column, p.message)).collect()
    }

    #[test]
    fn every_problem_at_its_place() {
        let text = "module: 7\nlist: [a, 1, {b: c}]\ninner:\n  flag: maybe\n  flgs: 1\nmodule: x\n";
        let found = problems(text);
        let places: Vec<(usize, usize)> = found.iter().map(|p| (p.0, p.1)).collect();
        assert_eq!(places, [(1, 9), (2, 11), (2, 14), (4, 9), (5, 3), (6, 1)], "{found:#?}");
    }

    #[test]
    fn a_second_document_is_found_where_it_starts() {
        let found = problems("module: a\n---\nmodule: b\n");
        assert_eq!(found, [(3, 1, "a second document starts here".to_owned())]);
    }

    #[test]
    fn brackets_do_not_eat_time() {
        let found = problems(&"[".repeat(500_000));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1), (1, 201));
    }

    #[test]
    fn tags_and_aliases_and_merge_keys() {
        assert_eq!(problems("module: !x y\n")[0].2, "this is a value with a tag, where text is expected");
        assert_eq!(problems("module: &a m\nlist: [*a]\n"), []);
        assert_eq!(problems("module: m\n<<: {a: b}\n")[0].2, "unknown key `<<` in `file`");
    }

    #[test]
    fn nearest_words() {
        assert_eq!(nearest("cuont", &["count", "spacing"]), Some("count"));
        assert_eq!(nearest("xyz", &["count", "spacing"]), None);
    }
}
