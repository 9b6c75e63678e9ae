//! `promdrop status`: each collector, and each file of promdrop's, at a glance.
//!
//! It only looks, and may be run by any user who can list both directories.

mod rows;
mod table;
mod terminal;

#[cfg(test)]
mod tests;

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use self::rows::{Content, Definition, Sight, assemble};
use super::{FAILED, GOOD, exit_code, load, show, source};
use crate::cli::Places;
use crate::collect::machine::Machine;
use crate::collect::runner::now;
use crate::config::load::Failed;
use crate::exec::life;
use crate::textfile::{self, Directory};

/// Prints the table, or, with `json`, the document; the exit status: 0 good, 1 something failed or is stale, 2 a directory
/// can't be read.
pub fn run(places: &Places, json: bool) -> ExitCode {
    exit_code(try_run(places, json))
}

fn try_run(places: &Places, json: bool) -> Result<u8, String> {
    let directory = Directory::open_to_look(&places.textfile_dir).map_err(|error| error.to_string())?;
    let loaded = load(&places.collectors_dir)?;
    let machine = Machine::default();
    let good = loaded.definitions.iter().map(|definition| Definition {
        name: definition.stem.to_string(),
        file: Some(textfile::collector_file(definition.stem.as_str())),
        content: Content::Good(&definition.header, machine.slots(&definition.stem, &definition.header)),
        since: since(&places.collectors_dir.join(format!("{}.yaml", definition.stem))),
    });
    let definitions = good.chain(loaded.failed.iter().map(failed)).collect();
    let holders = directory.overview().map_err(|error| error.to_string())?;
    let status = assemble(&Sight {
        source: &source(&places.collectors_dir).display().to_string(),
        definitions,
        holders: &holders,
        running: &|name| directory.is_running(name),
        lives: &life::is_seen,
        now: now(),
    });
    if json {
        let document = serde_json::to_string_pretty(&status).map_err(|error| error.to_string())?;
        show(format_args!("{document}\n"));
    } else {
        show(table::render(&status, terminal::stdout()));
    }
    Ok(if status.failures > 0 { FAILED } else { GOOD })
}

fn failed(failed: &Failed) -> Definition<'_> {
    let name = || failed.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Definition {
        name: failed.stem.as_ref().map_or_else(name, ToString::to_string),
        file: failed.stem.as_ref().map(|stem| textfile::collector_file(stem.as_str())),
        // What another user runs well is no failure because this one may not read it.
        content: match access(&failed.path, AccessFlags::R_OK) {
            Err(Errno::EACCES) => Content::Unreadable,
            _ => Content::Bad(reason(failed)),
        },
        since: since(&failed.path),
    }
}

/// What is wrong first, and where.
fn reason(failed: &Failed) -> String {
    match failed.problems.first() {
        Some(first) if first.line > 0 => format!("{}:{}: {}", first.line, first.column, first.message),
        Some(first) => first.message.clone(),
        None => String::new(),
    }
}

/// When the definition at `path` came there or was changed, in ms since the epoch: by a time that no tool sets back.
fn since(path: &Path) -> Option<u64> {
    let changed = |metadata: Metadata| u64::try_from(metadata.ctime()).ok()?.checked_mul(1_000);
    // A link may be younger than what it leads to.
    let both = [fs::symlink_metadata(path), fs::metadata(path)];
    both.into_iter().filter_map(|metadata| changed(metadata.ok()?)).max()
}
