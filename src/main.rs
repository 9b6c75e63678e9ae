//! Arguments to commands to exit status.

use std::process::ExitCode;

use clap::Parser as _;
use promdrop::cli::Cli;
use promdrop::commands;

fn main() -> ExitCode {
    // Before anything else: the supervisor of a command is promdrop too, and wants none of the rest.
    if std::env::args_os().nth(1).is_some_and(|word| word == "supervise") {
        return promdrop::collect::command::supervisor::main();
    }
    match Cli::try_parse() {
        Ok(cli) => commands::dispatch(&cli),
        Err(error) => {
            // Help and version go to stdout and are no error.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
