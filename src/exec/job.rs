//! A job: started as a shell would, and waited for.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, kill};
use nix::unistd::{Pid, execvp};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, waitid, waitpid};

use super::limit::Limit;
use super::record::{Ended, Transfer, Used, Verdict};
use super::signals::Signals;
use super::spool::Tap;
use crate::collect::command::launch::unignore_sigpipe;
use crate::collect::command::ready::ready;
use crate::collect::command::spawn;
use crate::collect::command::{tree, usage};
use crate::collect::runner::now;
use crate::collect::trace::Usage;

/// The variable that tells the job where its own metrics go.
pub const OUTPUT: &str = "PROMDROP_OUTPUT";

/// Between two tries to wait for an event.
const BREATH: Duration = Duration::from_millis(20);

/// A job that runs.
#[derive(Debug)]
pub struct Job {
    pid: Pid,
    began: u64,
    clock: Instant,
    /// What the children had used that this process had before.
    before: Option<Usage>,
}

/// Starts `argv` with this process' environment and `output` as [`OUTPUT`]; `ends` are where it writes, if
/// not where promdrop does.
///
/// # Errors
/// Why it can't be started.
pub fn start(
    argv: &[OsString],
    output: &OsStr,
    signals: &Signals,
    ends: [Option<BorrowedFd<'_>>; 2],
) -> nix::Result<Job> {
    let argv = words(argv)?;
    let [stdout, stderr] = ends;
    let environment = environment(std::env::vars_os(), output)?;
    let (began, clock, before) = (now(), Instant::now(), usage::of_children().ok());
    let job =
        spawn::Job { argv: &argv, environment: &environment, blocked: *signals.original(), stdout, stderr };
    Ok(Job { pid: job.start()?, began, clock, before })
}

/// Becomes `argv`, where it can't be waited for: with nothing told of it, but as it would be without
/// promdrop.
pub fn become_it(argv: &[OsString], blocked: &SigSet) -> Errno {
    let Ok(words) = words(argv) else { return Errno::EINVAL };
    let Some(program) = words.first() else { return Errno::EINVAL };
    // Unblocks all.
    unignore_sigpipe();
    let _ = blocked.thread_set_mask();
    let Err(errno) = execvp(program, &words);
    errno
}

fn words(argv: &[OsString]) -> nix::Result<Vec<CString>> {
    argv.iter().map(|word| CString::new(word.as_bytes()).map_err(|_| Errno::EINVAL)).collect()
}

fn environment(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    output: &OsStr,
) -> nix::Result<Vec<CString>> {
    let others = inherited.filter(|(name, _)| name != OUTPUT);
    let all = others.chain([(OUTPUT.into(), output.to_owned())]);
    let text = |(name, value): (OsString, OsString)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).map_err(|_| Errno::EINVAL)
    };
    all.map(text).collect()
}

impl Job {
    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When it began, in ms since the epoch.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Waits for its end, passing on signals and taking in what it writes. After `timeout` it is ended, with
    /// all that descends from it.
    pub fn wait(self, signals: &Signals, timeout: Option<Duration>, mut tap: Option<&mut Tap>) -> Ended {
        let mut limit = Limit::new(self.clock, timeout);
        let status = loop {
            let ended = self.ended();
            if limit.is_settled() && !matches!(ended, Ok(None)) {
                break ended.ok().flatten();
            }
            // Once it has ended, for what it has started.
            let wait = limit.enforce(self.pid);
            self.take_in(signals, wait, tap.as_deref_mut());
        };
        let (at, duration) = (now(), self.clock.elapsed());
        // What has come by now was for the job, and came too late.
        let _ = signals.take_in(|_| true);
        let transfer = transfer(self.pid);
        if let Some(tap) = tap {
            tap.drain();
        }
        if let Some(pid) = self.raw() {
            while matches!(waitpid(Some(pid), WaitOptions::empty()), Err(rustix::io::Errno::INTR)) {}
        }
        let (verdict, status, signal) = outcome(status.as_ref(), limit.is_over());
        let usage = used(self.before, usage::of_children().ok());
        Ended { verdict, status, signal, began: self.began, at, duration, usage, transfer }
    }

