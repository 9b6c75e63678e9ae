//! Names that only a node_exporter with an optional collector uses, which a live one is asked about.

use std::path::Path;

use super::directory::Directory;
use super::error::{Class, Error};
use super::seen::Seen;
use crate::diagnostic::Problem;
use crate::exporter;
use crate::exposition::reserved::{self, Reserved, Tier};
use crate::exposition::{Facts, FamilyFacts, Harm};

/// A family of a text whose name is node_exporter's by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The family.
    pub family: String,
    /// Where the text first names it.
    pub at: usize,
    /// What comes of it.
    pub harm: Harm,
    /// Whose name it is, without a full stop.
    pub message: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl Directory {
    /// Checks the names of `facts` that only a node_exporter with an optional collector uses: whether it
    /// does, only a live one can tell. One that can't be asked stops nothing.
    pub(super) fn check_optional(&self, path: &Path, facts: &Facts) -> Result<(), Error> {
        let taken = self.taken(facts);
        if taken.is_empty() {
            return Ok(());
        }
        let families = taken.iter().map(|taken| taken.family.clone()).collect();
        let problems = taken.into_iter().map(|taken| Problem::whole(taken.message, taken.cure)).collect();
        Err(Error { class: Class::Conflict, path: path.to_owned(), problems, text: String::new(), families })
    }

    /// The families of `facts` whose names a live node_exporter uses for an optional collector. It is asked
    /// only where there is such a name; where it can't be, there is nothing to tell.
    pub fn taken(&self, facts: &Facts) -> Vec<Taken> {
        let Some(url) = &self.node_exporter else { return Vec::new() };
        if facts.rejected_by.is_all() {
            return Vec::new();
        }
        let optional = |family: &FamilyFacts| match reserved::owner(&family.name, family.kind)? {
            Reserved { family: theirs, tier: Tier::Optional { collector }, harm, message } => {
                let message = format!("{message}, and the node_exporter at {url} serves it");
                let cure = "choose another name, or switch the collector off";
                let taken = Taken { family: family.name.to_string(), at: family.at, harm, message, cure };
                Some((taken, theirs, collector))
            }
            Reserved { tier: Tier::Default, .. } => None,
        };
        let optional: Vec<(Taken, String, &str)> = facts.families.iter().filter_map(optional).collect();
        if optional.is_empty() {
            return Vec::new();
        }
        let Ok(live) = self.live.get_or_init(|| exporter::live(url, exporter::PATIENCE)) else {
            return Vec::new();
        };
        let mut survey = self.survey();
        // What is not known of the directory can't be told from what is node_exporter's.
        if survey.is_new() && survey.refresh(self, Seen::read).is_err() {
            return Vec::new();
        }
        let in_directory = |name: &str| {
            let mut texts = survey.entries().filter_map(|(_, entry)| entry.content.text());
            texts.any(|seen| seen.facts.families.iter().any(|family| *family.name == *name))
        };
        let owned = |(taken, theirs, collector): (Taken, String, &str)| {
            live.owns(&theirs, collector, in_directory).then_some(taken)
        };
        optional.into_iter().filter_map(owned).collect()
    }
}
