//! What the files of others do, for who only looks: each one's worst, and what contradicts promdrop's.

use std::ffi::OsStr;
use std::path::Path;

use super::audit::Withdrawn;
use super::directory::Directory;
use super::entry;
use super::error::Error;
use super::look::Content;
use super::seen::{Claims, Owner, Seen};
use super::survey::{Entry, Survey};
use crate::exposition::{Finding, inspect_text};

/// Other files than that many bytes are judged by that alone.
const LARGEST: u64 = 64 << 20;

/// A file of somebody else's that does harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harmful {
    /// Its name.
    pub file: String,
    /// The worst of it.
    pub worst: Finding,
}

impl Directory {
    /// The files of others that do harm, in the order of their names.
    ///
    /// # Errors
    /// Where the directory can't be listed.
    pub fn harmful(&self) -> Result<Vec<Harmful>, Error> {
        let mut survey = Survey::new(LARGEST);
        survey.refresh(self, |name, text| {
            let Seen { owner, .. } = Seen::read(name, text);
            (owner, worst(inspect_text(text).findings))
        })?;
        let entries = survey.entries().filter_map(|(name, entry)| {
            let worst = self.worst_of(name, entry)?;
            Some(Harmful { file: name.to_string_lossy().into_owned(), worst })
        });
        Ok(entries.collect())
    }

    fn worst_of(&self, name: &OsStr, entry: &Entry<(Owner, Option<Finding>)>) -> Option<Finding> {
        let path: &Path = &self.path().join(name);
        match &entry.content {
            Content::Text((Owner::Foreign, found)) => {
                let of_name = entry::file_name(name);
                worst(found.iter().cloned().chain(of_name).chain(entry::file_mode(entry, self)))
            }
            Content::Text((_, found)) if entry.is_link => found.clone(),
            Content::Text(_) => None,
            other => worst(entry::content(path, other)),
        }
    }

    /// What the next run would withdraw from promdrop's files, since the files of others contradict it.
    ///
    /// # Errors
    /// Where the directory can't be listed.
    pub fn contradictions(&self, claims: &Claims) -> Result<Vec<Withdrawn>, Error> {
        self.survey().settle(self, Seen::read)?;
        Ok(self.to_withdraw(claims))
    }
}

/// The worst that does harm; of several, the first.
fn worst(findings: impl IntoIterator<Item = Finding>) -> Option<Finding> {
    let harmful = findings.into_iter().filter(|finding| finding.harm.is_some());
    harmful.reduce(|worst, finding| if finding.harm > worst.harm { finding } else { worst })
}
