//! What the tests share.

pub mod bodies;
pub mod corpus;
pub mod cron;
pub mod exporter;
pub mod host;
pub mod machine;
pub mod meaning;
pub mod mounts;
pub mod netns;
pub mod pinging;
pub mod processes;
pub mod prometheus;
pub mod pushgateway;
pub mod random;
pub mod responder;
pub mod series;
pub mod server;
pub mod sets;
pub mod single;
pub mod strace;
pub mod tcp;
pub mod tools;
pub mod users;

use std::fmt::Debug;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The promdrop that cargo built for this test run.
pub fn promdrop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promdrop"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Puts that promdrop at `path`, where another user can reach it. A process of its own writes it: whatever the test
/// starts meanwhile would inherit the open file, and none can be started that is open to be written.
pub fn copy_promdrop(path: &Path) {
    let status = Command::new("cp").arg(env!("CARGO_BIN_EXE_promdrop")).arg(path).status().unwrap();
    assert!(status.success());
}

/// Fails loudly where a real part is missing: `tests/run` installs them all.
pub fn need(program: &str) {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
        || Path::new(program).is_file();
    assert!(
        found,
        "this test needs the real `{program}`, which is not here: run tests/run, which installs it"
    );
}

/// To be held by a test that uses up the machine, and by those that ask when something happens.
pub fn the_machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands in `directory`, in order.
#[track_caller]
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asks until the answer is `Ok`, for what nothing tells of by itself. Fails after `limit` with the last answer.
#[track_caller]
pub fn wait_for<T, E: Debug>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Ok(value) => return value,
            Err(last) => assert!(
                Instant::now() < deadline,
                "waited {limit:?} in vain until {what}; the last answer was {last:#?}"
            ),
        }
        thread::sleep(Duration::from_millis(10));
    }
}
