//! Arguments to commands to exit status.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

// REPLACE: the least that runs `check`, until the command line is merged.
fn main() -> ExitCode {
    let mut directory = std::env::var_os("PROMDROP_COLLECTORS_DIR").map(PathBuf::from);
    let mut name = None;
    let mut paths = Vec::new();
    let mut arguments = std::env::args_os().skip(1).filter(|argument| argument != "check");
    while let Some(argument) = arguments.next() {
        if argument == "--name" {
            name = arguments.next().and_then(|name| name.into_string().ok());
        } else if argument == "--collectors-dir" {
            directory = arguments.next().map(PathBuf::from);
        } else {
            paths.push(PathBuf::from(argument));
        }
    }
    let directory = directory.unwrap_or_else(|| Path::new("/etc/promdrop/collectors.d").to_owned());
    promdrop::commands::check::run(&paths, name.as_deref(), &directory)
}
