//! The sweep of what is no longer true: the files of definitions that are gone, numbers that are past their age, and runs
//! of jobs that ended without a word.

use super::RUN_FILE;
use super::directory::Directory;
use super::error::Error;
use super::header::{Header, Kind};
use super::running::Running;
use super::seen::{Claims, Owner, Read, Seen, files};
use super::survey::Survey;
use crate::exposition::{Family, OWN_PREFIX};

/// What a sweep does to a file of promdrop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes: no definition claims it any more.
    Left,
    /// It goes: it is past its age, and nobody publishes it any more who could say so in it.
    Aged,
    /// Its numbers go, which are past their age; what promdrop says of its collector stays.
    Stale,
    /// It says that its job runs, and neither the job nor the promdrop that waited for it is there any more: it says so from
    /// now on.
    Lost,
    /// It goes, since all of promdrop's does.
    Ours,
}

/// A file and its fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// The file.
    pub file: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Sweep {
    /// What was done.
    pub done: Vec<Swept>,
    /// What could not be; the rest was.
    pub failed: Option<Error>,
}

/// What whoever publishes knows of it, and this module doesn't.
#[derive(Clone, Copy)]
pub struct Mending<'a> {
    /// How the families of a stale file change: what promdrop says of its collector stays and says so.
    pub stale: &'a dyn Fn(&mut Vec<Family>),
    /// Whether a run of a job is still in progress, or can't be told to have ended.
    pub lives: &'a dyn Fn(&Running) -> bool,
    /// How the file of a job changes that has runs in its header which are not: those go, and it says so.
    pub lost: &'a dyn Fn(&mut Header, &mut Vec<Family>),
}

impl Directory {
    /// Looks at everything in it once more, for [`served`](Self::served), [`sweep`](Self::sweep) and
    /// [`to_sweep`](Self::to_sweep).
    ///
    /// # Errors
    /// Where it can't be listed.
    pub fn look(&self) -> Result<(), Error> {
        self.survey().refresh(self, Seen::read).map(drop)
    }

    /// What a [`sweep`](Self::sweep) would do, as the directory was at the last look.
    pub fn to_sweep(
        &self,
        claims: &Claims,
        now: u64,
        except: Option<&str>,
        mending: Mending<'_>,
    ) -> Vec<Swept> {
        fates(&self.survey(), claims, now, except, mending)
    }

    /// Removes the files that `claims` no longer claims, and what is past its age, but for the file called `except`;
    /// `mending` is what the others say from then on. `now` tells the time in ms since the epoch: to wait for the
    /// lock may take some.
    pub fn sweep(
        &self,
        claims: &Claims,
        now: &dyn Fn() -> u64,
        except: Option<&str>,
        mending: Mending<'_>,
    ) -> Sweep {
        let fates = |survey: &Survey<Seen>| fates(survey, claims, now(), except, mending);
        if fates(&self.survey()).is_empty() {
            return Sweep::default();
        }
        self.carry_out(fates, mending)
    }

    /// Removes everything that is promdrop's, whoever's it is, and the lock file, unless somebody holds a lock.
    pub fn sweep_all(&self) -> Sweep {
        let ours = |file: Read<'_>| (*file.owner != Owner::Foreign).then(|| file.name.to_owned());
        let mut sweep = self.carry_out(
            |survey| files(survey).filter_map(ours).map(|file| Swept { file, fate: Fate::Ours }).collect(),
            Mending { stale: &|_| {}, lives: &|_| true, lost: &|_, _| {} },
        );
        if sweep.failed.is_none() {
            sweep.failed = self.remove_lock_file().err();
        }
        sweep
    }

    /// What `fates` says once the lock is had: any file may have been published anew.
    fn carry_out(&self, fates: impl Fn(&Survey<Seen>) -> Vec<Swept>, mending: Mending<'_>) -> Sweep {
        let mut sweep = Sweep::default();
        let lock = match self.lock_publishing(self.patience()) {
            Ok(lock) => lock,
            Err(error) => return Sweep { failed: Some(error), ..sweep },
        };
        let mut survey = self.survey();
        if let Err(error) = survey.refresh(self, Seen::read) {
            return Sweep { failed: Some(error), ..sweep };
        }
        for swept in fates(&survey) {
            // A sticky directory lets nobody else replace it: that is for its user's promdrop, or root's.
            if swept.fate != Fate::Ours && !self.may_replace(&swept.file) {
                continue;
            }
            let done = match swept.fate {
                Fate::Left | Fate::Aged | Fate::Ours => self.remove(&mut survey, &swept.file),
                Fate::Stale => self
                    .rewrite(&mut survey, &swept.file, |header, families| {
                        header.stale = true;
                        (mending.stale)(families);
                    })
                    // Where there is no room to write it anew, it is better gone than a lie.
                    .or_else(|_| self.remove(&mut survey, &swept.file)),
                // With its counters, which nobody else has: the next sweep tries again.
                Fate::Lost => match self.rewrite_for_its_user(&mut survey, &swept.file, mending.lost) {
                    Ok(true) => Ok(()),
                    // Root's too, where it may give no file away: a service's, say.
                    Ok(false) => continue,
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(()) => sweep.done.push(swept),
                // The others are not kept waiting for it.
                Err(error) => sweep.failed = Some(error),
            }
        }
        drop(survey);
        drop(lock);
        sweep
    }
}

/// What has to go of `survey`, in the order of the names.
fn fates(
    survey: &Survey<Seen>,
    claims: &Claims,
    now: u64,
    except: Option<&str>,
    mending: Mending<'_>,
) -> Vec<Swept> {
    let fate = |file: Read<'_>| {
        let fate = fate(file, claims, now, mending).filter(|_| Some(file.name) != except)?;
        Some(Swept { file: file.name.to_owned(), fate })
    };
    files(survey).filter_map(fate).collect()
}

fn fate(file: Read<'_>, claims: &Claims, now: u64, mending: Mending<'_>) -> Option<Fate> {
    let Owner::Ours { kind, source, expiry, stale, running, .. } = file.owner else { return None };
    let is_collector = *kind == Kind::Collector;
    if is_collector && claims.has_left(file.name, source) {
        return Some(Fate::Left);
    }
    // A collector that is not to be run any more has nothing more to say, and at once where it never succeeded.
    let is_disabled = is_collector && *source == claims.source && claims.disabled.contains(file.name);
    let living = running.iter().filter(|running| (mending.lives)(running)).count();
    if living == 0 && expiry.map_or(is_disabled, |expiry| expiry.is_past(now)) {
        return aged(file, is_collector, is_disabled, *stale);
    }
    (living < running.len()).then_some(Fate::Lost)
}

/// What becomes of a file that is past its age.
fn aged(file: Read<'_>, is_collector: bool, is_disabled: bool, stale: bool) -> Option<Fate> {
    if !is_collector || file.name == RUN_FILE || is_disabled {
        return Some(Fate::Aged);
    }
    let has_numbers = file.facts.families.iter().any(|family| !family.name.starts_with(OWN_PREFIX));
    (has_numbers || !stale).then_some(Fate::Stale)
}

#[cfg(test)]
mod tests;
