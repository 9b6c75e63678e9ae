//! One text to what stands in it, in one pass: each line to its tokens, what they say of their families, and what is
//! wrong with it. The grammar decides what is wrong; what node_exporter makes of the text is the same in all three.

mod entry;
mod findings;
mod labels;
mod lines;
mod quotes;
mod whole;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use foldhash::fast::RandomState;

use self::entry::Entry;
use self::findings::Findings;
pub(super) use self::findings::MOST;
use self::labels::LabelSums;
use super::Facts;
use super::family::{Family, Kind};
use super::flaw::{Fault, Flaw};
use super::parts::PartKind;
use super::rules::{Finding, Harm, Rule, Versions};
use super::scan::{Scanner, is_blank};
use super::text::{Position, Text, short};
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
pub fn inspect(mut text: &[u8]) -> Reading {
    inspect_text(&mut text)
}

/// As [`inspect`], of a text that need not be in memory.
pub fn inspect_text(text: &mut dyn Text) -> Reading {
    let mut reader = Reader::new(Grammar::Lenient);
    let families = reader.run(text).into_iter().map(Entry::into_facts).collect();
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

fn check(mut text: &[u8], grammar: Grammar) -> Result<Vec<Entry>, Vec<Problem>> {
    let mut reader = Reader::new(grammar);
    let families = reader.run(&mut text);
    if reader.harms.is_empty() {
        return Ok(families);
    }
    let (findings, more) = reader.harms.into_sorted(&mut text);
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

struct Reader {
    grammar: Grammar,
    families: Vec<Entry>,
    by_name: HashMap<Rc<[u8]>, usize, RandomState>,
    /// The family of the line before.
    current: Option<usize>,
    /// The name of the sample before, and what it was found to be: the next one is mostly called the same.
    last_name: Vec<u8>,
    last: Option<(usize, PartKind)>,
    /// The labels of the last sample of a histogram or summary, without the bound, and what they come to.
    before: Vec<u8>,
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

impl Reader {
    fn new(grammar: Grammar) -> Self {
        Self {
            grammar,
            families: Vec::new(),
            by_name: HashMap::default(),
            current: None,
            last_name: Vec::new(),
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
    fn run(&mut self, text: &mut dyn Text) -> Vec<Entry> {
        let mut start = 0;
        text.each(&mut |piece| {
            let read = self.piece(start, piece);
            start += piece.len();
            read
        });
        self.whole(text);
        std::mem::take(&mut self.families).into_iter().filter(Entry::is_served).collect()
    }

    /// Reads the lines of a piece, which begins at `base` in the text.
    fn piece(&mut self, base: usize, piece: &[u8]) -> ControlFlow<()> {
        let mut scanner = Scanner::of(piece);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            // Past so many, no version reads on, and nobody wants to.
            if self.harms.dropped > 0 && self.rejected_by.is_all() {
                return ControlFlow::Break(());
            }
            self.line(&mut scanner, base + start, piece.get(start..end).unwrap_or_default());
            start = end + 1;
        }
        self.after_last_line_feed(base + start, piece.get(start..).unwrap_or_default());
        ControlFlow::Continue(())
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
        let (message, cure) = flaw.describe("");
        self.find(Finding::new(flaw.rule(), at, message, cure));
    }

    /// What is wrong within `line`, which begins at `start`.
    fn fault_in(&mut self, start: usize, line: &[u8], Fault { at, flaw }: Fault) {
        let (message, cure) = flaw.describe(&quote(line, at));
        self.find(Finding::new(flaw.rule(), start + at, message, cure));
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
        let name: Rc<[u8]> = name.into();
        self.families.push(Entry { name: Rc::clone(&name), first: at, ..Entry::default() });
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
}

/// The start of the word at `at` in `line`.
fn quote(line: &[u8], at: usize) -> String {
    let rest = line.get(at..).unwrap_or_default();
    let end = rest.iter().take(160).position(|byte| is_blank(*byte)).unwrap_or(rest.len().min(160)).max(1);
    let word = String::from_utf8_lossy(rest.get(..end).unwrap_or(rest));
    short(word.trim_end_matches('\r')).into_owned()
}
