//! Who descends from whom, by /proc.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;

use nix::unistd::Pid;

/// So many descendants are looked for at a time: of a fork bomb's there is no end, and the search must have one.
const MOST: usize = 1000;

/// The fields of /proc/PID/stat (proc_pid_stat(5)) that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    state: u8,
    parent: i32,
    group: i32,
    session: i32,
    threads: u32,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
}

impl Stat {
    /// Whether it lives. One whose first thread has exited is called a zombie while the others go on.
    pub fn is_alive(&self) -> bool {
        self.state != b'Z' || self.threads > 1
    }
}

/// Every living descendant of `root`, up to [`MOST`], as far as the moment shows: a process that forks meanwhile is seen next time.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let found = match task_children(root.as_raw()) {
        Some(_) => walk(root.as_raw(), |pid| task_children(pid).unwrap_or_default()),
        // The kernel was built without CONFIG_PROC_CHILDREN.
        None => by_parent(root.as_raw(), &all()),
    };
    // Of one that this process may not look at (hidepid=), nothing says that it has ended.
    let alive = |pid: &i32| stat(*pid).is_none_or(|stat| stat.is_alive());
    found.into_iter().filter(alive).map(Pid::from_raw).collect()
}

/// The process groups of the session of `leader` that have a living member beside it. A group is of one session alone, so
/// to signal one is to signal nobody else.
pub fn groups(leader: Pid) -> Vec<Pid> {
    let leader = leader.as_raw();
    let members =
        all().into_iter().filter(|(pid, stat)| stat.session == leader && *pid != leader && stat.is_alive());
    let groups: BTreeSet<i32> = members.map(|(_, stat)| stat.group).collect();
    groups.into_iter().map(Pid::from_raw).collect()
}

/// The children of all threads of `pid`; `None` where the kernel doesn't list them or the process is gone.
fn task_children(pid: i32) -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread may have ended meanwhile; the first one is there as long as the process.
        let list = match fs::read_to_string(task.path().join("children")) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound && task.file_name() != *pid.to_string() => {
                continue;
            }
            Err(_) => return None,
        };
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(children)
}

fn by_parent(root: i32, processes: &[(i32, Stat)]) -> Vec<i32> {
    walk(root, |parent| {
        processes.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid).collect()
    })
}

fn walk(root: i32, children: impl Fn(i32) -> Vec<i32>) -> Vec<i32> {
    // A number that is given away anew while we look could make a circle.
    let mut seen = HashSet::from([root]);
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop()
        && found.len() < MOST
    {
        for child in children(pid) {
            if seen.insert(child) {
                found.push(child);
                next.push(child);
            }
        }
    }
    found
}

fn all() -> Vec<(i32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// What /proc says of `pid`; `None` where there is no such process, or it is not for this one to look at.
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in the second field may hold anything, parentheses and newlines too: the fields start after the last `)`.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads = fields.nth(13)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, parent, group, session, threads, start })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_can_not_forge_fields() {
        let stat = parse_stat(b"7 (a) Z 1 1 1 (\n) S 5 6 4 0 -1 4194560 0 0 0 0 1 2 0 0 20 0 3 0 99 0\n");
        assert_eq!(stat, Some(Stat { state: b'S', parent: 5, group: 6, session: 4, threads: 3, start: 99 }));
        for bad in [
            "",
            "7 (a",
            "7 (a) S",
            "7 (a) S x 6 4",
            "7 (a) S 5 6",
            "7 (a) S 5 6 4 0 -1 1 0 0 0 0 1 2 0 0 20 0",
            "7 (a) S 5 6 4 0 -1 1 0 0 0 0 1 2 0 0 20 0 3 0",
        ] {
            assert_eq!(parse_stat(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn both_ways_find_a_grandchild() {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "sh -c 'echo $$; exec sleep 60' & wait; :"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(descendants(Pid::this()).contains(&Pid::from_raw(grandchild)));
        assert!(by_parent(me, &all()).contains(&grandchild));
        let (mine, group) = (nix::unistd::getsid(None).unwrap(), nix::unistd::getpgid(None).unwrap());
        assert!(groups(mine).contains(&group));
        let _ = nix::sys::signal::kill(Pid::from_raw(grandchild), nix::sys::signal::Signal::SIGKILL);
        shell.wait().unwrap();
    }
}
