//! One text to what stands in it, in one pass: each line to its tokens, what they say of their families, and what is
//! wrong with it. The grammar decides what is wrong; what node_exporter makes of the text is the same in all three.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::family::{Family, Kind, Sample};
use super::parts::{Part, PartKind, Parts, Run};
use super::reserved::{self, Reserved, Tier};
use super::rules::{Finding, Harm, Rule, Versions};
use super::scan::{Flaw, Label, Line, Scanner, Token, Word, is_blank, is_label_byte, number};
use super::series::{self, SeriesRef, label_hash};
use super::text::{Position, short};
use super::{Facts, FamilyFacts, style};
use crate::diagnostic::Problem;

/// More problems than this help nobody, and hostile text could ask for memory with them.
pub(super) const MOST: usize = 100;

/// What one file's text holds, and what is wrong with it.
#[derive(Debug)]
pub struct Reading {
    /// What node_exporter makes of it.
    pub facts: Facts,
    /// What harms, in the order of the text, then what is advice; at most 100 of each.
    pub findings: Vec<Finding>,
    /// How many more findings there are.
    pub more: usize,
}

/// Reads one file's text as node_exporter does, whoever wrote it, and finds what would do harm on any supported
/// version, or is bad style.
pub fn inspect(text: &[u8]) -> Reading {
    let mut reader = Reader::new(text, Grammar::Lenient);
    let families = reader.run();
    let facts = Facts { families, rejected_by: reader.rejected_by, worst: reader.worst() };
    let (mut findings, more_harms) = reader.harms.into_sorted(text);
    let (advice, more_advice) = reader.advice.into_sorted(text);
    findings.extend(advice);
    Reading { facts, findings, more: more_harms + more_advice }
}

/// Reads what a program printed: any spelling that every supported node_exporter takes with the same meaning, and
/// what promdrop would publish.
/// Families come in the order they are first named, each with its samples together; families without samples and
/// labels with empty values are gone, as they are for node_exporter.
///
/// # Errors
/// Every place that some node_exporter (from 1.5.0 on) would reject, distort or die of, and every other broken
/// [rule](super::Rule) for what promdrop publishes, in the order of the text; of more than 100, the first. The messages
/// quote the text.
pub fn read(text: &[u8]) -> Result<Vec<Family>, Vec<Problem>> {
    check(text, Grammar::Printed)?;
    Ok(families(text))
}

/// The last look before anything is published: whether `bytes` are in the one spelling that promdrop writes, and
/// keep every [rule](super::Rule). Comments may stand only before the first family, where promdrop's header is.
///
/// # Errors
/// As for [`read`]; a problem here is a fault in promdrop, which then publishes nothing.
pub fn prove(bytes: &[u8]) -> Result<Facts, Vec<Problem>> {
    let families = check(bytes, Grammar::Canonical)?;
    Ok(Facts { families, rejected_by: Versions::NONE, worst: None })
}

fn check(text: &[u8], grammar: Grammar) -> Result<Vec<FamilyFacts>, Vec<Problem>> {
    let mut reader = Reader::new(text, grammar);
    let families = reader.run();
    if reader.harms.is_empty() {
        return Ok(families);
    }
    let (findings, more) = reader.harms.into_sorted(text);
    let mut position = Position::new(text);
    let mut problems: Vec<Problem> = findings
        .into_iter()
        .map(|Finding { at, message, cure, .. }| {
            let (line, column) = position.of(at);
            Problem { line, column, message, cure }
        })
        .collect();
    if more > 0 {
        problems.push(Problem::whole(format!("more problems follow these {MOST}"), "mend these first"));
    }
    Err(problems)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    /// Whatever node_exporter takes.
    Lenient,
    /// What a program printed for promdrop to publish.
    Printed,
    /// What promdrop writes.
    Canonical,
}

/// Findings, of which the first in the text are kept.
#[derive(Debug, Default)]
struct Findings {
    kept: Vec<Finding>,
    dropped: usize,
}

