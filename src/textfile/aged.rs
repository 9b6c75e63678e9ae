//! The sweep of files that `promdrop write` gave an age, once they are past it.

use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::Directory;
use super::error::Error;
use super::header::Kind;
use super::lock::PUBLISH_WAIT;
use super::seen::{Expiry, Owner, Read, Seen, files};

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
        let mut survey = self.survey();
        survey.refresh(self, Seen::read)?;
        let is_aged = |file: &Read<'_>| {
            Some(file.name) != except
                && matches!(file.owner, Owner::Ours { kind: Kind::Write, expiry: Some(expiry), .. } if expiry.is_past(now))
        };
        Ok(files(&survey).filter(is_aged).map(|file| file.name.to_owned()).collect())
    }

    /// Whether `name` is a file that `write` published, and so long ago. On any doubt it is not.
    fn is_aged(&self, name: &str, now: u64) -> bool {
        let header = self.header(name).ok().flatten().filter(|header| header.kind == Kind::Write);
        header.and_then(|header| Expiry::of(&header)).is_some_and(|expiry| expiry.is_past(now))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use nix::sys::stat::Mode;

    use super::super::header::Header;
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
