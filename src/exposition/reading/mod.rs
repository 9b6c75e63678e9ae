//! One text to what stands in it, in one pass: each line to its tokens, what they say of their families, and what is
//! wrong with it. The grammar decides what is wrong; what node_exporter makes of the text is the same in all three.

mod entry;
mod findings;
mod labels;
mod lines;
mod quotes;
mod whole;

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use self::entry::Entry;
use self::findings::Findings;
pub(super) use self::findings::MOST;
use self::labels::LabelSums;
use super::Facts;
use super::family::{Family, Kind};
use super::parts::PartKind;
use super::rules::{Finding, Harm, Rule, Versions};
use super::scan::{Flaw, Label, Scanner, is_blank};
use super::text::{Position, short};
use crate::diagnostic::Problem;

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
    let families = reader.run().into_iter().map(Entry::into_facts).collect();
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
    Ok(check(text, Grammar::Printed)?.into_iter().map(Entry::into_family).collect())
}

/// The last look before anything is published: whether `bytes` are in the one spelling that promdrop writes, and
/// keep every [rule](super::Rule). Comments may stand only before the first family, where promdrop's header is.
///
/// # Errors
/// As for [`read`]; a problem here is a fault in promdrop, which then publishes nothing.
pub fn prove(bytes: &[u8]) -> Result<Facts, Vec<Problem>> {
    let families = check(bytes, Grammar::Canonical)?.into_iter().map(Entry::into_facts).collect();
    Ok(Facts { families, rejected_by: Versions::NONE, worst: None })
}

fn check(text: &[u8], grammar: Grammar) -> Result<Vec<Entry<'_>>, Vec<Problem>> {
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

    /// Reads all of the text; the families that any version serves.
    fn run(&mut self) -> Vec<Entry<'t>> {
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
        std::mem::take(&mut self.families).into_iter().filter(Entry::is_served).collect()
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
        self.families.push(Entry { name: name.clone(), first: at, ..Entry::default() });
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

    /// The start of the word at `at`.
    fn quote(&self, at: usize) -> String {
        let rest = self.text.get(at..).unwrap_or_default();
        let is_end = |byte: &u8| is_blank(*byte) || *byte == b'\n';
        let end = rest.iter().take(160).position(is_end).unwrap_or(rest.len().min(160)).max(1);
        let word = String::from_utf8_lossy(rest.get(..end).unwrap_or(rest));
        short(word.trim_end_matches('\r')).into_owned()
    }
}