impl Findings {
    fn push(&mut self, finding: Finding) {
        self.kept.push(finding);
        if self.kept.len() >= 4 * MOST {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.kept.sort_by_key(|finding| finding.at);
        self.dropped += self.kept.len().saturating_sub(MOST);
        self.kept.truncate(MOST);
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Those kept, in the order of `text`, each with the line it refers to; how many were not.
    fn into_sorted(mut self, text: &[u8]) -> (Vec<Finding>, usize) {
        self.trim();
        let mut referring: Vec<(usize, &mut String)> =
            self.kept.iter_mut().filter_map(|finding| Some((finding.other?, &mut finding.message))).collect();
        referring.sort_by_key(|(other, _)| *other);
        let mut position = Position::new(text);
        for (other, message) in referring {
            message.push_str(&format!(", in line {}", position.of(other).0));
        }
        (self.kept, self.dropped)
    }
}

/// What the text says of a family.
struct Entry<'t> {
    name: Cow<'t, [u8]>,
    /// The line that names it first.
    first: usize,
    help: Option<Token<'t>>,
    word: Option<Word>,
    kind_at: Option<usize>,
    /// The samples of a counter, gauge or untyped family.
    series: Vec<SeriesRef>,
    /// Those of a histogram or summary.
    parts: Parts,
    /// The first sample.
    sample_at: Option<usize>,
    /// Which series it has in which version can't be told.
    opaque: bool,
}

impl Entry<'_> {
    fn kind(&self) -> Kind {
        match self.word {
            Some(Word::Kind(kind)) => kind,
            Some(Word::GaugeHistogram) | None => Kind::Untyped,
        }
    }

    fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or_default()
    }
}

