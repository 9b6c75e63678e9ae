//! The textfile directory and its file system.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, statfs};
use nix::sys::statvfs::{FsFlags, Statvfs, statvfs};

use super::access::{group_name, is_closed_to_user, user_name};
use super::check::{AS_ROOT, Check};
use crate::textfile::{self, Directory, Status};

const DIRECTORY: &str = "directory";
const FILE_SYSTEM: &str = "file-system";

/// What a file system is called, and what becomes of files on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Memory,
    Network,
}

/// What statfs(2) calls them (linux/magic.h, and the sources of those that are not there).
const KNOWN: &[(u32, &str, Kind)] = &[
    (0x0102_1994, "tmpfs", Kind::Memory),
    (0x8584_58f6, "ramfs", Kind::Memory),
    (0x0000_6969, "NFS", Kind::Network),
    (0x0000_517b, "SMB", Kind::Network),
    (0xff53_4d42, "CIFS", Kind::Network),
    (0xfe53_4d42, "SMB2", Kind::Network),
    (0x00c3_6400, "Ceph", Kind::Network),
    (0x5346_414f, "AFS", Kind::Network),
    (0x0102_1997, "9p", Kind::Network),
    (0x6573_5546, "FUSE", Kind::Network),
    (0x0000_ef53, "ext4", Kind::Local),
    (0x5846_5342, "XFS", Kind::Local),
    (0x9123_683e, "Btrfs", Kind::Local),
    (0x794c_7630, "overlay", Kind::Local),
    (0x2fc1_2fc1, "ZFS", Kind::Local),
    (0xf2f5_2010, "F2FS", Kind::Local),
];

/// Whether the directory can be opened, and how it is.
pub fn directory(path: &Path, opened: &Result<Directory, textfile::Error>) -> Check {
    match opened {
        Ok(directory) => {
            let Status { mode, uid, gid, .. } = directory.status();
            let (owner, group) = (user_name(uid), group_name(gid));
            Check::ok(DIRECTORY, format!("{}, {owner}:{group} {:04o}", path.display(), mode & 0o7777))
        }
        Err(_) if is_closed_to_user(path) => {
            let why = format!("{} can't be read by this user", path.display());
            Check::skipped(DIRECTORY, why, AS_ROOT)
        }
        Err(error) => {
            let problem = error.problems.first();
            let message = problem.map_or_else(String::new, |problem| problem.message.clone());
            let cure = problem.map_or_else(String::new, |problem| problem.cure.clone());
            Check::failure(DIRECTORY, format!("{}: {message}", path.display()), cure)
        }
    }
}

/// With less room than this, and less than a tenth, it will be full soon.
const ROOM: u64 = 16 << 20;

/// Likewise of files.
const INODES: u64 = 100;

/// What it lies on: lost at boot, read-only, full, or somebody else's. `status` is the directory's.
pub fn file_system(path: &Path, status: &Status) -> Check {
    let (Ok(system), Ok(usage)) = (statfs(path), statvfs(path)) else {
        return Check::skipped(FILE_SYSTEM, format!("{} can't be asked", path.display()), "");
    };
    let (name, kind) = known(system.filesystem_type());
    if usage.flags().contains(FsFlags::ST_RDONLY) {
        let cure = format!("mount -o remount,rw {}", mount_point(path).display());
        return Check::failure(FILE_SYSTEM, format!("{name}, mounted read-only"), cure);
    }
    if let Some(check) = room(&name, &usage) {
        return check;
    }
    match kind {
        Kind::Memory if !is_made_at_boot(path) => {
            let message = format!("{name}: the directory is lost at boot");
            let (owner, group) = (user_name(status.uid), group_name(status.gid));
            let line = format!("d {} {:04o} {owner} {group} -", path.display(), status.mode & 0o7777);
            let cure = format!("make it at boot: echo '{line}' >/etc/tmpfiles.d/promdrop.conf");
            Check::warning(FILE_SYSTEM, message, cure)
        }
        Kind::Memory => Check::ok(FILE_SYSTEM, format!("{name}, and tmpfiles.d makes the directory at boot")),
        Kind::Network => {
            let message = format!("{name}: where its server hangs, node_exporter and promdrop hang");
            Check::warning(FILE_SYSTEM, message, "use a directory of a local file system")
        }
        Kind::Local => Check::ok(FILE_SYSTEM, format!("{name}, with room")),
    }
}

