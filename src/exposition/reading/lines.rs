//! Line by line: what each says of its family.

use super::super::family::Kind;
use super::super::flaw::{Fault, Flaw};
use super::super::parts::{Part, PartKind, Run};
use super::super::rules::{Finding, Rule};
use super::super::scan::{Label, Line, Scanner, Token, Word, is_blank};
use super::super::series::SeriesRef;
use super::super::text::short;
use super::entry::Help;
use super::{Grammar, Reader};

impl Reader {
    /// `rest` is what stands after the last line feed: nothing, or else a line that was cut.
    pub(super) fn after_last_line_feed(&mut self, at: usize, rest: &[u8]) {
        if rest.iter().any(|byte| !is_blank(*byte)) {
            self.unread = true;
            self.rejected_above = self.rejected_by;
            // 1.9.0 doesn't live to see the missing end.
            let mut scanner = Scanner::default();
            if matches!(scanner.scan(rest), Ok(Line::Quoted)) && scanner.quoted.name.is_none() {
                self.quoted(at, &scanner.quoted);
            }
            let flaw = if rest.first() == Some(&0) { Flaw::Nul } else { Flaw::Cut };
            self.fault(at + rest.len() - 1, flaw);
        } else if !rest.is_empty() {
            self.not_canonical(at, "blanks at the end");
        }
    }