struct Reader<'t> {
    text: &'t [u8],
    grammar: Grammar,
    families: Vec<Entry<'t>>,
    by_name: HashMap<Cow<'t, [u8]>, usize, RandomState>,
    /// The family of the line before.
    current: Option<usize>,
    /// The name of the sample before, and what it was found to be: the next one is mostly called the same.
    last: Option<(&'t [u8], usize, PartKind)>,
    /// The labels of the last sample of a histogram or summary, without the bound, and what they come to.
    before: Vec<Label<'t>>,
    before_sums: LabelSums,
    before_family: Option<usize>,
    /// The family of the last sample that has a name.
    last_sample: Option<usize>,
    harms: Findings,
    advice: Findings,
    rejected_by: Versions,
    /// The worst that was found, apart from rejections.
    worst: Option<Harm>,
    /// What was rejected above the line that is looked at.
    rejected_above: Versions,
    /// Some version dies while it reads, whatever else it would reject the text for.
    dies_reading: bool,
    /// A line that could not be read.
    unread: bool,
    saw_carriage_return: bool,
    saw_family: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t [u8], grammar: Grammar) -> Self {
        Self {
            text,
            grammar,
            families: Vec::new(),
            by_name: HashMap::default(),
            current: None,
            last: None,
            last_sample: None,
            before: Vec::new(),
            before_sums: LabelSums::default(),
            before_family: None,
            harms: Findings::default(),
            advice: Findings::default(),
            rejected_by: Versions::NONE,
            worst: None,
            rejected_above: Versions::NONE,
            dies_reading: false,
            unread: false,
            saw_carriage_return: false,
            saw_family: false,
        }
    }

    fn run(&mut self) -> Vec<FamilyFacts> {
        let text = self.text;
        let mut scanner = Scanner::of(text);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text) {
            // Past so many, no version reads on, and nobody wants to.
            if self.harms.dropped > 0 && self.rejected_by.is_all() {
                break;
            }
            self.line(&mut scanner, start, text.get(start..end).unwrap_or_default());
            start = end + 1;
        }
        if !text.get(start..).unwrap_or_default().contains(&b'\n') {
            self.after_last_line_feed(start, text.get(start..).unwrap_or_default());
        }
        self.whole();
        let families = std::mem::take(&mut self.families);
        // What is not UTF-8 stood in quotes: no version serves it, and it has no name to compare it by.
        let is_served = |family: &Entry<'_>| family.sample_at.is_some() && !family.name().is_empty();
        families.into_iter().filter(is_served).map(facts).collect()
    }

    /// The class of the file as a whole: what is rejected by all versions does nothing else.
    fn worst(&self) -> Option<Harm> {
        if self.rejected_by.is_all() && !self.dies_reading { Some(Harm::Reject) } else { self.worst }
    }

    /// Takes what was found: a harm, or in what promdrop publishes, all that it would not have written.
    fn find(&mut self, finding: Finding) {
        match finding.harm {
            Some(harm) => {
                self.rejected_by = self.rejected_by.or(finding.rule.rejected_by());
                self.worst = self.worst.max(Some(harm));
                self.harms.push(finding);
            }
            None if self.grammar == Grammar::Lenient => self.advice.push(finding),
            None => self.harms.push(finding),
        }
    }

    /// What is only a matter of style, and no reason to refuse anything.
    fn advise(&mut self, rule: Rule, at: usize, message: String, cure: &str) {
        if self.grammar == Grammar::Lenient {
            self.advice.push(Finding::new(rule, at, message, cure));
        }
    }

    fn fault(&mut self, at: usize, flaw: Flaw) {
        let (message, cure) = flaw.describe(&self.quote(at));
        self.find(Finding::new(flaw.rule(), at, message, cure));
    }

    fn not_canonical(&mut self, at: usize, what: &'static str) {
        if self.grammar == Grammar::Canonical {
            self.fault(at, Flaw::NotCanonical(what));
        }
    }

    /// `rest` is what stands after the last line feed: nothing, or else a line that was cut.
    fn after_last_line_feed(&mut self, at: usize, rest: &[u8]) {
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

    fn line(&mut self, scanner: &mut Scanner<'t>, start: usize, bytes: &'t [u8]) {
        self.rejected_above = self.rejected_by;
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
        if self.grammar == Grammar::Canonical {
            if let Some(odd) = scanner.odd {
                self.fault(start + odd.at, odd.flaw);
            }
            if self.saw_family && matches!(line, Ok(Line::Comment)) {
                self.not_canonical(start, "a comment below the head");
            }
            self.saw_family |= !matches!(line, Ok(Line::Comment));
        }
        if let Some(note) = scanner.note {
            self.fault(start + note.at, note.flaw);
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
                self.fault(start + fault.at, fault.flaw);
            }
        }
    }

    fn help(&mut self, start: usize, name_at: usize, name: &[u8], text: Token<'t>) {
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
        let text = Token { at: start + text.at, ..text };
        let Some(family) = self.families.get_mut(index) else { return };
        if text.bytes.is_empty() {
            return;
        }
        if family.help.is_some() {
            return self.fault(at, Flaw::SecondHelp);
        }
        family.help = Some(text);
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

    fn gauge_histogram(&mut self, at: usize) {
        self.find(Self::gauge_histogram_at(at));
    }

    fn gauge_histogram_at(at: usize) -> Finding {
        let message = "node_exporter dies of the kind `gauge_histogram`";
        let cure = "the kinds are counter, gauge, histogram, summary and untyped";
        Finding::new(Rule::GaugeHistogram, at, message, cure)
    }

    fn sample(&mut self, start: usize, name: Token<'t>, labels: &[Label<'t>], value_at: usize, value: f64) {
        let at = start + name.at;
        let (index, part) = match self.last {
            Some((last, index, part)) if last == name.bytes => (index, part),
            _ => match self.whole_of(name.bytes) {
                Some((index, part)) => (index, part),
                None => (self.family(at, name.bytes), PartKind::Bare),
            },
        };
        self.last = Some((name.bytes, index, part));
        self.visit(at, index);
        self.last_sample = Some(index);
        let Some(family) = self.families.get_mut(index) else { return };
        family.sample_at.get_or_insert(at);
        let kind = family.kind();
        let Some(set) = self.labels(start, labels, index, kind, part) else {
            self.unread = true;
            return;
        };
        let Some(family) = self.families.get_mut(index) else { return };
        if kind.suffixes().is_empty() {
            family.series.push(SeriesRef { hash: set.hash, at });
            return;
        }
        let ignored = match (kind, part) {
            (_, PartKind::Sum | PartKind::Count) => None,
            (_, PartKind::Bucket) => Some("le"),
            // A histogram is its parts alone.
            (Kind::Histogram, PartKind::Bare) => Some(""),
            (_, PartKind::Bare) => Some("quantile"),
        }
        .filter(|_| set.bound.is_nan() || kind == Kind::Histogram && part == PartKind::Bare);
        if set.is_new || family.parts.runs.is_empty() {
            family.parts.runs.push(Run { raw: set.raw, hash: set.hash, start: family.parts.parts.len() });
        }
        let ignored_too = ignored.is_some();
        family.parts.parts.push(Part {
            at,
            value_at,
            value,
            bound: set.bound,
            kind: part,
            ignored: ignored_too,
        });
        if let Some(label) = ignored {
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

    /// What the labels of a sample come to; `None` where a bound is no number, so that nobody can tell.
    fn labels(
        &mut self,
        start: usize,
        labels: &[Label<'t>],
        family: usize,
        kind: Kind,
        part: PartKind,
    ) -> Option<LabelSums> {
        let own = kind.bound().map(str::as_bytes);
        let mut bound = f64::NAN;
        let mut bounds = 0;
        // The bounds first: most samples of a histogram are like the one before but for them.
        if own.is_some() {
            for label in labels.iter().filter(|label| Some(label.name.bytes) == own) {
                bounds += 1;
                bound = self.bound(start + label.name.at, label, part, bounds)?;
            }
            if self.before_family == Some(family) && is_same_set(&self.before, labels, own) {
                let LabelSums { hash, raw, .. } = self.before_sums;
                return Some(LabelSums { hash, raw, bound, is_new: false });
            }
        }
        let mut set = LabelSums { hash: 0, raw: 0, bound, is_new: true };
        for label in labels.iter().filter(|label| bounds == 0 || Some(label.name.bytes) != own) {
            let name = label.name.bytes;
            if name.starts_with(b"__") {
                self.reserved_label(start + label.name.at, name);
            } else if matches!(name, b"le" | b"quantile") {
                self.misplaced_label(start + label.name.at, name);
            }
            let hash = label_hash(label);
            set.raw = set.raw.wrapping_add(hash);
            if !label.value.bytes.is_empty() {
                set.hash = set.hash.wrapping_add(hash);
            }
        }
        if labels.len() > 1
            && let Some(label) = repeated(labels, own)
        {
            let message = format!("a second label `{}`", short(label.name.str()));
            let at = start + label.name.at;
            self.find(Finding::new(Rule::DuplicateLabel, at, message, "keep one of the two"));
        }
        if own.is_some() {
            self.before.clear();
            self.before.extend(labels.iter().filter(|label| Some(label.name.bytes) != own));
            self.before_sums = set;
            self.before_family = Some(family);
        }
        Some(set)
    }

    /// The number of a label `le` or `quantile`.
    fn bound(&mut self, at: usize, label: &Label<'t>, part: PartKind, count: usize) -> Option<f64> {
        let name = label.name.str();
        if count == 2 {
            let message = format!("a second label `{name}`");
            self.find(Finding::new(Rule::RepeatedBound, at, message, "keep one of the two"));
        }
        if matches!(part, PartKind::Sum | PartKind::Count) {
            let message = format!("the label `{name}` on a sum or count");
            let cure = "node_exporter leaves it out: remove the label";
            let finding = Finding::new(Rule::MisplacedLabel, at, message, cure);
            self.find(Finding { harm: Some(Harm::Distort), ..finding });
        }
        let bound = number(label.value.bytes).ok();
        if bound.is_none() {
            let message = format!("`{}` is no number for the label `{name}`", short(label.value.str()));
            self.find(Finding::new(Rule::Bound, at, message, "write a decimal number, or +Inf"));
        }
        bound
    }

    fn reserved_label(&mut self, at: usize, name: &[u8]) {
        if name == b"__name__" {
            let message = "the label name `__name__`, which is the metric's own name";
            return self.find(Finding::new(Rule::NameLabel, at, message, "choose another label name"));
        }
        let message = format!(
            "the label name `{}` begins with `__`: node_exporter dies of it",
            short(&String::from_utf8_lossy(name))
        );
        self.find(Finding::new(Rule::ReservedLabel, at, message, "choose another label name"));
    }

    fn misplaced_label(&mut self, at: usize, name: &[u8]) {
        let message =
            format!("the label `{}` on a sample that it has no meaning for", String::from_utf8_lossy(name));
        let cure = "`le` is for the buckets of a histogram, `quantile` for the quantiles of a summary, each with its \
                    TYPE line before the samples";
        self.find(Finding::new(Rule::MisplacedLabel, at, message, cure));
    }

    /// A sample with quotes or without a name.
    fn quoted(&mut self, at: usize, quoted: &super::quoted::Quoted) {
        let cure = "write a name of letters, digits, `_` and `:` before the brace, without quotes: name{label=\"value\"} 1";
        let Some(name) = &quoted.name else {
            return self.nameless(at, quoted.ends_in_value, cure);
        };
        let legal = is_name(name, true) && quoted.labels.iter().all(|label| is_name(label, false));
        if let Some(label) = quoted.labels.iter().find(|label| label.starts_with(b"__")) {
            self.reserved_label(at, label);
        }
        let index = match self.whole_of(name) {
            Some((index, _)) => index,
            None => self.family(at, name),
        };
        self.last_sample = Some(index);
        if let Some(family) = self.families.get_mut(index) {
            family.sample_at.get_or_insert(at);
            family.opaque = true;
        }
        let finding = if legal {
            Finding::new(Rule::QuotedName, at, "a name in quotes", cure)
        } else {
            let message = "in quotes, a name that is none without them: node_exporter 1.9.0 dies of it";
            Finding::new(Rule::IllegalName, at, message, cure)
        };
        self.find(finding);
    }

    fn nameless(&mut self, at: usize, ends_in_value: bool, cure: &str) {
        if self.current.is_none() && ends_in_value {
            let message = "labels without a metric name";
            return self.find(Finding::new(Rule::MetricName, at, message, cure));
        }
        let Some(last_sample) = self.last_sample else {
            // It does so within its parser, before it comes to what it would reject below.
            self.dies_reading |= !self.rejected_above.contains(Versions::V1_9);
            let message = "labels without a metric name: node_exporter 1.9.0 dies of it";
            return self.find(Finding::new(Rule::NamelessBraces, at, message, cure));
        };
        // The sample before gets the value, and the family of the line before gets the sample.
        for index in [Some(last_sample), self.current].into_iter().flatten() {
            if let Some(family) = self.families.get_mut(index) {
                family.sample_at.get_or_insert(at);
                family.opaque = true;
            }
        }
        self.find(Finding::new(Rule::OverwritingBraces, at, "labels without a metric name", cure));
    }

    /// The histogram or summary that `name` is a part of, and which. As for node_exporter, a family of that very name
    /// goes first, and the TYPE of the whole must have come before.
    fn whole_of(&self, name: &[u8]) -> Option<(usize, PartKind)> {
        if self.by_name.contains_key(name) {
            return None;
        }
        // A family without a name, which quotes can declare, has no parts.
        let at = memchr::memrchr(b'_', name).filter(|at| *at > 0)?;
        let (base, suffix) = name.split_at_checked(at)?;
        let part = match suffix {
            b"_bucket" => PartKind::Bucket,
            b"_sum" => PartKind::Sum,
            b"_count" => PartKind::Count,
            _ => return None,
        };
        let index = *self.by_name.get(base)?;
        let kind = self.families.get(index)?.kind();
        let is_part = match part {
            PartKind::Bucket => kind == Kind::Histogram,
            _ => matches!(kind, Kind::Histogram | Kind::Summary),
        };
        is_part.then_some((index, part))
    }

    /// The family called `name`, made if this is the first line that names it.
    fn family(&mut self, at: usize, name: &[u8]) -> usize {
        if let Some(&index) = self.by_name.get(name) {
            self.visit(at, index);
            return index;
        }
        let index = self.families.len();
        // A slice of the text, unless it stood in quotes.
        let name = match self.text.get(at..at + name.len()) {
            Some(there) if there == name => Cow::Borrowed(there),
            _ => Cow::Owned(name.to_vec()),
        };
        self.families.push(Entry {
            name: name.clone(),
            first: at,
            help: None,
            word: None,
            kind_at: None,
            series: Vec::new(),
            parts: Parts::default(),
            sample_at: None,
            opaque: false,
        });
        self.by_name.insert(name, index);
        self.current = Some(index);
        index
    }

    fn visit(&mut self, at: usize, index: usize) {
        if self.current != Some(index) {
            self.not_canonical(at, "the lines of a family are not together");
            self.current = Some(index);
        }
    }

    /// What can only be judged once all is read.
    fn whole(&mut self) {
        let mut families = std::mem::take(&mut self.families);
        for family in &mut families {
            self.family_as_a_whole(family);
        }
        self.suffix_clashes(&families);
        self.families = families;
    }

    fn family_as_a_whole(&mut self, family: &mut Entry<'t>) {
        let kind = family.kind();
        self.help_text(family);
        if family.sample_at.is_none() {
            return self.not_canonical(family.first, "a family without samples");
        }
        if family.word == Some(Word::GaugeHistogram) && self.grammar == Grammar::Lenient {
            self.gauge_histogram(family.kind_at.unwrap_or(family.first));
        }
        self.reserved_name(family, kind);
        let text = self.text;
        if kind.suffixes().is_empty() {
            let labels = |at| series::labels_at(text, at, None, false);
            let found = series::duplicates(&mut family.series, labels);
            for (first, at) in found {
                self.duplicate(family, first, at);
            }
        } else {
            let whole = std::mem::take(&mut family.parts).whole(text, family.name(), kind);
            for finding in whole.findings {
                if !(self.unread && finding.rule.needs_whole_text()) {
                    self.find(finding);
                }
            }
            family.series = whole.groups;
            for (first, at) in whole.duplicates {
                self.duplicate(family, first, at);
            }
        }
        if self.grammar == Grammar::Lenient {
            let has = style::Declared { help: family.help.is_some(), kind: family.word.map(|_| kind) };
            for (rule, message, cure) in style::advice(family.name(), has) {
                self.advise(rule, family.first, message, cure);
            }
        }
    }

    fn duplicate(&mut self, family: &Entry<'t>, first: usize, at: usize) {
        let message = format!("this series of `{}` is there already", short(family.name()));
        let cure = "print each series once; give it a label that tells the two apart";
        let finding = Finding::new(Rule::DuplicateSeries, at, message, cure);
        self.find(Finding { other: Some(first), ..finding });
    }

    fn help_text(&mut self, family: &Entry<'t>) {
        let Some(help) = family.help else { return };
        let Ok(text) = std::str::from_utf8(help.bytes) else {
            let message = "the HELP text is not UTF-8: Prometheus would refuse the whole scrape";
            let finding = Finding::new(
                Rule::HelpUtf8,
                help.at,
                message,
                "print UTF-8, or set a UTF-8 locale for the command",
            );
            // Without samples node_exporter drops it.
            if family.sample_at.is_some() || self.grammar != Grammar::Lenient {
                self.find(finding);
            }
            return;
        };
        let (message, cure) = if text.ends_with([' ', '\t']) {
            ("blanks at the end of HELP", "remove them: HELP must be the same byte for byte in all files")
        } else if text.trim().is_empty() {
            ("an empty HELP", "write what the number means, or leave HELP out")
        } else if text.contains(|c: char| c.is_control() && c != '\t') {
            ("a control character in HELP", "remove it")
        } else {
            return;
        };
        self.find(Finding::new(Rule::HelpText, help.at, message, cure));
    }

    fn reserved_name(&mut self, family: &Entry<'t>, kind: Kind) {
        let Some(Reserved { tier, harm, message, .. }) = reserved::owner(family.name(), kind) else { return };
        match tier {
            Tier::Default => {
                let finding = Finding::new(Rule::ReservedName, family.first, message, "choose another name");
                self.find(Finding { harm: Some(harm), ..finding });
            }
            // Only a live node_exporter can tell whether the collector runs.
            Tier::Optional { collector } => {
                let cure =
                    format!("choose another name, or never switch on node_exporter's collector {collector}");
                self.advise(Rule::OptionalName, family.first, message, &cure);
            }
        }
    }

    fn suffix_clashes(&mut self, families: &[Entry<'t>]) {
        for family in families {
            if family.word == Some(Word::GaugeHistogram) && family.sample_at.is_none() {
                self.gauge_histogram_parts(family, families);
            }
            if family.sample_at.is_none() {
                continue;
            }
            let kind = family.kind();
            for suffix in kind.suffixes() {
                let part = [&*family.name, suffix.as_bytes()].concat();
                let Some(other) = self.by_name.get(part.as_slice()).and_then(|index| families.get(*index))
                else {
                    continue;
                };
                if other.sample_at.is_some() {
                    let (part, name) = (short(other.name()), short(family.name()));
                    let message = format!("`{part}` is a part of the {} `{name}`", kind.word());
                    self.find(Finding::new(
                        Rule::SuffixClash,
                        other.first,
                        message,
                        "rename one of the two families",
                    ));
                }
            }
        }
    }

    /// Up to 1.9.0 these are families of their own. Later versions take them for parts where they stand below the TYPE:
    /// they die of samples, and reject a second TYPE or HELP.
    fn gauge_histogram_parts(&mut self, family: &Entry<'t>, families: &[Entry<'t>]) {
        let Some(kind_at) = family.kind_at.filter(|_| self.grammar == Grammar::Lenient) else { return };
        let part = |suffix: &&'static str| {
            let part = [&*family.name, suffix.as_bytes()].concat();
            self.by_name.get(part.as_slice()).and_then(|index| families.get(*index))
        };
        let parts: Vec<&Entry<'_>> = Kind::Histogram.suffixes().iter().filter_map(part).collect();
        let mut below = parts.iter().filter(|part| part.first > kind_at);
        let helps = below.clone().filter(|part| part.help.is_some()).count();
        if below.clone().any(|part| part.sample_at.is_some()) {
            self.gauge_histogram(kind_at);
        } else if below.any(|part| part.word.is_some()) || helps + usize::from(family.help.is_some()) > 1 {
            self.find(Finding { harm: Some(Harm::Reject), ..Self::gauge_histogram_at(kind_at) });
        }
    }

    /// The start of the word at `at`.
    fn quote(&self, at: usize) -> String {
        let rest = self.text.get(at..).unwrap_or_default();
        let is_end = |byte: &u8| is_blank(*byte) || *byte == b'\n';
        let end = rest.iter().take(160).position(is_end).unwrap_or(rest.len().min(160)).max(1);
        let word = String::from_utf8_lossy(rest.get(..end).unwrap_or(rest));
        short(word.trim_end_matches('\r')).into_owned()
    }
}

/// Whether `labels` are those of `before`, in the same order, but for `own`.
fn is_same_set(before: &[Label<'_>], labels: &[Label<'_>], own: Option<&[u8]>) -> bool {
    let mut others = labels.iter().filter(|label| Some(label.name.bytes) != own);
    let same = |one: &Label<'_>, two: &Label<'_>| {
        one.name.bytes == two.name.bytes && one.value.bytes == two.value.bytes
    };
    before.iter().all(|one| others.next().is_some_and(|two| same(one, two))) && others.next().is_none()
}

/// What the labels of a sample come to.
#[derive(Debug, Clone, Copy, Default)]
struct LabelSums {
    /// Of those that are not empty.
    hash: u64,
    /// Of all.
    raw: u64,
    /// The number of `le` or `quantile`; NaN where there is none.
    bound: f64,
    /// Whether they differ from those of the sample before, apart from the bound.
    is_new: bool,
}

/// The first label whose name stands before it already; `own` may.
fn repeated<'a, 't>(labels: &'a [Label<'t>], own: Option<&[u8]>) -> Option<&'a Label<'t>> {
    const FEW: usize = 16;
    let is_other = |label: &&Label<'t>| Some(label.name.bytes) != own;
    if labels.len() <= FEW {
        let is_there = |(index, label): &(usize, &Label<'t>)| {
            labels.iter().take(*index).any(|before| before.name.bytes == label.name.bytes)
        };
        return labels
            .iter()
            .enumerate()
            .filter(|(_, label)| is_other(label))
            .find(is_there)
            .map(|(_, label)| label);
    }
    let mut sorted: Vec<&Label<'t>> = labels.iter().filter(is_other).collect();
    sorted.sort_by_key(|label| (label.name.bytes, label.name.at));
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    pairs
        .filter(|(one, two)| one.name.bytes == two.name.bytes)
        .map(|(_, two)| *two)
        .min_by_key(|two| two.name.at)
}

