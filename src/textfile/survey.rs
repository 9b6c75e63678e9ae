//! Everything in the directory that node_exporter would open, whoever wrote it, and what is made of each text.
//!
//! Nothing is opened that could hang or do anything by being opened, and a text is read again only once its file has
//! changed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor};

use super::directory::{Directory, Stamp, is_regular, kind_word};
use super::error::Error;

/// How often a file that changes while it is read, or a directory that does, is looked at before that is the finding.
const TRIES: usize = 5;

/// What an entry is, for node_exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<T> {
    /// A text, and what was made of it.
    Text(T),
    /// A regular file of so many bytes, more than are read.
    TooLarge(u64),
    /// A file that was longer at each look.
    Changing,
    /// To open it is to wait for a writer.
    Fifo,
    /// Neither a regular file nor a FIFO: what it is.
    NoFile(&'static str),
    /// It can't be opened, or is a link that leads nowhere.
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
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// What it is.
    pub content: Content<T>,
    /// Whether it is a symbolic link; what else is told here is of what it leads to.
    pub is_link: bool,
    /// Its permissions, and its file type.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    stamp: Option<Stamp>,
}

/// The entries of a directory whose names end in `.prom`, in the order in which node_exporter reads them.
#[derive(Debug)]
pub struct Survey<T> {
    entries: BTreeMap<OsString, Entry<T>>,
    /// The size past which a file is not read.
    largest: u64,
    /// Where files are read to.
    buffer: Vec<u8>,
    looked: bool,
}

impl<T> Survey<T> {
    /// A survey that has seen nothing yet, and does not read files larger than `largest` bytes.
    pub fn new(largest: u64) -> Self {
        Self { entries: BTreeMap::new(), largest, buffer: Vec::new(), looked: false }
    }

    /// Whether it has seen nothing yet.
    pub(super) fn is_new(&self) -> bool {
        !self.looked
    }

    /// The entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&OsStr, &Entry<T>)> {
        self.entries.iter().map(|(name, entry)| (name.as_os_str(), entry))
    }

    /// The entry called `name`.
    pub fn entry(&self, name: &str) -> Option<&Entry<T>> {
        self.entries.get(OsStr::new(name))
    }

    /// Looks at the directory until two looks in a row find the same, so that what is told was so at one moment;
    /// whether it was, or kept changing.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    pub fn settle(
        &mut self,
        directory: &Directory,
        mut make: impl FnMut(&OsStr, &[u8]) -> T,
    ) -> Result<bool, Error> {
        for _ in 0..TRIES {
            if !self.refresh(directory, &mut make)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at the directory once more; whether anything has changed. `make` is given the name and the text of each
    /// file that has.
    ///
    /// # Errors
    /// Where the directory can't be listed.
    pub fn refresh(
        &mut self,
        directory: &Directory,
        mut make: impl FnMut(&OsStr, &[u8]) -> T,
    ) -> Result<bool, Error> {
        let mut before = std::mem::take(&mut self.entries);
        let mut changed = false;
        self.looked = true;
        for (name, kind) in directory.list()? {
            if !name.as_bytes().ends_with(b".prom") {
                continue;
            }
            let old = before.remove(&name);
            let found = self.look(directory, &name, kind, old, &mut make);
            // It may have gone since it was listed.
            let Some((entry, is_new)) = found else { continue };
            changed |= is_new;
            self.entries.insert(name, entry);
        }
        Ok(changed | !before.is_empty())
    }

    /// Notes what was published as `name` just now, so that it need not be read.
    pub(super) fn note(&mut self, name: &str, stat: &FileStat, made: T) {
        self.entries.insert(name.into(), entry(Content::Text(made), false, Some(stat)));
    }

    /// Notes that `name` was removed.
    pub(super) fn forget(&mut self, name: &str) {
        self.entries.remove(OsStr::new(name));
    }

    /// What `name` is, and whether it has changed since it was `old`; `None` where it is gone.
    fn look(
        &mut self,
        directory: &Directory,
        name: &OsStr,
        kind: Option<Type>,
        old: Option<Entry<T>>,
        make: &mut impl FnMut(&OsStr, &[u8]) -> T,
    ) -> Option<(Entry<T>, bool)> {
        // Some filesystems don't say what an entry is.
        let is_link = match kind {
            Some(kind) => kind == Type::Symlink,
            None => fstatat(directory.fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()),
        };
        let stat = match fstatat(directory.fd(), name, AtFlags::empty()) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) if !is_link => return None,
            Err(errno) => {
                let same = old.is_some_and(|old| matches!(old.content, Content::Unreadable(e) if e == errno));
                return Some((entry(Content::Unreadable(errno), is_link, None), !same));
            }
        };
        if let Some(old) = old.filter(|old| old.stamp == Some(Stamp::of(&stat)) && old.is_link == is_link) {
            return Some((old, false));
        }
        let (largest, buffer) = (self.largest, &mut self.buffer);
        let (content, stat) =
            read(directory.fd(), name, is_link, stat, largest, buffer, |text| make(name, text));
        // One that changes is looked at again each time.
        let stamp = (!matches!(content, Content::Changing)).then(|| Stamp::of(&stat));
        let entry = Entry { stamp, ..entry(content, is_link, Some(&stat)) };
        Some((entry, true))
    }
}

