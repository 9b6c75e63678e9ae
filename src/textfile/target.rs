//! What stands at the name of a file that is to be published: promdrop's own, of which kind and source, or somebody
//! else's.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::geteuid;

use super::MAX_FILE;
use super::directory::{Directory, Foreign, is_regular, kind_word};
use super::error::{Class, Error};
use super::header::{Claim, Header, Kind};
use super::look::Content;
use super::overview::own_families;
use super::seen::{Owner, Seen};
use super::survey::{Entry, Survey};
use crate::exposition::{self, Family};

/// What promdrop published before.
#[derive(Debug, Clone, PartialEq)]
pub struct Previous {
    /// Its header.
    pub header: Header,
    /// The user whose file it is; what a header says of its source, whoever may write here can write.
    pub user: u32,
    text: Vec<u8>,
}

impl Previous {
    /// Whether it is a file of the user that this process runs as.
    pub fn is_this_users(&self) -> bool {
        self.user == geteuid().as_raw()
    }

    /// Its families; `None` where they can't be read any more.
    pub fn families(&self) -> Option<Vec<Family>> {
        exposition::read(&self.text).ok()
    }

    /// Those that are promdrop's own, without HELP and TYPE, at a fraction of the cost.
    pub fn own_families(&self) -> Option<Vec<Family>> {
        own_families(&mut self.text.as_slice())
    }
}

/// A file of promdrop's as it was read.
struct Found {
    /// `None` where it is in doubt.
    header: Option<Header>,
    user: u32,
    text: Vec<u8>,
}

/// Why a file is somebody else's.
pub(super) const COPY: &str = "it is a copy of a file of promdrop's with another name";
pub(super) const NO_HEADER: &str = "it does not begin with promdrop's header";
pub(super) const TOO_LARGE: &str = "it is larger than any of promdrop's";

impl Directory {
    /// What promdrop published as `file` before. `None`: nothing, or what can't be trusted to be whole and is
    /// as good as nothing.
    ///
    /// # Errors
    /// [`Class::Refused`] where somebody else's file, or something other than a regular file, stands there.
    pub fn previous(&self, file: &str) -> Result<Option<Previous>, Error> {
        self.check_name(file)?;
        let Some(Found { header: Some(header), user, text }) = self.inspect(file)? else { return Ok(None) };
        Ok(Some(Previous { header, user, text }))
    }

    /// Whether anything stands at `file`.
    pub fn stands(&self, file: &str) -> bool {
        !matches!(fstatat(self.fd(), file, AtFlags::AT_SYMLINK_NOFOLLOW), Err(Errno::ENOENT))
    }

    /// The slot that the collector of `file` has served last, as the directory was at the last
    /// [`look`](Self::look). `None`: it never ran, or the file can't be promdrop's.
    pub fn served(&self, file: &str) -> Option<u64> {
        match self.survey().entry(file) {
            Some(Entry {
                content: Content::Text(Seen { owner: Owner::Ours { slot, .. }, .. }),
                is_link: false,
                ..
            }) => *slot,
            _ => None,
        }
    }

    /// Checks that `header` may be published: nothing stands at its name, or what does is promdrop's and of
    /// its kind.
    pub(super) fn check_target(&self, header: &Header, survey: &Survey<Seen>) -> Result<(), Error> {
        let Some(entry) = survey.entry(&header.file) else { return Ok(()) };
        let (kind, source) = match &entry.content {
            Content::Text(Seen { owner: Owner::Ours { kind, source, .. }, .. }) if !entry.is_link => {
                (*kind, source.clone())
            }
            // Says what it is, and what to do about it.
            _ => match self.inspect(&header.file)?.and_then(|found| found.header) {
                Some(theirs) => (theirs.kind, theirs.source),
                None => return Ok(()),
            },
        };
        if kind != header.kind {
            return Err(self.wrong_kind(&header.file, kind, header.kind));
        }
        if matches!(kind, Kind::Push | Kind::Exec) && source != header.source {
            return Err(self.wrong_source(&header.file, &source, &header.source));
        }
        Ok(())
    }

    /// That `file` is of the source `theirs`, and what is to replace it of `ours`.
    pub fn wrong_source(&self, file: &str, theirs: &str, ours: &str) -> Error {
        let message = format!("this is the file of {theirs}, and not for {ours} to replace");
        let cure = "choose another name, or remove the file if it is no longer wanted";
        Error::new(Class::Refused, &self.path().join(file), message, cure)
    }