/// That there is none, or little.
fn room(name: &str, usage: &Statvfs) -> Option<Check> {
    let space = usage.blocks_available().saturating_mul(usage.fragment_size());
    let all = usage.blocks().saturating_mul(usage.fragment_size());
    // A file system that counts no inodes has none to spare, and none to miss.
    let inodes = if usage.files() > 0 { usage.files_available() } else { u64::MAX };
    let cure = "free some: see df and df -i";
    let none = |what: &str| Some(Check::failure(FILE_SYSTEM, format!("{name}, with no {what} left"), cure));
    let few =
        |left: String| Some(Check::warning(FILE_SYSTEM, format!("{name}, with only {left} left"), cure));
    if space == 0 {
        none("space")
    } else if inodes == 0 {
        none("inodes")
    } else if space < ROOM && space < all / 10 {
        few(format!("{} KiB", space / 1024))
    } else if inodes < INODES && inodes < usage.files() / 10 {
        few(format!("{inodes} inodes"))
    } else {
        None
    }
}

fn known(kind: FsType) -> (String, Kind) {
    // What is wider than 32 bits is a sign that was extended.
    let magic = kind.0 as u32;
    match KNOWN.iter().find(|(known, ..)| *known == magic) {
        Some((_, name, kind)) => ((*name).to_owned(), *kind),
        None => (format!("a file system of type {magic:#x}"), Kind::Local),
    }
}

/// Where what `path` lies on is mounted, by /proc/self/mounts (proc_mounts(5)).
fn mount_point(path: &Path) -> PathBuf {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points =
        mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(|point| point.replace("\\040", " "));
    let above = points.map(PathBuf::from).filter(|point| path.starts_with(point));
    above.max_by_key(|point| point.components().count()).unwrap_or(path)
}

/// Whether a line of tmpfiles.d(5) makes `path`. Of files of one name the first counts.
fn is_made_at_boot(path: &Path) -> bool {
    let mut names = Vec::new();
    ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/lib/tmpfiles.d"].iter().any(|dir| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let files =
            entries.map(|entry| entry.path()).filter(|file| file.extension() == Some(OsStr::new("conf")));
        files.into_iter().any(|file| {
            let name = file.file_name().unwrap_or_default().to_owned();
            let is_new = !names.contains(&name);
            names.push(name);
            is_new && fs::read_to_string(&file).is_ok_and(|text| makes(&text, path))
        })
    })
}

/// Whether a line of `text` makes the directory `path`, or one above it and what is below is promdrop's to be made.
fn makes(text: &str, path: &Path) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let is_directory = kind.starts_with(['d', 'D', 'q', 'Q', 'v', 'C']);
        let place = words.next().unwrap_or_default().trim_matches(['"', '\'']);
        is_directory && Path::new(place.trim_end_matches('/')) == path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tmpfiles_makes_a_directory() {
        let is_made = |text| makes(text, Path::new("/run/node-exporter"));
        assert!(is_made("d /run/node-exporter 0755 root root -\n"));
        assert!(is_made("# x\n\nd! \"/run/node-exporter/\"\n"));
        assert!(!is_made(
            "f /run/node-exporter 0755\n#d /run/node-exporter\nd /run/node 0755\nr! /run/node-exporter"
        ));
        assert!(!is_made(""));
    }

    #[test]
    fn a_type_is_known_however_wide_it_is() {
        assert_eq!(known(FsType(0x0102_1994)).1, Kind::Memory);
        assert_eq!(known(FsType(0xff53_4d42_u32 as i32 as _)), ("CIFS".to_owned(), Kind::Network));
        assert_eq!(known(FsType(0x7)).1, Kind::Local);
    }

    #[test]
    fn a_mount_point_is_the_nearest_above() {
        assert_eq!(mount_point(Path::new("/proc/sys/kernel")), Path::new("/proc"));
        assert_eq!(mount_point(Path::new("/proc/self")), Path::new("/proc"));
    }
}
