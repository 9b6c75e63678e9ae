//! Arguments to commands to exit status.

use std::process::ExitCode;

use clap::Parser as _;
use promdrop::cli::Cli;
use promdrop::commands;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => commands::dispatch(&cli),
        Err(error) => {
            // Help and version go to stdout and are no error.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
