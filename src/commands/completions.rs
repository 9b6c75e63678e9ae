//! `promdrop completions`: what a shell needs to complete promdrop's words, from the definition of the command line.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{GOOD, show};
use crate::cli::Cli;

/// Prints the completions of `shell`; the exit status.
pub fn run(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "promdrop", &mut script);
    show(String::from_utf8_lossy(&script));
    ExitCode::from(GOOD)
}
