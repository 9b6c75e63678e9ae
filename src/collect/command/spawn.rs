//! Starting a program. std's `Command` can't set the signals of what it starts: cron and shells leave some ignored,
//! promdrop blocks others, and both outlive exec.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

/// A program to start, without any environment. It gets stdin, stdout, stderr and what else is open without
/// close-on-exec; no signal is ignored in it, but for 32 and 33, libc's own, which glibc's posix_spawn always leaves so.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// Its path.
    pub program: &'a str,
    /// Its arguments, its name first.
    pub argv: &'a [String],
    /// Where it reads.
    pub stdin: BorrowedFd<'a>,
    /// Where it writes.
    pub stdout: BorrowedFd<'a>,
    /// `None`: as promdrop's own.
    pub stderr: Option<BorrowedFd<'a>>,
    /// The signals that are blocked in it.
    pub blocked: SigSet,
    /// Whether it leads a process group of its own.
    pub own_group: bool,
}

impl Spawn<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// The errno of what failed: execve(2) as a rule. `EINVAL` for a text with a NUL byte.
    pub fn start(&self) -> nix::Result<Pid> {
        let text = |text: &str| CString::new(text).map_err(|_| Errno::EINVAL);
        let program = text(self.program)?;
        let argv = self.argv.iter().map(|word| text(word)).collect::<nix::Result<Vec<_>>>()?;

        let mut files = PosixSpawnFileActions::init()?;
        files.add_dup2(self.stdin.as_raw_fd(), 0)?;
        files.add_dup2(self.stdout.as_raw_fd(), 1)?;
        if let Some(stderr) = self.stderr {
            files.add_dup2(stderr.as_raw_fd(), 2)?;
        }

        let mut attributes = PosixSpawnAttr::init()?;
        let mut flags = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
        attributes.set_sigdefault(&SigSet::all())?;
        attributes.set_sigmask(&self.blocked)?;
        if self.own_group {
            flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
            attributes.set_pgroup(Pid::from_raw(0))?;
        }
        attributes.set_flags(flags)?;
        start_only_here(&program, &files, &attributes, &argv)
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the place that starts processes")]
fn start_only_here(
    program: &CString,
    files: &PosixSpawnFileActions,
    attributes: &PosixSpawnAttr,
    argv: &[CString],
) -> nix::Result<Pid> {
    nix::spawn::posix_spawn(program.as_c_str(), files, attributes, argv, &[] as &[CString])
}
