//! Text to families, and the last look at a text before it is published.

use std::borrow::Cow;
use std::collections::HashMap;

use super::family::{Family, Sample};
use super::rules::{self, Part, Violation};
use super::scan::{Fault, Flaw, Label, Line, Scanner, Token, is_blank};
use crate::diagnostic::Problem;

/// Reads what a program printed: any spelling that every supported node_exporter takes with the same meaning.
/// Families come in the order they are first named, each with its samples together; families without samples and
/// labels with empty values are gone, as they are for node_exporter.
///
/// # Errors
/// Every place that some node_exporter (from 1.5.0 on) would reject, distort or die of, and every broken
/// [rule](rules), in the order of the text; of more than 100, the first. The messages quote the text.
pub fn read(text: &[u8]) -> Result<Vec<Family>, Vec<Problem>> {
    let mut families = Reader::new(text, Grammar::Printed).run()?;
    families.retain(|family| !family.samples.is_empty());
    for sample in families.iter_mut().flat_map(|family| &mut family.samples) {
        sample.labels.retain(|(_, value)| !value.is_empty());
    }
    Ok(families)
}

/// The last look before anything is published: whether `bytes` are in the one spelling that promdrop writes, and
/// keep every [rule](rules). Comments may stand only before the first family, where promdrop's header is.
///
/// # Errors
/// As for [`read`]; a problem here is a fault in promdrop, which then publishes nothing.
pub fn prove(bytes: &[u8]) -> Result<(), Vec<Problem>> {
    Reader::new(bytes, Grammar::Canonical).run().map(drop)
}

/// More problems than this help nobody, and hostile text could ask for memory with them.
const MOST_PROBLEMS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    /// What a program printed.
    Printed,
    /// What promdrop writes.
    Canonical,
}

/// Where in the text a family stands, in bytes from its start.
struct Place {
    /// The line that names it first.
    first: usize,
    help: Option<usize>,
    /// The name of each sample.
    samples: Vec<usize>,
}

