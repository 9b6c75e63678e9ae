//! Starting a program. std's `Command` can't set the signals of what it starts: cron and shells leave some ignored,
//! promdrop blocks others, and both outlive exec.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::signal::{SigSet, Signal};
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
        start_only_here(Find::AtPath, &program, &files, &attributes, &argv, &[])
    }
}

/// A job to start as a shell would have it: in this process' group, session and terminal, with its descriptors and its
/// ignored signals. Of signals two things differ from what promdrop itself was started with: SIGPIPE, which Rust's
/// runtime ignores, is not ignored, and 32 and 33 are, as in [`Spawn`].
#[derive(Debug)]
pub struct Job<'a> {
    /// The program, looked for in PATH as a shell does, and its arguments.
    pub argv: &'a [CString],
    /// Its whole environment.
    pub environment: &'a [CString],
    /// The signals that are blocked in it.
    pub blocked: SigSet,
    /// Where it writes instead of promdrop's own stdout.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Where it writes instead of promdrop's own stderr.
    pub stderr: Option<BorrowedFd<'a>>,
}

/// What execvp(3) runs a file with that the kernel can't run: a script without `#!`.
const SHELL: &CStr = c"/bin/sh";

/// Where programs are looked for without PATH, as execvp(3) does.
const PATH: &[u8] = b"/bin:/usr/bin";

impl Job<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// What execvp(3) fails with: `ENOENT` where there is no such program.
    pub fn start(&self) -> nix::Result<Pid> {
        let name = self.argv.first().ok_or(Errno::EINVAL)?;
        match self.attempt(Find::InPath, name, self.argv) {
            Err(Errno::ENOEXEC) => self.start_script(name),
            started => started,
        }
    }

    /// Finds the file that the kernel can't run, and has the shell do it.
    fn start_script(&self, name: &CStr) -> nix::Result<Pid> {
        for path in candidates(name.to_bytes(), std::env::var_os("PATH").as_deref())? {
            match self.attempt(Find::AtPath, &path, self.argv) {
                Err(Errno::ENOEXEC) => {
                    let rest = self.argv.iter().skip(1).cloned();
                    let argv: Vec<CString> = [SHELL.to_owned(), path].into_iter().chain(rest).collect();
                    return self.attempt(Find::AtPath, SHELL, &argv);
                }
                Err(_) => {}
                started => return started,
            }
        }
        Err(Errno::ENOEXEC)
    }

    fn attempt(&self, find: Find, program: &CStr, argv: &[CString]) -> nix::Result<Pid> {
        let mut files = PosixSpawnFileActions::init()?;
        for (fd, end) in [(1, self.stdout), (2, self.stderr)] {
            if let Some(end) = end {
                files.add_dup2(end.as_raw_fd(), fd)?;
            }
        }
        let mut pipe = SigSet::empty();
        pipe.add(Signal::SIGPIPE);
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_sigdefault(&pipe)?;
        attributes.set_sigmask(&self.blocked)?;
        attributes
            .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK)?;
        start_only_here(find, program, &files, &attributes, argv, self.environment)
    }
}

/// Where `name` may be, by `path`.
fn candidates(name: &[u8], path: Option<&OsStr>) -> nix::Result<Vec<CString>> {
    if name.contains(&b'/') {
        return Ok(vec![CString::new(name).map_err(|_| Errno::EINVAL)?]);
    }
    let path = path.map_or(PATH, OsStr::as_bytes);
    let joined = path.split(|byte| *byte == b':').map(|directory| match directory {
        // The working directory.
        b"" => name.to_vec(),
        directory => [directory, b"/", name].concat(),
    });
    joined.map(|path| CString::new(path).map_err(|_| Errno::EINVAL)).collect()
}

/// Where a program is.
#[derive(Debug, Clone, Copy)]
enum Find {
    /// At this path.
    AtPath,
    /// Where PATH says, unless there is a slash in it.
    InPath,
}

#[allow(clippy::disallowed_methods, reason = "this is the place that starts processes")]
fn start_only_here(
    find: Find,
    program: &CStr,
    files: &PosixSpawnFileActions,
    attributes: &PosixSpawnAttr,
    argv: &[CString],
    environment: &[CString],
) -> nix::Result<Pid> {
    match find {
        Find::AtPath => nix::spawn::posix_spawn(program, files, attributes, argv, environment),
        Find::InPath => nix::spawn::posix_spawnp(program, files, attributes, argv, environment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn where_to_look(name: &str, path: Option<&str>) -> Vec<String> {
        let found = candidates(name.as_bytes(), path.map(OsStr::new)).unwrap();
        found.into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_program_is_looked_for_as_execvp_does() {
        assert_eq!(where_to_look("a", Some("/x::/y/")), ["/x/a", "a", "/y//a"]);
        assert_eq!(where_to_look("a", None), ["/bin/a", "/usr/bin/a"]);
        assert_eq!(where_to_look("./a", Some("/x")), ["./a"]);
        assert_eq!(where_to_look("a", Some("")), ["a"]);
    }
}
