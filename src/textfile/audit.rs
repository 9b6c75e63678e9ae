//! At each tick: does what promdrop has published still agree with all that stands in the directory? Other tools take
//! no lock and ask nobody.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::directory::Directory;
use super::error::{Class, Error};
use super::header::Kind;
use super::rewrite::withdraw;
use super::seen::{Claims, Others, Owner, Read, Seen, files, is_older};
use super::survey::Survey;
use crate::exposition::{Clash, Facts, OWN_PREFIX, clashes, clashes_between};

/// How often the directory is looked at, the lock held, until nothing of promdrop's is contradicted.
const ROUNDS: usize = 100;

/// For so many families of a file the reason is told.
const SHOWN: usize = 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Audit {
    /// What had to go, and did.
    pub withdrawn: Vec<Withdrawn>,
    /// The files of others; `None` where not all could be done.
    pub others: Option<Others>,
    /// Why not: the directory can't be listed, the lock not be had, or a file not be rewritten.
    pub failed: Option<Error>,
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
    pub fn audit(&self, claims: &Claims) -> Audit {
        let mut withdrawn = Vec::new();
        match self.withdraw_until_peace(claims, &mut withdrawn) {
            Ok(others) => Audit { withdrawn, others: Some(others), failed: None },
            Err(error) => Audit { withdrawn, others: None, failed: Some(error) },
        }
    }

    fn withdraw_until_peace(&self, claims: &Claims, withdrawn: &mut Vec<Withdrawn>) -> Result<Others, Error> {
        let mut survey = self.survey();
        // What was read in the middle of being written is read again.
        survey.settle(self, Seen::read)?;
        let (found, poison) = self.clashes(&survey);
        if found.iter().all(|clash| clash.loser(claims).is_none()) {
            return Ok(Others::count(&survey, |name| poison.contains(name)));
        }
        drop(survey);
        let lock = self.lock_publishing(self.patience())?;
        let mut survey = self.survey();
        // What is withdrawn from one file may be what another contradicts, and others may come meanwhile.
        for _ in 0..ROUNDS {
            survey.refresh(self, Seen::read)?;
            let (found, poison) = self.clashes(&survey);
            let losses = self.losses(&found, claims);
            if losses.is_empty() {
                let others = Others::count(&survey, |name| poison.contains(name));
                drop(survey);
                drop(lock);
                return Ok(others);
            }
            self.withdraw_all(&mut survey, losses, withdrawn)?;
        }
        let message = "something in it contradicts promdrop's files as fast as they are withdrawn";
        Err(Error::new(Class::Conflict, self.path(), message, "see what else writes there"))
    }

    /// What would have to go, by what was seen last.
    pub(super) fn to_withdraw(&self, claims: &Claims) -> Vec<Withdrawn> {
        let (found, _) = self.clashes(&self.survey());
        self.losses(&found, claims)
    }

    /// What has to go of promdrop's files, each with its reasons.
    fn losses(&self, found: &[Meeting], claims: &Claims) -> Vec<Withdrawn> {
        let mut losses: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for clash in found {
            let Some((loser, winner)) = clash.loser(claims) else { continue };
            let (families, reasons) = losses.entry(&loser.file).or_default();
            if !families.contains(&loser.family) {
                families.push(loser.family.clone());
                match reasons.len().cmp(&SHOWN) {
                    Ordering::Less => reasons.push(self.reason(clash, loser, winner)),
                    Ordering::Equal => reasons.push("and more".to_owned()),
                    Ordering::Greater => {}
                }
            }
        }
        let loss =
            |(file, (families, reasons)): (&str, _)| Withdrawn { file: file.to_owned(), families, reasons };
        losses.into_iter().map(loss).collect()
    }

    /// Withdraws `losses`, as many as can be, and notes what was.
    fn withdraw_all(
        &self,
        survey: &mut Survey<Seen>,
        losses: Vec<Withdrawn>,
        withdrawn: &mut Vec<Withdrawn>,
    ) -> Result<(), Error> {
        let mut failed = None;
        for loss in losses {
            let own = loss.families.iter().any(|family| family.starts_with(OWN_PREFIX));
            // Where there is no room to write it anew, it is better gone than in the way.
            let done = match own {
                true => self.remove(survey, &loss.file),
                false => self
                    .rewrite(survey, &loss.file, |_, there| withdraw(there, &loss.families))
                    .or_else(|_| self.remove(survey, &loss.file)),
            };
            match done {
                Ok(()) => withdrawn.push(loss),
                // The others are not kept waiting for it.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Every contradiction in the directory that one of promdrop's files has a part in, and the files of others that
    /// contradict each other.
    fn clashes(&self, survey: &Survey<Seen>) -> (Vec<Meeting>, BTreeSet<OsString>) {
        let (ours, others): (Vec<Read<'_>>, Vec<_>) =
            files(survey).partition(|file| *file.owner != Owner::Foreign);
        let our_facts: Vec<&Facts> = ours.iter().map(|file| file.facts).collect();
        let their_facts: Vec<&Facts> = others.iter().map(|file| file.facts).collect();
        let all: Vec<Read<'_>> = ours.iter().chain(&others).copied().collect();
        let mut line = |index: usize, at: usize| self.line_of(all.get(index)?.name, at);
        let mut found = clashes(&our_facts, &mut line);
        found.extend(clashes_between(&our_facts, &their_facts, &mut line));
        let side = |index: usize, family: String, at: usize| {
            let Read { name, owner, .. } = all.get(index)?;
            Some(Side { file: (*name).to_owned(), owner: (*owner).clone(), family, at })
        };
        let meetings = found.into_iter().filter_map(|clash| {
            let one = side(clash.file, clash.family, clash.at)?;
            let two = side(clash.other, clash.other_family, clash.other_at)?;
            Some(Meeting { one, two, message: clash.message })
        });
        let among_others = clashes(&their_facts, &mut |index, at| self.line_of(others.get(index)?.name, at));
        let name = |clash: Clash| others.get(clash.file).map(|file| OsString::from(file.name));
        (meetings.collect(), among_others.into_iter().filter_map(name).collect())
    }

    /// What contradicts what, with the line of the winner.
    fn reason(&self, Meeting { one, message, .. }: &Meeting, loser: &Side, winner: &Side) -> String {
        let line = self.line_number(&winner.file, winner.at);
        let place = line.map_or_else(|| winner.file.clone(), |line| format!("{}:{line}", winner.file));
        match std::ptr::eq(loser, one) {
            true => format!("{message} {place}"),
            false => format!("in {place}, {message} {}", loser.file),
        }
    }
}

/// Two files that contradict each other.
struct Meeting {
    one: Side,
    two: Side,
    /// What is wrong, in words that go before the name of the second.
    message: String,
}

struct Side {
    file: String,
    owner: Owner,
    family: String,
    at: usize,
}

impl Meeting {
    /// The side that has to go, and the other; `None` where neither file is promdrop's.
    fn loser(&self, claims: &Claims) -> Option<(&Side, &Side)> {
        let (one, two) = (&self.one, &self.two);
        match (&one.owner, &two.owner) {
            (Owner::Foreign, Owner::Foreign) => None,
            (Owner::Foreign, _) => Some((two, one)),
            (_, Owner::Foreign) => Some((one, two)),
            _ if claims.gives_way(one, two) => Some((one, two)),
            _ => Some((two, one)),
        }
    }
}

impl Claims {
    /// Which of two files of promdrop's has to go, `one` or not.
    fn gives_way(&self, one: &Side, two: &Side) -> bool {
        let (claimed, age) = self.age(&one.file, &one.owner);
        let (other_claimed, other_age) = self.age(&two.file, &two.owner);
        match claimed == other_claimed {
            true => is_older((&one.file, age), (&two.file, other_age)),
            false => other_claimed,
        }
    }

    /// How new a file of promdrop's is beside another: what no definition claims is the oldest.
    fn age(&self, file: &str, owner: &Owner) -> (bool, Option<u64>) {
        match owner {
            Owner::Ours { kind: Kind::Collector, source, definition, .. } if *source == self.source => {
                (!self.has_left(file, source), *definition)
            }
            Owner::Ours { .. } => (true, None),
            Owner::Doubtful | Owner::Foreign => (false, None),
        }
    }
}