struct Reader<'a> {
    text: &'a [u8],
    grammar: Grammar,
    families: Vec<Family>,
    places: Vec<Place>,
    by_name: HashMap<&'a str, usize>,
    /// The family of the line before.
    current: Option<usize>,
    faults: Vec<Fault>,
    saw_carriage_return: bool,
    saw_family: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], grammar: Grammar) -> Self {
        Self {
            text,
            grammar,
            families: Vec::new(),
            places: Vec::new(),
            by_name: HashMap::new(),
            current: None,
            faults: Vec::new(),
            saw_carriage_return: false,
            saw_family: false,
        }
    }

    fn run(mut self) -> Result<Vec<Family>, Vec<Problem>> {
        let mut scanner = Scanner::default();
        let mut start = 0;
        let mut lines = self.text.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_none() {
                self.after_last_line_feed(start, line);
            } else if self.faults.len() <= MOST_PROBLEMS {
                self.line(&mut scanner, start, line);
            }
            start += line.len() + 1;
        }
        if self.grammar == Grammar::Canonical {
            for (family, place) in self.families.iter().zip(&self.places) {
                if family.samples.is_empty() {
                    self.faults.push(not_canonical(place.first, "a family without samples"));
                }
            }
        }
        let mut violations = rules::violations(&self.families);
        if !self.faults.is_empty() {
            // A line that could not be read may hold the missing half.
            violations.retain(|violation| !violation.rule.needs_whole_text());
        }
        if self.faults.is_empty() && violations.is_empty() {
            return Ok(self.families);
        }
        Err(self.problems(violations))
    }

    /// `rest` is what stands after the last line feed: nothing, or else a line that was cut.
    fn after_last_line_feed(&mut self, at: usize, rest: &[u8]) {
        if rest.iter().any(|byte| !is_blank(*byte)) {
            let flaw = if rest.first() == Some(&0) { Flaw::Nul } else { Flaw::Cut };
            self.faults.push(Fault { at: at + rest.len() - 1, flaw });
        } else if !rest.is_empty() && self.grammar == Grammar::Canonical {
            self.faults.push(not_canonical(at, "blanks at the end"));
        }
    }

    fn line(&mut self, scanner: &mut Scanner<'a>, start: usize, bytes: &'a [u8]) {
        let (bytes, carriage_return) = match bytes.strip_suffix(b"\r") {
            Some(bytes) => (bytes, true),
            None => (bytes, false),
        };
        let line = scanner.scan(bytes);
        let is_comment = matches!(line, Ok(Line::Comment));
        // node_exporter keeps a CR in comments only; in a text full of them, one message does.
        let harmless = is_comment && self.grammar == Grammar::Printed;
        if carriage_return && !harmless && !self.saw_carriage_return {
            self.saw_carriage_return = true;
            self.faults.push(Fault { at: start + bytes.len(), flaw: Flaw::CarriageReturn });
        }
        if self.grammar == Grammar::Canonical {
            if let Some(odd) = scanner.odd {
                self.faults.push(Fault { at: start + odd.at, ..odd });
            }
            if is_comment && self.saw_family {
                self.faults.push(not_canonical(start, "a comment below the head"));
            }
        }
        self.saw_family |= !is_comment;
        match line {
            Ok(Line::Blank | Line::Comment) => {}
            Ok(Line::Help { name, text }) => self.help(start, name, text),
            Ok(Line::Type { name, kind }) => self.kind(start, name, kind),
            Ok(Line::Sample { name, value, .. }) => self.sample(start, name, &scanner.labels, value),
            Err(fault) => self.faults.push(Fault { at: start + fault.at, ..fault }),
        }
    }

    fn help(&mut self, start: usize, name: Token<'a>, text: Token<'a>) {
        let at = start + name.at;
        if self.whole_of(name.str()).is_some() {
            return self.faults.push(Fault { at, flaw: Flaw::PartDeclared });
        }
        let is_first = !self.by_name.contains_key(name.str());
        let index = self.family(at, name.str());
        let (Some(family), Some(place)) = (self.families.get_mut(index), self.places.get_mut(index)) else {
            return;
        };
        if text.bytes.is_empty() {
            return;
        }
        if family.help.is_some() {
            return self.faults.push(Fault { at, flaw: Flaw::SecondHelp });
        }
        family.help = Some(Cow::Owned(text.unescaped().into_owned()));
        place.help = Some(start + text.at);
        if !is_first && self.grammar == Grammar::Canonical {
            self.faults.push(not_canonical(at, "HELP after other lines of its family"));
        }
    }

    fn kind(&mut self, start: usize, name: Token<'a>, kind: Option<super::Kind>) {
        let at = start + name.at;
        if self.whole_of(name.str()).is_some() {
            return self.faults.push(Fault { at, flaw: Flaw::PartDeclared });
        }
        let index = self.family(at, name.str());
        let Some(family) = self.families.get_mut(index) else { return };
        let Some(kind) = kind else { return };
        if family.kind.is_some() {
            self.faults.push(Fault { at, flaw: Flaw::SecondType });
        } else if family.samples.is_empty() {
            family.kind = Some(kind);
        } else {
            self.faults.push(Fault { at, flaw: Flaw::LateType });
        }
    }

    fn sample(&mut self, start: usize, name: Token<'a>, labels: &[Label<'a>], value: f64) {
        let at = start + name.at;
        let index = match self.whole_of(name.str()) {
            Some(index) => {
                self.visit(at, index);
                index
            }
            None => self.family(at, name.str()),
        };
        let (Some(family), Some(place)) = (self.families.get_mut(index), self.places.get_mut(index)) else {
            return;
        };
        let owned = |token: Token<'a>| Cow::Owned(token.unescaped().into_owned());
        family.samples.push(Sample {
            name: owned(name),
            labels: labels.iter().map(|label| (owned(label.name), owned(label.value))).collect(),
            value,
        });
        place.samples.push(at);
    }

    /// The histogram or summary that `name` is a part of. As for node_exporter, a family of that very name goes
    /// first, and the TYPE of the whole must have come before.
    fn whole_of(&self, name: &str) -> Option<usize> {
        if self.by_name.contains_key(name) {
            return None;
        }
        let (base, suffix) = name.split_at_checked(name.rfind('_')?)?;
        let index = *self.by_name.get(base)?;
        let kind = self.families.get(index)?.kind?;
        kind.suffixes().contains(&suffix).then_some(index)
    }

    /// The family called `name`, made if this is the first line that names it.
    fn family(&mut self, at: usize, name: &'a str) -> usize {
        if let Some(&index) = self.by_name.get(name) {
            self.visit(at, index);
            return index;
        }
        let index = self.families.len();
        self.families.push(Family {
            name: Cow::Owned(name.to_owned()),
            help: None,
            kind: None,
            samples: Vec::new(),
        });
        self.places.push(Place { first: at, help: None, samples: Vec::new() });
        self.by_name.insert(name, index);
        self.current = Some(index);
        index
    }

    fn visit(&mut self, at: usize, index: usize) {
        if self.current != Some(index) && self.grammar == Grammar::Canonical {
            self.faults.push(not_canonical(at, "the lines of a family are not together"));
        }
        self.current = Some(index);
    }

    /// Everything that was found, in the order of the text.
    fn problems(&self, mut violations: Vec<Violation>) -> Vec<Problem> {
        let more = self.faults.len() + violations.len() > MOST_PROBLEMS;
        // Before their exact places are looked up: a line can hold as many as it has labels.
        violations.sort_by_key(|violation| self.owner(violation));
        violations.truncate(MOST_PROBLEMS);
        let violations = violations
            .into_iter()
            .map(|violation| (self.find(&violation), violation.message, violation.cure));
        let faults = self.faults.iter().map(|fault| {
            let (message, cure) = fault.flaw.describe(&self.quote(fault.at));
            (fault.at, message, cure.to_owned())
        });
        let mut found: Vec<_> = faults.chain(violations).collect();
        found.sort_by_key(|(at, ..)| *at);
        found.truncate(MOST_PROBLEMS);
        let mut position = Position { text: self.text, line: 1, start: 0 };
        let mut problems: Vec<Problem> = found
            .into_iter()
            .map(|(at, message, cure)| {
                let (line, column) = position.of(at);
                Problem { line, column, message, cure }
            })
            .collect();
        if more {
            let message = format!("more problems follow these {MOST_PROBLEMS}");
            problems.push(Problem::whole(message, "mend these first"));
        }
        problems
    }

    /// The start of the word at `at`.
    fn quote(&self, at: usize) -> String {
        let rest = self.text.get(at..).unwrap_or_default();
        let is_end = |byte: &u8| is_blank(*byte) || *byte == b'\n';
        let end = rest.iter().take(160).position(is_end).unwrap_or(rest.len().min(160)).max(1);
        let word = String::from_utf8_lossy(rest.get(..end).unwrap_or(rest));
        rules::short(word.trim_end_matches('\r')).into_owned()
    }

    /// Where in the text the sample or family stands that breaks a rule.
    fn owner(&self, violation: &Violation) -> usize {
        let Some(place) = self.places.get(violation.family) else { return 0 };
        match (violation.sample, violation.part) {
            (Some(sample), _) => place.samples.get(sample).copied().unwrap_or(place.first),
            (None, Part::Help) => place.help.unwrap_or(place.first),
            (None, _) => place.first,
        }
    }

    /// Where in the text the part stands that breaks a rule.
    fn find(&self, violation: &Violation) -> usize {
        let at = self.owner(violation);
        // Where the tokens of a sample stand isn't kept: it is wanted only here.
        let rest = self.text.get(at..).unwrap_or_default();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut scanner = Scanner::default();
        let token = match (violation.part, scanner.scan(line.strip_suffix(b"\r").unwrap_or(line))) {
            (Part::Value, Ok(Line::Sample { value_at, .. })) => Some(value_at),
            (Part::Label(index), Ok(_)) => scanner.labels.get(index).map(|label| label.name.at),
            _ => None,
        };
        at + token.unwrap_or(0)
    }
}

fn not_canonical(at: usize, what: &'static str) -> Fault {
    Fault { at, flaw: Flaw::NotCanonical(what) }
}

/// Turns byte offsets, given in rising order, into lines and columns.
struct Position<'a> {
    text: &'a [u8],
    line: usize,
    /// Where the line begins.
    start: usize,
}

impl Position<'_> {
    fn of(&mut self, at: usize) -> (usize, usize) {
        let passed = self.text.get(self.start..at).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        if let Some(last) = passed.iter().rposition(|byte| *byte == b'\n') {
            self.start += last + 1;
        }
        let before = self.text.get(self.start..at).unwrap_or_default();
        (self.line, String::from_utf8_lossy(before).chars().count() + 1)
    }
}
