//! Everything in the directory that node_exporter would open, whoever wrote it, and what is made of each text.
//!
//! A text is read again only once its file has changed; with a watch, an entry is looked at again only then.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use nix::dir::{Dir, Type};
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode};
use nix::time::{ClockId, clock_gettime};

use super::directory::{Directory, Stamp};
use super::error::Error;
use super::look::{Content, Seen, TRIES, see, size};
use super::watch::Watch;
use crate::exposition::Text;

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// What it is.
    pub content: Content<T>,
    /// Whether it is a symbolic link. What else is told here is of what it leads to, or of the link itself where that
    /// is nowhere.
    pub is_link: bool,
    /// Its permissions, and its file type.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its size in bytes.
    pub size: u64,
    stamp: Option<Stamp>,
    /// A hash of the text where that could still change with no change of the stamp.
    young: Option<u64>,
}

/// The entries of a directory whose names end in `.prom`, in the order in which node_exporter reads them.
#[derive(Debug)]
pub struct Survey<T> {
    entries: BTreeMap<OsString, Entry<T>>,
    /// The size past which a file is not read.
    largest: u64,
    hasher: RandomState,
    looked: bool,
    /// Whether the directory is to be watched from the first look on.
    watches: bool,
    watch: Option<Watch>,
}

impl<T> Survey<T> {
    /// A survey that has seen nothing yet, and does not read files larger than `largest` bytes.
    pub fn new(largest: u64) -> Self {
        let (entries, hasher) = (BTreeMap::new(), RandomState::new());
        Self { entries, largest, hasher, looked: false, watches: false, watch: None }
    }

    /// The same, watching the one directory that it looks at, so that further looks cost little.
    pub(super) fn watching(self) -> Self {
        Self { watches: true, ..self }
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

    /// Looks at the directory until a look finds all as the one before left it: all that is told was so at the moment
    /// between the two. Whether it came to that; if not, the directory kept changing.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    pub fn settle(
        &mut self,
        directory: &Directory,
        mut make: impl FnMut(&OsStr, &mut dyn Text) -> T,
    ) -> Result<bool, Error> {
        for _ in 0..TRIES {
            if !self.refresh(directory, &mut make)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at the directory once more; whether anything has changed. `make` is given the name and the text of each
    /// file that has, and again where the file changes meanwhile. A file that is still [`Content::Changing`] counts as
    /// what it was.
    ///
    /// # Errors
    /// Where the directory can't be listed. What was known stands then.
    pub fn refresh(
        &mut self,
        directory: &Directory,
        make: impl FnMut(&OsStr, &mut dyn Text) -> T,
    ) -> Result<bool, Error> {
        self.refresh_and(directory, make, |_, made| made)
    }

    /// As [`refresh`](Self::refresh), where more is to be done with what was made once the file is known to have stood
    /// still: that is for `keep`.
    ///
    /// # Errors
    /// As for `refresh`.
    pub fn refresh_and<M>(
        &mut self,
        directory: &Directory,
        make: impl FnMut(&OsStr, &mut dyn Text) -> M,
        keep: impl FnMut(&OsStr, M) -> T,
    ) -> Result<bool, Error> {
        self.refresh_at(directory, now, make, keep)
    }

    fn refresh_at<M>(
        &mut self,
        directory: &Directory,
        now: impl Fn() -> Duration,
        mut make: impl FnMut(&OsStr, &mut dyn Text) -> M,
        mut keep: impl FnMut(&OsStr, M) -> T,
    ) -> Result<bool, Error> {
        let mut buffer = Vec::new();
        let mut changed = false;
        for name in self.names_in_doubt(directory)? {
            let old = self.entries.remove(&name);
            let was_there = old.is_some();
            match self.look(directory.fd(), &name, old, now(), &mut buffer, (&mut make, &mut keep)) {
                None => changed |= was_there,
                Some((entry, is_new)) => {
                    changed |= is_new;
                    self.entries.insert(name, entry);
                }
            }
        }
        Ok(changed)
    }

    /// The names that may not be as they were.
    fn names_in_doubt(&mut self, directory: &Directory) -> Result<BTreeSet<OsString>, Error> {
        if !self.looked && self.watches {
            // Before the first look, so that nothing happens in between.
            self.watch = Watch::new(directory.fd());
        }
        let mut told = None;
        if self.looked {
            told = self.watch.as_ref().and_then(Watch::changed);
            // One that could not tell once is not asked again.
            self.watch = self.watch.take().filter(|_| told.is_some());
        }
        let in_doubt = |entry: &Entry<T>| told.is_none() || !entry.is_watched();
        // A name that is replaced while they are listed may be missing.
        let known = self.entries.iter().filter(|(_, entry)| in_doubt(entry)).map(|(name, _)| name.clone());
        let mut names: BTreeSet<OsString> = known.collect();
        let listed = match told {
            Some(changed) => changed,
            None => directory.list()?.into_iter().map(|(name, _)| name).collect(),
        };
        self.looked = true;
        names.extend(listed.into_iter().filter(|name| name.as_bytes().ends_with(b".prom")));
        Ok(names)
    }

    /// Notes what was published as `name` just now, so that it need not be read.
    pub(super) fn note(&mut self, name: &str, stat: &FileStat, made: T) {
        self.entries.insert(name.into(), Entry::new(Content::Text(made), false, Some(stat)));
    }

    /// Notes that `name` was removed.
    pub(super) fn forget(&mut self, name: &str) {
        self.entries.remove(OsStr::new(name));
    }

    /// What `name` is, and whether it has changed since it was `old`; `None` where it is gone.
    fn look<M>(
        &self,
        at: BorrowedFd<'_>,
        name: &OsStr,
        old: Option<Entry<T>>,
        now: Duration,
        buffer: &mut Vec<u8>,
        (make, keep): (&mut impl FnMut(&OsStr, &mut dyn Text) -> M, &mut impl FnMut(&OsStr, M) -> T),
    ) -> Option<(Entry<T>, bool)> {
        let known = old.as_ref().and_then(Entry::known);
        let (mut young, mut made) = (None, None);
        let mut visit = |stat: &FileStat, is_link: bool, text: &mut dyn Text| {
            made = None;
            let hash_before = old.as_ref().and_then(|old| old.young.filter(|_| old.is_at(stat, is_link)));
            let is_young = is_young(stat, now);
            let hash = (is_young || hash_before.is_some()).then(|| self.hash(text));
            young = hash.filter(|_| is_young);
            if hash_before.is_none() || hash != hash_before {
                made = Some(make(name, text));
            }
        };
        let (content, is_link, stat) = match see(at, name, self.largest, known, buffer, &mut visit) {
            Seen::Gone => return None,
            Seen::Known => return old.map(|old| (old, false)),
            Seen::New(content, is_link, stat) => (content, is_link, stat),
        };
        let fresh = Entry::new(content, is_link, stat.as_ref());
        let is_text = fresh.content == Content::Text(());
        let made = made.filter(|_| is_text);
        let young = young.filter(|_| is_text);
        let is_as_before = |old: &Entry<T>| if is_text { made.is_none() } else { old.hinders_as(&fresh) };
        match old {
            Some(old) if is_as_before(&old) => Some((Entry { young, ..old }, false)),
            _ => Some((Entry { young, ..fresh.with(made.map(|made| keep(name, made)))? }, true)),
        }
    }

    fn hash(&self, text: &mut dyn Text) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        text.each(&mut |piece| {
            hasher.write(piece);
            ControlFlow::Continue(())
        });
        hasher.finish()
    }
}

impl<T> Entry<T> {
    fn new(content: Content<T>, is_link: bool, stat: Option<&FileStat>) -> Self {
        Self {
            content,
            is_link,
            mode: stat.map_or(0, |stat| stat.st_mode),
            uid: stat.map_or(0, |stat| stat.st_uid),
            gid: stat.map_or(0, |stat| stat.st_gid),
            size: stat.map_or(0, size),
            stamp: stat.map(Stamp::of),
            young: None,
        }
    }

