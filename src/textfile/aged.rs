//! The sweep of files that `promdrop write` gave an age, once they are past it.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::{Directory, is_regular};
use super::error::Error;
use super::header::{Claim, Header, Kind};
use super::lock::PUBLISH_WAIT;

/// All that is read of a file: the header of a `write` is shorter, since it carries no state.
const HEAD: u64 = 8 * 1024;

impl Directory {
    /// Removes the files of `promdrop write` that are past the age they were given, but for the one called `except`;
    /// returns how many. `now` is in ms since the epoch. A collector's numbers are for its own run to drop.
    ///
    /// # Errors
    /// Where the directory can't be listed, the lock not be had, or a file not be removed; the others are by then.
    pub fn sweep_aged(&self, now: u64, except: Option<&str>) -> Result<usize, Error> {
        let aged = self.aged(now, except)?;
        if aged.is_empty() { Ok(0) } else { self.remove_aged(&aged, now, PUBLISH_WAIT) }
    }

    /// Removes those of `names` that are still past their age once the lock is had: any may have been published anew.
    fn remove_aged(&self, names: &[String], now: u64, wait: Duration) -> Result<usize, Error> {
        let lock = self.lock_publishing(wait)?;
        let mut removed = 0;
        let mut failed = None;
        for name in names.iter().filter(|name| self.is_aged(name, now)) {
            match unlinkat(self.fd(), name.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) => removed += 1,
                Err(Errno::ENOENT) => {}
                Err(e) => {
                    failed = Some(Error::io(&self.path().join(name), "remove it, which is past its age", e));
                }
            }
        }
        drop(lock);
        failed.map_or(Ok(removed), Err)
    }

    /// The names of such files.
    fn aged(&self, now: u64, except: Option<&str>) -> Result<Vec<String>, Error> {
        let failed = |e| Error::io(self.path(), "list it", e);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // A description of its own: the position in a listing belongs to it.
        let mut listing = Dir::openat(self.fd(), c".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.ends_with(".prom") && Some(name) != except && self.is_aged(name, now) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Whether `name` is a regular file whose header says that `write` published it, and so long ago. On any doubt it
    /// is not.
    fn is_aged(&self, name: &str, now: u64) -> bool {
        // Asked before it is opened: to open a FIFO or a device already does something to it.
        if !fstatat(self.fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| is_regular(&stat)) {
            return false;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let Ok(file) = openat(self.fd(), name, flags, Mode::empty()).map(File::from) else { return false };
        let mut head = Vec::new();
        let read = fstat(&file).is_ok_and(|stat| is_regular(&stat))
            && file.take(HEAD).read_to_end(&mut head).is_ok();
        match Header::parse(&head, name) {
            Claim::Ours(header) if read && header.kind == Kind::Write => is_past(&header, now),
            _ => false,
        }
    }
}

/// A time that lies in the future (the clock was set back, or others wrote it) by more than the age must not keep the
/// file for ever: it counts as past. By less than that, the clock may be about to be right again.
fn is_past(header: &Header, now: u64) -> bool {
    let (Some(at), Some(age)) = (header.last_success, header.max_age) else { return false };
    u128::from(now.abs_diff(at)) > age.as_millis()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::textfile::{Class, State};

    const NOW: u64 = 1_754_900_000_000;
    const AGE: u64 = 60_000;

    fn header() -> Header {
        Header {
            kind: Kind::Write,
            source: "stdin".into(),
            file: "x.prom".into(),
            slot: None,
            last_success: Some(NOW),
            max_age: Some(Duration::from_millis(AGE)),
            definition: None,
            failure: None,
            state: State::default(),
        }
    }

    fn setup() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        (place, directory)
    }

    fn lay(place: &Path, name: &str, header: &Header) {
        let mut text = String::new();
        header.render(&mut text);
        std::fs::write(place.join(name), text + "c_a 1\n").unwrap();
    }

    #[test]
    fn a_file_goes_once_it_is_past_its_age() {
        let (place, directory) = setup();
        for (now, removed) in [
            (NOW, 0),
            (NOW + AGE, 0),
            (NOW + AGE + 1, 1),
            (NOW - AGE, 0),
            (NOW - AGE - 1, 1),
            (0, 1),
            (u64::MAX, 1),
        ] {
            lay(place.path(), "x.prom", &header());
            assert_eq!(directory.sweep_aged(now, None), Ok(removed), "{now}");
            assert_eq!(place.path().join("x.prom").exists(), removed == 0, "{now}");
        }
    }

    #[test]
    fn what_is_in_doubt_or_not_asked_for_stays() {
        let (place, directory) = setup();
        for (file, header) in [
            ("none.prom", Header { max_age: None, ..header() }),
            ("never.prom", Header { last_success: None, ..header() }),
            ("collector.prom", Header { kind: Kind::Collector, ..header() }),
            ("push.prom", Header { kind: Kind::Push, ..header() }),
            ("exec.prom", Header { kind: Kind::Exec, ..header() }),
            ("except.prom", header()),
            ("x.txt", header()),
            ("huge.prom", Header { source: "x".repeat(9_000), ..header() }),
        ] {
            lay(place.path(), file, &Header { file: file.into(), ..header });
        }
        lay(place.path(), "copy.prom", &header());
        std::fs::write(place.path().join("foreign.prom"), "c_a 1\n").unwrap();
        lay(place.path(), "target", &Header { file: "link.prom".into(), ..header() });
        symlink("target", place.path().join("link.prom")).unwrap();
        nix::unistd::mkfifo(&place.path().join("fifo.prom"), Mode::S_IRWXU).unwrap();
        std::fs::create_dir(place.path().join("dir.prom")).unwrap();
        let count = || place.path().read_dir().unwrap().count();
        let before = count();
        assert_eq!(directory.sweep_aged(u64::MAX, Some("except.prom")), Ok(0));
        assert_eq!(count(), before);
    }

    #[test]
    fn what_is_published_anew_meanwhile_stays() {
        let (place, directory) = setup();
        lay(place.path(), "x.prom", &header());
        let aged = directory.aged(u64::MAX, None).unwrap();
        assert_eq!(aged, ["x.prom"]);
        lay(place.path(), "x.prom", &Header { last_success: Some(u64::MAX), ..header() });
        assert_eq!(directory.remove_aged(&aged, u64::MAX, Duration::ZERO), Ok(0));
        assert!(place.path().join("x.prom").exists());
    }

    #[test]
    fn nothing_is_removed_without_the_lock() {
        let (place, directory) = setup();
        lay(place.path(), "x.prom", &header());
        let held = directory.lock_publishing(Duration::ZERO).unwrap();
        let error = directory.remove_aged(&["x.prom".into()], u64::MAX, Duration::ZERO).unwrap_err();
        assert_eq!(error.class, Class::Lock);
        assert!(place.path().join("x.prom").exists());
        drop(held);
        assert_eq!(directory.remove_aged(&["x.prom".into()], u64::MAX, Duration::ZERO), Ok(1));
    }
}
