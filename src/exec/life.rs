//! Whether a run goes on: processes are told apart from others that had, or will have, their numbers.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::stat::stat;
use nix::unistd::Pid;

use crate::collect::command::tree;
use crate::textfile::{Process, Running};

/// Where and when this process runs, as far as that makes numbers of processes mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Here {
    namespace: u64,
    boot: u128,
}

impl Here {
    fn read() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = u128::from_str_radix(&boot.trim_end().replace('-', ""), 16).ok()?;
        Some(Self { namespace: stat("/proc/self/ns/pid").ok()?.st_ino, boot })
    }
}

/// What the header says of `job`, which this process waits for; `None` where /proc doesn't tell.
pub fn running(job: Pid) -> Option<Running> {
    let Here { namespace, boot } = Here::read()?;
    Some(Running { job: process(job)?, waiter: process(Pid::this())?, namespace, boot })
}

/// Whether this promdrop was taken off the host since it started: an upgrade puts another one in its place.
pub fn is_removed() -> bool {
    fs::read_link("/proc/self/exe").is_ok_and(|program| {
        let place = program.to_str().and_then(|program| program.strip_suffix(" (deleted)"));
        place.is_some_and(|place| Path::new(place).try_exists().is_ok_and(|exists| !exists))
    })
}

/// Whether the job or the promdrop that waits for it is still there; true where that can't be told, since
/// they are of another namespace.
pub fn lives(running: &Running) -> bool {
    Here::read().is_none_or(|here| judge(running, here, is_there))
}

/// Whether the job or its promdrop is seen to be there: what is of another namespace is not.
pub fn is_seen(running: &Running) -> bool {
    Here::read().is_some_and(|here| running.namespace == here.namespace && judge(running, here, is_there))
}

fn judge(running: &Running, here: Here, is_there: impl Fn(Process) -> bool) -> bool {
    // After a reboot nothing is left, and any process may have the numbers.
    running.boot == here.boot
        && (running.namespace != here.namespace || is_there(running.job) || is_there(running.waiter))
}

fn process(pid: Pid) -> Option<Process> {
    let start = tree::stat(pid.as_raw())?.start;
    Some(Process { pid: pid.as_raw().try_into().ok()?, start })
}

fn is_there(process: Process) -> bool {
    // 0 would be this process' group.
    let Some(pid) = i32::try_from(process.pid).ok().filter(|pid| *pid > 0) else { return false };
    match tree::stat(pid) {
        Some(stat) => stat.start == process.start && stat.is_alive(),
        // Others' processes may not be shown (hidepid=).
        None => kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Here = Here { namespace: 5, boot: 6 };

    #[test]
    fn a_run_lives_while_its_job_or_its_waiter_does() {
        let [job, waiter] = [7, 8].map(|pid| Process { pid, start: 1 });
        let run = Running { job, waiter, namespace: 5, boot: 6 };
        for (there, lives) in [(&[7, 8][..], true), (&[7], true), (&[8], true), (&[], false), (&[9], false)] {
            assert_eq!(judge(&run, HERE, |process| there.contains(&process.pid)), lives, "{there:?}");
        }
        let all = |_: Process| true;
        let none = |_: Process| false;
        assert!(!judge(&Running { boot: 7, ..run }, HERE, all), "another boot");
        assert!(judge(&Running { namespace: 7, ..run }, HERE, none), "another namespace");
        assert!(!judge(&Running { namespace: 7, boot: 7, ..run }, HERE, all), "another host's");
    }

    #[test]
    fn a_number_alone_is_no_process() {
        let own = process(Pid::this()).unwrap();
        assert!(is_there(own));
        assert!(!is_there(Process { start: own.start + 1, ..own }));
        for pid in [0, u32::MAX, i32::MAX as u32] {
            assert!(!is_there(Process { pid, start: own.start }), "{pid}");
        }
        let run = running(Pid::this()).unwrap();
        assert!(lives(&run) && is_seen(&run));
        let elsewhere = Running { namespace: run.namespace ^ 1, ..run };
        assert!(lives(&elsewhere) && !is_seen(&elsewhere));
        assert!(!lives(&Running { boot: run.boot ^ 1, ..run }));
    }
}
