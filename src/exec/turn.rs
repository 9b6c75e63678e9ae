//! `--lock`: one run of a job at a time.

use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use nix::unistd::geteuid;

use super::life;
use crate::textfile::{Directory, Error, Guard, exec_file};

/// What to do while the last run still goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lock {
    /// Start none.
    Skip,
    /// Wait for its end.
    Wait,
}

/// A wait for the lock, which has no end, is made of such.
const STRETCH: Duration = Duration::from_secs(60 * 60);

/// How often it is looked whether a job has ended that nobody waits for any more.
const LOOK: Duration = Duration::from_secs(1);

impl Lock {
    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Wait => "wait",
        }
    }
}

/// The right to run this user's job `name`, for as long as the guard is held; `None` where the last run still
/// goes on. One whose promdrop was killed is known by the header of its file, if that is this user's: anybody
/// else could have made it up.
///
/// # Errors
/// Where nobody can tell.
pub fn take(directory: &Directory, name: &str, lock: Lock) -> Result<Option<Guard>, Error> {
    let lock_name = format!("exec.{}.{name}", geteuid());
    let guard = match lock {
        Lock::Skip => directory.lock_name(&lock_name, Duration::ZERO)?,
        Lock::Wait => loop {
            if let Some(guard) = directory.lock_name(&lock_name, STRETCH)? {
                break Some(guard);
            }
        },
    };
    let Some(guard) = guard else { return Ok(None) };
    while directory
        .previous(&exec_file(name))?
        .is_some_and(|file| file.is_this_users() && file.header.running.iter().any(life::is_seen))
    {
        match lock {
            Lock::Skip => return Ok(None),
            Lock::Wait => thread::sleep(LOOK),
        }
    }
    Ok(Some(guard))
}