/// Reads the file at `path` as an entry of a directory is read, whatever its size.
pub fn read_path<T>(path: &Path, make: impl FnMut(&[u8]) -> T) -> Content<T> {
    read_at(AT_FDCWD, path.as_os_str(), u64::MAX, make)
}

/// Reads `name` of the directory `at` as a survey does.
pub(super) fn read_at<T>(
    at: BorrowedFd<'_>,
    name: &OsStr,
    largest: u64,
    make: impl FnMut(&[u8]) -> T,
) -> Content<T> {
    match fstatat(at, name, AtFlags::empty()) {
        Ok(stat) => read(at, name, true, stat, largest, &mut Vec::new(), make).0,
        Err(errno) => Content::Unreadable(errno),
    }
}

/// Reads `name`, which is of `stat` and perhaps a link, if that can be done without harm.
fn read<T>(
    at: BorrowedFd<'_>,
    name: &OsStr,
    may_be_link: bool,
    stat: FileStat,
    largest: u64,
    buffer: &mut Vec<u8>,
    mut make: impl FnMut(&[u8]) -> T,
) -> (Content<T>, FileStat) {
    for _ in 0..TRIES {
        let opened = if is_regular(&stat) { open_regular(at, name, may_be_link) } else { Ok(None) };
        match opened {
            Err(errno) => return (Content::Unreadable(errno), stat),
            Ok(None) => return (special(&stat, || make(b"")), stat),
            Ok(Some((_, stat))) if stat.st_size.unsigned_abs() > largest => {
                return (Content::TooLarge(stat.st_size.unsigned_abs()), stat);
            }
            Ok(Some((file, stat))) => match read_whole(file, &stat, buffer) {
                Ok(true) => return (Content::Text(make(buffer)), stat),
                Ok(false) => {}
                Err(errno) => return (Content::Unreadable(errno), stat),
            },
        }
    }
    (Content::Changing, stat)
}

fn entry<T>(content: Content<T>, is_link: bool, stat: Option<&FileStat>) -> Entry<T> {
    Entry {
        content,
        is_link,
        mode: stat.map_or(0, |stat| stat.st_mode),
        uid: stat.map_or(0, |stat| stat.st_uid),
        gid: stat.map_or(0, |stat| stat.st_gid),
        stamp: stat.map(Stamp::of),
    }
}

/// What is no regular file. /dev/null is an empty text.
fn special<T>(stat: &FileStat, empty: impl FnOnce() -> T) -> Content<T> {
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFIFO {
        Content::Fifo
    } else if kind == SFlag::S_IFCHR && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3) {
        Content::Text(empty())
    } else {
        Content::NoFile(kind_word(stat))
    }
}

