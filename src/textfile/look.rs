//! One entry of the directory: what it is, and its text, opened so that nothing hangs or is done by it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor};

use super::directory::{Stamp, is_regular, kind_word};
use super::pieces::Pieces;
use crate::exposition::Text;

/// How often a file that changes while it is read, or a directory that does, is looked at before that is the finding.
pub(super) const TRIES: usize = 5;

/// What an entry is, for node_exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<T> {
    /// A text, and what was made of it. A link to /dev/null is an empty one.
    Text(T),
    /// A regular file of so many bytes, more than are read.
    TooLarge(u64),
    /// A file that was another one, or longer than its size, at each look.
    Changing,
    /// To open it is to wait for a writer.
    Fifo,
    /// Neither a regular file nor a FIFO: what it is.
    NoFile(&'static str),
    /// It can't be opened, or is a link that leads nowhere (`ENOENT`) or round in a circle (`ELOOP`).
    Unreadable(Errno),
}

impl<T> Content<T> {
    /// What was made of its text, where it has one.
    pub fn text(&self) -> Option<&T> {
        match self {
            Content::Text(made) => Some(made),
            _ => None,
        }
    }

    /// Likewise.
    pub fn into_text(self) -> Option<T> {
        match self {
            Content::Text(made) => Some(made),
            _ => None,
        }
    }
}

impl Content<()> {
    /// With what was made of the text; `None` where it is one, and nothing was.
    pub(super) fn with<T>(self, made: Option<T>) -> Option<Content<T>> {
        Some(match self {
            Content::Text(()) => Content::Text(made?),
            Content::TooLarge(size) => Content::TooLarge(size),
            Content::Changing => Content::Changing,
            Content::Fifo => Content::Fifo,
            Content::NoFile(word) => Content::NoFile(word),
            Content::Unreadable(errno) => Content::Unreadable(errno),
        })
    }
}

/// Reads the file at `path` as an entry of a directory is read, whatever its name and size, and makes of it what `make`
/// does, which is asked again where the file changes meanwhile.
pub(super) fn read_path<T>(path: &Path, make: impl FnMut(&mut dyn Text) -> T) -> Content<T> {
    read_at(AT_FDCWD, path.as_os_str(), u64::MAX, make)
}

/// Likewise, `name` of the directory `at`, if it is not larger than `largest` bytes.
pub(super) fn read_at<T>(
    at: BorrowedFd<'_>,
    name: &OsStr,
    largest: u64,
    mut make: impl FnMut(&mut dyn Text) -> T,
) -> Content<T> {
    let mut made = None;
    let mut visit = |_: &FileStat, _: bool, text: &mut dyn Text| {
        made = None;
        made = Some(make(text));
    };
    let seen = see(at, name, largest, None, &mut Vec::new(), &mut visit);
    match seen {
        Seen::New(content, ..) => content.with(made),
        Seen::Gone | Seen::Known => None,
    }
    .unwrap_or(Content::Unreadable(Errno::ENOENT))
}

/// What stands at a name.
pub(super) enum Seen {
    /// Nothing.
    Gone,
    /// What is known already.
    Known,
    /// What it is, whether it is a link, and its status.
    New(Content<()>, bool, Option<FileStat>),
}

/// What is done with a text: it is given its file's status, and whether a link leads there.
pub(super) type Visit<'a> = dyn FnMut(&FileStat, bool, &mut dyn Text) + 'a;

/// Looks at `name` in `at`, and into it unless it is `known`. Of what `visit` is given, only the last counts, and that
/// only if this comes to a text.
pub(super) fn see(
    at: BorrowedFd<'_>,
    name: &OsStr,
    largest: u64,
    known: Option<(Stamp, bool)>,
    buffer: &mut Vec<u8>,
    visit: &mut Visit<'_>,
) -> Seen {
    let mut last = (false, None);
    for _ in 0..TRIES {
        let own = match fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(own) => own,
            Err(Errno::ENOENT) => return Seen::Gone,
            Err(errno) => return Seen::New(Content::Unreadable(errno), false, None),
        };
        let is_link = kind(&own) == SFlag::S_IFLNK;
        let target = if is_link { fstatat(at, name, AtFlags::empty()) } else { Ok(own) };
        let stat = match target {
            Ok(stat) => stat,
            Err(errno) => return Seen::New(Content::Unreadable(errno), is_link, Some(own)),
        };
        if known == Some((Stamp::of(&stat), is_link)) {
            return Seen::Known;
        }
        let content = if !is_regular(&stat) {
            let content = special(&stat);
            if content == Content::Text(()) {
                visit(&stat, is_link, &mut &[][..]);
            }
            content
        } else if size(&stat) > largest {
            Content::TooLarge(size(&stat))
        } else {
            match read(at, name, is_link, &stat, buffer, visit) {
                Ok(true) => Content::Text(()),
                // It was replaced or written to since; what is there now is looked at anew.
                Ok(false) | Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => {
                    last = (is_link, Some(stat));
                    continue;
                }
                Err(errno) => Content::Unreadable(errno),
            }
        };
        return Seen::New(content, is_link, Some(stat));
    }
    Seen::New(Content::Changing, last.0, last.1)
}

/// What is no regular file. /dev/null is an empty text.
fn special(stat: &FileStat) -> Content<()> {
    match kind(stat) {
        SFlag::S_IFIFO => Content::Fifo,
        SFlag::S_IFCHR if (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3) => Content::Text(()),
        _ => Content::NoFile(kind_word(stat)),
    }
}

/// Gives the regular file `name` of `stat` to `visit`; whether it was that file, whole, from first to last.
fn read(
    at: BorrowedFd<'_>,
    name: &OsStr,
    is_link: bool,
    stat: &FileStat,
    buffer: &mut Vec<u8>,
    visit: &mut Visit<'_>,
) -> Result<bool, Errno> {
    // What has become a FIFO since is not waited for.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = if is_link {
        // What a link leads to is held before it is opened: to open a device may already do something to it.
        let place = openat(at, name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        if Stamp::of(&fstat(&place)?) != Stamp::of(stat) {
            return Ok(false);
        }
        open(format!("/proc/self/fd/{}", place.as_raw_fd()).as_str(), flags, Mode::empty())?
    } else {
        openat(at, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?
    };
    let file = File::from(file);
    if Stamp::of(&fstat(&file)?) != Stamp::of(stat) {
        return Ok(false);
    }
    let mut pieces = Pieces::new(&file, stat, buffer)?;
    visit(stat, is_link, &mut pieces);
    pieces.was_same()
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Its size in bytes.
pub(super) fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
