//! What the tests share.

pub mod netns;
pub mod responder;

use std::path::Path;
use std::process::Command;

/// The promdrop that cargo built for this test run.
pub fn promdrop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promdrop"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
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
