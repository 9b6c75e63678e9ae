//! Reading files as another user, under a deadline.
//!
//! Linux gives each thread ids of its own, which the C library hides and the raw system calls don't. So a thread of its
//! own takes on the user's effective ids, and the kernel judges every directory, link and file on the way by them. Its
//! real and saved ids stay: what runs as that user can't signal it, or the whole process with it. A thread that hangs
//! in a dead file system is left behind.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Instant;

use glob::{MatchOptions, glob_with};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat};
use rustix::process::{Gid, Uid};

use crate::collect::account::Identity;
use crate::collect::aside::{Unfinished, aside};
use crate::collect::stop::Stop;

/// All files together are read up to this many bytes.
const LIMIT: usize = 4 << 20;

/// So many files are read at most.
const MOST: usize = 1000;

/// A pattern's `*` stands for no leading dot and no `/`, as in a shell.
const LIKE_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What to read, and as whom.
pub struct Job {
    /// Absolute paths and patterns.
    pub paths: Vec<String>,
    /// `None`: as promdrop.
    pub identity: Option<Identity>,
}

/// A file.
pub struct Content {
    /// The path or pattern that it was asked for by.
    pub named: String,
    pub path: String,
    pub bytes: Result<Vec<u8>, Unread>,
}

/// Why a file could not be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unread(pub String);

/// Why nothing could be read.
#[derive(Debug)]
pub enum Error {
    Unfinished(Unfinished),
    User(String),
    TooMuch(String),
}

/// Reads all files of `job`, in the order of its paths, those of a pattern sorted; each once.
///
/// # Errors
/// Where the time is over, `stop` is raised, the ids can't be taken on, or there is too much.
pub fn read(job: Job, deadline: Instant, stop: &Stop) -> Result<Vec<Content>, Error> {
    aside("file", deadline, stop, move || job.read())
        .unwrap_or_else(|unfinished| Err(Error::Unfinished(unfinished)))
}

impl Job {
    fn read(&self) -> Result<Vec<Content>, Error> {
        if let Some(identity) = &self.identity {
            let uid = identity.uid;
            become_user(identity).map_err(|error| {
                Error::User(format!(
                    "can't become user id {uid}: {error}; promdrop lacks the capability, see its unit"
                ))
            })?;
        }
        let mut seen = HashSet::new();
        let mut all: Vec<Content> = self.paths.iter().flat_map(|pattern| matches(pattern)).collect();
        all.retain(|content| seen.insert(content.path.clone()));
        if all.len() > MOST {
            return Err(Error::TooMuch(format!("there are more than {MOST} files: name fewer")));
        }
        let mut left = LIMIT;
        for content in all.iter_mut().filter(|content| content.bytes.is_ok()) {
            content.bytes = read_file(&content.path, left).map_err(|error| Unread(error.to_string()));
            let read = content.bytes.as_ref().map_or(0, Vec::len);
            left = left
                .checked_sub(read)
                .ok_or_else(|| Error::TooMuch(format!("the files hold more than {} MiB", LIMIT >> 20)))?;
        }
        Ok(all)
    }
}

/// The files that `pattern` stands for, sorted, still to be read: itself where it is none, whether there is such a file
/// or not.
fn matches(pattern: &str) -> Vec<Content> {
    let content = |path: String, bytes| Content { named: pattern.to_owned(), path, bytes };
    if !pattern.contains(['*', '?', '[']) {
        return vec![content(pattern.to_owned(), Ok(Vec::new()))];
    }
    // A definition's pattern has been checked.
    let Ok(found) = glob_with(pattern, LIKE_A_SHELL) else { return Vec::new() };
    let unread =
        |path: &Path, message: String| content(path.to_string_lossy().into_owned(), Err(Unread(message)));
    found
        .take(MOST + 1)
        .map(|path| match path {
            Ok(path) => match path.to_str() {
                Some(path) => content(path.to_owned(), Ok(Vec::new())),
                // A path that is no text can't be a label, nor be shown.
                None => unread(&path, "its name is not UTF-8".to_owned()),
            },
            Err(error) => unread(error.path(), error.error().to_string()),
        })
        .collect()
}

/// Reads a regular file; one byte more than `limit` at most. No device or FIFO is opened, which could do something or
/// wait.
fn read_file(path: &str, limit: usize) -> io::Result<Vec<u8>> {
    // The links of /proc/PID that lead past all directories are followed by the rights of promdrop's other threads.
    let how =
        OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let name = openat2(AT_FDCWD, path, how)?;
    let kind = SFlag::from_bits_truncate(fstat(&name)?.st_mode & SFlag::S_IFMT.bits());
    if kind != SFlag::S_IFREG {
        return Err(io::Error::other("it is no regular file"));
    }
    let very = format!("/proc/thread-self/fd/{}", name.as_raw_fd());
    // And so are promdrop's own files there.
    if std::fs::read_link(&very)?.starts_with(format!("/proc/{}", std::process::id())) {
        return Err(io::Error::other("it is about promdrop itself"));
    }
    // The very file that was judged.
    let file = File::open(very)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes on the effective ids of a user, for this thread alone.
fn become_user(identity: &Identity) -> rustix::io::Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(None, Gid::from_raw(identity.gid), None)?;
    // Effective capabilities go with the effective root.
    rustix::thread::set_thread_res_uid(None, Uid::from_raw(identity.uid), None)
}
