//! The signals that reach promdrop while a job runs, and which of them are for the job.

use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{Pid, getsid};

/// Those that promdrop passes on instead of dying of them: all by which processes are commonly told
/// something.
const PASSED_ON: [Signal; 15] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGABRT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// Blocks SIGXFSZ for the life of this process, so that a limit on the size of files is to what promdrop
/// writes what a full disk is; what was blocked before, which is for the job. Call it before any thread is
/// started.
///
/// # Errors
/// The kernel has none to give.
pub fn outlive_size_limit() -> nix::Result<SigSet> {
    SigSet::from(Signal::SIGXFSZ).thread_swap_mask(SigmaskHow::SIG_BLOCK)
}

/// Blocked, and to be read instead.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    /// What was blocked before, which is for the job.
    original: SigSet,
    is_leader: bool,
}

impl Signals {
    /// Blocks them. Call it before any thread is started, with what [`outlive_size_limit`] said.
    ///
    /// # Errors
    /// Where the kernel refuses a signalfd; then nothing is blocked.
    pub fn listen(original: SigSet) -> nix::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in PASSED_ON.into_iter().chain([Signal::SIGCHLD]) {
            signals.add(signal);
        }
        let fd = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        signals.thread_block()?;
        Ok(Self { fd, original, is_leader: getsid(None) == Ok(Pid::this()) })
    }

    /// What was blocked before.
    pub fn original(&self) -> &SigSet {
        &self.original
    }

    /// Lets them do again to promdrop what they would, once the job has ended.
    pub fn unblock(&self) {
        let mut blocked = self.original;
        // One may be pending.
        blocked.add(Signal::SIGXFSZ);
        let _ = blocked.thread_set_mask();
    }

    /// Takes in what came; those that are for the job, in the order they came. `is_of_job` says whether a
    /// process is the job or one that it started.
    pub fn take_in(&self, is_of_job: impl Fn(Pid) -> bool) -> Vec<Signal> {
        let mut for_job = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            let sender = sender(&info);
            if let Some(signal) =
                signal.filter(|signal| is_for_job(*signal, sender, self.is_leader, &is_of_job))
            {
                for_job.push(signal);
            }
        }
        for_job
    }
}

/// Whether this process was started with SIGCHLD ignored: then nobody can tell how a child of it ended.
pub fn are_children_lost() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, Signal::SIGCHLD))
}

fn ignores(status: &str, signal: Signal) -> bool {
    let mask =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Kernel,
    Process(Pid),
}

fn sender(info: &siginfo) -> Sender {
    // From 1 on, the kernel's own reasons (sigaction(2)).
    match info.ssi_code {
        ..=libc::SI_USER => Sender::Process(Pid::from_raw(info.ssi_pid.try_into().unwrap_or(0))),
        _ => Sender::Kernel,
    }
}

/// Whether the job would have got `signal` in promdrop's place, and has not got it already.
fn is_for_job(signal: Signal, sender: Sender, is_leader: bool, is_of_job: impl Fn(Pid) -> bool) -> bool {
    match (signal, sender) {
        (Signal::SIGCHLD, _) => false,
        // What the job does to its own group, or to its parent, is its own affair.
        (_, Sender::Process(pid)) => !is_of_job(pid),
        // A terminal's go to the whole group, but the one that it is gone: that goes to the leader of the
        // session.
        (Signal::SIGHUP, Sender::Kernel) => is_leader,
        (Signal::SIGINT | Signal::SIGQUIT | Signal::SIGCONT | Signal::SIGWINCH, Sender::Kernel) => false,
        // It is promdrop's own time that is up; the job has one of its own.
        (Signal::SIGXCPU, Sender::Kernel) => false,
        // Its own timers, set before promdrop was executed, say.
        (_, Sender::Kernel) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_proc() {
        let status = "Name:\tx\nSigIgn:\t0000000000011000\nSigCgt:\t0\n";
        assert!(ignores(status, Signal::SIGCHLD) && ignores(status, Signal::SIGPIPE));
        assert!(!ignores(status, Signal::SIGALRM) && !ignores("", Signal::SIGCHLD));
        assert!(!are_children_lost());
    }

    #[test]
    fn what_is_sent_to_promdrop_is_for_the_job_and_what_a_terminal_sends_is_not() {
        let stranger = Sender::Process(Pid::from_raw(7));
        let own = Sender::Process(Pid::from_raw(8));
        let goes = |signal, sender, leader| is_for_job(signal, sender, leader, |pid| pid.as_raw() == 8);
        for signal in PASSED_ON {
            assert!(goes(signal, stranger, false), "{signal}");
            assert!(!goes(signal, own, true), "{signal}");
        }
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGWINCH, Signal::SIGHUP, Signal::SIGCONT] {
            assert!(!goes(signal, Sender::Kernel, false), "{signal}");
        }
        assert!(goes(Signal::SIGHUP, Sender::Kernel, true));
        assert!(goes(Signal::SIGALRM, Sender::Kernel, false));
        assert!(!goes(Signal::SIGXCPU, Sender::Kernel, false));
        assert!(!goes(Signal::SIGCHLD, stranger, false));
    }
}
