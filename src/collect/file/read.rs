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
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use glob::{MatchOptions, glob_with};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use rustix::process::{Gid, Uid};

use crate::collect::account::Identity;
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
    pub path: String,
    pub bytes: Result<Vec<u8>, Unread>,
}

/// Why a file could not be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unread(pub String);

/// Why nothing could be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    TimedOut,
    Stopped,
    Refused(String),
    TooMuch(String),
}

/// Reads all files of `job`, in the order of its paths, those of a pattern sorted; each once.
///
/// # Errors
/// Where the time is over, `stop` is raised, the ids can't be taken on, or there is too much.
pub fn read(job: Job, deadline: Instant, stop: &Stop) -> Result<Vec<Content>, Error> {
    if stop.is_raised() {
        return Err(Error::Stopped);
    }
    let refused = |error: io::Error| Error::Refused(format!("can't start to read: {error}"));
    let (finished, running) = io::pipe().map_err(refused)?;
    let (result, found) = mpsc::sync_channel(1);
    let reader = thread::Builder::new().name("file".into());
    reader
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = result.send(job.read());
            drop(running);
        })
        .map_err(refused)?;
    stop.or_hangup(&finished, deadline);
    found.try_recv().unwrap_or_else(|_| Err(if stop.is_raised() { Error::Stopped } else { Error::TimedOut }))
}

impl Job {
    fn read(&self) -> Result<Vec<Content>, Error> {
        if let Some(identity) = &self.identity {
            become_user(identity)
                .map_err(|error| Error::Refused(format!("can't become user id {}: {error}", identity.uid)))?;
        }
        let mut seen = HashSet::new();
        let mut paths: Vec<Result<String, Content>> = self.paths.iter().flat_map(|p| matches(p)).collect();
        paths.retain(|path| path.as_ref().map_or(true, |path| seen.insert(path.clone())));
        if paths.len() > MOST {
            return Err(Error::TooMuch(format!("there are more than {MOST} files: name fewer")));
        }
        let mut left = LIMIT;
        let read = paths.into_iter().map(|path| {
            let path = match path {
                Ok(path) => path,
                Err(unread) => return Ok(unread),
            };
            let bytes = read_file(&path, left);
            if let Ok(bytes) = &bytes {
                left = left
                    .checked_sub(bytes.len())
                    .ok_or_else(|| Error::TooMuch(format!("the files hold more than {} MiB", LIMIT >> 20)))?;
            }
            Ok(Content { path, bytes: bytes.map_err(|error| Unread(error.to_string())) })
        });
        read.collect()
    }
}

/// The paths that `pattern` stands for, sorted: itself where it is none, whether there is such a file or not.
fn matches(pattern: &str) -> Vec<Result<String, Content>> {
    if !pattern.contains(['*', '?', '[']) {
        return vec![Ok(pattern.to_owned())];
    }
    // A definition's pattern has been checked.
    let Ok(found) = glob_with(pattern, LIKE_A_SHELL) else { return Vec::new() };
    found
        .take(MOST + 1)
        .map(|path| match path {
            // A path that is no text can't be a label, nor be shown.
            Ok(path) => path
                .into_os_string()
                .into_string()
                .map_err(|path| unread(path.to_string_lossy().into_owned(), "its name is not UTF-8")),
            Err(error) => {
                Err(unread(error.path().to_string_lossy().into_owned(), &error.error().to_string()))
            }
        })
        .collect()
}

fn unread(path: String, message: &str) -> Content {
    Content { path, bytes: Err(Unread(message.to_owned())) }
}

/// Reads a regular file; one byte more than `limit` at most. No device or FIFO is opened, which could do something or
/// wait.
fn read_file(path: &str, limit: usize) -> io::Result<Vec<u8>> {
    let name = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let kind = SFlag::from_bits_truncate(fstat(&name)?.st_mode & SFlag::S_IFMT.bits());
    if kind != SFlag::S_IFREG {
        return Err(io::Error::other("it is no regular file"));
    }
    // The very file that was judged.
    let file = File::open(format!("/proc/thread-self/fd/{}", name.as_raw_fd()))?;
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
