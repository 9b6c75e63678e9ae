//! The directory, opened once, and what stands in it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, stat};
use nix::unistd::fsync;

use super::MAX_FILE;
use super::error::{Class, Error};
use super::lock::PUBLISH_WAIT;
use super::look::read_at;
use super::seen::Seen;
use super::survey::Survey;
use crate::exporter::{self, Live};
use crate::exposition::{Text, spots};

/// The textfile directory. Threads may share it.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    stat: FileStat,
    pub(super) foreign: Foreign,
    /// How long publishing waits for its lock.
    patience: Duration,
    /// All that node_exporter would open: read again only once it has changed.
    survey: Mutex<Survey<Seen>>,
    /// Whose turn it is to publish, of the threads of this process; and when one last waited for the lock in
    /// vain.
    turn: Mutex<Option<Instant>>,
    /// Where a live node_exporter is to be asked.
    pub(super) node_exporter: Option<String>,
    /// What it answered.
    pub(super) live: OnceLock<Result<Live, exporter::Error>>,
}

/// Which directory it is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Device and inode.
    pub inode: (u64, u64),
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
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

    /// When the content was last changed.
    pub(super) fn modified(self) -> (i64, i64) {
        self.3
    }
}

impl Directory {
    /// Opens the directory at `path`, which must be there already.
    ///
    /// # Errors
    /// Where it is missing, no directory, or open to anyone's files: writable by all without the sticky bit.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let directory = Self::open_checked(path)?;
        directory.share_lock_file();
        Ok(directory)
    }

    /// As [`open`](Self::open), where nothing is to be published.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_checked(path: &Path) -> Result<Self, Error> {
        let directory = Self::open_to_look(path)?;
        if directory.stat.st_mode & 0o1002 == 0o002 {
            let message = "anyone can replace the files in this directory";
            let cure = format!("chmod o-w {}", path.display());
            return Err(Error::new(Class::Refused, path, message, cure));
        }
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

    /// What it is, as it was when it was opened.
    pub fn status(&self) -> Status {
        let FileStat { st_mode: mode, st_uid: uid, st_gid: gid, .. } = self.stat;
        Status { inode: (self.stat.st_dev, self.stat.st_ino), mode, uid, gid }
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

    /// What was seen of the directory so far.
    pub(super) fn survey(&self) -> MutexGuard<'_, Survey<Seen>> {
        self.survey.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread of this process publishes.
    pub(super) fn turn(&self) -> MutexGuard<'_, Option<Instant>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
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