fn is_name(name: &[u8], colons: bool) -> bool {
    name.first().is_some_and(|byte| !byte.is_ascii_digit())
        && name.iter().all(|byte| is_label_byte(*byte) || colons && *byte == b':')
}

fn facts(family: Entry<'_>) -> FamilyFacts {
    FamilyFacts {
        name: family.name().into(),
        kind: family.kind(),
        help: family.help.map(|help| help.unescaped().as_ref().into()),
        at: family.first,
        help_at: family.help.map_or(family.first, |help| help.at),
        kind_at: family.kind_at.unwrap_or(family.first),
        series: family.series,
        opaque: family.opaque,
    }
}

/// The families of a text that was checked.
fn families(text: &[u8]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut by_name: HashMap<&[u8], usize, RandomState> = HashMap::default();
    let mut scanner = Scanner::default();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (name, what) = match scanner.scan(line) {
            Ok(what @ (Line::Help { name, .. } | Line::Type { name, .. } | Line::Sample { name, .. })) => {
                (name, what)
            }
            _ => continue,
        };
        let whole = || {
            let at = memchr::memrchr(b'_', name.bytes)?;
            let (base, suffix) = name.bytes.split_at_checked(at)?;
            let index = *by_name.get(base)?;
            let kind = families.get(index)?.kind?;
            kind.suffixes().iter().any(|known| known.as_bytes() == suffix).then_some(index)
        };
        let index = match by_name.get(name.bytes).copied().or_else(whole) {
            Some(index) => index,
            None => {
                let family = Family {
                    name: name.str().to_owned().into(),
                    help: None,
                    kind: None,
                    samples: Vec::new(),
                };
                families.push(family);
                by_name.insert(name.bytes, families.len() - 1);
                families.len() - 1
            }
        };
        let Some(family) = families.get_mut(index) else { continue };
        match what {
            Line::Help { text, .. } if !text.bytes.is_empty() => {
                family.help = Some(Cow::Owned(text.text().into_owned()));
            }
            Line::Type { kind: Some((Word::Kind(kind), _)), .. } => family.kind = Some(kind),
            Line::Sample { value, .. } => {
                let owned = |token: Token<'_>| Cow::Owned(token.text().into_owned());
                let labels = scanner.labels.iter().filter(|label| !label.value.bytes.is_empty());
                family.samples.push(Sample {
                    name: Cow::Owned(name.str().to_owned()),
                    labels: labels.map(|label| (owned(label.name), owned(label.value))).collect(),
                    value,
                });
            }
            _ => {}
        }
    }
    families.retain(|family| !family.samples.is_empty());
    families
}
