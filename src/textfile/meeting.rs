//! What a file that is to be published meets in the directory, and what becomes of it: the text gives way, or the other
//! file does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::directory::Directory;
use super::error::{Class, Error};
use super::header::Header;
use super::seen::{Claims, Read, Seen, Standing, files};
use super::survey::Survey;
use crate::diagnostic::Problem;
use crate::exposition::{
    self, Clash, Descriptor, Facts, Family, FamilyFacts, Kind, Rule, Text as _, clashes_between,
};

/// So many contradictions are told of.
const SHOWN: usize = 20;

/// What is to be done to other files of promdrop's, in this order, the new file's rename before the last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Files that count as absent.
    pub remove: Vec<String>,
    /// Families to take out of older files.
    pub withdraw: BTreeMap<String, Vec<String>>,
    /// Of those, the families to put back, with the new file's HELP.
    pub restore: BTreeMap<String, BTreeMap<String, Option<Vec<u8>>>>,
}

impl Step {
    /// The family that `clash` tells of goes from `file`, and comes `back` with this HELP, if with any or none.
    fn give_way(&mut self, file: &str, clash: &Clash, back: Option<Option<&[u8]>>) {
        let family = &clash.other_family;
        self.withdraw.entry(file.to_owned()).or_default().push(family.clone());
        if let Some(help) = back {
            let restore = self.restore.entry(file.to_owned()).or_default();
            restore.insert(family.clone(), help.map(<[u8]>::to_vec));
        }
    }
}

/// A text beside what the directory holds.
pub(super) struct Meeting<'a> {
    directory: &'a Directory,
    header: &'a Header,
    claims: &'a Claims,
    /// The other files, in the order of their names.
    others: Vec<Read<'a>>,
    text: &'a [u8],
    new: &'a Facts,
    clashes: Vec<Clash>,
}

impl<'a> Meeting<'a> {
    /// Compares the text and facts `new`, which are to be published with `header`, with all other files of `survey`.
    pub fn new(
        directory: &'a Directory,
        claims: &'a Claims,
        header: &'a Header,
        (text, new): (&'a [u8], &'a Facts),
        survey: &'a Survey<Seen>,
    ) -> Self {
        let others: Vec<Read<'_>> = others(survey, &header.file).collect();
        let clashes = contradictions(directory, (text, new), &others);
        Self { directory, header, claims, others, text, new, clashes }
    }

