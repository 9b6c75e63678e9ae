//! Who else could write what promdrop is about to trust: definitions, their directory, programs.
//!
//! Nothing is asked where promdrop isn't root: it then does no more than its user could do anyway.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Group, Uid, User, geteuid};

use super::yaml::Wrong;

/// Links that are followed on one path, as in the kernel (MAXSYMLINKS, include/linux/namei.h).
const MAX_LINKS: usize = 40;

/// Checks that nobody but root (and `run_as`, where the program runs as that user) could change `program` or put
/// another in its place: the file and every directory and link on its way.
///
/// # Errors
/// Names the path that is open to others, and the cure; or says that the path or the user isn't there.
pub fn program(program: &Path, run_as: Option<&str>) -> Result<(), Wrong> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let mut trusted = vec![0];
    if let Some(name) = run_as {
        trusted.push(uid(name)?.as_raw());
    }
    walk(program, &trusted).map(drop)
}

/// Checks that nobody but root could change the file at `path`, or put another in its place.
///
/// # Errors
/// As [`program`].
pub fn file(path: &Path) -> Result<(), Wrong> {
    program(path, None)
}

/// Checks that nobody but root could change what stands in the directory `path`, or put another in its place.
///
/// # Errors
/// As [`program`].
pub fn directory(path: &Path) -> Result<(), Wrong> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (real, inode) = walk(path, &[0])?;
    // Others can't take files out of a sticky directory, but they can put more in.
    judge(&real, &inode, &[0], Sticky::Counts)
}

/// Checks that nobody but root could have written the definition at `path`, whose directory has passed
/// [`directory`]. `opened` is the open file's, so that what is judged is what is read.
///
/// # Errors
/// As [`program`].
pub fn definition(path: &Path, opened: &Metadata) -> Result<(), Wrong> {
    if !geteuid().is_root() {
        return Ok(());
    }
    if path.is_symlink() {
        walk(path, &[0])?;
    }
    judge(path, &Inode::of(opened), &[0], Sticky::Counts)
}

/// Checks that nobody but root and promdrop's own user could change the secret at `path`, and not everyone can read
/// it. `opened` is the open file's.
///
/// # Errors
/// As [`program`].
pub fn secret(path: &Path, opened: &Metadata) -> Result<(), Wrong> {
    let own = geteuid();
    if own.is_root() {
        walk(path, &[0])?;
    }
    let inode = Inode::of(opened);
    judge(path, &inode, &[0, own.as_raw()], Sticky::Counts)?;
    if inode.mode & 0o004 != 0 {
        return Err(Wrong::new(
            format!("{} can be read by everyone (mode {:04o})", path.display(), inode.mode),
            format!("chmod o-r {}", quoted(path)),
        ));
    }
    Ok(())
}

fn uid(name: &str) -> Result<Uid, Wrong> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) => Err(Wrong::new(format!("there is no user `{name}`"), "create it, or name another")),
        Err(error) => {
            Err(Wrong::new(format!("can't look up the user `{name}`: {}", error.desc()), "see getent(1)"))
        }
    }
}

/// Judges every directory, link and file that the kernel passes on the way along `path`, and returns the last with
/// its path free of links.
fn walk(path: &Path, trusted: &[u32]) -> Result<(PathBuf, Inode), Wrong> {
    let unreadable = |at: &Path, error: &std::io::Error| {
        Wrong::new(format!("can't look at {}: {error}", at.display()), "correct the path, or its permissions")
    };
    // A relative path depends on every directory above the working directory, too.
    let path = std::path::absolute(path).map_err(|e| unreadable(path, &e))?;
    let mut real = PathBuf::from("/");
    let mut inode = Inode::of(&fs::symlink_metadata(&real).map_err(|e| unreadable(&real, &e))?);
    judge(&real, &inode, trusted, Sticky::Excuses)?;
    let mut to_come = steps(&path);
    let mut links = 0;
    while let Some(name) = to_come.pop() {
        if name == ".." {
            real.pop();
        } else {
            real.push(&name);
        }
        inode = Inode::of(&fs::symlink_metadata(&real).map_err(|e| unreadable(&real, &e))?);
        judge(&real, &inode, trusted, Sticky::Excuses)?;
        if inode.kind == Kind::Link {
            links += 1;
            if links > MAX_LINKS {
                return Err(Wrong::new(
                    format!("more than {MAX_LINKS} links on the way to {}", path.display()),
                    "remove the loop",
                ));
            }
            let target = fs::read_link(&real).map_err(|e| unreadable(&real, &e))?;
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            to_come.extend(steps(&target));
        }
    }
    Ok((real, inode))
}

/// The names along `path`, the last first.
fn steps(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter(|step| matches!(step, Component::Normal(_) | Component::ParentDir))
        .map(|step| step.as_os_str().to_owned())
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    Link,
    Other,
}

/// What decides who can change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inode {
    kind: Kind,
    owner: u32,
    group: u32,
    mode: u32,
}

impl Inode {
    fn of(metadata: &Metadata) -> Self {
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_symlink() {
            Kind::Link
        } else {
            Kind::Other
        };
        Self { kind, owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }
}

/// Who can change a file though nobody should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intruder {
    Owner,
    Group,
    Everyone,
}

/// Whether a directory may be writable where its sticky bit keeps others from replacing what is not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sticky {
    Excuses,
    Counts,
}

