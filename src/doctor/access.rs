//! Who may do what with a file, by its mode. Pure, but for the names.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Group, Uid, User, access, geteuid, getgrouplist};

/// Read a file, or list a directory.
pub const READ: u32 = 4;
/// Make files in a directory.
pub const WRITE: u32 = 2;
/// Pass through a directory.
pub const PASS: u32 = 1;

/// CAP_DAC_OVERRIDE (linux/capability.h).
pub const DAC_OVERRIDE: u64 = 1 << 1;
/// CAP_DAC_READ_SEARCH.
pub const DAC_READ_SEARCH: u64 = 1 << 2;

/// A process, or what one would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its user.
    pub uid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
    /// What it is able to do beyond that.
    pub capabilities: u64,
}

impl Identity {
    /// Whether it may do `wanted` with what has this mode, owner and group.
    pub fn may(&self, (mode, uid, gid): (u32, u32, u32), wanted: u32) -> bool {
        if self.capabilities & DAC_OVERRIDE != 0 {
            return true;
        }
        if wanted & WRITE == 0 && self.capabilities & DAC_READ_SEARCH != 0 {
            return true;
        }
        let shift = match self.class((uid, gid)) {
            'u' => 6,
            'g' => 3,
            _ => 0,
        };
        mode >> shift & wanted == wanted
    }

    /// Which bits of the mode of what has this owner and group are for it, as chmod(1) calls them: no others count.
    pub fn class(&self, (uid, gid): (u32, u32)) -> char {
        if uid == self.uid {
            'u'
        } else if self.groups.contains(&gid) {
            'g'
        } else {
            'o'
        }
    }

    /// That of a process, from its /proc/PID/status.
    pub fn of_status(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_whitespace())
        };
        // Real, effective, saved, and that of the file system.
        let fourth = |name| field(name)?.nth(3)?.parse().ok();
        let mut groups: Vec<u32> = field("Groups")?.filter_map(|group| group.parse().ok()).collect();
        groups.push(fourth("Gid")?);
        let capabilities = u64::from_str_radix(field("CapEff")?.next()?, 16).ok()?;
        Some(Self { uid: fourth("Uid")?, groups, capabilities })
    }
}

/// Whether whoever looks, an ordinary user, may not look at `path`: that says nothing of promdrop's own user.
pub fn is_closed_to_user(path: &Path) -> bool {
    !geteuid().is_root() && access(path, AccessFlags::R_OK) == Err(Errno::EACCES)
}

/// The first directory above `path`, from the root on, that `identity` may not pass, and which bits of its mode are for it.
pub fn closed_above(path: &Path, identity: &Identity) -> Option<(String, char)> {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let closed = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        let is_closed = !identity.may((found.mode(), found.uid(), found.gid()), PASS);
        is_closed.then(|| (path.display().to_string(), identity.class((found.uid(), found.gid()))))
    };
    let above: Vec<&Path> = place.ancestors().skip(1).collect();
    above.into_iter().rev().find_map(closed)
}

/// The user called `name`, or of that number, and its groups, its own first.
pub fn user(name: &str) -> Option<(u32, Vec<u32>)> {
    let by_number = || User::from_uid(Uid::from_raw(name.parse().ok()?)).ok().flatten();
    let user = User::from_name(name).ok().flatten().or_else(by_number)?;
    let name = CString::new(user.name).ok()?;
    let mut groups = vec![user.gid.as_raw()];
    let all = getgrouplist(&name, user.gid).unwrap_or_default();
    groups.extend(all.iter().map(|group| group.as_raw()).filter(|group| *group != user.gid.as_raw()));
    Some((user.uid.as_raw(), groups))
}

/// The group called `name`, or of that number.
pub fn group(name: &str) -> Option<u32> {
    let found = Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    found.or_else(|| name.parse().ok())
}

/// What the user is called.
pub fn user_name(uid: u32) -> String {
    User::from_uid(uid.into()).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// What the group is called.
pub fn group_name(gid: u32) -> String {
    Group::from_gid(gid.into()).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_that_fits_decides() {
        let user = Identity { uid: 7, groups: vec![7, 8], capabilities: 0 };
        for (mode, uid, gid, wanted, may) in [
            (0o755, 0, 0, READ | PASS, true),
            (0o750, 0, 0, READ, false),
            (0o750, 0, 8, READ | PASS, true),
            (0o740, 0, 8, READ | PASS, false),
            // Its owner is the owner, whatever the others may.
            (0o077, 7, 8, READ, false),
            (0o707, 0, 8, READ, false),
            (0o700, 7, 0, READ | WRITE | PASS, true),
        ] {
            assert_eq!(user.may((mode, uid, gid), wanted), may, "{mode:o} {uid} {gid} {wanted}");
        }
        let reader = Identity { capabilities: DAC_READ_SEARCH, ..user.clone() };
        assert!(reader.may((0, 0, 0), READ | PASS) && !reader.may((0, 0, 0), WRITE));
        assert!(Identity { capabilities: DAC_OVERRIDE, ..user }.may((0, 0, 0), WRITE));
    }

    #[test]
    fn a_status_tells_who_a_process_is() {
        let status =
            "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000000000006\n";
        let expected = Identity { uid: 4, groups: vec![9, 10, 8], capabilities: 6 };
        assert_eq!(Identity::of_status(status), Some(expected));
        for odd in ["", "Uid:\t1\n", "Uid:\nGid:\nGroups:\nCapEff:\n", &status.replace("06\n", "zz\n")] {
            assert_eq!(Identity::of_status(odd), None, "{odd}");
        }
    }
}