    /// Waits at most so long for something to happen, and takes it in.
    fn take_in(&self, signals: &Signals, wait: Duration, tap: Option<&mut Tap>) {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let [stdout, stderr] = tap.as_ref().map_or([None, None], |tap| tap.fds());
        let told = ready([Some(readable(signals.as_fd())), stdout.map(readable), stderr.map(readable)], wait);
        let Ok([came, stdout, stderr]) = told else {
            // No memory: better late than never.
            std::thread::sleep(BREATH);
            return;
        };
        if let Some(tap) = tap {
            tap.take_in([stdout, stderr]);
        }
        if came {
            let is_of_job = |pid: Pid| pid == self.pid || tree::descendants(self.pid).contains(&pid);
            for signal in signals.take_in(is_of_job) {
                // It may have ended by now.
                let _ = kill(self.pid, signal);
            }
        }
    }

    /// Whether it has ended, and how; it stays a zombie, of which /proc tells still.
    ///
    /// # Errors
    /// Where nobody can wait for it.
    fn ended(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(self.raw().ok_or(rustix::io::Errno::SRCH)?), options)
    }

    fn raw(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(self.pid.as_raw())
    }
}

/// What a status means: how it ended, its exit status as a shell has it, and the signal.
fn outcome(status: Option<&WaitIdStatus>, is_late: bool) -> (Verdict, u64, u64) {
    let number = |number: i32| u64::try_from(number).unwrap_or_default();
    let exited = status.and_then(WaitIdStatus::exit_status).map(number);
    let signal = status.and_then(WaitIdStatus::terminating_signal).map_or(0, number);
    let verdict = match exited {
        _ if is_late => Verdict::Timeout,
        Some(0) => Verdict::Success,
        Some(_) => Verdict::Exit,
        None if signal > 0 => Verdict::Signal,
        None => Verdict::Lost,
    };
    (verdict, exited.unwrap_or(128 + signal), signal)
}

/// What the job has used. A process keeps its children when it executes another program: a shell that becomes
/// promdrop as its last command had others before. Behind a larger one of those the job's peak can't be seen.
fn used(before: Option<Usage>, after: Option<Usage>) -> Option<Used> {
    let (before, after) = (before?, after?);
    let memory_peak = Some(after.memory_peak).filter(|peak| *peak > before.memory_peak);
    Some(Used { cpu: after.cpu.saturating_sub(before.cpu), memory_peak })
}

/// What a zombie has moved; `None` where the kernel doesn't count it, or it is not for this user to look at.
fn transfer(pid: Pid) -> Option<Transfer> {
    parse_transfer(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

fn parse_transfer(text: &str) -> Option<Transfer> {
    let number =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")?.parse().ok());
    Some(Transfer { read: number("read_bytes")?, written: number("write_bytes")? })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn what_a_zombie_moved_is_read_by_its_names() {
        let text = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        assert_eq!(parse_transfer(text), Some(Transfer { read: 5, written: 6 }));
        for bad in ["", "read_bytes: 5\n", "read_bytes: x\nwrite_bytes: 6\n"] {
            assert_eq!(parse_transfer(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_earlier_children_used_is_not_the_jobs() {
        let children = |cpu, memory_peak| Some(Usage { cpu: Duration::from_secs(cpu), memory_peak });
        let told = |cpu, memory_peak| Some(Used { cpu: Duration::from_secs(cpu), memory_peak });
        assert_eq!(used(children(0, 0), children(3, 7)), told(3, Some(7)));
        assert_eq!(used(children(2, 6), children(3, 7)), told(1, Some(7)));
        assert_eq!(used(children(2, 7), children(3, 7)), told(1, None));
        assert_eq!(used(None, children(3, 7)), None);
    }

    #[test]
    fn the_environment_is_what_it_was_but_for_the_one_variable() {
        let latin = OsString::from_vec(vec![0xe9]);
        let inherited = [("A".into(), latin.clone()), (OUTPUT.into(), "old".into()), (latin, "1".into())];
        let made = environment(inherited.into_iter(), OsStr::new("/x")).unwrap();
        let made: Vec<&[u8]> = made.iter().map(|entry| entry.as_bytes()).collect();
        assert_eq!(made, [&b"A=\xe9"[..], b"\xe9=1", b"PROMDROP_OUTPUT=/x"]);
    }
}
