//! Changes to files of promdrop's own that are no run: a family is withdrawn, or takes the HELP of a newer
//! file.

use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{fstat, fstatat, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};
use tempfile::NamedTempFile;

use super::directory::Directory;
use super::error::Error;
use super::header::Header;
use super::meeting::{contradictions, others};
use super::publish::rename;
use super::seen::{Owner, Read, Seen};
use super::survey::Survey;
use crate::exposition::{self, Facts, Family};

/// What becomes of a file of promdrop's.
#[derive(Debug)]
pub(super) enum Change {
    Written(Staged),
    /// Nothing of it is left, or what is can't be proved.
    Removed(String),
}

/// A file of promdrop's with its families changed, written and safe on the disk, but not in place yet.
#[derive(Debug)]
pub(super) struct Staged {
    file: String,
    text: Vec<u8>,
    facts: Facts,
    temporary: NamedTempFile,
    /// Whether it is the user's whose it was.
    is_its_users: bool,
}

impl Directory {
    /// Writes `file` with its header and families as `change` leaves them; its times stay. `None` where it is
    /// not promdrop's any more. The caller holds the lock.
    pub(super) fn stage(
        &self,
        file: &str,
        change: impl FnOnce(&mut Header, &mut Vec<Family>),
    ) -> Result<Option<Change>, Error> {
        let path = &self.path().join(file);
        let Some(text) = self.own_text(file)? else { return Ok(None) };
        let Some((text, facts)) = changed(file, &text, change) else {
            return Ok(Some(Change::Removed(file.to_owned())));
        };
        let failed = |action: &'static str| move |e: Errno| Error::io(path, action, e);
        let old = fstatat(self.fd(), file, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed("look at it"))?;
        let temporary = self.write(path, &text)?;
        // Whose it was it stays, as far as this user may say so: in a sticky directory nobody else could
        // replace it.
        let owner = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
        let given = fchown(temporary.as_file(), Some(owner.0), Some(owner.1));
        let is_its_users = given.is_ok() || owner.0 == geteuid();
        let modified = TimeSpec::new(old.st_mtime, old.st_mtime_nsec);
        futimens(temporary.as_file().as_fd(), &modified, &modified).map_err(failed("keep its time"))?;
        Ok(Some(Change::Written(Staged { file: file.to_owned(), text, facts, temporary, is_its_users })))
    }

    /// Puts in place what was staged. `survey` is told. The caller holds the lock still.
    pub(super) fn put(&self, survey: &mut Survey<Seen>, change: Change) -> Result<(), Error> {
        let Staged { file, text, facts, temporary, .. } = match change {
            Change::Written(staged) => staged,
            Change::Removed(file) => return self.remove(survey, &file),
        };
        let failed = |e| self.refused(&self.path().join(&file), "put it in place", e);
        let renamed = rename(temporary, self, &file).map_err(failed)?;
        if let (Ok(stat), Some(header)) = (fstat(&renamed), Header::ours(&text, &file)) {
            survey.note(&file, &stat, Seen { owner: Owner::of(&header), facts });
        }
        Ok(())
    }

    /// As [`rewrite`](Self::rewrite), unless that would take `file` from the user whose it is, who believes
    /// only in files of their own, and could never replace it in a sticky directory; whether it was done.
    pub(super) fn rewrite_for_its_user(
        &self,
        survey: &mut Survey<Seen>,
        file: &str,
        change: impl FnOnce(&mut Header, &mut Vec<Family>),
    ) -> Result<bool, Error> {
        match self.stage(file, change)? {
            Some(Change::Written(Staged { is_its_users: false, .. })) => Ok(false),
            Some(change) => self.put(survey, change).map(|()| true),
            None => Ok(false),
        }
    }

    /// As [`put`](Self::put), of what contradicts nothing in the directory as it is now.
    pub(super) fn put_back(&self, survey: &mut Survey<Seen>, change: Change) -> Result<(), Error> {
        if let Change::Written(Staged { file, text, facts, .. }) = &change {
            let others: Vec<Read<'_>> = others(survey, file).collect();
            if contradictions(self, (text, facts), &others).is_empty() {
                return self.put(survey, change);
            }
        }
        Ok(())
    }

    /// Publishes `file` anew with its header and families as `change` leaves them. Without families, or where
    /// it can't be read any more, it is removed. The caller holds the lock.
    pub(super) fn rewrite(
        &self,
        survey: &mut Survey<Seen>,
        file: &str,
        change: impl FnOnce(&mut Header, &mut Vec<Family>),
    ) -> Result<(), Error> {
        match self.stage(file, change)? {
            Some(change) => self.put(survey, change),
            None => Ok(()),
        }
    }

