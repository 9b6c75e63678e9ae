//! Every entry that node_exporter would read, for who only looks: whose it is, and what promdrop says in it.
//!
//! No lock is taken and nothing is written, so that any user who can list the directory may look.

use std::ffi::OsStr;
use std::ops::ControlFlow;

use super::MAX_FILE;
use super::directory::Directory;
use super::error::Error;
use super::header::{Claim, Header};
use super::look::Content;
use super::survey::{Entry, Survey};
use super::target::{COPY, NO_HEADER, TOO_LARGE};
use crate::exposition::{self, Family, OWN_PREFIX, Text};

/// A file of promdrop's.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its header.
    pub header: Header,
    /// Those of its families that are promdrop's own; they have neither HELP nor TYPE. `None` where they can't be read.
    pub families: Option<Vec<Family>>,
}

/// What stands at a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Holder {
    /// A file of promdrop's.
    Ours(Box<Published>),
    /// A file of another version of promdrop, or a damaged one: as good as absent.
    Doubtful,
    /// What can't be promdrop's, and why.
    Foreign(String),
    /// What can't be read, and why: nobody knows whose it is.
    Unread(String),
}

impl Directory {
    /// What stands in the directory, in the order of the names.
    ///
    /// # Errors
    /// Where it can't be listed.
    pub fn overview(&self) -> Result<Vec<(String, Holder)>, Error> {
        let mut survey = Survey::new(MAX_FILE as u64);
        survey.refresh(self, Holder::read)?;
        let named = |(name, entry): (&OsStr, _)| (name.to_string_lossy().into_owned(), Holder::of(entry));
        Ok(survey.entries().map(named).collect())
    }
}

/// A file of promdrop's as it stands there, with all that it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    /// Its name.
    pub file: String,
    /// Its header.
    pub header: Header,
    /// When it was last written, by its times: seconds and nanoseconds since the epoch.
    pub modified: (i64, i64),
    /// Its mode, owner and group.
    pub access: (u32, u32, u32),
    /// All of it.
    pub text: Vec<u8>,
}

/// The header and the text of a file.
type Whole = (Header, Vec<u8>);

impl Directory {
    /// All files of promdrop's that can be read, in the order of their names.
    ///
    /// # Errors
    /// Where the directory can't be listed.
    pub fn own_files(&self) -> Result<Vec<Own>, Error> {
        let mut survey = Survey::new(MAX_FILE as u64);
        survey.refresh(self, |name, text| {
            let Claim::Ours(header) = Header::claim(text, name.to_str()?) else { return None };
            let mut whole = Vec::new();
            text.each(&mut |piece| {
                whole.extend_from_slice(piece);
                ControlFlow::Continue(())
            });
            Some((*header, whole))
        })?;
        let own = |(name, entry): (&OsStr, &Entry<Option<Whole>>)| {
            let (header, text) = entry.content.text()?.as_ref().filter(|_| !entry.is_link)?;
            Some(Own {
                file: name.to_str()?.to_owned(),
                header: header.clone(),
                modified: entry.modified()?,
                access: (entry.mode, entry.uid, entry.gid),
                text: text.clone(),
            })
        };
        Ok(survey.entries().filter_map(own).collect())
    }
}

impl Holder {
    fn of(entry: &Entry<Holder>) -> Self {
        // promdrop publishes no links.
        if entry.is_link {
            return Holder::Foreign("this is a symbolic link".to_owned());
        }
        match &entry.content {
            Content::Text(holder) => holder.clone(),
            Content::TooLarge(_) => Holder::foreign(TOO_LARGE),
            Content::Fifo => Holder::Foreign("this is a FIFO".to_owned()),
            Content::NoFile(word) => Holder::Foreign(format!("this is {word}")),
            Content::Changing => Holder::Unread("somebody writes to it whenever it is read".to_owned()),
            Content::Unreadable(errno) => {
                Holder::Unread(format!("can't be read: {}", errno.desc().to_lowercase()))
            }
        }
    }

    fn read(name: &OsStr, text: &mut dyn Text) -> Self {
        match name.to_str().map_or(Claim::Foreign, |name| Header::claim(text, name)) {
            Claim::Ours(header) => {
                Holder::Ours(Box::new(Published { header: *header, families: own_families(text) }))
            }
            Claim::Doubtful => Holder::Doubtful,
            Claim::Copy => Holder::foreign(COPY),
            Claim::Foreign => Holder::foreign(NO_HEADER),
        }
    }

