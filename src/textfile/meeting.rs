//! What a file that is to be published meets in the directory, and what becomes of it: the text gives way, or the other
//! file does.

use std::collections::BTreeMap;

use super::directory::Directory;
use super::error::{Class, Error};
use super::header::Header;
use super::seen::{Claims, Seen, Standing};
use super::survey::{Content, Survey};
use crate::diagnostic::Problem;
use crate::exposition::{self, Clash, Facts, Family, Position, Rule, clashes_between};

/// So many contradictions are told of.
const SHOWN: usize = 20;

/// What is to be done to other files of promdrop's, in this order, the new file's rename before the last.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Files that count as absent.
    pub remove: Vec<String>,
    /// Families to take out of older files.
    pub withdraw: BTreeMap<String, Vec<String>>,
    /// Families to put back, with the new file's HELP.
    pub restore: BTreeMap<String, Vec<Family>>,
}

/// A text beside what the directory holds.
pub(super) struct Meeting<'a> {
    directory: &'a Directory,
    header: &'a Header,
    claims: &'a Claims,
    /// The other files, in the order of their names.
    others: Vec<(&'a str, &'a Seen)>,
    new: &'a Facts,
    clashes: Vec<Clash>,
}

impl<'a> Meeting<'a> {
    /// Compares the text and facts `new`, which are to be published with `header`, with all other files of `survey`.
    pub fn new(
        directory: &'a Directory,
        claims: &'a Claims,
        header: &'a Header,
        (text, new): (&[u8], &'a Facts),
        survey: &'a Survey<Seen>,
    ) -> Self {
        let others: Vec<(&str, &Seen)> = others(survey, &header.file).collect();
        let facts: Vec<&Facts> = others.iter().map(|(_, seen)| &seen.facts).collect();
        let mut lines = |index: usize, at| match index.checked_sub(1) {
            None => text.get(at..).map(<[u8]>::to_vec),
            Some(index) => others.get(index).and_then(|(name, _)| directory.line_of(name, at)),
        };
        let clashes = clashes_between(&[new], &facts, &mut lines);
        Self { directory, header, claims, others, new, clashes }
    }

    fn other(&self, clash: &Clash) -> Option<(&'a str, &'a Seen)> {
        clash.other.checked_sub(1).and_then(|index| self.others.get(index)).copied()
    }

    fn standing(&self, file: &str, seen: &Seen) -> Standing {
        self.claims.standing(self.header, file, &seen.owner)
    }

    /// Whether the text would have another HELP if it were made now.
    pub fn wants_other_help(&self) -> bool {
        self.clashes.iter().filter(|clash| clash.rule == Rule::HelpConflict).any(|clash| {
            let ours = self.new.families.iter().find(|family| *family.name == *clash.family);
            let help = ours.and_then(|family| family.help.as_deref());
            taken(self.claims, self.header, self.others.iter().copied(), &clash.family, help).is_some()
        })
    }

    /// What is to be done so that the text can be published.
    ///
    /// # Errors
    /// Somebody else's file stands in the way.
    pub fn step(&self) -> Result<Step, Error> {
        let mut step = Step::default();
        let mut conflicts = Vec::new();
        for clash in &self.clashes {
            let Some((file, seen)) = self.other(clash) else { continue };
            match self.standing(file, seen) {
                Standing::Absent => {
                    if !step.remove.iter().any(|removed| removed == file) {
                        step.remove.push(file.to_owned());
                    }
                }
                Standing::Older => self.give_way(&mut step, file, clash),
                // Some HELP goes before none, whoever is newer.
                Standing::Newer if clash.rule == Rule::HelpConflict && self.has_help(clash) => {
                    self.give_way(&mut step, file, clash);
                }
                Standing::Newer | Standing::Other => conflicts.push(clash),
            }
        }
        if conflicts.is_empty() { Ok(step) } else { Err(self.refusal(&conflicts)) }
    }

    fn has_help(&self, clash: &Clash) -> bool {
        self.new.families.iter().any(|family| *family.name == *clash.family && family.help.is_some())
    }

    /// The family goes from `file`; where only its HELP stands in the way, it comes back with another.
    fn give_way(&self, step: &mut Step, file: &str, clash: &Clash) {
        step.withdraw.entry(file.to_owned()).or_default().push(clash.other_family.clone());
        if clash.rule == Rule::HelpConflict {
            self.restore(step, file, clash);
        }
    }

    /// Only the HELP stands in the way, so that the numbers need not go.
    fn restore(&self, step: &mut Step, file: &str, clash: &Clash) {
        let new = self.new.families.iter().find(|family| *family.name == *clash.family);
        let help = new.and_then(|family| family.help.as_deref());
        let families = self.directory.text_of(file).and_then(|text| exposition::read(&text).ok());
        let family =
            families.unwrap_or_default().into_iter().find(|family| family.name == clash.other_family);
        let Some(mut family) = family else { return };
        super::rewrite::take_help(std::slice::from_mut(&mut family), &clash.other_family, help);
        step.restore.entry(file.to_owned()).or_default().push(family);
    }

    /// Every contradiction that stands in the way, with the file and the line.
    fn refusal(&self, conflicts: &[&Clash]) -> Error {
        let mut problems = Vec::new();
        for clash in conflicts.iter().take(SHOWN) {
            let Some((file, _)) = self.other(clash) else { continue };
            let line = self.directory.text_of(file).map(|text| Position::new(&text).of(clash.other_at).0);
            let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
            problems.push(Problem::whole(format!("{} {place}", clash.message), clash.cure));
        }
        if conflicts.len() > SHOWN {
            problems.push(Problem::whole(format!("and {} more", conflicts.len() - SHOWN), ""));
        }
        let mut families: Vec<String> = conflicts.iter().map(|clash| clash.family.clone()).collect();
        families.sort_unstable();
        families.dedup();
        let path = self.directory.path().join(&self.header.file);
        Error { class: Class::Conflict, path, problems, text: String::new(), families }
    }
}

/// The HELP that the family `name`, which has `help`, takes from another file when it is published with `header`;
/// `None` where it keeps its own.
pub(super) fn help_to_take<'a>(
    claims: &Claims,
    header: &Header,
    survey: &'a Survey<Seen>,
    name: &str,
    help: Option<&[u8]>,
) -> Option<&'a [u8]> {
    taken(claims, header, others(survey, &header.file), name, help)
}