    /// Publishes `file` anew as `change` leaves it, which can contradict no other file.
    ///
    /// # Errors
    /// Where the lock can't be had, or the file not be written.
    pub fn amend(&self, file: &str, change: impl FnOnce(&mut Header, &mut Vec<Family>)) -> Result<(), Error> {
        let lock = self.lock_publishing(self.patience())?;
        let amended = self.rewrite(&mut self.survey(), file, change);
        drop(lock);
        amended
    }

    /// Whether this user may replace or remove `file`, as far as owners tell.
    pub(super) fn may_replace(&self, file: &str) -> bool {
        self.others_file(file).is_none()
    }

    /// Whose `file` is, where a sticky directory keeps this user from replacing it.
    pub(super) fn others_file(&self, file: &str) -> Option<u32> {
        let (directory, user) = (self.stat(), geteuid());
        if directory.st_mode & 0o1000 == 0 || user.is_root() || directory.st_uid == user.as_raw() {
            return None;
        }
        let stat = fstatat(self.fd(), file, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        (stat.st_uid != user.as_raw()).then_some(stat.st_uid)
    }

    /// Removes `file`, of which not even what promdrop says of it may stand beside the files of others.
    ///
    /// # Errors
    /// Where the lock can't be had, or the file not be removed.
    pub fn withdraw_file(&self, file: &str) -> Result<(), Error> {
        let lock = self.lock_publishing(self.patience())?;
        let removed = self.remove(&mut self.survey(), file);
        drop(lock);
        removed
    }

    /// Removes `file`. The caller holds the lock.
    pub(super) fn remove(&self, survey: &mut Survey<Seen>, file: &str) -> Result<(), Error> {
        if self.own_text(file)?.is_none() {
            return Ok(());
        }
        match unlinkat(self.fd(), file, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {
                survey.forget(file);
                Ok(())
            }
            Err(e) => Err(self.not_allowed(&self.path().join(file), "remove it", e.into())),
        }
    }
}

/// Takes the families called `names` out. Where none is called so, the file is not what it was taken for, and
/// nothing of it stays.
pub(super) fn withdraw(families: &mut Vec<Family>, names: &[String]) {
    let before = families.len();
    families.retain(|family| !names.iter().any(|name| *name == family.name));
    if families.len() == before {
        families.clear();
    }
}

/// Gives a family the HELP of another file.
pub(super) fn take_help(family: &mut Family, help: Option<&[u8]>) {
    family.help = help.map(|help| String::from_utf8_lossy(help).into());
}

/// `text` of `file`, changed; `None` where nothing is left, or what is left can't be proved.
fn changed(
    file: &str,
    text: &[u8],
    change: impl FnOnce(&mut Header, &mut Vec<Family>),
) -> Option<(Vec<u8>, Facts)> {
    let mut header = Header::ours(text, file)?;
    let mut families = exposition::read(text).ok()?;
    change(&mut header, &mut families);
    if families.is_empty() {
        return None;
    }
    let mut new = String::new();
    header.render(&mut new);
    exposition::render(&families, &mut new);
    let facts = exposition::prove(new.as_bytes()).ok()?;
    Some((new.into_bytes(), facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebody_elses_by_now_stays() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        let path = place.path().join("x.prom");
        let theirs = "# TYPE c_a gauge\nc_a 1\n# TYPE c_b gauge\nc_b 1\n";
        let copy = format!(
            "# promdrop-format: 1\n# promdrop-kind: write\n# promdrop-source: stdin\n# promdrop-file: y.prom\n{theirs}"
        );
        for text in [theirs, &copy, "broken"] {
            std::fs::write(&path, text).unwrap();
            let mut survey = directory.survey();
            directory.rewrite(&mut survey, "x.prom", |_, there| withdraw(there, &["c_a".into()])).unwrap();
            directory.remove(&mut survey, "x.prom").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let ours = copy.replace("y.prom", "x.prom");
        std::fs::write(&path, &ours).unwrap();
        directory
            .rewrite(&mut directory.survey(), "x.prom", |_, there| withdraw(there, &["c_a".into()]))
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), ours.replace("# TYPE c_a gauge\nc_a 1\n", ""));
        // What is not called so was not what was in the way: rather nothing than that.
        directory
            .rewrite(&mut directory.survey(), "x.prom", |_, there| withdraw(there, &["c_a".into()]))
            .unwrap();
        assert!(!path.exists());
    }
}
