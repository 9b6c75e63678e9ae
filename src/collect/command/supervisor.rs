//! The supervisor: promdrop, re-executed as a small process that runs one command and leaves nothing of it behind.
//!
//! It is the nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) of all that the command starts, so a daemon that
//! forks twice becomes its child and not init's. waitpid says `ECHILD` once the last of them is gone.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpgid, pipe2};
use rustix::process::WaitOptions;

use super::protocol::{
    Captured, DRAIN, End, GRACE, KILL_LIMIT, LINGER, LONGEST, Report, STDERR_FLOOD, STDERR_LIMIT,
    STDOUT_LIMIT, Specification,
};
use super::ready::ready;
use super::{launch, tree, usage};

/// Between two rounds of KILL, for those that fork faster than they are found.
const KILL_ROUND: Duration = Duration::from_millis(5);

/// What is read from a pipe at once.
const CHUNK: usize = 64 << 10;

/// The most that a pipe holds, unless root enlarged it (/proc/sys/fs/pipe-max-size).
const PIPE_SIZE: usize = 1 << 20;

/// The whole program of the supervisor: specification from stdin, command, report to stdout. The end of stdin tells
/// it to end everything.
pub fn main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault(doing, error)) => {
            // Nobody is left to tell where this fails too.
            let _ = writeln!(io::stderr(), "promdrop's supervisor can't {doing}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What it could not do, and why.
struct Fault(&'static str, io::Error);

/// Names what failed.
fn fault<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Fault {
    move |error| Fault(doing, error.into())
}

fn supervise() -> Result<(), Fault> {
    // It holds the secrets, too.
    super::limits::dump_no_core();
    close_inherited().map_err(fault("close what it inherited"))?;
    let signals = listen().map_err(fault("listen for signals"))?;
    isolate()?;
    let specification = match Specification::receive(&mut io::stdin().lock()) {
        // promdrop was told to end or has died before it said what to run.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        received => received.map_err(fault("read what to run"))?,
    };
    let report = Supervision::of(start(&specification)?, signals, specification.timeout).run()?;
    let report = report.encode().ok_or_else(|| Fault("report", io::ErrorKind::InvalidData.into()))?;
    match io::stdout().write_all(&report).and_then(|()| io::stdout().flush()) {
        // promdrop has died: there is nobody to tell, and cron need not mail it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(fault("report")),
    }
}

/// Closes every descriptor but 0, 1 and 2, whoever forgot close-on-exec on it.
fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // The one that the listing itself used is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

fn listen() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_set_mask()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// A session of its own, no terminal; orphans come here; no capability outlives exec unless by the program's file.
fn isolate() -> Result<(), Fault> {
    nix::unistd::setsid().map_err(fault("leave its session"))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(fault("become a subreaper"))?;
    let mut sets = rustix::thread::capabilities(None).map_err(fault("read its capabilities"))?;
    // An ambient capability is an inheritable one, so this clears both sets.
    sets.inheritable = rustix::thread::CapabilitySet::empty();
    rustix::thread::set_capabilities(None, sets).map_err(fault("drop its capabilities"))
}

/// A command that runs.
struct Started {
    pid: Pid,
    at: Instant,
    launcher: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn start(specification: &Specification) -> Result<Started, Fault> {
    let (stdout, stdout_end) = pipe2(OFlag::O_CLOEXEC).map_err(fault("make a pipe"))?;
    let (stderr, stderr_end) = pipe2(OFlag::O_CLOEXEC).map_err(fault("make a pipe"))?;
    for end in [&stdout, &stderr] {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(fault("set up a pipe"))?;
    }
    let at = Instant::now();
    let (pid, launcher) = launch::start(specification, stdout_end.as_fd(), stderr_end.as_fd())
        .map_err(fault("start a launcher"))?;
    Ok(Started { pid, at, launcher: launcher.into(), stdout, stderr })
}

/// A command being watched until nothing of it is left.
struct Supervision {
    command: Pid,
    at: Instant,
    signals: SignalFd,
    /// How the command itself ended, once it has, and when.
    own_end: Option<(End, Instant)>,
    /// Why the supervisor ended it, if it did.
    cause: Option<(End, Instant)>,
    phase: Phase,
    /// When the phase is over.
    until: Instant,
    leftovers: usize,
    /// Ends when the command's program begins.
    launcher: Pipe,
    stdout: Pipe,
    stderr: Pipe,
    /// Nobody at the other end of stdin is waiting any more.
    abandoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command runs.
    Run,
    /// It has ended; what it left behind may do so too.
    Linger,
    /// TERM has been sent.
    Terminate,
    /// KILL is being sent.
    Kill,
    /// No process is left, or none that can be ended; the pipes may hold output still.
    Drain,
}

impl Supervision {
    fn of(started: Started, signals: SignalFd, timeout: Duration) -> Self {
        Self {
            command: started.pid,
            at: started.at,
            signals,
            own_end: None,
            cause: None,
            phase: Phase::Run,
            until: started.at + timeout.min(LONGEST),
            leftovers: 0,
            launcher: Pipe::new(started.launcher, Keep::First(CHUNK)),
            stdout: Pipe::new(started.stdout, Keep::First(STDOUT_LIMIT)),
            stderr: Pipe::new(started.stderr, Keep::Last(STDERR_LIMIT)),
            abandoned: false,
        }
    }

    fn run(mut self) -> Result<Report, Fault> {
        loop {
            let childless = self.reap();
            let now = Instant::now();
            if childless && self.phase != Phase::Drain {
                self.enter(Phase::Drain, now + DRAIN);
            }
            match self.phase {
                Phase::Drain if self.drained() => break,
                Phase::Drain if now >= self.until => break,
                Phase::Run if self.own_end.is_some() => self.enter(Phase::Linger, now + LINGER),
                Phase::Run if now >= self.until => self.end(End::TimedOut),
                Phase::Linger if now >= self.until => {
                    self.leftovers = self.signal(Signal::SIGTERM);
                    self.enter(Phase::Terminate, now + GRACE);
                }
                Phase::Terminate if now >= self.until => self.enter(Phase::Kill, now + KILL_LIMIT),
                Phase::Kill => {
                    self.signal(Signal::SIGKILL);
                    if now >= self.until {
                        self.enter(Phase::Drain, now + DRAIN);
                    }
                }
                _ => {}
            }
            self.wait()?;
        }
        let survivors = if self.reap() { 0 } else { tree::descendants(Pid::this()).len().max(1) };
        let Some((mut end, ended_at)) = self.cause.or(self.own_end) else {
            return Err(Fault("tell how the command ended", Errno::ECHILD.into()));
        };
        if self.cause.is_none()
            && let Some((step, errno)) = launch::failed(&self.launcher.bytes)
        {
            end = End::NotStarted(step, errno);
        }
        Ok(Report {
            end,
            duration: ended_at.saturating_duration_since(self.at),
            leftovers: self.leftovers,
            survivors,
            undrained: !self.drained(),
            usage: usage::of_children().map_err(fault("ask what the command used"))?,
            stdout: self.stdout.captured(),
            stderr: self.stderr.captured(),
        })
    }

    fn drained(&self) -> bool {
        self.launcher.ended() && self.stdout.ended() && self.stderr.ended()
    }

    fn enter(&mut self, phase: Phase, until: Instant) {
        self.phase = phase;
        self.until = until;
    }

    /// Ends the command because of `cause`; the first cause counts.
    fn end(&mut self, cause: End) {
        let now = Instant::now();
        if self.cause.is_none() {
            self.cause = Some((cause, now));
        }
        if matches!(self.phase, Phase::Run | Phase::Linger) {
            self.signal(Signal::SIGTERM);
            self.enter(Phase::Terminate, now + GRACE);
        }
    }

    /// Takes in who has ended; whether nobody is left.
    fn reap(&mut self) -> bool {
        loop {
            // Not nix: it has no word for a child ended by a real-time signal and loses it.
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.command.as_raw() => {
                    let exited = status.exit_status().map(End::Exited);
                    let end = exited.or_else(|| status.terminating_signal().map(End::Signalled));
                    self.own_end = end.map(|end| (end, Instant::now()));
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return false,
                // ECHILD: there is no other error without a pid.
                Err(_) => return true,
            }
        }
    }

    /// Signals the command and every descendant of it; how many were found.
    fn signal(&self, signal: Signal) -> usize {
        // The group is hit all at once, which nothing that forks can outrun. Until the command is reaped its number is
        // its group's and nobody else's.
        if self.own_end.is_none() {
            let _ = killpg(self.command, signal);
        }
        // Children of one that has just ended are this process' own by now, and found too.
        let descendants = tree::descendants(Pid::this());
        let in_group = |pid: &&Pid| getpgid(Some(**pid)) == Ok(self.command);
        // No process can get the number of a group that still has a member.
        let orphaned = self.own_end.is_some() && descendants.iter().any(|pid| in_group(&pid));
        if orphaned {
            let _ = killpg(self.command, signal);
        }
        for pid in descendants.iter().filter(|pid| !in_group(pid)) {
            // It may have ended by now.
            let _ = kill(*pid, signal);
        }
        descendants.len()
    }

    /// Waits for the next event or the end of the phase, and takes in signals and output.
    fn wait(&mut self) -> Result<(), Fault> {
        let mut limit = self.until.saturating_duration_since(Instant::now());
        if self.phase == Phase::Kill {
            limit = limit.min(KILL_ROUND);
        }
        let stdin = io::stdin();
        let [promdrop, signals, launcher, stdout, stderr] = ready(
            [
                (!self.abandoned).then(|| PollFd::new(stdin.as_fd(), PollFlags::POLLIN)),
                Some(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)),
                self.launcher.poll_fd(),
                self.stdout.poll_fd(),
                self.stderr.poll_fd(),
            ],
            limit,
        )
        .map_err(fault("poll"))?;
        if promdrop {
            // It has nothing more to say: this is the end of the pipe.
            self.abandoned = true;
            self.end(End::Stopped);
        }
        if signals {
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if signal.ssi_signo != Signal::SIGCHLD as u32 {
                    self.end(End::Stopped);
                }
            }
        }
        if launcher {
            self.launcher.take_in();
        }
        if stdout {
            self.stdout.take_in();
            if self.stdout.truncated {
                self.end(End::OverLimit);
            }
        }
        if stderr {
            self.stderr.take_in();
            if self.stderr.seen > STDERR_FLOOD {
                self.end(End::Flooding);
            }
        }
        Ok(())
    }
}

/// What is kept of too much output.
#[derive(Debug, Clone, Copy)]
enum Keep {
    /// The first bytes; then the pipe is closed.
    First(usize),
    /// The last bytes.
    Last(usize),
}

/// The reading end of a pipe, and what came out of it.
struct Pipe {
    /// `None` once it has ended or enough was read.
    end: Option<OwnedFd>,
    keep: Keep,
    bytes: Vec<u8>,
    truncated: bool,
    /// How many bytes came out of it.
    seen: usize,
}

impl Pipe {
    fn new(end: OwnedFd, keep: Keep) -> Self {
        Self { end: Some(end), keep, bytes: Vec::new(), truncated: false, seen: 0 }
    }

    fn ended(&self) -> bool {
        self.end.is_none()
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.end.as_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN))
    }

    /// Reads what is there now, but no more than a pipe holds, so that a flood leaves time for the rest.
    fn take_in(&mut self) {
        let mut chunk = [0; CHUNK];
        for _ in 0..=PIPE_SIZE / CHUNK {
            let Some(end) = &self.end else { return };
            match nix::unistd::read(end, &mut chunk) {
                Ok(0) => self.end = None,
                Ok(count) => self.add(chunk.get(..count).unwrap_or_default()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // A pipe has no other error to give; what could not be read has ended.
                Err(_) => self.end = None,
            }
        }
    }

    fn add(&mut self, chunk: &[u8]) {
        self.seen = self.seen.saturating_add(chunk.len());
        self.bytes.extend_from_slice(chunk);
        match self.keep {
            Keep::First(limit) if self.bytes.len() > limit => {
                self.bytes.truncate(limit);
                self.truncated = true;
                self.end = None;
            }
            Keep::Last(limit) if self.bytes.len() > limit => {
                self.bytes.drain(..self.bytes.len() - limit);
                self.truncated = true;
            }
            _ => {}
        }
    }

    fn captured(self) -> Captured {
        Captured { bytes: self.bytes, truncated: self.truncated }
    }
}
