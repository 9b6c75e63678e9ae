//! At each tick: does what promdrop has published still agree with all that stands in the directory? Other tools take
//! no lock and ask nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use super::directory::Directory;
use super::error::Error;
use super::header::Kind;
use super::lock::PUBLISH_WAIT;
use super::rewrite::withdraw;
use super::seen::{Claims, Others, Owner, Seen};
use super::survey::{Content, Survey};
use crate::exposition::{Clash, Facts, OWN_PREFIX, Position, clashes};

/// What was found.
#[derive(Debug, Default)]
pub struct Audit {
    /// What had to go.
    pub withdrawn: Vec<Withdrawn>,
    /// The files of others.
    pub others: Others,
}

/// What went from a file of promdrop's because another file contradicts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The file.
    pub file: String,
    /// The families; where they are promdrop's own, the whole file is gone.
    pub families: Vec<String>,
    /// What contradicts what, with the other file and the line.
    pub reasons: Vec<String>,
}

impl Directory {
    /// Looks at the directory as a whole and withdraws from promdrop's files what the files of others contradict.
    /// `claims` says which of two files of promdrop's gives way.
    ///
    /// # Errors
    /// Where the directory can't be listed, the lock not be had, or a file not be rewritten.
    pub fn audit(&self, claims: &Claims) -> Result<Audit, Error> {
        let mut survey = self.survey();
        survey.refresh(self, Seen::read)?;
        let found = self.clashes(&survey);
        if found.iter().all(|clash| clash.loser(claims).is_none()) {
            return Ok(Audit { withdrawn: Vec::new(), others: count(&survey, &found) });
        }
        drop(survey);
        let lock = self.lock_publishing(PUBLISH_WAIT)?;
        let mut survey = self.survey();
        let mut withdrawn: Vec<Withdrawn> = Vec::new();
        // What is withdrawn from one file may be what another contradicts: until nothing is left.
        loop {
            survey.refresh(self, Seen::read)?;
            let found = self.clashes(&survey);
            let mut losses: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
            for (file, family, reason) in found.iter().filter_map(|clash| clash.loser(claims)) {
                let loss = losses.entry(file.to_owned()).or_default();
                if !loss.0.iter().any(|known| known == family) {
                    loss.0.push(family.to_owned());
                    loss.1.push(reason);
                }
            }
            if losses.is_empty() {
                let others = count(&survey, &found);
                drop(lock);
                return Ok(Audit { withdrawn, others });
            }
            for (file, (families, reasons)) in losses {
                if families.iter().any(|family| family.starts_with(OWN_PREFIX)) {
                    self.remove(&mut survey, &file)?;
                } else {
                    self.rewrite(&mut survey, &file, |there| withdraw(there, &families))?;
                }
                withdrawn.push(Withdrawn { file, families, reasons });
            }
        }
    }

    /// Every contradiction in the directory.
    fn clashes(&self, survey: &Survey<Seen>) -> Vec<Meeting> {
        let files: Vec<(&str, &Seen)> = survey
            .entries()
            .filter_map(|(name, entry)| match &entry.content {
                Content::Text(seen) => Some((name.to_str()?, seen)),
                _ => None,
            })
            .collect();
        let facts: Vec<&Facts> = files.iter().map(|(_, seen)| &seen.facts).collect();
        let text = |index: usize| files.get(index).and_then(|(name, _)| self.text_of(name));
        let found = clashes(&facts, &mut |index| text(index));
        let line = |index: usize, at: usize| text(index).map_or(0, |text| Position::new(&text).of(at).0);
        found
            .into_iter()
            .filter_map(|clash| {
                let side = |index: usize, family: &str, line: usize| {
                    let (name, seen) = files.get(index)?;
                    Some(Side {
                        file: (*name).to_owned(),
                        owner: seen.owner.clone(),
                        family: family.to_owned(),
                        line,
                    })
                };
                let one = side(clash.file, &clash.family, line(clash.file, clash.at))?;
                let two = side(clash.other, &clash.other_family, line(clash.other, clash.other_at))?;
                Some(Meeting { clash, one, two })
            })
            .collect()
    }
}

/// Two files that contradict each other.
struct Meeting {
    clash: Clash,
    one: Side,
    two: Side,
}

struct Side {
    file: String,
    owner: Owner,
    family: String,
    line: usize,
}

impl Meeting {
    /// The file and the family that have to go, and why; `None` where neither file is promdrop's.
    fn loser(&self, claims: &Claims) -> Option<(&str, &str, String)> {
        let (one, two) = (&self.one, &self.two);
        let (loser, winner) = match (&one.owner, &two.owner) {
            (Owner::Foreign, Owner::Foreign) => return None,
            (Owner::Foreign, _) => (two, one),
            (_, Owner::Foreign) => (one, two),
            _ if claims.age(&one.file, &one.owner) <= claims.age(&two.file, &two.owner) => (one, two),
            _ => (two, one),
        };
        let Clash { message, .. } = &self.clash;
        let reason = match std::ptr::eq(loser, one) {
            true => format!("{message} {}:{}", winner.file, winner.line),
            false => format!("in {}:{}, {message} {}", winner.file, winner.line, loser.file),
        };
        Some((&loser.file, &loser.family, reason))
    }
}

impl Claims {
    /// How new a file of promdrop's is beside another: what no definition claims is the oldest.
    fn age(&self, file: &str, owner: &Owner) -> (bool, Option<u64>) {
        match owner {
            Owner::Ours { kind: Kind::Collector, source, definition } if *source == self.source => {
                (self.definitions.contains_key(file), *definition)
            }
            Owner::Ours { .. } => (true, None),
            Owner::Doubtful | Owner::Foreign => (false, None),
        }
    }
}

fn count(survey: &Survey<Seen>, found: &[Meeting]) -> Others {
    let clashing: BTreeSet<&OsStr> = found.iter().map(|meeting| OsStr::new(&meeting.one.file)).collect();
    Others::count(survey, |name| clashing.contains(name))
}
