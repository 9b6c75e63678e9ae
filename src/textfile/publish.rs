//! The one place where a file becomes visible.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod, fstat};
use tempfile::NamedTempFile;

use super::MAX_FILE;
use super::directory::Directory;
use super::error::{Class, Error};
use super::header::{Header, MAX_HEADER};
use super::lock::PUBLISH_WAIT;
use crate::exposition::{self, Family};

impl Directory {
    /// Publishes `families` as the file that `header` names, in the place of what promdrop published there before. A
    /// reader sees the old file or the new one. [`Directory::sync`] makes it last.
    ///
    /// # Errors
    /// Of every [`Class`]; the old file stands then, and nothing is left behind.
    pub fn publish(&self, header: &Header, families: &[Family]) -> Result<(), Error> {
        self.publish_within(header, families, PUBLISH_WAIT)
    }

    /// As [`Directory::publish`], with the longest wait for the lock.
    fn publish_within(&self, header: &Header, families: &[Family], wait: Duration) -> Result<(), Error> {
        self.check_name(&header.file)?;
        let path = self.path().join(&header.file);
        let text = compose(&path, header, families)?;
        // All that takes time comes before the lock.
        self.check_target(header)?;
        let temporary = self.write(&path, &text)?;
        let lock = self.lock_publishing(wait)?;
        self.check_target(header)?;
        // Here, under the lock, belongs the check against the directory's other files as a whole.
        let file = rename(temporary, self, header).map_err(|e| Error::io(&path, "put it in place", e))?;
        if let Ok(stat) = fstat(&file) {
            self.remember(header, &stat);
        }
        drop(lock);
        Ok(())
    }

    /// Writes `text` to a new temporary file that is safe on the disk.
    fn write(&self, path: &Path, text: &str) -> Result<NamedTempFile, Error> {
        let temporary = self.temporary()?;
        let mut file = temporary.as_file();
        // On the descriptor, since the umask would take from the mode it is created with.
        fchmod(file, Mode::from_bits_truncate(0o644)).map_err(|e| Error::io(path, "set its mode", e))?;
        file.write_all(text.as_bytes()).map_err(|e| Error::io(path, "write it", e))?;
        file.sync_all().map_err(|e| Error::io(path, "write it to disk", e))?;
        Ok(temporary)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn rename(
    temporary: NamedTempFile,
    directory: &Directory,
    header: &Header,
) -> std::io::Result<std::fs::File> {
    temporary.persist(directory.anchor().join(&header.file)).map_err(|e| e.error)
}

/// The text of a file, proven harmless.
fn compose(path: &Path, header: &Header, families: &[Family]) -> Result<String, Error> {
    let mut text = String::new();
    header.render(&mut text);
    if text.len() > MAX_HEADER {
        let message = format!("what it carries from run to run is larger than {MAX_HEADER} bytes");
        return Err(Error::new(Class::Limit, path, message, "split it over several names"));
    }
    exposition::render(families, &mut text);
    if text.len() > MAX_FILE {
        let message = format!("it would be {} bytes long, more than the {MAX_FILE} allowed", text.len());
        return Err(Error::new(
            Class::Limit,
            path,
            message,
            "expose fewer series, or split them over several names",
        ));
    }
    match exposition::prove(text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(problems) => Err(Error { class: Class::Invalid, path: path.to_owned(), problems, text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Descriptor, Kind as FamilyKind};
    use crate::textfile::{Kind, State};

    const FAMILY: Descriptor =
        Descriptor { name: "textfile_test", help: "A number.", kind: FamilyKind::Gauge };

    fn header() -> Header {
        Header {
            kind: Kind::Collector,
            source: "/etc/promdrop/collectors.d".into(),
            file: "x.prom".into(),
            slot: None,
            last_success: None,
            max_age: Some(Duration::from_secs(60)),
            failure: None,
            state: State::default(),
        }
    }

    fn families() -> Vec<Family> {
        let mut family = Family::new(&FAMILY);
        family.push(Vec::new(), 1.0);
        vec![family]
    }

    #[test]
    fn a_lock_that_is_never_free_is_an_error_in_time() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        directory.publish(&header(), &families()).unwrap();
        let old = std::fs::read(place.path().join("x.prom")).unwrap();
        let held = directory.lock_publishing(Duration::ZERO).unwrap();
        let later = Header { slot: Some(1), ..header() };
        let error = directory.publish_within(&later, &families(), Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.class, Class::Lock);
        assert!(error.to_string().contains("0.03 s"), "{error}");
        assert_eq!(std::fs::read(place.path().join("x.prom")).unwrap(), old);
        // The file and the lock: no temporary is left.
        assert_eq!(place.path().read_dir().unwrap().count(), 2);
        drop(held);
        directory.publish_within(&later, &families(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_target_that_changes_while_the_lock_is_awaited_is_met() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        directory.publish(&header(), &families()).unwrap();
        let held = directory.lock_publishing(Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let publisher =
                scope.spawn(|| directory.publish_within(&header(), &families(), Duration::from_secs(60)));
            // It is past its first look at the target once its temporary file is there.
            while place.path().read_dir().unwrap().count() < 3 {
                std::thread::yield_now();
            }
            std::fs::write(place.path().join("x.prom"), "theirs 1\n").unwrap();
            drop(held);
            assert_eq!(publisher.join().unwrap().unwrap_err().class, Class::Refused);
        });
        assert_eq!(std::fs::read(place.path().join("x.prom")).unwrap(), b"theirs 1\n");
    }

    #[test]
    fn what_is_too_large_is_not_published() {
        let path = Path::new("x.prom");
        let mut large = header();
        for i in 0..MAX_HEADER / 10 {
            large.state.set(format!("key{i}"), 1 << 40);
        }
        assert_eq!(compose(path, &large, &[]).unwrap_err().class, Class::Limit);
        let many: Vec<Family> = (0..MAX_FILE / 60)
            .map(|i| {
                let mut family = families().remove(0);
                family.name = format!("textfile_test_{i}").into();
                family.samples[0].name = family.name.clone();
                family
            })
            .collect();
        assert_eq!(compose(path, &header(), &many).unwrap_err().class, Class::Limit);
    }
}
