//! `promdrop prune`: what `run` sweeps, at any time; or all that is promdrop's.

use std::process::ExitCode;

use super::{FAILED, GOOD, MENDING, claims, complain, describe_swept, exit_code, finish, load, show, source};
use crate::cli::Places;
use crate::collect::runner::now;
use crate::textfile::{Directory, Sweep};

/// Sweeps, or says what a sweep would do; the exit status. Without a readable collectors directory nothing is known to be
/// unclaimed, and nothing is removed: but `all` asks nobody.
pub fn run(places: &Places, all: bool, dry_run: bool) -> ExitCode {
    exit_code(try_run(places, all, dry_run))
}

fn try_run(places: &Places, all: bool, dry_run: bool) -> Result<u8, String> {
    let directory = Directory::open(&places.textfile_dir).map_err(|error| error.to_string())?;
    if all {
        return Ok(tell(&directory, &directory.sweep_all()));
    }
    let loaded = load(&places.collectors_dir)?;
    let claims = claims(&loaded, &source(&places.collectors_dir));
    directory.look().map_err(|error| error.to_string())?;
    if dry_run {
        let swept = directory.to_sweep(&claims, now(), None, MENDING);
        swept.iter().for_each(|swept| show(format_args!("{}\n", describe_swept(swept))));
        return Ok(GOOD);
    }
    Ok(tell(&directory, &directory.sweep(&claims, &now, None, MENDING)))
}

fn tell(directory: &Directory, Sweep { done, failed }: &Sweep) -> u8 {
    done.iter().for_each(|swept| show(format_args!("{}\n", describe_swept(swept))));
    let finished = finish(directory);
    let errors: Vec<_> = failed.iter().chain(finished.as_ref().err()).collect();
    errors.iter().for_each(|error| complain(format_args!("promdrop: {error}")));
    if errors.is_empty() { GOOD } else { FAILED }
}
