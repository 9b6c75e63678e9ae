//! promdrop's side of a command: starts the supervisor, tells it what to run, waits for its report, never for ever.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, pipe2};
use rustix::process::{PidfdFlags, pidfd_open};

use super::protocol::{DRAIN, GRACE, KILL_LIMIT, LINGER, LONGEST, Report, Specification};
use super::ready::ready;
use super::spawn::Spawn;
use super::tree;

/// How long a supervisor may take from the end of a command's time to its report; the last part is for a machine so
/// busy that nothing is on time. One that takes longer is killed.
pub const ENDING: Duration = LINGER
    .saturating_add(GRACE)
    .saturating_add(KILL_LIMIT)
    .saturating_add(DRAIN)
    .saturating_add(Duration::from_secs(3));

/// How often the session of a killed supervisor is looked through.
const KILL_ROUNDS: u32 = 20;

/// How long a killed supervisor is awaited.
const KILLED: Duration = Duration::from_secs(1);

/// No command failed: what runs it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Runs a command by `supervisor`, promdrop's own program file, and returns once nothing of it is left. Ends it
/// early where `stop` becomes readable. Takes at most the timeout and [`ENDING`].
///
/// # Errors
/// Where the supervisor can't be started, or ends or hangs without a report; then everything is killed.
pub fn run(supervisor: &Path, specification: &Specification, stop: BorrowedFd<'_>) -> Result<Report, Fault> {
    let mut order = specification
        .encode()
        .ok_or_else(|| Fault("the command is too long to be handed over: move it to a script".into()))?;
    let started = Instant::now();
    let mut supervisor = Supervisor::start(supervisor)
        .map_err(|errno| Fault(format!("can't start promdrop's supervisor: {}", errno.desc())))?;
    let mut backstop = started + specification.timeout.min(LONGEST) + ENDING;
    let mut stopped = false;
    let mut answer = Vec::new();
    loop {
        let limit = backstop.saturating_duration_since(Instant::now());
        let waiting = supervisor.stdin.as_ref().filter(|_| !order.is_empty());
        let told = ready(
            [
                (!stopped).then(|| PollFd::new(stop, PollFlags::POLLIN)),
                waiting.map(|stdin| PollFd::new(stdin.as_fd(), PollFlags::POLLOUT)),
                Some(PollFd::new(supervisor.stdout.as_fd(), PollFlags::POLLIN)),
            ],
            limit,
        );
        let Ok([stop, writable, readable]) = told else {
            supervisor.kill();
            return Err(Fault("can't wait for promdrop's supervisor: no memory".into()));
        };
        if stop {
            // The end of its stdin tells it to end everything.
            supervisor.stdin = None;
            stopped = true;
            backstop = backstop.min(Instant::now() + ENDING);
        }
        if writable {
            supervisor.write(&mut order);
        }
        if readable && supervisor.read(&mut answer) {
            break;
        }
        if limit.is_zero() {
            supervisor.kill();
            return Err(Fault("promdrop's supervisor did not end in time and was killed".into()));
        }
    }
    match Report::decode(&answer) {
        Some(report) => {
            supervisor.reap();
            Ok(report)
        }
        None => {
            supervisor.kill();
            Err(Fault(
                "promdrop's supervisor ended without a report: was it killed, or is memory short?".into(),
            ))
        }
    }
}

/// A running supervisor and our ends of its pipes.
struct Supervisor {
    pid: Pid,
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
}

impl Supervisor {
    fn start(program: &Path) -> nix::Result<Self> {
        let (stdin_end, stdin) = pipe2(OFlag::O_CLOEXEC)?;
        let (stdout, stdout_end) = pipe2(OFlag::O_CLOEXEC)?;
        for end in [&stdin, &stdout] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        // Blocked until it listens for them, so that none ends it before it has begun.
        let mut blocked = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            blocked.add(signal);
        }
        let spawn = Spawn {
            program: program.to_str().ok_or(Errno::EINVAL)?,
            argv: &["promdrop-supervisor".into(), "supervise".into()],
            stdin: stdin_end.as_fd(),
            stdout: stdout_end.as_fd(),
            stderr: None,
            blocked,
            own_group: false,
        };
        Ok(Self { pid: spawn.start()?, stdin: Some(stdin), stdout })
    }

    /// Writes what the pipe takes of `order`; the rest stays there.
    fn write(&mut self, order: &mut Vec<u8>) {
        let Some(stdin) = &self.stdin else { return };
        match nix::unistd::write(stdin, order) {
            Ok(count) => drop(order.drain(..count.min(order.len()))),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // It has ended, which the end of its stdout tells as well.
            Err(_) => order.clear(),
        }
    }

    /// Reads what there is of its answer; whether that is all, or more than an answer can be.
    fn read(&self, answer: &mut Vec<u8>) -> bool {
        let mut chunk = [0; 64 << 10];
        match nix::unistd::read(&self.stdout, &mut chunk) {
            Ok(0) => true,
            Ok(count) => {
                answer.extend_from_slice(chunk.get(..count).unwrap_or_default());
                answer.len() > Report::MAX
            }
            Err(Errno::EINTR | Errno::EAGAIN) => false,
            Err(_) => true,
        }
    }

    /// Takes in its exit, which is near: it has closed its stdout.
    fn reap(self) {
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }

    /// Kills it and all that it started, except for what made itself a session of its own: that only the supervisor
    /// could have found.
    fn kill(self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        // Until it is reaped nobody else can have its number, which is that of its session. More than one round, for
        // what forks meanwhile; not for ever, since what hangs in the kernel (a dead NFS server) stays.
        for _ in 0..KILL_ROUNDS {
            let members = tree::session(self.pid);
            if members.is_empty() {
                break;
            }
            for pid in members {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        let pid = rustix::process::Pid::from_raw(self.pid.as_raw());
        if let Some(Ok(pidfd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            let _ = ready([Some(PollFd::new(pidfd.as_fd(), PollFlags::POLLIN))], KILLED);
        }
        let _ = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
    }
}
