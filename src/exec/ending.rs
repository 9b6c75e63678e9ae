//! promdrop ends as its job did, so that who started it sees no difference.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, raise};

use super::record::{Ended, Verdict};
use crate::collect::command::launch::unignore_sigpipe;
use crate::collect::command::limits::dump_no_core;

/// The exit status of a run that `--timeout` ended, as timeout(1) has it.
pub const TIMED_OUT: u8 = 124;
/// A program that can't be executed, as env(1) has it.
pub const NOT_EXECUTABLE: u8 = 126;
/// A program that isn't there.
pub const NOT_FOUND: u8 = 127;
/// There was no run, since the last one still goes on: `EX_TEMPFAIL` of sysexits.h.
pub const SKIPPED: u8 = 75;

/// The exit status where a job can't be started.
pub fn unstarted(errno: Errno) -> u8 {
    if errno == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE }
}

/// Ends this process by the signal that ended the job, if one did; else returns the status to exit with.
pub fn like(ended: &Ended) -> u8 {
    match ended.verdict {
        Verdict::Timeout => TIMED_OUT,
        Verdict::Signal => {
            die_of(ended.signal);
            status(ended)
        }
        _ => status(ended),
    }
}

/// What is left where it can't die so: a signal that it was started with as ignored, say.
fn status(ended: &Ended) -> u8 {
    u8::try_from(ended.status).unwrap_or(u8::MAX)
}

fn die_of(number: u64) {
    let Some(signal) = i32::try_from(number).ok().and_then(|number| Signal::try_from(number).ok()) else {
        return;
    };
    // The core is the job's, and was written where it was to be.
    dump_no_core();
    if signal == Signal::SIGPIPE {
        unignore_sigpipe();
    }
    let mut blocked = SigSet::empty();
    blocked.add(signal);
    // Rust's runtime catches SIGSEGV and SIGBUS once, and then leaves them as they were.
    for _ in 0..2 {
        let _ = raise(signal);
        let _ = blocked.thread_unblock();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_status_is_the_jobs_but_for_a_timeout() {
        let ended = Ended {
            verdict: Verdict::Exit,
            status: 3,
            signal: 0,
            began: 0,
            at: 0,
            duration: Duration::ZERO,
            usage: None,
            transfer: None,
        };
        assert_eq!(like(&ended), 3);
        assert_eq!(like(&Ended { verdict: Verdict::Timeout, status: 143, signal: 15, ..ended }), TIMED_OUT);
        // A real-time signal, by which no safe call can end it.
        assert_eq!(like(&Ended { verdict: Verdict::Signal, status: 128 + 40, signal: 40, ..ended }), 168);
    }
}
