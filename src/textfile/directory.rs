//! The directory, opened once, and what stands in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, stat};
use nix::unistd::{fsync, geteuid};

use super::MAX_FILE;
use super::error::{Class, Error};
use super::header::{Claim, Header, Kind};
use super::lock::PUBLISH_WAIT;
use super::look::{Content, read_at};
use super::overview::own_families;
use super::seen::{Owner, Seen};
use super::survey::{Entry, Survey};
use crate::diagnostic::Problem;
use crate::exporter::{self, Live};
use crate::exposition::reserved::{self, Reserved, Tier};
use crate::exposition::{self, Facts, Family, FamilyFacts, Harm, Text, spots};

/// The textfile directory. Threads may share it.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    stat: FileStat,
    foreign: Foreign,
    /// How long publishing waits for its lock.
    patience: Duration,
    /// All that node_exporter would open: read again only once it has changed.
    survey: Mutex<Survey<Seen>>,
    /// Whose turn it is to publish, of the threads of this process; and when one last waited for the lock in
    /// vain.
    turn: Mutex<Option<Instant>>,
    /// Where a live node_exporter is to be asked.
    node_exporter: Option<String>,
    /// What it answered.
    live: OnceLock<Result<Live, exporter::Error>>,
}

/// What becomes of a regular file without promdrop's header where promdrop is to publish one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It is somebody else's: nothing is published.
    Refused,
    /// The same, and the cure is `--adopt`.
    Adoptable,
    /// It is taken over.
    Adopted,
}

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

/// A family of a text whose name is node_exporter's by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The family.
    pub family: String,
    /// Where the text first names it.
    pub at: usize,
    /// What comes of it.
    pub harm: Harm,
    /// Whose name it is, without a full stop.
    pub message: String,
    /// What to do about it.
    pub cure: &'static str,
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

/// What tells whether a file is still the one that was looked into: device, inode, size, times of content and
/// inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(libc::dev_t, libc::ino_t, libc::off_t, Time, Time);

/// Seconds and nanoseconds.
type Time = (libc::time_t, libc::c_long);

impl Stamp {
    pub(super) fn of(stat: &FileStat) -> Self {
        let modified = (stat.st_mtime, stat.st_mtime_nsec);
        Self(stat.st_dev, stat.st_ino, stat.st_size, modified, (stat.st_ctime, stat.st_ctime_nsec))
    }
}

