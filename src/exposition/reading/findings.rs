//! The list of what was found, of which no more is kept than anybody reads.

use super::super::rules::Finding;
use super::super::text::{Text, spots};

/// More problems than this help nobody, and hostile text could ask for memory with them.
pub(in super::super) const MOST: usize = 100;

/// Findings, of which the first in the text are kept.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    pub dropped: usize,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
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

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Those kept, in the order of `text`, each with the line it refers to; how many were not.
    pub(super) fn into_sorted(mut self, text: &mut dyn Text) -> (Vec<Finding>, usize) {
        self.trim();
        let lines = spots(text, self.kept.iter().filter_map(|finding| finding.other));
        for finding in &mut self.kept {
            if let Some(spot) = finding.other.and_then(|other| lines.get(&other)) {
                finding.message.push_str(&format!(", in line {}", spot.line));
            }
        }
        (self.kept, self.dropped)
    }
}