    fn foreign(why: &str) -> Self {
        Holder::Foreign(format!("this file is somebody else's: {why}"))
    }
}

/// The families of `text` that are promdrop's own; `None` where they can't be read. The rest, however large, is only
/// passed over.
pub(super) fn own_families(text: &mut dyn Text) -> Option<Vec<Family>> {
    let mut own = Vec::new();
    text.each(&mut |piece| {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', piece).map(|end| end + 1).chain([piece.len()]) {
            let line = piece.get(start..end).unwrap_or_default();
            if line.starts_with(OWN_PREFIX.as_bytes()) {
                own.extend_from_slice(line);
            }
            start = end;
        }
        ControlFlow::Continue(())
    });
    exposition::read(&own).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::Duration;

    use nix::sys::stat::Mode;

    use super::*;
    use crate::textfile::Kind;

    fn header(file: &str) -> Header {
        Header {
            slot: Some(60_000),
            last_success: Some(60_001),
            max_age: Some(Duration::from_secs(300)),
            ..Header::new(Kind::Collector, "/c", file)
        }
    }

    fn lay(place: &Path, name: &str, header: &Header, body: &str) {
        let mut text = String::new();
        header.render(&mut text);
        fs::write(place.join(name), text + body).unwrap();
    }

    fn holder(place: &Path, name: &str) -> Holder {
        let directory = Directory::open_to_look(place).unwrap();
        let mut all = directory.overview().unwrap();
        all.retain(|(found, _)| found == name);
        assert_eq!(all.len(), 1, "{name}");
        all.remove(0).1
    }

    #[test]
    fn of_a_file_of_promdrops_only_its_own_families_are_read() {
        let place = tempfile::tempdir().unwrap();
        let body =
            "# TYPE c_a gauge\nc_a nonsense\n# HELP promdrop_x X.\n# TYPE promdrop_x gauge\npromdrop_x 7\n";
        lay(place.path(), "x.prom", &header("x.prom"), body);
        let Holder::Ours(published) = holder(place.path(), "x.prom") else { panic!() };
        assert_eq!(published.header, header("x.prom"));
        let families = published.families.unwrap();
        let names: Vec<_> = families.iter().map(|f| (&*f.name, f.samples[0].value)).collect();
        assert_eq!(names, [("promdrop_x", 7.0)]);
        for body in ["promdrop_x nonsense\n", "promdrop_x 7"] {
            lay(place.path(), "x.prom", &header("x.prom"), body);
            let Holder::Ours(published) = holder(place.path(), "x.prom") else { panic!() };
            assert_eq!(published.families, None, "{body}");
        }
    }

    #[test]
    fn what_is_not_promdrops_says_why() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        lay(place, "copy.prom", &header("x.prom"), "");
        fs::write(place.join("foreign.prom"), "c_a 1\n").unwrap();
        fs::write(place.join("doubt.prom"), "# promdrop-format: 9\nc_a 1\n").unwrap();
        lay(place, "target", &header("link.prom"), "");
        symlink("target", place.join("link.prom")).unwrap();
        symlink("nowhere", place.join("broken.prom")).unwrap();
        nix::unistd::mkfifo(&place.join("fifo.prom"), Mode::S_IRWXU).unwrap();
        fs::create_dir(place.join("dir.prom")).unwrap();
        fs::File::create(place.join("large.prom")).unwrap().set_len(MAX_FILE as u64 + 1).unwrap();
        for (name, why) in [
            ("copy.prom", "this file is somebody else's: it is a copy"),
            ("foreign.prom", "this file is somebody else's: it does not begin with promdrop's header"),
            ("link.prom", "this is a symbolic link"),
            ("broken.prom", "this is a symbolic link"),
            ("fifo.prom", "this is a FIFO"),
            ("dir.prom", "this is a directory"),
            ("large.prom", "this file is somebody else's: it is larger than any of promdrop's"),
        ] {
            match holder(place, name) {
                Holder::Foreign(said) => assert!(said.starts_with(why), "{name}: {said}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(holder(place, "doubt.prom"), Holder::Doubtful);
    }
}
