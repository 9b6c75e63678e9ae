//! `run --verify`: whether node_exporter serves what was published, looked at beside the collectors.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use crate::collect::crew::Crew;
use crate::collect::overall::{Overall, Verification};
use crate::collect::runner::now;
use crate::diagnostic::printable;
use crate::exporter::PATIENCE;
use crate::textfile::{self, Directory};
use crate::verify::{Error, Finding, Verified, verify};

/// So many files are said to be not served; the others are counted.
const MOST: usize = 5;

/// The comparison of what was published with a scrape.
pub struct Proof<'env> {
    url: &'env str,
    /// What came of the last one.
    last: Option<Verification>,
    /// What promdrop.prom tells, the outcome apart, and of which collectors directory.
    told: Option<(Overall, PathBuf)>,
    /// Where one that goes on will tell.
    ended: Option<Receiver<Vec<String>>>,
    /// Whether something was published since it began.
    again: bool,
}

/// What came of one.
pub struct Heard {
    /// For promdrop.prom.
    pub verification: Verification,
    /// For whoever reads what promdrop says.
    pub lines: Vec<String>,
}

impl<'env> Proof<'env> {
    /// A comparison with what the node_exporter at `url` serves of `directory`.
    pub fn new(url: &'env str, directory: &Directory) -> Self {
        Self { url, last: Verification::published(directory), told: None, ended: None, again: false }
    }

    /// What came of the last one.
    pub fn last(&self) -> Option<Verification> {
        self.last
    }

    /// Whether the last one failed: what is mended must not count as broken until a collector is due again.
    pub fn failed(&self) -> bool {
        self.last.is_some_and(|last| !last.success)
    }

    /// Whether one goes on.
    pub fn is_in_progress(&self) -> bool {
        self.ended.is_some()
    }

    /// Begins one, now that `overall` and what it tells of are published; after the one that goes on.
    pub fn begin<'scope>(
        &mut self,
        overall: Overall,
        source: PathBuf,
        directory: &'env Directory,
        crew: &Crew<'scope, 'env>,
    ) {
        self.told = Some((overall, source));
        self.again = true;
        self.go_on(directory, crew);
    }

    /// Begins the next, if something was published since the last began and that has ended.
    pub fn go_on<'scope>(&mut self, directory: &'env Directory, crew: &Crew<'scope, 'env>) {
        if self.is_in_progress() || !std::mem::take(&mut self.again) {
            return;
        }
        let (sender, ended) = channel();
        self.ended = Some(ended);
        let url = self.url;
        crew.beside(move || {
            let _ = sender.send(faults(url, verify(directory, url, PATIENCE)));
        });
    }

    /// What came of the one that has ended since; all of it is for whoever has `watched`, else only what is new.
    pub fn hear(&mut self, watched: bool) -> Option<Heard> {
        let lines = match self.ended.as_ref()?.try_recv() {
            Ok(lines) => lines,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                vec!["promdrop: verify: a fault in promdrop: please report it".to_owned()]
            }
        };
        self.ended = None;
        let verification = Verification { success: lines.is_empty(), at: now() };
        let is_news = verification.is_news(self.last.replace(verification).as_ref());
        Some(Heard { verification, lines: if watched || is_news { lines } else { Vec::new() } })
    }

    /// Publishes what came of the last one.
    ///
    /// # Errors
    /// As [`Overall::publish`].
    pub fn publish(&mut self, directory: &Directory) -> Result<(), textfile::Error> {
        let last = self.last;
        let Some((overall, source)) = &mut self.told else { return Ok(()) };
        overall.verification = last;
        overall.publish(directory, source)
    }
}

/// What is wrong, as lines; none where nothing is.
fn faults(url: &str, verified: Result<Verified, Error>) -> Vec<String> {
    let findings = match verified {
        Ok(verified) => verified.told.findings,
        Err(Error::Exporter(error)) => return vec![format!("promdrop: verify: {error}")],
        Err(Error::Directory(error)) => return vec![format!("promdrop: verify: {error}")],
    };
    let line = |Finding { file, fault }: &Finding| {
        format!("promdrop: verify: {}: {}", printable(file), printable(&fault.to_string()))
    };
    let mut lines: Vec<String> = findings.iter().take(MOST).map(line).collect();
    if let Some(more) = findings.len().checked_sub(MOST).filter(|more| *more > 0) {
        lines.push(format!("promdrop: verify: and {more} more files"));
    }
    if !lines.is_empty() {
        lines.push(format!("   = see what `promdrop --node-exporter {} doctor` finds", printable(url)));
    }
    lines
}
