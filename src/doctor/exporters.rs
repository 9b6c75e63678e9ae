//! The node_exporters that run on this host, by /proc; what it says is checked, and on doubt left out.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{fstat, stat};

use super::access::Identity;
use super::flags::{Flags, is_exporter};
use crate::textfile::Status;

/// A running node_exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    /// Its process.
    pub pid: u32,
    /// Who it is; `None` where that can't be read.
    pub identity: Option<Identity>,
    /// What it was told.
    pub flags: Flags,
    /// The service that it is of.
    pub unit: Option<String>,
    /// What it makes of the textfile directory.
    pub reads: Reads,
}

/// What a node_exporter reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// The textfile directory.
    Ours,
    /// What it finds at the very path is another directory, or nothing.
    Hidden,
    /// Others.
    Others,
    /// None: its textfile collector is off.
    Off,
    /// None: it was told none.
    Nothing,
    /// That can't be seen.
    Unknown(Errno),
}

/// All that run, the one that reads `ours` first; `path` is what that is called here.
pub fn running(path: &Path, ours: Option<&Status>) -> Vec<Exporter> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<Exporter> = pids.filter_map(|pid| exporter(pid, path, ours)).collect();
    found.sort_by_key(|exporter| (exporter.reads != Reads::Ours, exporter.pid));
    found
}

/// The processes whose names are among `names`.
pub fn any_called(names: &[&str]) -> Option<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).ok();
    entries
        .filter_map(name)
        .map(|name| name.trim_end().to_owned())
        .find(|name| names.contains(&name.as_str()))
}

fn exporter(pid: u32, path: &Path, ours: Option<&Status>) -> Option<Exporter> {
    let place = PathBuf::from(format!("/proc/{pid}"));
    let line = fs::read(place.join("cmdline")).ok()?;
    let words: Vec<String> = line
        .strip_suffix(b"\0")
        .unwrap_or(&line)
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // Of another user's process only the command line can be read. A script of the name has an interpreter's.
    let program = fs::read_link(place.join("exe")).ok();
    let program = program.map(|path| path.to_string_lossy().into_owned());
    if !is_exporter(program.as_deref().or(words.first().map(String::as_str))?) {
        return None;
    }
    let flags = Flags::read(&words);
    let reads = reads(&place, &flags, path, ours);
    let status = fs::read_to_string(place.join("status")).ok();
    let cgroup = fs::read_to_string(place.join("cgroup")).unwrap_or_default();
    let identity = status.as_deref().and_then(Identity::of_status);
    Some(Exporter { pid, identity, flags, unit: unit(&cgroup), reads })
}

/// The service of a process with this /proc/PID/cgroup.
fn unit(cgroup: &str) -> Option<String> {
    let mut names = cgroup.lines().filter_map(|line| line.rsplit('/').next());
    names.find(|name| name.ends_with(".service")).map(str::to_owned)
}

fn reads(process: &Path, flags: &Flags, path: &Path, ours: Option<&Status>) -> Reads {
    if !flags.has_textfile {
        return Reads::Off;
    }
    if flags.directories.is_empty() {
        return Reads::Nothing;
    }
    let Some(ours) = ours else { return Reads::Unknown(Errno::ENOENT) };
    let is_ours = |found: nix::Result<(u64, u64)>| found.map(|inode| inode == ours.inode);
    let mut unknown = None;
    let mut is_named = false;
    for directory in &flags.directories {
        let places = expand(process, directory);
        for place in &places {
            match is_ours(inside(process, place)) {
                Ok(true) => return Reads::Ours,
                Ok(false) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(errno) => unknown = Some(errno),
            }
            let here = stat(place).map(|stat| (stat.st_dev, stat.st_ino));
            is_named |= place == path || is_ours(here).unwrap_or(false);
        }
    }
    match unknown {
        Some(errno) => Reads::Unknown(errno),
        None if is_named => Reads::Hidden,
        None => Reads::Others,
    }
}

/// The paths that a directory of its command line stands for, as it sees them.
fn expand(process: &Path, directory: &str) -> Vec<PathBuf> {
    let mut path = PathBuf::from(directory);
    if path.is_relative() {
        path = fs::read_link(process.join("cwd")).unwrap_or_default().join(path);
    }
    if !directory.contains(['*', '?', '[']) {
        return vec![path];
    }
    let root = process.join("root");
    let below = path.strip_prefix("/").unwrap_or(&path);
    let pattern = format!("{}/{}", root.display(), below.display());
    let found = glob::glob(&pattern).into_iter().flatten().flatten();
    let inside = |found: PathBuf| Some(Path::new("/").join(found.strip_prefix(&root).ok()?));
    let mut paths: Vec<PathBuf> = found.filter_map(inside).collect();
    // What is hidden from it matches nothing there.
    paths.extend(glob::glob(directory).into_iter().flatten().flatten());
    paths
}

/// Device and inode of what `path` leads to in the root of `process`.
fn inside(process: &Path, path: &Path) -> nix::Result<(u64, u64)> {
    let root = process.join("root");
    let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    // Links are its own: as it follows them they stay in its root.
    let fd: OwnedFd = File::open(&root).map_err(errno)?.into();
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let found = match openat2(&fd, path, how) {
        Ok(found) => fstat(&found)?,
        // A kernel before 5.6, or a sandbox that doesn't know it.
        Err(Errno::ENOSYS | Errno::EPERM) => stat(&root.join(path.strip_prefix("/").unwrap_or(path)))?,
        Err(errno) => return Err(errno),
    };
    Ok((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_tells_the_service() {
        assert_eq!(unit("0::/system.slice/x.service\n").as_deref(), Some("x.service"));
        assert_eq!(unit("2:cpu:/\n1:name=systemd:/system.slice/x.service\n").as_deref(), Some("x.service"));
        assert_eq!(unit("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(unit("garbage"), None);
    }

    #[test]
    fn a_process_that_is_gone_is_none() {
        assert_eq!(exporter(u32::MAX, Path::new("/"), None), None);
    }
}