impl Directory {
    /// Opens the directory at `path`, which must be there already.
    ///
    /// # Errors
    /// Where it is missing, no directory, or open to anyone's files: writable by all without the sticky bit.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let directory = Self::open_to_look(path)?;
        if directory.stat.st_mode & 0o1002 == 0o002 {
            let message = "anyone can replace the files in this directory";
            let cure = format!("chmod o-w {}", path.display());
            return Err(Error::new(Class::Refused, path, message, cure));
        }
        directory.share_lock_file();
        Ok(directory)
    }

    /// Opens the directory at `path`, whoever can write to it, where nothing is to be published.
    ///
    /// # Errors
    /// Where it is missing or no directory.
    pub fn open_to_look(path: &Path) -> Result<Self, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(path, flags, Mode::empty()).map_err(|e| match e {
            Errno::ENOENT => Error::new(
                Class::Io,
                path,
                "the textfile directory does not exist",
                "name node_exporter's with --textfile-dir or PROMDROP_TEXTFILE_DIR, or create it with mkdir",
            ),
            Errno::ENOTDIR => Error::new(
                Class::Refused,
                path,
                "this is not a directory",
                "name node_exporter's textfile directory with --textfile-dir or PROMDROP_TEXTFILE_DIR",
            ),
            e => Error::io(path, "open the textfile directory", e),
        })?;
        let stat = fstat(&fd).map_err(|e| Error::io(path, "look at the textfile directory", e))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
            stat,
            foreign: Foreign::Refused,
            patience: PUBLISH_WAIT,
            survey: Mutex::new(Survey::new(MAX_FILE as u64).watching()),
            turn: Mutex::new(None),
            node_exporter: None,
            live: OnceLock::new(),
        })
    }

    /// The same, asking the node_exporter at `url` whether it serves a name itself, where only that can tell.
    #[must_use]
    pub fn with_node_exporter(self, url: &str) -> Self {
        Self { node_exporter: Some(url.to_owned()), ..self }
    }

    /// The same, with another way to meet files that are somebody else's.
    #[must_use]
    pub fn with_foreign(self, foreign: Foreign) -> Self {
        Self { foreign, ..self }
    }

    /// From now on, its lock for publishing is awaited no longer than `patience`.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How long publishing waits for its lock.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the names published so far last through a power cut: once a run, after the last publish.
    ///
    /// # Errors
    /// Where the disk fails, or the directory is not at its path any more, so that nobody reads what was
    /// published.
    pub fn sync(&self) -> Result<(), Error> {
        fsync(&self.fd).map_err(|e| Error::io(&self.path, "write the directory to disk", e))?;
        self.check_place()
    }

    /// Checks that the path still leads to the directory.
    ///
    /// # Errors
    /// Where it was removed, or another was put in its place: nobody would read what is published now.
    pub fn check_place(&self) -> Result<(), Error> {
        let (message, cure) = match stat(&self.path) {
            Ok(there) if (there.st_dev, there.st_ino) == (self.stat.st_dev, self.stat.st_ino) => {
                return Ok(());
            }
            Ok(_) => (
                "another directory took the place of the textfile directory while promdrop ran",
                "see what replaces it, and run promdrop again",
            ),
            Err(Errno::ENOENT) => (
                "the textfile directory was removed while promdrop ran",
                "see what removes it, and run promdrop again",
            ),
            Err(e) => return Err(Error::io(&self.path, "look at the textfile directory", e)),
        };
        Err(Error::new(Class::Io, &self.path, message, cure))
    }

    /// The kernel refused `action`, which makes a name in the directory, on `path`: maybe because the
    /// directory itself is gone.
    pub(super) fn refused(&self, path: &Path, action: &str, error: std::io::Error) -> Error {
        let place = match error.kind() {
            std::io::ErrorKind::NotFound => self.check_place(),
            _ => Ok(()),
        };
        place.err().unwrap_or_else(|| self.not_allowed(path, action, error))
    }

    /// The kernel refused `action` on `path`; where that is for want of permission, how a user who is not the
    /// directory's gets it.
    pub(super) fn not_allowed(&self, path: &Path, action: &str, error: std::io::Error) -> Error {
        let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let file = path.file_name().and_then(OsStr::to_str).filter(|file| file.ends_with(".prom"));
        let owner = file.and_then(|file| self.others_file(file));
        if is_denied && let Some(owner) = owner {
            let cure = "publish it as that user, or choose another name; root may remove it";
            return Error::new(Class::Io, path, format!("can't {action}: it belongs to user {owner}"), cure);
        }
        let mut error = Error::io(path, action, error);
        if is_denied && let Some(problem) = error.problems.first_mut() {
            let place = self.path.display();
            problem.cure.push_str(&format!(
                ". For jobs of ordinary users, put them into a group and, as root: chgrp GROUP {place}; chmod 1775 {place}; \
                 promdrop prune. See JOBS OF ORDINARY USERS in promdrop(8)"
            ));
        }
        error
    }

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
        !matches!(fstatat(&self.fd, file, AtFlags::AT_SYMLINK_NOFOLLOW), Err(Errno::ENOENT))
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
        Error::new(Class::Refused, &self.path.join(file), message, cure)
    }

    /// That `file` is of kind `theirs`, and what is to replace it of `ours`.
    pub fn wrong_kind(&self, file: &str, theirs: Kind, ours: Kind) -> Error {
        let (theirs, ours) = (theirs.word(), ours.word());
        let message = format!("this is the file of a {theirs}, and not for a {ours} to replace");
        let cure = "choose another name, or remove the file if it is no longer wanted";
        Error::new(Class::Refused, &self.path.join(file), message, cure)
    }

    /// Checks that no link of another name leads to `file`, which is not there yet: it would serve its series
    /// again.
    pub(super) fn check_links(&self, file: &str, survey: &Survey<Seen>) -> Result<(), Error> {
        let leads_here = |name: &OsStr| {
            let mut place = PathBuf::from(name);
            // The kernel follows no more than so many.
            for _ in 0..40 {
                let Ok(target) = readlinkat(&self.fd, &place) else { break };
                place = place.parent().unwrap_or(Path::new("")).join(target);
            }
            let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
            let stat = fstatat(&self.fd, parent.unwrap_or(Path::new(".")), AtFlags::empty());
            place.file_name() == Some(OsStr::new(file))
                && stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (self.stat.st_dev, self.stat.st_ino))
        };
        let dangling = |entry: &Entry<Seen>| {
            entry.is_link && matches!(entry.content, Content::Unreadable(Errno::ENOENT))
        };
        let mut links = survey.entries().filter(|(_, entry)| dangling(entry)).map(|(name, _)| name);
        let Some(link) = links.find(|name| leads_here(name)) else { return Ok(()) };
        let message =
            format!("{} is a link to it, and would have node_exporter read it twice", link.display());
        Err(Error::new(Class::Conflict, &self.path.join(file), message, "remove the link"))
    }

    /// Checks the names of `facts` that only a node_exporter with an optional collector uses: whether it
    /// does, only a live one can tell. One that can't be asked stops nothing.
    pub(super) fn check_optional(&self, path: &Path, facts: &Facts) -> Result<(), Error> {
        let taken = self.taken(facts);
        if taken.is_empty() {
            return Ok(());
        }
        let families = taken.iter().map(|taken| taken.family.clone()).collect();
        let problems = taken.into_iter().map(|taken| Problem::whole(taken.message, taken.cure)).collect();
        Err(Error { class: Class::Conflict, path: path.to_owned(), problems, text: String::new(), families })
    }

    /// The families of `facts` whose names a live node_exporter uses for an optional collector. It is asked
    /// only where there is such a name; where it can't be, there is nothing to tell.
    pub fn taken(&self, facts: &Facts) -> Vec<Taken> {
        let Some(url) = &self.node_exporter else { return Vec::new() };
        if facts.rejected_by.is_all() {
            return Vec::new();
        }
        let optional = |family: &FamilyFacts| match reserved::owner(&family.name, family.kind)? {
            Reserved { family: theirs, tier: Tier::Optional { collector }, harm, message } => {
                let message = format!("{message}, and the node_exporter at {url} serves it");
                let cure = "choose another name, or switch the collector off";
                let taken = Taken { family: family.name.to_string(), at: family.at, harm, message, cure };
                Some((taken, theirs, collector))
            }
            Reserved { tier: Tier::Default, .. } => None,
        };
        let optional: Vec<(Taken, String, &str)> = facts.families.iter().filter_map(optional).collect();
        if optional.is_empty() {
            return Vec::new();
        }
        let Ok(live) = self.live.get_or_init(|| exporter::live(url, exporter::PATIENCE)) else {
            return Vec::new();
        };
        let mut survey = self.survey();
        // What is not known of the directory can't be told from what is node_exporter's.
        if survey.is_new() && survey.refresh(self, Seen::read).is_err() {
            return Vec::new();
        }
        let in_directory = |name: &str| {
            let mut texts = survey.entries().filter_map(|(_, entry)| entry.content.text());
            texts.any(|seen| seen.facts.families.iter().any(|family| *family.name == *name))
        };
        let owned = |(taken, theirs, collector): (Taken, String, &str)| {
            live.owns(&theirs, collector, in_directory).then_some(taken)
        };
        optional.into_iter().filter_map(owned).collect()
    }

    /// The number of the line of `file` that byte `at` is in, as node_exporter would read it.
    pub(super) fn line_number(&self, file: &str, at: usize) -> Option<usize> {
        self.read(file, |text| spots(text, [at]).remove(&at)).map(|spot| spot.line)
    }

    /// Likewise, the line from byte `at` on.
    pub(super) fn line_of(&self, file: &str, at: usize) -> Option<Vec<u8>> {
        self.read(file, |text| text.line(at))
    }

    fn read<T>(&self, file: &str, make: impl FnMut(&mut dyn Text) -> Option<T>) -> Option<T> {
        read_at(self.fd(), OsStr::new(file), MAX_FILE as u64, make).into_text().flatten()
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

    /// What was seen of the directory so far.
    pub(super) fn survey(&self) -> MutexGuard<'_, Survey<Seen>> {
        self.survey.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread of this process publishes.
    pub(super) fn turn(&self) -> MutexGuard<'_, Option<Instant>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `file`, which must be promdrop's.
    fn inspect(&self, file: &str) -> Result<Option<Found>, Error> {
        let path = self.path.join(file);
        // Asked before it is opened: to open a FIFO or a device already does something to it.
        if self.stat_regular(file)?.is_none() {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = match openat(&self.fd, file, flags, Mode::empty()) {
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
        match fstatat(&self.fd, file, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => self.check_regular(file, &stat).map(|()| Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(Error::io(&self.path.join(file), "look at it", e)),
        }
    }

    fn check_regular(&self, file: &str, stat: &FileStat) -> Result<(), Error> {
        if is_regular(stat) {
            return Ok(());
        }
        let message = format!("this is {}, not a file that promdrop published", kind_word(stat));
        let cure = "remove it, or choose another name";
        Err(Error::new(Class::Refused, &self.path.join(file), message, cure))
    }

    /// Checks that `file` is a plain name that node_exporter reads. node_exporter dies of names that are not
    /// UTF-8, which a `str` can't be.
    pub(super) fn check_name(&self, file: &str) -> Result<(), Error> {
        let plain = file.len() <= 255 && !file.contains(|c: char| c == '/' || c.is_control());
        if plain && file.ends_with(".prom") {
            return Ok(());
        }
        let message = format!("{file:?} is not a name for a published file");
        Err(Error::new(Class::Refused, &self.path, message, "use a plain file name that ends in .prom"))
    }

    /// A path to the directory that stays with it wherever it is moved: for what asks for paths.
    pub(super) fn anchor(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The directory's status when it was opened.
    pub(super) fn stat(&self) -> &FileStat {
        &self.stat
    }
}

/// Whether `stat` is of a regular file.
pub(super) fn is_regular(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

/// What to call a file of `stat` in a message.
pub(super) fn kind_word(stat: &FileStat) -> &'static str {
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    }
}