    fn other(&self, clash: &Clash) -> Option<Read<'a>> {
        clash.other.checked_sub(1).and_then(|index| self.others.get(index)).copied()
    }

    /// Whether the text would have another HELP if it were made now.
    pub fn wants_other_help(&self) -> bool {
        let clashing = self.clashes.iter().filter(|clash| clash.rule == Rule::HelpConflict);
        let clashing: BTreeSet<&str> = clashing.map(|clash| &*clash.family).collect();
        let who = (self.directory, self.claims, self.header);
        let helps = Helps::new(who, self.others.iter().copied(), &clashing);
        let mut ours = self.new.families.iter().filter(|family| clashing.contains(&*family.name));
        ours.any(|family| helps.take(&family.name, family.help.as_deref()).is_some())
    }

    /// What is to be done so that the text can be published.
    ///
    /// # Errors
    /// Somebody else's file stands in the way.
    pub fn step(&self) -> Result<Step, Error> {
        let mut step = Step::default();
        let mut conflicts = Vec::new();
        let beyond_help = self.beyond_help();
        let families = self.new.families.iter();
        let helps: HashMap<&str, Option<&[u8]>> =
            families.map(|family| (&*family.name, family.help.as_deref())).collect();
        for clash in &self.clashes {
            let Some(other @ Read { name: file, .. }) = self.other(clash) else { continue };
            let is_only_help = clash.rule == Rule::HelpConflict
                && !beyond_help.get(&clash.other).is_some_and(|families| families.contains(&clash.family));
            let help = helps.get(&*clash.family).copied().flatten();
            let back = is_only_help.then_some(help);
            match standing(self.directory, self.claims, self.header, &other) {
                Standing::Absent => {
                    if !step.remove.iter().any(|removed| removed == file) {
                        step.remove.push(file.to_owned());
                    }
                }
                Standing::Older => step.give_way(file, clash, back),
                // Some HELP goes before none, whoever is newer, but where they share series too.
                Standing::Newer | Standing::Equal if is_only_help && help.is_some() => {
                    step.give_way(file, clash, back);
                }
                Standing::Newer | Standing::Equal | Standing::Settled | Standing::Other => {
                    conflicts.push(clash)
                }
            }
        }
        if !conflicts.is_empty() {
            return Err(self.refusal(&conflicts));
        }
        // What goes for another reason too does not come back.
        for clash in self.clashes.iter().filter(|clash| clash.rule != Rule::HelpConflict) {
            let back = self.other(clash).and_then(|other| step.restore.get_mut(other.name));
            back.map(|families| families.remove(&clash.other_family));
        }
        Ok(step)
    }

    /// The families of the text that some other file, by its index in the clashes, would contradict still if it had the
    /// same HELP for them.
    fn beyond_help(&self) -> HashMap<usize, BTreeSet<String>> {
        let mut by_other: HashMap<usize, BTreeSet<&str>> = HashMap::new();
        for clash in self.clashes.iter().filter(|clash| clash.rule == Rule::HelpConflict) {
            by_other.entry(clash.other).or_default().insert(&clash.family);
        }
        let still = |(index, names): (usize, BTreeSet<&str>)| {
            let other = index.checked_sub(1).and_then(|index| self.others.get(index)).copied()?;
            let named = other.facts.families.iter().filter(|family| names.contains(&*family.name));
            let helps: HashMap<&str, &Option<Box<[u8]>>> =
                named.map(|family| (&*family.name, &family.help)).collect();
            let alike = |family: &FamilyFacts| {
                let help = (*helps.get(&*family.name)?).clone();
                let mut alike = family.clone();
                alike.help = help;
                Some(alike)
            };
            let families = self.new.families.iter().filter_map(alike).collect();
            let alike = Facts { families, ..Facts::default() };
            let found = contradictions(self.directory, (self.text, &alike), &[other]);
            Some((index, found.into_iter().map(|clash| clash.family).collect()))
        };
        by_other.into_iter().filter_map(still).collect()
    }

    /// Every contradiction that stands in the way, with the file and the line.
    fn refusal(&self, conflicts: &[&Clash]) -> Error {
        let mut problems = Vec::new();
        for clash in conflicts.iter().take(SHOWN) {
            let Some(Read { name: file, .. }) = self.other(clash) else { continue };
            let line = self.directory.line_number(file, clash.other_at);
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

/// How `other` stands to what is published with `header`. What this user may not replace, as a sticky directory has it,
/// can't give way.
fn standing(directory: &Directory, claims: &Claims, header: &Header, other: &Read<'_>) -> Standing {
    match claims.standing(header, other.name, other.owner) {
        Standing::Equal if !directory.may_replace(other.name) => Standing::Settled,
        standing => standing,
    }
}

/// A file that holds a family, and its HELP for it.
type Holder<'a> = (Read<'a>, Option<&'a [u8]>);

/// What HELP the other files have for families of a text.
pub(super) struct Helps<'a> {
    directory: &'a Directory,
    claims: &'a Claims,
    header: &'a Header,
    by_family: HashMap<&'a str, Vec<Holder<'a>>>,
}

impl<'a> Helps<'a> {
    /// Those of `others` for the families `asking`, of a text that is published with the header.
    pub fn new(
        (directory, claims, header): (&'a Directory, &'a Claims, &'a Header),
        others: impl Iterator<Item = Read<'a>>,
        asking: &BTreeSet<&str>,
    ) -> Self {
        let mut by_family: HashMap<&str, Vec<_>> = HashMap::new();
        for other in others.filter(|other| !asking.is_empty() && !other.facts.rejected_by.is_all()) {
            for family in other.facts.families.iter().filter(|family| asking.contains(&*family.name)) {
                by_family.entry(&family.name).or_default().push((other, family.help.as_deref()));
            }
        }
        Self { directory, claims, header, by_family }
    }

    /// The one, or none, that the family `name`, which has `help`, takes from another file; `None` where it keeps its own.
    pub fn take(&self, name: &str, help: Option<&[u8]>) -> Option<Option<&'a [u8]>> {
        for (other, theirs) in self.by_family.get(name)? {
            let takes = match standing(self.directory, self.claims, self.header, other) {
                Standing::Absent => false,
                // Two files of one source don't argue about a HELP: the newer definition's is for both.
                Standing::Newer => theirs.is_some() && help != *theirs,
                Standing::Settled => help != *theirs,
                Standing::Older | Standing::Equal | Standing::Other => theirs.is_some() && help.is_none(),
            };
            if takes && theirs.is_none_or(can_be_taken) {
                return Some(*theirs);
            }
        }
        None
    }
}

/// Whether promdrop may publish a family with this HELP: others may publish what it never would.
fn can_be_taken(help: &[u8]) -> bool {
    let Ok(help) = std::str::from_utf8(help) else { return false };
    let mut family = Family::new(&Descriptor { name: "x", help: "", kind: Kind::Untyped });
    family.help = Some(help.to_owned().into());
    family.push(Vec::new(), 1.0);
    let mut text = String::new();
    exposition::render(&[family], &mut text);
    exposition::prove(text.as_bytes()).is_ok()
}

/// The files of `survey` that can be read, but for `file`.
pub(super) fn others<'a>(survey: &'a Survey<Seen>, file: &str) -> impl Iterator<Item = Read<'a>> {
    files(survey).filter(move |other| other.name != file)
}

/// Every contradiction between a text and `others`, which stand in `directory`.
pub(super) fn contradictions(
    directory: &Directory,
    (mut text, facts): (&[u8], &Facts),
    others: &[Read<'_>],
) -> Vec<Clash> {
    let known: Vec<&Facts> = others.iter().map(|other| other.facts).collect();
    let mut lines = |index: usize, at: usize| match index.checked_sub(1) {
        None => text.line(at),
        Some(index) => others.get(index).and_then(|other| directory.line_of(other.name, at)),
    };
    clashes_between(&[facts], &known, &mut lines)
}