/// Who but the users `trusted` can change `inode`. The permissions of a link mean nothing, only its owner does. An
/// ACL that lets somebody write shows as the group's permission (acl(5), CORRESPONDENCE).
fn intruder(inode: &Inode, trusted: &[u32], sticky: Sticky) -> Option<Intruder> {
    if !trusted.contains(&inode.owner) {
        return Some(Intruder::Owner);
    }
    let excused = inode.kind == Kind::Directory && inode.mode & 0o1000 != 0 && sticky == Sticky::Excuses;
    if inode.kind == Kind::Link || excused {
        None
    } else if inode.mode & 0o002 != 0 {
        Some(Intruder::Everyone)
    } else if inode.mode & 0o020 != 0 && inode.group != 0 {
        Some(Intruder::Group)
    } else {
        None
    }
}

fn judge(path: &Path, inode: &Inode, trusted: &[u32], sticky: Sticky) -> Result<(), Wrong> {
    let Some(intruder) = intruder(inode, trusted, sticky) else { return Ok(()) };
    let Inode { kind, owner, group, mode } = *inode;
    let who = match intruder {
        Intruder::Owner => format!("its owner, {}", user_name(owner)),
        Intruder::Group => format!("its group, {}", group_name(group)),
        Intruder::Everyone => "everyone".to_owned(),
    };
    let shell = quoted(path);
    let cure = match (intruder, kind) {
        (Intruder::Owner, Kind::Link) => format!("chown -h root:root {shell}"),
        (Intruder::Owner, _) if mode & 0o022 != 0 => format!("chown root:root {shell}; chmod go-w {shell}"),
        (Intruder::Owner, _) => format!("chown root:root {shell}"),
        _ => format!("chmod go-w {shell}"),
    };
    Err(Wrong::new(format!("{} can be changed by {who} (mode {mode:04o})", path.display()), cure))
}

fn user_name(uid: u32) -> String {
    User::from_uid(uid.into()).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
}

fn group_name(gid: u32) -> String {
    Group::from_gid(gid.into()).ok().flatten().map_or_else(|| format!("gid {gid}"), |group| group.name)
}

/// `path` as one word of a shell: the cure is there to be copied, by root, and others may have chosen the name.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@".contains(c)) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What to call a file that is not a regular one.
pub fn kind_word(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(kind: Kind, owner: u32, group: u32, mode: u32) -> Inode {
        Inode { kind, owner, group, mode }
    }

    #[test]
    fn who_can_change_it() {
        use Intruder::{Everyone, Group, Owner};
        use Kind::{Directory, Link, Other};
        use Sticky::{Counts, Excuses};
        let cases = [
            // kind, owner, group, mode, sticky, who
            (Other, 0, 0, 0o644, Counts, None),
            (Other, 0, 0, 0o664, Counts, None),
            (Other, 0, 50, 0o644, Counts, None),
            (Other, 0, 50, 0o664, Counts, Some(Group)),
            (Other, 0, 50, 0o620, Counts, Some(Group)),
            (Other, 0, 0, 0o646, Counts, Some(Everyone)),
            (Other, 0, 0, 0o602, Counts, Some(Everyone)),
            (Other, 1000, 0, 0o400, Counts, Some(Owner)),
            // A sticky bit means nothing on a file.
            (Other, 0, 0, 0o1666, Excuses, Some(Everyone)),
            (Directory, 0, 0, 0o755, Counts, None),
            (Directory, 0, 0, 0o1777, Excuses, None),
            (Directory, 0, 50, 0o1775, Excuses, None),
            (Directory, 0, 0, 0o1777, Counts, Some(Everyone)),
            (Directory, 0, 0, 0o777, Excuses, Some(Everyone)),
            (Directory, 1000, 0, 0o1777, Excuses, Some(Owner)),
            (Link, 0, 50, 0o777, Counts, None),
            (Link, 1000, 50, 0o777, Counts, Some(Owner)),
        ];
        for (kind, owner, group, mode, sticky, who) in cases {
            let inode = inode(kind, owner, group, mode);
            assert_eq!(intruder(&inode, &[0], sticky), who, "{inode:?} {sticky:?}");
        }
        let own_script = inode(Other, 1000, 1000, 0o755);
        assert_eq!(intruder(&own_script, &[0, 1000], Sticky::Counts), None);
        assert_eq!(intruder(&own_script, &[0, 1001], Sticky::Counts), Some(Owner));
    }

    #[test]
    fn the_cure_fits_the_case() {
        let of = |path: &str, inode: Inode| {
            let wrong = judge(Path::new(path), &inode, &[0], Sticky::Counts).unwrap_err();
            format!("{} | {}", wrong.message, wrong.cure)
        };
        assert_eq!(
            of("/d/x.yaml", inode(Kind::Other, 4_000_000, 0, 0o644)),
            "/d/x.yaml can be changed by its owner, uid 4000000 (mode 0644) | chown root:root /d/x.yaml"
        );
        assert_eq!(
            of("/d", inode(Kind::Directory, 4_000_000, 0, 0o775)),
            "/d can be changed by its owner, uid 4000000 (mode 0775) | chown root:root /d; chmod go-w /d"
        );
        assert_eq!(
            of("/d", inode(Kind::Directory, 0, 4_000_000, 0o775)),
            "/d can be changed by its group, gid 4000000 (mode 0775) | chmod go-w /d"
        );
        assert_eq!(
            of("/it's; rm", inode(Kind::Other, 0, 0, 0o666)),
            r"/it's; rm can be changed by everyone (mode 0666) | chmod go-w '/it'\''s; rm'"
        );
        assert_eq!(
            of("/l", inode(Kind::Link, 4_000_000, 0, 0o777)),
            "/l can be changed by its owner, uid 4000000 (mode 0777) | chown -h root:root /l"
        );
    }
}
