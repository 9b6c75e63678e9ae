//! Arguments to commands to exit status.

use std::path::Path;
use std::process::ExitCode;

use promdrop::cli::{Cli, VARIABLES};
use promdrop::collect::command::stage;
use promdrop::commands;
use promdrop::config::defaults;

fn main() -> ExitCode {
    // Before anything else: what supervises and launches a command is promdrop too, and wants none of the rest.
    if let Some(stage) = std::env::args_os().nth(1).as_deref().and_then(stage) {
        return stage();
    }
    let (defaults, refused) = match defaults::read(Path::new(defaults::FILE), &VARIABLES) {
        Ok(defaults) => (defaults, None),
        Err(refused) => (Vec::new(), Some(refused)),
    };
    match Cli::read(&defaults) {
        Ok(cli) => commands::dispatch(&cli, refused),
        Err(error) => {
            // Help and version go to stdout and are no error.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
