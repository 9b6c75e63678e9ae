//! Temporary files in the directory, and the sweep of those whose writer died.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use tempfile::NamedTempFile;

use super::directory::{Directory, is_regular};
use super::error::Error;
use super::lock::{Access, try_lock};

/// node_exporter reads every name that ends in `.prom`, hidden ones too: this must not be one.
const PREFIX: &str = ".promdrop-";
const SUFFIX: &str = ".tmp";
const RANDOM: usize = 6;

/// Younger temporary files are left alone: their writer may not hold its lock yet.
const YOUNG: Duration = Duration::from_secs(60);

impl Directory {
    /// A new file of mode 0600 with a random name, removed when it is dropped. Its writer's lock on it tells the
    /// sweep that the writer lives.
    pub(super) fn temporary(&self) -> Result<NamedTempFile, Error> {
        let temporary = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .rand_bytes(RANDOM)
            // Opened here and not by the crate, whose errors hide the kernel's own.
            .make_in(self.anchor(), |path| {
                File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
            })
            .map_err(|e| self.refused(self.path(), "create a file in it", e))?;
        try_lock(temporary.as_file(), 0, Access::Write)
            .map_err(|e| Error::io(self.path(), "lock a new file in it", e))?;
        Ok(temporary)
    }

    /// Removes the temporary files of writers that died, and returns how many there were. `now` is the time by the
    /// same clock as the files' times. What can't be opened or removed is left for the run that can.
    ///
    /// # Errors
    /// Where the directory can't be listed.
    pub fn sweep_temporaries(&self, now: SystemTime) -> Result<usize, Error> {
        let mut removed = 0;
        for (name, _) in self.list()? {
            let Some(name) = name.to_str() else { continue };
            if is_temporary(name) && self.is_abandoned(name, now) {
                removed += usize::from(unlinkat(self.fd(), name, UnlinkatFlags::NoRemoveDir).is_ok());
            }
        }
        Ok(removed)
    }

    /// Whether `name` is an old file that nobody holds locked.
    fn is_abandoned(&self, name: &str, now: SystemTime) -> bool {
        let old = |stat: &FileStat| is_regular(stat) && !is_young(stat.st_mtime, now);
        if !fstatat(self.fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| old(&stat)) {
            return false;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened: Result<OwnedFd, _> = openat(self.fd(), name, flags, Mode::empty());
        opened.is_ok_and(|fd| {
            fstat(&fd).is_ok_and(|stat| old(&stat)) && try_lock(&fd, 0, Access::Read).unwrap_or(false)
        })
    }
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|random| random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether `mtime`, in seconds since the epoch, is about now. A time in the future is a wrong clock's, not young.
fn is_young(mtime: libc::time_t, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    now.abs_diff(u64::try_from(mtime).unwrap_or(0)) <= YOUNG.as_secs()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, symlink};

    use super::*;

    fn setup() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        (place, directory)
    }

    fn later() -> SystemTime {
        SystemTime::now() + 2 * YOUNG
    }

    #[test]
    fn its_name_is_hidden_and_no_prom() {
        let (place, directory) = setup();
        let temporary = directory.temporary().unwrap();
        let names: Vec<String> =
            place.path().read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), 1);
        assert!(is_temporary(&names[0]) && !names[0].ends_with(".prom"), "{names:?}");
        drop(temporary);
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn only_the_dead_are_swept() {
        let (place, directory) = setup();
        let alive = directory.temporary().unwrap();
        let dead = place.path().join(".promdrop-Dead01.tmp");
        std::fs::write(&dead, "").unwrap();
        // Too young: its writer may be about to lock it.
        assert_eq!(directory.sweep_temporaries(SystemTime::now()).unwrap(), 0);
        assert!(dead.exists());
        assert_eq!(directory.sweep_temporaries(later()).unwrap(), 1);
        assert!(!dead.exists());
        assert!(place.path().join(alive.path().file_name().unwrap()).exists());
    }

    #[test]
    fn a_file_of_the_future_is_not_young_for_ever() {
        let (place, directory) = setup();
        let dead = place.path().join(".promdrop-Dead01.tmp");
        let file = File::create(&dead).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1 << 30)).unwrap();
        drop(file);
        assert_eq!(directory.sweep_temporaries(SystemTime::now()).unwrap(), 1);
    }

    #[test]
    fn what_is_not_ours_is_not_swept() {
        let (place, directory) = setup();
        let kept =
            ["x.prom", ".promdrop.lock", ".promdrop-abc.tmp", ".promdrop-abcdef.tmp.prom", "abcdef.tmp"];
        for name in kept {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        symlink("x.prom", place.path().join(".promdrop-Link01.tmp")).unwrap();
        let fifo = place.path().join(".promdrop-Fifo01.tmp");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert_eq!(directory.sweep_temporaries(later()).unwrap(), 0);
        assert!(fifo.metadata().unwrap().file_type().is_fifo());
        assert_eq!(place.path().read_dir().unwrap().count(), kept.len() + 2);
    }
}