fn taken<'a>(
    claims: &Claims,
    header: &Header,
    others: impl Iterator<Item = (&'a str, &'a Seen)>,
    name: &str,
    help: Option<&[u8]>,
) -> Option<&'a [u8]> {
    for (file, seen) in others {
        if seen.facts.rejected_by.is_all() {
            continue;
        }
        let Some(theirs) = seen.facts.families.iter().find(|family| *family.name == *name) else { continue };
        let Some(theirs) = theirs.help.as_deref() else { continue };
        match claims.standing(header, file, &seen.owner) {
            Standing::Absent => continue,
            Standing::Older if help.is_some() => continue,
            // Two files of one source don't argue about a HELP: the newer definition's is for both.
            Standing::Newer if help != Some(theirs) => return Some(theirs),
            Standing::Older | Standing::Newer | Standing::Other => {}
        }
        if help.is_none() {
            return Some(theirs);
        }
    }
    None
}

/// The files of `survey` that can be read, but for `file`.
pub(super) fn others<'a>(survey: &'a Survey<Seen>, file: &str) -> impl Iterator<Item = (&'a str, &'a Seen)> {
    survey.entries().filter_map(move |(name, entry)| match (&entry.content, name.to_str()) {
        (Content::Text(seen), Some(name)) if name != file => Some((name, seen)),
        _ => None,
    })
}
