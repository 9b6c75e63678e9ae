//! What stands at a path: read whole, where it is a regular file that a scrape could read, else said what it is.
//! Never waits for a FIFO or device, never touches one, and takes no more memory than the file has bytes.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use crate::exposition::{Finding, Harm, Rule};

/// Bytes of the largest file that is read: no scrape would pass on so much in its time.
pub const LARGEST: u64 = 1 << 30;

const NOT_CALLED_PROM: &str = "remove it, or give it a name that does not end in .prom";

/// A file that was read.
#[derive(Debug)]
pub struct Whole {
    /// Its status.
    pub stat: FileStat,
    /// Somebody wrote to it meanwhile.
    pub changed: bool,
}

/// Why there is no text.
#[derive(Debug)]
pub enum Unread {
    /// The kernel said no.
    Io(Errno),
    /// It is no regular file.
    Other(Kind),
    /// It is larger than [`LARGEST`], or than the memory there is.
    Huge,
}

/// What is no regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It opens once somebody writes to it.
    Fifo,
    /// It can't be opened.
    Socket,
    /// Likewise.
    Directory,
    /// It answers at once: /dev/zero and its like.
    Memory,
    /// Nobody knows what it does when it is read.
    Device,
}

impl From<Errno> for Unread {
    fn from(errno: Errno) -> Self {
        Unread::Io(errno)
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Unread::Io(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl Unread {
    /// What it means for node_exporter that such a thing is called `*.prom`.
    pub fn finding(&self) -> Finding {
        match self {
            Unread::Io(errno @ (Errno::ENOENT | Errno::ELOOP)) => {
                let message = format!("a link that leads nowhere: {}", errno.desc());
                Finding::new(Rule::BrokenLink, 0, message, "remove it, or what it was to lead to is missing")
            }
            Unread::Io(errno) => {
                let cure = match errno {
                    Errno::EACCES => "make it readable, or look as a user who may read it",
                    _ => "mend it",
                };
                Finding::new(Rule::UnreadableFile, 0, format!("can't be read: {}", errno.desc()), cure)
            }
            Unread::Huge => {
                let message = "larger than 1 GiB, or than the memory there is";
                Finding::new(Rule::HugeFile, 0, message, "publish fewer series")
            }
            Unread::Other(kind) => {
                let (rule, message) = match kind {
                    Kind::Fifo => (Rule::Fifo, "a FIFO: node_exporter waits until somebody writes to it"),
                    Kind::Socket => (Rule::Socket, "a socket, not a regular file"),
                    Kind::Directory => (Rule::DirectoryEntry, "a directory, not a regular file"),
                    Kind::Memory | Kind::Device => (Rule::Device, "a device, not a regular file"),
                };
                let finding = Finding::new(rule, 0, message, NOT_CALLED_PROM);
                if *kind == Kind::Device { Finding { harm: Some(Harm::Poison), ..finding } } else { finding }
            }
        }
    }
}

/// What no regular file is; `None` for one.
fn kind(stat: &FileStat) -> Option<Kind> {
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => None,
        SFlag::S_IFIFO => Some(Kind::Fifo),
        SFlag::S_IFSOCK => Some(Kind::Socket),
        SFlag::S_IFDIR => Some(Kind::Directory),
        // null, zero, full, random, urandom; others of this number are the machine's memory and the kernel's log.
        SFlag::S_IFCHR
            if libc::major(stat.st_rdev) == 1 && matches!(libc::minor(stat.st_rdev), 3 | 5 | 7..=9) =>
        {
            Some(Kind::Memory)
        }
        _ => Some(Kind::Device),
    }
}

fn is_null(stat: &FileStat) -> bool {
    kind(stat) == Some(Kind::Memory) && libc::minor(stat.st_rdev) == 3
}

/// Opens `name` in `dir` if it is a regular file, following links, or /dev/null, which is an empty one.
fn open(dir: BorrowedFd<'_>, name: &OsStr) -> Result<(File, FileStat), Unread> {
    // To open a FIFO or device would already do something to it.
    let looked = fstat(openat(dir, name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?)?;
    if let Some(kind) = kind(&looked).filter(|_| !is_null(&looked)) {
        return Err(Unread::Other(kind));
    }
    // And still, should a FIFO take its place just now.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = File::from(openat(dir, name, flags, Mode::empty())?);
    let stat = fstat(&file)?;
    match kind(&stat).filter(|_| !is_null(&stat)) {
        None => Ok((file, stat)),
        Some(kind) => Err(Unread::Other(kind)),
    }
}

/// Reads `name` in `dir` into `text`, following links as node_exporter does.
///
/// # Errors
/// Where there is nothing to read, or too much; `text` is empty then.
pub fn read(dir: BorrowedFd<'_>, name: &OsStr, text: &mut Vec<u8>) -> Result<Whole, Unread> {
    text.clear();
    let (mut file, stat) = open(dir, name)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > LARGEST {
        return Err(Unread::Huge);
    }
    // One more tells a file that grows; a few more spare the reader another buffer.
    let room = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(64);
    if room > text.capacity() {
        // Not both at once.
        *text = Vec::new();
        text.try_reserve_exact(room).map_err(|_| Unread::Huge)?;
    }
    if let Err(error) = (&mut file).take(size + 1).read_to_end(text) {
        text.clear();
        return Err(error.into());
    }
    let after = fstat(&file)?;
    let times = |stat: &FileStat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    let changed = text.len() as u64 != size || times(&stat) != times(&after);
    Ok(Whole { stat, changed })
}

/// Reads a stream to its end into `text`.
///
/// # Errors
/// Where it fails, or is larger than [`LARGEST`].
pub fn read_stream(mut stream: impl Read, text: &mut Vec<u8>) -> Result<(), Unread> {
    const CHUNK: usize = 64 * 1024;
    text.clear();
    loop {
        // Doubled, half of it could be in vain.
        if text.capacity() - text.len() < CHUNK {
            text.try_reserve_exact(CHUNK.max(text.len() / 4)).map_err(|_| Unread::Huge)?;
        }
        let room = text.capacity() - text.len();
        let count = stream.by_ref().take(room as u64).read_to_end(text)?;
        if text.len() as u64 > LARGEST {
            return Err(Unread::Huge);
        }
        if count < room {
            return Ok(());
        }
    }
}

/// The line of `name` in `dir` from byte `at` on. `None`: it can't be had any more.
pub fn line(dir: BorrowedFd<'_>, name: &OsStr, at: usize) -> Option<Vec<u8>> {
    let (file, _) = open(dir, name).ok()?;
    let mut line = Vec::new();
    let mut chunk = vec![0; 4096];
    loop {
        let offset = u64::try_from(at + line.len()).ok()?;
        let count = file.read_at(&mut chunk, offset).ok()?;
        let read = chunk.get(..count)?;
        if let Some(end) = memchr::memchr(b'\n', read) {
            line.extend(read.get(..end)?);
            return Some(line);
        }
        line.extend(read);
        if count == 0 || line.len() as u64 > LARGEST {
            return Some(line);
        }
    }
}

/// The names in `dir` that node_exporter opens, in its order.
///
/// # Errors
/// Where the directory can't be read.
pub fn names(dir: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = Dir::openat(dir.as_fd(), ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name.as_bytes().ends_with(b".prom") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Whether node_exporter's user, who isn't known here, can be expected to have the rights `wanted` (as of others: r 4,
/// x 1): everyone has, or the directory's owner or group, neither being root's, is that user's.
fn may(stat: &FileStat, dir: &FileStat, wanted: u32) -> bool {
    let has = |shift: u32| stat.st_mode >> shift & wanted == wanted;
    has(0)
        || dir.st_uid != 0 && stat.st_uid == dir.st_uid && has(6)
        || dir.st_gid != 0 && stat.st_gid == dir.st_gid && has(3)
}

/// That node_exporter's user can't read the file of `stat` in the directory of `dir`.
pub fn file_mode(stat: &FileStat, dir: &FileStat) -> Option<Finding> {
    if may(stat, dir, 4) {
        return None;
    }
    let mode = stat.st_mode & 0o7777;
    let message = format!("mode {mode:04o}: only root and its owner can be sure to read this");
    Some(Finding::new(Rule::UnreadableFile, 0, message, "make it readable by all: chmod a+r"))
}

/// That node_exporter's user can't list or search the directory of `dir`.
pub fn directory_mode(dir: &FileStat) -> Option<Finding> {
    if may(dir, dir, 5) {
        return None;
    }
    let mode = dir.st_mode & 0o7777;
    let message = format!("mode {mode:04o}: only root can list this directory and open what is in it");
    let cure = "chmod a+rx, or give it to node_exporter's user or group";
    Some(Finding::new(Rule::UnreadableDirectory, 0, message, cure))
}

/// That node_exporter would die of the name of what stands at `path`, if it takes what stands there for a file of
/// metrics.
pub fn file_name(path: &OsStr) -> Option<Finding> {
    if path.to_str().is_some() {
        return None;
    }
    let message = "the file's name is not UTF-8: node_exporter dies of it";
    Some(Finding::new(Rule::FileName, 0, message, "rename it"))
}