    /// When its content was last changed, in seconds and nanoseconds since the epoch.
    pub(super) fn modified(&self) -> Option<(i64, i64)> {
        self.stamp.map(Stamp::modified)
    }

    /// Whether a watch on the directory tells of every change of it.
    fn is_watched(&self) -> bool {
        // What hindered may have gone with no trace, and what a link leads to is somewhere else.
        !self.is_link && !matches!(self.content, Content::Changing | Content::Unreadable(_))
    }

    /// What tells that it is still the same, where that can be told without opening it.
    fn known(&self) -> Option<(Stamp, bool)> {
        match self.content {
            // What hindered may have gone with no trace in the file's own status.
            Content::Changing | Content::Unreadable(_) => None,
            Content::Text(_) if self.young.is_some() => None,
            _ => self.stamp.map(|stamp| (stamp, self.is_link)),
        }
    }

    /// Whether it is still the file that this status is of.
    fn is_at(&self, stat: &FileStat, is_link: bool) -> bool {
        self.is_link == is_link && self.stamp == Some(Stamp::of(stat))
    }

    /// Whether what hinders to read it is still the same.
    fn hinders_as(&self, fresh: &Entry<()>) -> bool {
        match (&self.content, &fresh.content) {
            (Content::Unreadable(old), Content::Unreadable(errno)) => {
                (self.is_link, self.stamp, old) == (fresh.is_link, fresh.stamp, errno)
            }
            (Content::Changing, Content::Changing) => true,
            _ => false,
        }
    }
}

impl Entry<()> {
    /// With what was made of its text, if it has one.
    fn with<T>(self, made: Option<T>) -> Option<Entry<T>> {
        let Self { content, is_link, mode, uid, gid, size, stamp, young } = self;
        Some(Entry { content: content.with(made)?, is_link, mode, uid, gid, size, stamp, young })
    }
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

/// The time by the clock that files' times are taken from, since the epoch.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME_COARSE).map_or(Duration::ZERO, Duration::from)
}

/// Whether a file, looked at from `now` on, could have been written to after that without a change of its times: they
/// move in steps, of the kernel's tick or, on old filesystems, of up to 2 s. A time in the future tells nothing.
fn is_young(stat: &FileStat, now: Duration) -> bool {
    let step = if stat.st_ctime_nsec == 0 { Duration::from_secs(2) } else { Duration::from_millis(20) };
    let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
    let changed = Duration::new(seconds, u32::try_from(stat.st_ctime_nsec).unwrap_or(0));
    changed.saturating_add(step) >= now
}

#[cfg(test)]
mod tests;
