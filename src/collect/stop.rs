//! SIGTERM, SIGINT and SIGHUP as something to wait for beside sockets and pipes.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Readable once promdrop has been told to end. Nobody reads it, so every thread that polls it sees it.
#[derive(Debug)]
pub struct Stop(SignalFd);

impl Stop {
    /// Blocks the signals that end a program and listens for them. Call it before any thread is started, since
    /// threads inherit what is blocked.
    ///
    /// # Errors
    /// Where the kernel refuses a signalfd (no descriptors left).
    pub fn listen() -> nix::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block()?;
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }

    /// Whether it has been raised.
    pub fn is_raised(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits at most `limit`; whether it has been raised.
    pub fn wait(&self, limit: Duration) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        matches!(poll(&mut fds, limit), Ok(n) if n > 0)
    }

    /// Waits until the other end of `pipe` is closed, `deadline`, or it is raised.
    pub fn or_hangup(&self, pipe: &impl AsFd, deadline: Instant) {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the deadline is over when nothing has happened.
            let left = PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
            // No events are asked for: a hang-up is always told.
            let mut fds =
                [PollFd::new(pipe.as_fd(), PollFlags::empty()), PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left) {
                Err(Errno::EINTR) => {}
                _ => return,
            }
        }
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