/// Opens a regular file; `None` where it has become something else meanwhile.
fn open_regular(
    at: BorrowedFd<'_>,
    name: &OsStr,
    may_be_link: bool,
) -> Result<Option<(File, FileStat)>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = if may_be_link {
        // What a link leads to is looked at before it is opened: to open a device may already do something to it.
        let place = openat(at, name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        if !is_regular(&fstat(&place)?) {
            return Ok(None);
        }
        open(format!("/proc/self/fd/{}", place.as_raw_fd()).as_str(), flags, Mode::empty())?
    } else {
        openat(at, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?
    };
    let stat = fstat(&fd)?;
    Ok(is_regular(&stat).then(|| (File::from(fd), stat)))
}

/// Reads all of `file` into `buffer`; whether that was as much as `stat` says.
fn read_whole(file: File, stat: &FileStat, buffer: &mut Vec<u8>) -> Result<bool, Errno> {
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    buffer.clear();
    buffer.try_reserve_exact(size.saturating_add(1)).map_err(|_| Errno::ENOMEM)?;
    // One byte more tells of a file that grows, without reading on for ever.
    let read = file.take(size as u64 + 1).read_to_end(buffer);
    read.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    Ok(buffer.len() == size)
}

impl Directory {
    /// The names of all entries but `.` and `..`, and what each is, where the filesystem says.
    pub(super) fn list(&self) -> Result<Vec<(OsString, Option<Type>)>, Error> {
        let failed = |e| Error::io(self.path(), "list it", e);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // A description of its own: the position in a listing belongs to it.
        let mut listing = Dir::openat(self.fd(), c".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What each entry is, in order; texts by their size.
    fn contents(survey: &Survey<usize>) -> Vec<(String, String)> {
        survey
            .entries()
            .map(|(name, entry)| (name.to_string_lossy().into_owned(), format!("{:?}", entry.content)))
            .collect()
    }

    fn setup() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        (place, directory)
    }

    #[test]
    fn every_kind_of_entry_is_told_and_none_is_waited_for() {
        let (place, directory) = setup();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("text.prom"), "c_a 1\n").unwrap();
        std::fs::write(at(".prom"), "").unwrap();
        std::fs::write(at("x.PROM"), "").unwrap();
        std::fs::write(at("x.prom~"), "").unwrap();
        std::fs::write(at("large.prom"), "x".repeat(101)).unwrap();
        std::fs::write(place.path().join(OsStr::from_bytes(b"\xff.prom")), "12").unwrap();
        std::fs::create_dir(at("directory.prom")).unwrap();
        nix::unistd::mkfifo(&at("fifo.prom"), Mode::S_IRWXU).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket.prom")).unwrap();
        for (to, name) in [
            ("text.prom", "link.prom"),
            ("fifo", "linked-fifo.prom"),
            ("nowhere", "dangling.prom"),
            ("loop.prom", "loop.prom"),
            ("/dev/null", "null.prom"),
            ("/dev/zero", "zero.prom"),
        ] {
            symlink(to, at(name)).unwrap();
        }
        let mut survey = Survey::new(100);
        assert!(survey.settle(&directory, |_, text| text.len()).unwrap());
        let expected = [
            (".prom", "Text(0)"),
            ("dangling.prom", "Unreadable(ENOENT)"),
            ("directory.prom", "NoFile(\"a directory\")"),
            ("fifo.prom", "Fifo"),
            ("large.prom", "TooLarge(101)"),
            ("link.prom", "Text(6)"),
            ("linked-fifo.prom", "Fifo"),
            ("loop.prom", "Unreadable(ELOOP)"),
            ("null.prom", "Text(0)"),
            ("socket.prom", "NoFile(\"a socket\")"),
            ("text.prom", "Text(6)"),
            ("zero.prom", "NoFile(\"a device\")"),
            ("\u{fffd}.prom", "Text(2)"),
        ];
        assert_eq!(contents(&survey), expected.map(|(name, what)| (name.to_owned(), what.to_owned())));
        let link = survey.entry("link.prom").unwrap();
        assert!(link.is_link && link.mode & 0o777 == survey.entry("text.prom").unwrap().mode & 0o777);
        assert!(!survey.entry("text.prom").unwrap().is_link);
        for (name, content) in [
            ("fifo.prom", Content::Fifo),
            ("zero.prom", Content::NoFile("a device")),
            ("null.prom", Content::Text(0)),
            ("link.prom", Content::Text(6)),
            ("nowhere", Content::Unreadable(Errno::ENOENT)),
        ] {
            assert_eq!(read_path(&at(name), <[u8]>::len), content, "{name}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "as another tool would")]
    fn only_what_has_changed_is_read_again() {
        let (place, directory) = setup();
        for number in 0..1000 {
            std::fs::write(place.path().join(format!("{number}.prom")), "c_a 1\n").unwrap();
        }
        let mut survey = Survey::new(100);
        let mut read = Vec::new();
        let mut refresh = |survey: &mut Survey<()>| {
            read.clear();
            let changed = survey.refresh(&directory, |name, _| read.push(name.to_owned())).unwrap();
            (changed, read.clone())
        };
        let (changed, all) = refresh(&mut survey);
        assert_eq!((changed, all.len()), (true, 1000));
        assert_eq!(refresh(&mut survey), (false, vec![]));
        std::fs::write(place.path().join("7.prom"), "c_a 22\n").unwrap();
        assert_eq!(refresh(&mut survey), (true, vec!["7.prom".into()]));
        std::fs::remove_file(place.path().join("8.prom")).unwrap();
        assert_eq!(refresh(&mut survey), (true, vec![]));
        assert_eq!(survey.entries().count(), 999);
        // Another file of the same size and age in its place.
        let replaced = place.path().join("9.prom");
        let modified = replaced.metadata().unwrap().modified().unwrap();
        std::fs::write(place.path().join("new"), "c_b 1\n").unwrap();
        std::fs::File::open(place.path().join("new")).unwrap().set_modified(modified).unwrap();
        std::fs::rename(place.path().join("new"), replaced).unwrap();
        assert_eq!(refresh(&mut survey), (true, vec!["9.prom".into()]));
        assert_eq!(refresh(&mut survey), (false, vec![]));
    }

    #[test]
    fn a_file_that_is_longer_at_each_look_is_not_followed() {
        let (place, directory) = setup();
        // What stands in /proc says that it is empty, and never is.
        symlink("/proc/version", place.path().join("grows.prom")).unwrap();
        let mut survey = Survey::new(u64::MAX);
        assert!(!survey.settle(&directory, |_, text| text.len()).unwrap());
        assert_eq!(contents(&survey), [("grows.prom".to_owned(), "Changing".to_owned())]);
    }
}
