//! Arguments to commands to exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: the supervisor of a command is promdrop too, and wants none of the rest.
    if std::env::args_os().nth(1).is_some_and(|word| word == "supervise") {
        return promdrop::collect::command::supervisor::main();
    }
    ExitCode::SUCCESS
}