    /// That `file` is of kind `theirs`, and what is to replace it of `ours`.
    pub fn wrong_kind(&self, file: &str, theirs: Kind, ours: Kind) -> Error {
        let (theirs, ours) = (theirs.word(), ours.word());
        let message = format!("this is the file of a {theirs}, and not for a {ours} to replace");
        let cure = "choose another name, or remove the file if it is no longer wanted";
        Error::new(Class::Refused, &self.path().join(file), message, cure)
    }

    /// Checks that no link of another name leads to `file`, which is not there yet: it would serve its series
    /// again.
    pub(super) fn check_links(&self, file: &str, survey: &Survey<Seen>) -> Result<(), Error> {
        let leads_here = |name: &OsStr| {
            let mut place = PathBuf::from(name);
            // The kernel follows no more than so many.
            for _ in 0..40 {
                let Ok(target) = readlinkat(self.fd(), &place) else { break };
                place = place.parent().unwrap_or(Path::new("")).join(target);
            }
            let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
            let stat = fstatat(self.fd(), parent.unwrap_or(Path::new(".")), AtFlags::empty());
            place.file_name() == Some(OsStr::new(file))
                && stat
                    .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (self.stat().st_dev, self.stat().st_ino))
        };
        let dangling = |entry: &Entry<Seen>| {
            entry.is_link && matches!(entry.content, Content::Unreadable(Errno::ENOENT))
        };
        let mut links = survey.entries().filter(|(_, entry)| dangling(entry)).map(|(name, _)| name);
        let Some(link) = links.find(|name| leads_here(name)) else { return Ok(()) };
        let message =
            format!("{} is a link to it, and would have node_exporter read it twice", link.display());
        Err(Error::new(Class::Conflict, &self.path().join(file), message, "remove the link"))
    }

    /// The text of `file`, if that is still promdrop's: others take no lock, and may have replaced it since
    /// it was looked at.
    pub(super) fn own_text(&self, file: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.inspect(file) {
            Ok(found) => Ok(found.map(|found| found.text)),
            Err(error) if error.class == Class::Refused => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads `file`, which must be promdrop's.
    fn inspect(&self, file: &str) -> Result<Option<Found>, Error> {
        let path = self.path().join(file);
        // Asked before it is opened: to open a FIFO or a device already does something to it.
        if self.stat_regular(file)?.is_none() {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = match openat(self.fd(), file, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(Error::io(&path, "open it", e)),
        };
        let stat = fstat(&opened).map_err(|e| Error::io(&path, "look at it", e))?;
        self.check_regular(file, &stat)?;
        let foreign = |why: &str| {
            let message = format!("this file is somebody else's: {why}");
            let cure = match self.foreign {
                Foreign::Adoptable if why != COPY => {
                    "take it over with --adopt if nothing else writes it any more, or choose another name"
                }
                _ => "choose another name, or remove the file if it is stale",
            };
            Err(Error::new(Class::Refused, &path, message, cure))
        };
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        let mut text = Vec::with_capacity(size.min(MAX_FILE));
        opened
            .take(MAX_FILE as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|e| Error::io(&path, "read it", e))?;
        let claim = Header::parse(&text, file);
        if claim == Claim::Foreign && self.foreign == Foreign::Adopted {
            return Ok(None);
        }
        if text.len() > MAX_FILE {
            return foreign(TOO_LARGE);
        }
        let header = match claim {
            Claim::Ours(header) => Some(*header),
            Claim::Doubtful => None,
            Claim::Copy => return foreign(COPY),
            Claim::Foreign => return foreign(NO_HEADER),
        };
        Ok(Some(Found { header, user: stat.st_uid, text }))
    }

    /// The status of `file`; `None` where there is none.
    fn stat_regular(&self, file: &str) -> Result<Option<FileStat>, Error> {
        match fstatat(self.fd(), file, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => self.check_regular(file, &stat).map(|()| Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(Error::io(&self.path().join(file), "look at it", e)),
        }
    }

    fn check_regular(&self, file: &str, stat: &FileStat) -> Result<(), Error> {
        if is_regular(stat) {
            return Ok(());
        }
        let message = format!("this is {}, not a file that promdrop published", kind_word(stat));
        let cure = "remove it, or choose another name";
        Err(Error::new(Class::Refused, &self.path().join(file), message, cure))
    }

    /// Checks that `file` is a plain name that node_exporter reads. node_exporter dies of names that are not
    /// UTF-8, which a `str` can't be.
    pub(super) fn check_name(&self, file: &str) -> Result<(), Error> {
        let plain = file.len() <= 255 && !file.contains(|c: char| c == '/' || c.is_control());
        if plain && file.ends_with(".prom") {
            return Ok(());
        }
        let message = format!("{file:?} is not a name for a published file");
        Err(Error::new(Class::Refused, self.path(), message, "use a plain file name that ends in .prom"))
    }
}
