//! What one text says of a family, while it is read and when it is.

use std::rc::Rc;

use smol_str::SmolStr;

use super::super::family::{Family, Kind, Sample};
use super::super::parts::Parts;
use super::super::scan::{Label, Token, Word};
use super::super::series::SeriesRef;
use super::super::union::FamilyFacts;

/// What the text says of a family.
#[derive(Default)]
pub(super) struct Entry {
    pub name: Rc<[u8]>,
    /// The line that names it first.
    pub first: usize,
    pub help: Option<Help>,
    pub word: Option<Word>,
    pub kind_at: Option<usize>,
    /// The samples of a counter, gauge or untyped family.
    pub series: Vec<SeriesRef>,
    /// Those of a histogram or summary.
    pub parts: Parts,
    /// The first sample.
    pub sample_at: Option<usize>,
    /// Which series it has in which version can't be told.
    pub opaque: bool,
    /// All samples, where they are to be published.
    pub samples: Vec<Sample>,
}

/// A HELP text, still escaped, and where it stands.
pub(super) struct Help {
    pub at: usize,
    pub bytes: Box<[u8]>,
}

impl Help {
    fn token(&self) -> Token<'_> {
        Token { at: self.at, bytes: &self.bytes }
    }
}

impl Entry {
    pub fn kind(&self) -> Kind {
        match self.word {
            Some(Word::Kind(kind)) => kind,
            Some(Word::GaugeHistogram) | None => Kind::Untyped,
        }
    }

    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.name).unwrap_or_default()
    }

    /// Whether any version serves it. What is not UTF-8 stood in quotes: none does, and it has no name to compare it by.
    pub fn is_served(&self) -> bool {
        self.sample_at.is_some() && !self.name().is_empty()
    }

    /// Keeps a sample to be published, without its empty labels.
    pub fn keep(&mut self, name: Token<'_>, labels: &[Label<'_>], value: f64) {
        let owned = |token: Token<'_>| SmolStr::from(token.text());
        let labels = labels.iter().filter(|label| !label.value.bytes.is_empty());
        let labels = labels.map(|label| (owned(label.name), owned(label.value))).collect();
        self.samples.push(Sample { name: name.str().into(), labels, value });
    }

    pub fn into_facts(self) -> FamilyFacts {
        FamilyFacts {
            name: self.name().into(),
            kind: self.kind(),
            help: self.help.as_ref().map(|help| help.token().unescaped().as_ref().into()),
            at: self.first,
            help_at: self.help.as_ref().map_or(self.first, |help| help.at),
            kind_at: self.kind_at.unwrap_or(self.first),
            series: self.series,
            opaque: self.opaque,
        }
    }

    /// The family, of a text with nothing wrong in it.
    pub fn into_family(self) -> Family {
        Family {
            name: self.name().into(),
            help: self.help.as_ref().map(|help| help.token().text().into()),
            kind: self.word.map(|_| self.kind()),
            samples: self.samples,
        }
    }
}
