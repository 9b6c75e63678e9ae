//! Arguments to commands to exit status.

use std::process::ExitCode;

use clap::Parser as _;
use promdrop::cli::Cli;
use promdrop::collect::command::stage;
use promdrop::commands;

fn main() -> ExitCode {
    // Before anything else: what supervises and launches a command is promdrop too, and wants none of the rest.
    if let Some(stage) = std::env::args_os().nth(1).as_deref().and_then(stage) {
        return stage();
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