    pub(super) fn line<'t>(&mut self, scanner: &mut Scanner<'t>, start: usize, bytes: &'t [u8]) {
        self.rejected_above = self.rejected_by;
        let line = self.scanned(scanner, start, bytes);
        self.unlike_promdrops(scanner, start, &line);
        if let Some(note) = scanner.note {
            self.fault_in(start, bytes, note);
        }
        match line {
            Ok(Line::Blank | Line::Comment) => {}
            Ok(Line::Help { name, text }) => self.help(start, name.at, name.bytes, text),
            Ok(Line::Type { name, kind }) => self.kind(start, name.at, name.bytes, kind),
            Ok(Line::QuotedHelp { name_at, text }) => {
                let name = scanner.quoted.name.as_deref().unwrap_or_default();
                self.help(start, name_at, name, text);
            }
            Ok(Line::QuotedType { name_at, kind }) => {
                let name = scanner.quoted.name.as_deref().unwrap_or_default();
                self.kind(start, name_at, name, kind);
            }
            Ok(Line::Sample { name, value_at, value }) => {
                self.sample(start, name, &scanner.labels, start + value_at, value);
            }
            Ok(Line::Quoted) => {
                let blanks = bytes.iter().take_while(|byte| is_blank(**byte)).count();
                self.quoted(start + blanks, &scanner.quoted);
            }
            Err(fault) => {
                self.unread = true;
                self.fault_in(start, bytes, fault);
            }
        }
    }

    /// What the line is, whether or not it ends in CR LF.
    fn scanned<'t>(
        &mut self,
        scanner: &mut Scanner<'t>,
        start: usize,
        bytes: &'t [u8],
    ) -> Result<Line<'t>, Fault> {
        let mut line = scanner.scan(bytes);
        if let Some(text) = bytes.strip_suffix(b"\r") {
            // node_exporter keeps a CR in comments, and as a part of HELP.
            match line {
                Ok(Line::Comment) if self.grammar != Grammar::Canonical => {}
                Ok(Line::Help { .. } | Line::QuotedHelp { .. }) if self.grammar == Grammar::Lenient => {}
                _ => {
                    line = scanner.scan(text);
                    // In a text full of them, one finding does.
                    if !self.saw_carriage_return {
                        self.saw_carriage_return = true;
                        self.fault(start + text.len(), Flaw::CarriageReturn);
                    }
                }
            }
        }
        line
    }

    /// What promdrop would have written otherwise.
    fn unlike_promdrops(&mut self, scanner: &Scanner<'_>, start: usize, line: &Result<Line<'_>, Fault>) {
        if self.grammar == Grammar::Canonical {
            if let Some(odd) = scanner.odd {
                self.fault(start + odd.at, odd.flaw);
            }
            if self.saw_family && matches!(line, Ok(Line::Comment)) {
                self.not_canonical(start, "a comment below the head");
            }
            self.saw_family |= !matches!(line, Ok(Line::Comment));
        }
    }

    fn help(&mut self, start: usize, name_at: usize, name: &[u8], text: Token<'_>) {
        let at = start + name_at;
        let is_first = !self.by_name.contains_key(name);
        let index = match self.whole_of(name) {
            Some((index, _)) => {
                let message = "the name is part of the histogram or summary declared above";
                let cure = "write the HELP of the whole, under its name";
                self.find(Finding::new(Rule::PartHelp, at, message, cure));
                index
            }
            None => self.family(at, name),
        };
        let Some(family) = self.families.get_mut(index) else { return };
        if text.bytes.is_empty() {
            return;
        }
        if family.help.is_some() {
            return self.fault(at, Flaw::SecondHelp);
        }
        family.help = Some(Help { at: start + text.at, bytes: text.bytes.into() });
        if !is_first {
            self.not_canonical(at, "HELP after other lines of its family");
        }
    }

    fn kind(&mut self, start: usize, name_at: usize, name: &[u8], word: Option<(Word, usize)>) {
        let at = start + name_at;
        let index = match self.whole_of(name) {
            // The whole has its TYPE already.
            Some(_) if word.is_some() => return self.fault(at, Flaw::SecondType),
            Some((index, _)) => index,
            None => self.family(at, name),
        };
        let Some(family) = self.families.get_mut(index) else { return };
        let Some((word, word_at)) = word else { return };
        if family.word.is_some() {
            return self.fault(at, Flaw::SecondType);
        }
        if family.sample_at.is_some() {
            return self.fault(at, Flaw::LateType);
        }
        family.word = Some(word);
        family.kind_at = Some(start + word_at);
        if word == Word::GaugeHistogram && self.grammar != Grammar::Lenient {
            self.gauge_histogram(start + word_at);
        }
    }

    pub(super) fn gauge_histogram(&mut self, at: usize) {
        self.find(Self::gauge_histogram_at(at));
    }

    pub(super) fn gauge_histogram_at(at: usize) -> Finding {
        let message = "node_exporter dies of the kind `gauge_histogram`";
        let cure = "the kinds are counter, gauge, histogram, summary and untyped";
        Finding::new(Rule::GaugeHistogram, at, message, cure)
    }

    fn sample(&mut self, start: usize, name: Token<'_>, labels: &[Label<'_>], value_at: usize, value: f64) {
        let at = start + name.at;
        let (index, part) = match self.last {
            Some((index, part)) if self.last_name == name.bytes => (index, part),
            _ => match self.whole_of(name.bytes) {
                Some((index, part)) => (index, part),
                None => (self.family(at, name.bytes), PartKind::Bare),
            },
        };
        if self.last != Some((index, part)) {
            self.last = Some((index, part));
            self.last_name.clear();
            self.last_name.extend_from_slice(name.bytes);
        }
        self.visit(at, index);
        self.last_sample = Some(index);
        let Some(family) = self.families.get_mut(index) else { return };
        family.sample_at.get_or_insert(at);
        let kind = family.kind();
        let Some(set) = self.labels(start, labels, index, kind, part) else {
            self.unread = true;
            return;
        };
        let is_published = self.grammar == Grammar::Printed && self.harms.is_empty();
        let Some(family) = self.families.get_mut(index) else { return };
        if is_published {
            family.keep(name, labels, value);
        }
        if kind.suffixes().is_empty() {
            family.series.push(SeriesRef { hash: set.hash, at });
            return;
        }
        let lacking = lacking(kind, part, set.bound);
        if set.is_new || family.parts.runs.is_empty() {
            family.parts.runs.push(Run { raw: set.raw, hash: set.hash, start: family.parts.parts.len() });
        }
        let ignored = lacking.is_some();
        family.parts.parts.push(Part { at, value_at, value, bound: set.bound, kind: part, ignored });
        if let Some(label) = lacking {
            self.ignored(at, name.bytes, kind, label);
        }
    }

    fn ignored(&mut self, at: usize, name: &[u8], kind: Kind, label: &str) {
        let name = short(std::str::from_utf8(name).unwrap_or_default()).into_owned();
        let (message, cure) = match label {
            "" => (
                format!("a sample `{name}` in the {} `{name}`", kind.word()),
                "its samples end in `_bucket`, `_sum` and `_count`",
            ),
            _ => (
                format!("`{name}` without a number for the label `{label}`"),
                "node_exporter leaves it out: add the label, or remove the sample",
            ),
        };
        self.find(Finding::new(Rule::IgnoredSample, at, message, cure));
    }
}

/// The label for want of which node_exporter leaves out a sample of a histogram or summary; `""` where none would help.
fn lacking(kind: Kind, part: PartKind, bound: f64) -> Option<&'static str> {
    match (kind, part) {
        (_, PartKind::Sum | PartKind::Count) => None,
        // A histogram is its parts alone.
        (Kind::Histogram, PartKind::Bare) => Some(""),
        (_, PartKind::Bucket) => bound.is_nan().then_some("le"),
        (_, PartKind::Bare) => bound.is_nan().then_some("quantile"),
    }
}
