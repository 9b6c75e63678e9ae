//! What it means for node_exporter that an entry of its directory is what it is, and what `lint` reads beside entries.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, major, minor};

use super::directory::Directory;
use super::look::{Content, read_path};
use super::survey::Entry;
use crate::exposition::{Finding, Harm, Rule, Text};

/// Bytes of the largest file that is read: no scrape would pass on so much in its time.
pub const LARGEST: u64 = 1 << 30;

/// What is wrong with what stands at `path`, if that is no text.
pub fn content<T>(path: &Path, content: &Content<T>) -> Option<Finding> {
    let not_regular = |rule, what: &str| {
        let cure = "remove it, or give it a name that does not end in .prom";
        Finding::new(rule, 0, what, cure)
    };
    let metadata = || std::fs::metadata(path).ok();
    Some(match content {
        Content::Text(_) => return None,
        Content::Fifo => not_regular(Rule::Fifo, "a FIFO: node_exporter waits until somebody writes to it"),
        Content::NoFile(word) => {
            let metadata = metadata();
            let what = format!("{word}, not a regular file");
            match &metadata {
                Some(at) if at.is_dir() => not_regular(Rule::DirectoryEntry, &what),
                Some(at) if at.file_type().is_socket() => not_regular(Rule::Socket, &what),
                // Nobody knows what others do.
                at => {
                    let harm = if at.as_ref().is_some_and(is_endless) { Harm::Reject } else { Harm::Poison };
                    Finding { harm: Some(harm), ..not_regular(Rule::Device, &what) }
                }
            }
        }
        Content::TooLarge(_) | Content::Unreadable(Errno::ENOMEM) => {
            let message = "larger than 1 GiB, or than the memory there is";
            Finding::new(Rule::HugeFile, 0, message, "publish fewer series")
        }
        Content::Changing => {
            let message = "somebody writes to it whenever it is read";
            let cure = "write to a name that does not end in .prom, then rename it";
            Finding::new(Rule::ChangingFile, 0, message, cure)
        }
        Content::Unreadable(errno @ (Errno::ENOENT | Errno::ELOOP)) => {
            let message = format!("a link that leads nowhere: {}", errno.desc());
            Finding::new(Rule::BrokenLink, 0, message, "remove it, or restore what it leads to")
        }
        Content::Unreadable(errno) => {
            let cure = match errno {
                Errno::EACCES => "make it readable, or look as a user who may read it",
                _ => "mend it",
            };
            Finding::new(Rule::UnreadableFile, 0, format!("can't be read: {}", errno.desc()), cure)
        }
    })
}

/// zero, full, random, urandom: what they give is no text, and comes at once.
fn is_endless(metadata: &Metadata) -> bool {
    let device = metadata.rdev();
    metadata.file_type().is_char_device() && major(device) == 1 && matches!(minor(device), 5 | 7..=9)
}

/// Reads the file at `path`, of whatever name, and makes of it what `make` does, which is asked again where the file
/// changes meanwhile.
pub fn read_file<T>(path: &Path, make: impl FnMut(&mut dyn Text) -> T) -> Content<T> {
    match std::fs::metadata(path) {
        Ok(at) if at.is_file() && at.len() > LARGEST => Content::TooLarge(at.len()),
        _ => read_path(path, make),
    }
}

/// Reads a stream to its end into `text`.
///
/// # Errors
/// Where it fails; `ENOMEM` where it is larger than [`LARGEST`], or than the memory there is.
pub fn read_stream(mut stream: impl Read, text: &mut Vec<u8>) -> Result<(), Errno> {
    const CHUNK: usize = 64 * 1024;
    text.clear();
    loop {
        // Doubled, half of it could be in vain.
        if text.capacity() - text.len() < CHUNK {
            text.try_reserve_exact(CHUNK.max(text.len() / 4)).map_err(|_| Errno::ENOMEM)?;
        }
        let room = text.capacity() - text.len();
        let count = stream.by_ref().take(room as u64).read_to_end(text);
        let count = count.map_err(|e: io::Error| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        if text.len() as u64 > LARGEST {
            return Err(Errno::ENOMEM);
        }
        if count < room {
            return Ok(());
        }
    }
}

/// The line of the file at `path` from byte `at` on, which was just read. `None`: it can't be had any more.
pub fn line(path: &Path, at: usize) -> Option<Vec<u8>> {
    read_path(path, |text| text.line(at)).into_text().flatten()
}

/// Whether node_exporter's user, who isn't known here, can be expected to have the rights `wanted` (as of others: r 4,
/// x 1): everyone has, or the directory's owner or group, neither being root's, is that user's.
fn may((mode, uid, gid): (u32, u32, u32), dir: &FileStat, wanted: u32) -> bool {
    let has = |shift: u32| mode >> shift & wanted == wanted;
    has(0) || dir.st_uid != 0 && uid == dir.st_uid && has(6) || dir.st_gid != 0 && gid == dir.st_gid && has(3)
}

/// That node_exporter's user can't read the file `entry` of `directory`.
pub fn file_mode<T>(entry: &Entry<T>, directory: &Directory) -> Option<Finding> {
    if may((entry.mode, entry.uid, entry.gid), directory.stat(), 4) {
        return None;
    }
    let mode = entry.mode & 0o7777;
    let message = format!("mode {mode:04o}: only root and its owner can be sure to read this");
    Some(Finding::new(Rule::UnreadableFile, 0, message, "make it readable by all: chmod a+r"))
}

/// That node_exporter's user can't list or search `directory`.
pub fn directory_mode(directory: &Directory) -> Option<Finding> {
    let dir = directory.stat();
    if may((dir.st_mode, dir.st_uid, dir.st_gid), dir, 5) {
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
