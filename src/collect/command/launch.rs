//! The launcher: promdrop, re-executed as the process that becomes the command.
//!
//! What a command is to start with (ids, limits, directory) can't be set between fork and exec without `unsafe`, and a
//! supervisor that took on the user's ids for a moment would in that moment be the user's to signal. So the process
//! that is to be the command sets all of it on itself and then executes the program. A socket is its stdin until then:
//! the specification comes in by it, and what failed goes back; its end by exec tells that nothing did.

use std::convert::Infallible;
use std::ffi::CString;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, fchmod, umask};
use nix::unistd::{Gid, Pid, Uid, chdir, dup2_stdin, execve, setgroups, setresgid, setresuid};
use rustix::process::setpriority_process;
use rustix::thread::set_no_new_privs;

use super::protocol::{Specification, Step};
use super::spawn::Spawn;
use crate::collect::account::Identity;

/// Its word that all is set and only exec is left.
const READY: u8 = b'!';

/// Starts the command of `specification`, with what it writes going to `stdout` and `stderr`: its process, and the
/// socket whose whole text [`failed`] reads.
///
/// # Errors
/// Where the launcher can't be started, or ends before it has read what to do.
pub fn start(
    specification: &Specification,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> io::Result<(Pid, UnixStream)> {
    let order = specification.encode().ok_or(io::ErrorKind::InvalidData)?;
    let (mut control, end) = UnixStream::pair()?;
    let spawn = Spawn {
        program: "/proc/self/exe",
        argv: &["promdrop-launcher".into(), "launch".into()],
        stdin: end.as_fd(),
        stdout,
        stderr: Some(stderr),
        blocked: SigSet::empty(),
        own_group: true,
    };
    let pid = spawn.start()?;
    drop(end);
    // One that has died before it read this has told nothing, which `failed` knows.
    let _ = control.write_all(&order);
    control.set_nonblocking(true)?;
    Ok((pid, control))
}

/// What a launcher failed at, by all that it `said`; `None` if it has become the command.
pub fn failed(said: &[u8]) -> Option<(Step, i32)> {
    let failure = said.strip_prefix(&[READY]);
    match failure.unwrap_or(said) {
        [] if failure.is_some() => None,
        text => Some(serde_json::from_slice(text).unwrap_or((Step::Launcher, 0))),
    }
}

/// The whole program of the launcher.
pub fn main() -> ExitCode {
    // A copy that exec closes.
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut control = UnixStream::from(control);
    let Err(failed) = launch(&mut control);
    // Where the supervisor has died, nobody is left to tell.
    if let Ok(text) = serde_json::to_vec(&(failed.0, failed.1 as i32)) {
        let _ = control.write_all(&text).and_then(|()| control.shutdown(Shutdown::Both));
    }
    ExitCode::FAILURE
}

type Failed = (Step, Errno);

fn launch(control: &mut UnixStream) -> Result<Infallible, Failed> {
    let launcher = |error: io::Error| (Step::Launcher, Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    let specification = Specification::receive(control).map_err(launcher)?;
    // Before there is a limit on memory: from there on, hardly any is asked for.
    let image = Image::of(&specification).map_err(|errno| (Step::Program, errno))?;
    let groups = specification.identity.as_ref().map(groups);
    let null = std::fs::File::open("/dev/null").map_err(launcher)?;
    dup2_stdin(&null).map_err(|errno| (Step::Launcher, errno))?;
    unignore_sigpipe();
    umask(Mode::from_bits_truncate(specification.umask));
    if let Some(nice) = specification.nice {
        setpriority_process(None, nice)
            .map_err(|error| (Step::Nice, Errno::from_raw(error.raw_os_error())))?;
        // Between sessions, which are scheduled as groups (sched(7)), only this one counts; not every kernel has it.
        let _ = std::fs::write("/proc/self/autogroup", nice.to_string());
    }
    if specification.no_new_privileges {
        set_no_new_privs(true).map_err(|error| (Step::Privileges, Errno::from_raw(error.raw_os_error())))?;
    }
    // While it may, which the user may not, have more than promdrop has.
    specification.limits.set().map_err(|(what, errno)| (Step::Limit(what), errno))?;
    if let (Some(identity), Some(groups)) = (&specification.identity, &groups) {
        become_user(identity, groups).map_err(|errno| (Step::User, errno))?;
    }
    // As the user, who may not be let in where root is, or the other way round (NFS).
    chdir(specification.directory.as_str()).map_err(|errno| (Step::Directory, errno))?;
    control.write_all(&[READY]).map_err(launcher)?;
    execve(&image.program, &image.argv, &image.environment).map_err(|errno| (Step::Program, errno))
}

/// The texts that exec wants.
struct Image {
    program: CString,
    argv: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    fn of(specification: &Specification) -> nix::Result<Self> {
        let text = |text: &str| CString::new(text).map_err(|_| Errno::EINVAL);
        let plain = specification.environment.iter().map(|(name, value)| (name, value.as_str()));
        let secret = specification.secrets.iter().map(|(name, value)| (name, value.reveal()));
        Ok(Self {
            program: text(&specification.program)?,
            argv: specification.argv.iter().map(|word| text(word)).collect::<nix::Result<_>>()?,
            environment: plain
                .chain(secret)
                .map(|(name, value)| text(&format!("{name}={value}")))
                .collect::<nix::Result<_>>()?,
        })
    }
}

/// Rust's runtime ignores SIGPIPE, and what is ignored stays so in the program that exec starts. Of what needs no
/// `unsafe`, only std's own exec makes it the default again, and it does so before it fails for want of a program.
pub fn unignore_sigpipe() {
    let _ = std::process::Command::new("").exec();
}

fn groups(identity: &Identity) -> Vec<Gid> {
    identity.groups.iter().copied().map(Gid::from_raw).collect()
}

/// Becomes the user for good.
fn become_user(identity: &Identity, groups: &[Gid]) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    // For `echo failed >/dev/stderr`, which opens the pipe anew. Not fchown, for which a capability is needed.
    for output in [io::stdout().as_fd(), io::stderr().as_fd()] {
        fchmod(output, Mode::from_bits_truncate(0o622))?;
    }
    setgroups(groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_was_ready_and_says_no_more_has_become_the_command() {
        let failure = serde_json::to_vec(&(Step::Directory, 13)).unwrap();
        assert_eq!(failed(b"!"), None);
        assert_eq!(failed(&failure), Some((Step::Directory, 13)));
        assert_eq!(failed(&[b"!", failure.as_slice()].concat()), Some((Step::Directory, 13)));
        for cut in [&b""[..], b"!!", b"[", b"![\"Pro"] {
            assert_eq!(failed(cut), Some((Step::Launcher, 0)), "{cut:?}");
        }
    }
}
