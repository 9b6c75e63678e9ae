//! What a program of this host's own prints: one that is asked, not a collector's command.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use super::program::{find, trusted};
use super::ready::ready;
use super::spawn::Spawn;
use crate::collect::account::PATH;

/// More than that nobody has to say.
const LARGEST: usize = 1 << 20;

/// What the program `name` of the usual directories prints with `arguments`, where it succeeds within `limit`.
pub fn ask(name: &str, arguments: &[&str], limit: Duration) -> Option<String> {
    let program = find(name, PATH).ok()?;
    trusted(&program, None).ok()?;
    let nowhere = OwnedFd::from(File::open("/dev/null").ok()?);
    let (answer, end) = pipe2(OFlag::O_CLOEXEC).ok()?;
    let argv: Vec<String> = std::iter::once(&name).chain(arguments).map(ToString::to_string).collect();
    let spawn = Spawn {
        program: program.to_str()?,
        argv: &argv,
        stdin: nowhere.as_fd(),
        stdout: end.as_fd(),
        stderr: Some(nowhere.as_fd()),
        blocked: SigSet::empty(),
        own_group: true,
    };
    let pid = spawn.start().ok()?;
    drop(end);
    let text = read(&answer, Instant::now() + limit);
    if text.is_none() {
        let _ = killpg(pid, Signal::SIGKILL);
    }
    let text = String::from_utf8(text.unwrap_or_default()).ok();
    text.filter(|_| has_succeeded(pid))
}

/// All that there is to read until `deadline`; `None` where that is not the end.
fn read(answer: &OwnedFd, deadline: Instant) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while text.len() <= LARGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        let told = ready([Some(PollFd::new(answer.as_fd(), PollFlags::POLLIN))], left).ok()?;
        match told {
            [true] => match nix::unistd::read(answer, &mut chunk) {
                Ok(0) => return Some(text),
                Ok(count) => text.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            },
            [false] if left.is_zero() => return None,
            [false] => {}
        }
    }
    None
}

fn has_succeeded(pid: Pid) -> bool {
    loop {
        match waitpid(pid, None) {
            Err(Errno::EINTR) => {}
            ended => return matches!(ended, Ok(WaitStatus::Exited(_, 0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_a_program_prints_that_succeeds_in_time() {
        let limit = Duration::from_secs(30);
        assert_eq!(ask("echo", &["a", "b"], limit), Some("a b\n".to_owned()));
        assert_eq!(ask("false", &[], limit), None);
        assert_eq!(ask("no-such-program", &[], limit), None);
        assert_eq!(ask("yes", &[], limit), None);
        assert_eq!(ask("sleep", &["3600"], Duration::from_millis(1)), None);
    }
}
