//! The closed loop: a scrape of node_exporter in which promdrop's files really appear, with their times, series and
//! values.

mod compare;

use std::time::Duration;

pub use compare::{Fault, Finding, Given, Told, compare};

use crate::exporter;
use crate::textfile::{self, Directory, Own};

/// How often what was published anew meanwhile is looked at again.
const TRIES: usize = 4;

/// Why nothing can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// node_exporter can't be asked.
    Exporter(exporter::Error),
    /// The directory can't be looked at.
    Directory(textfile::Error),
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// What the last scrape told; its findings are of files that stood still.
    pub told: Told,
    /// promdrop's files, as they were before that scrape.
    pub files: Vec<Own>,
    /// Those that were published anew at each look, so that nothing is known of them.
    pub restless: Vec<String>,
}

/// Asks the node_exporter at `url` for what it serves, and compares it with promdrop's files in `directory`. Each of the
/// few scrapes, of which one is enough where nothing is published meanwhile, takes `timeout` at most.
///
/// # Errors
/// Where either can't be looked at.
pub fn verify(directory: &Directory, url: &str, timeout: Duration) -> Result<Verified, Error> {
    let mut before = directory.own_files().map_err(Error::Directory)?;
    let mut tries = 1..TRIES;
    loop {
        let scrape = exporter::scrape(url, timeout).map_err(Error::Exporter)?;
        let mut told = compare(&scrape, &before.iter().map(given).collect::<Vec<_>>());
        let after = directory.own_files().map_err(Error::Directory)?;
        let stood = |file: &str| {
            let find = |files: &[Own]| files.iter().position(|own| own.file == file);
            match (find(&before), find(&after)) {
                (Some(one), Some(two)) => before.get(one) == after.get(two),
                _ => false,
            }
        };
        let (settled, restless): (Vec<_>, Vec<_>) =
            std::mem::take(&mut told.findings).into_iter().partition(|finding| stood(&finding.file));
        told.findings = settled;
        if restless.is_empty() || tries.next().is_none() {
            let restless = restless.into_iter().map(|finding| finding.file).collect();
            return Ok(Verified { told, files: before, restless });
        }
        before = after;
    }
}

fn given(own: &Own) -> Given<'_> {
    Given { file: &own.file, modified: own.modified.0, text: &own.text }
}
