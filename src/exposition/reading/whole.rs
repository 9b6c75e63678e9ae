//! What can only be judged once all of a text is read: of each family, and of families that clash.

use super::super::family::Kind;
use super::super::reserved::{self, Reserved, Tier};
use super::super::rules::{Finding, Harm, Rule};
use super::super::scan::Word;
use super::super::series::{duplicates, label_set};
use super::super::style;
use super::super::text::{Text, short};
use super::entry::Entry;
use super::{Grammar, Reader};

impl Reader {
    /// What can only be judged once all is read.
    pub(super) fn whole(&mut self, text: &mut dyn Text) {
        let mut families = std::mem::take(&mut self.families);
        for family in &mut families {
            self.family_as_a_whole(text, family);
        }
        self.suffix_clashes(&families);
        self.families = families;
    }

    fn family_as_a_whole(&mut self, text: &mut dyn Text, family: &mut Entry) {
        let kind = family.kind();
        self.help_text(family);
        if family.sample_at.is_none() {
            return self.not_canonical(family.first, "a family without samples");
        }
        if family.word == Some(Word::GaugeHistogram) && self.grammar == Grammar::Lenient {
            self.gauge_histogram(family.kind_at.unwrap_or(family.first));
        }
        self.reserved_name(family, kind);
        if kind.suffixes().is_empty() {
            let labels = |at| label_set(&text.line(at)?, None, false);
            for (first, at) in duplicates(&mut family.series, labels) {
                self.duplicate(family, first, at);
            }
        } else {
            let whole = std::mem::take(&mut family.parts).whole(text, family.name(), kind, &mut |finding| {
                if !(self.unread && finding.rule.needs_whole_text()) {
                    self.find(finding);
                }
            });
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

    fn duplicate(&mut self, family: &Entry, first: usize, at: usize) {
        let message = format!("this series of `{}` is there already", short(family.name()));
        let cure = "print each series once; give it a label that tells the two apart";
        let finding = Finding::new(Rule::DuplicateSeries, at, message, cure);
        self.find(Finding { other: Some(first), ..finding });
    }

    fn help_text(&mut self, family: &Entry) {
        let Some(help) = &family.help else { return };
        let Ok(text) = std::str::from_utf8(&help.bytes) else {
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

    fn reserved_name(&mut self, family: &Entry, kind: Kind) {
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

    fn suffix_clashes(&mut self, families: &[Entry]) {
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
    fn gauge_histogram_parts(&mut self, family: &Entry, families: &[Entry]) {
        let Some(kind_at) = family.kind_at.filter(|_| self.grammar == Grammar::Lenient) else { return };
        let part = |suffix: &&'static str| {
            let part = [&*family.name, suffix.as_bytes()].concat();
            self.by_name.get(part.as_slice()).and_then(|index| families.get(*index))
        };
        let parts: Vec<&Entry> = Kind::Histogram.suffixes().iter().filter_map(part).collect();
        let mut below = parts.iter().filter(|part| part.first > kind_at);
        let helps = below.clone().filter(|part| part.help.is_some()).count();
        if below.clone().any(|part| part.sample_at.is_some()) {
            self.gauge_histogram(kind_at);
        } else if below.any(|part| part.word.is_some()) || helps + usize::from(family.help.is_some()) > 1 {
            self.find(Finding { harm: Some(Harm::Reject), ..Self::gauge_histogram_at(kind_at) });
        }
    }
}
