//! Several files of one directory: what each holds, and where they contradict each other.
//!
//! Of two files that do, node_exporter drops a family or series of the later one by name, or of all that follow, or
//! dies; Prometheus drops a series that is the same but for empty labels. It is not told which of the two is wrong.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::family::Kind;
use super::reading::inspect;
use super::rules::{Finding, Harm, Rule, Versions};
use super::series::{SeriesRef, label_set, line_at};
use super::text::short;

/// What one file holds, apart from its text.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The families that have samples, in the order they are first named.
    pub families: Vec<FamilyFacts>,
    /// The versions that reject the file as a whole, for which it holds nothing.
    pub rejected_by: Versions,
    /// The worst that its text does by itself.
    pub worst: Option<Harm>,
}

/// What one file holds of a family.
#[derive(Debug, Clone)]
pub struct FamilyFacts {
    /// Its name.
    pub name: Box<str>,
    /// Its TYPE; untyped where there is none.
    pub kind: Kind,
    /// Its HELP, unescaped.
    pub help: Option<Box<[u8]>>,
    /// Where the text first names it; places are bytes from its start.
    pub at: usize,
    /// Where its HELP stands.
    pub help_at: usize,
    /// Where its TYPE stands.
    pub kind_at: usize,
    /// Its series, by hash; of a histogram or summary, its label sets.
    pub(super) series: Vec<SeriesRef>,
    /// Which series it has can't be told: any may be among them.
    pub(super) opaque: bool,
}

/// A contradiction between two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The rule.
    pub rule: Rule,
    /// The family, as the file at fault calls it.
    pub family: String,
    /// The file, as an index into what was compared, and where in its text.
    pub file: usize,
    /// Likewise.
    pub at: usize,
    /// The other file.
    pub other: usize,
    /// The family there.
    pub other_family: String,
    /// Where in its text.
    pub other_at: usize,
    /// What is wrong, in words that go before the name of the other file.
    pub message: String,
    /// What to do about it.
    pub cure: &'static str,
}

/// Reads one line of a file again, from a place of it on, by the file's index: asked only where two hashes are equal.
/// `None`: it can't be had.
pub type Lines<'a> = dyn FnMut(usize, usize) -> Option<Vec<u8>> + 'a;

/// Every contradiction between `files`, which are in the order of their names. Each is told at the later file, against
/// the first that it contradicts.
pub fn clashes(files: &[&Facts], lines: &mut Lines<'_>) -> Vec<Clash> {
    let mut holders: HashMap<&str, Vec<(usize, &FamilyFacts)>> = HashMap::new();
    for (file, facts) in files.iter().enumerate().filter(|(_, facts)| !facts.rejected_by.is_all()) {
        for family in &facts.families {
            holders.entry(&family.name).or_default().push((file, family));
        }
    }
    let mut found = Vec::new();
    for (name, shared) in &holders {
        let mut seen = Seen::default();
        // Of files that declare the family alike, the first stands for all.
        let mut declarations: Vec<usize> = Vec::new();
        for (index, (file, family)) in shared.iter().enumerate().filter(|_| shared.len() > 1) {
            let ours = (*file, *family);
            let meeting =
                |place: usize| shared.get(place).copied().filter(|(other, _)| meet(files, *file, *other));
            let by_declaration = declarations.iter().find_map(|place| {
                meeting(*place).and_then(|theirs| declared(ours, theirs)).map(|clash| (*place, clash))
            });
            let end = by_declaration.as_ref().map_or(index, |(place, _)| *place);
            let sharing = seen.first(index, family).map_or(end..end, |first| first.min(end)..end);
            let by_series = sharing.into_iter().find_map(|place| series(ours, meeting(place)?, lines));
            found.extend(by_series.or(by_declaration.map(|(_, clash)| clash)));
            let is_alike = |place: &usize| {
                shared.get(*place).is_some_and(|(other, twin)| {
                    files.get(*file).map(|facts| facts.rejected_by)
                        == files.get(*other).map(|facts| facts.rejected_by)
                        && (family.kind, &family.help, family.opaque) == (twin.kind, &twin.help, twin.opaque)
                })
            };
            if !declarations.iter().any(is_alike) {
                declarations.push(index);
            }
        }
        for suffix in Kind::Histogram.suffixes() {
            let Some(parts) = holders.get(&*format!("{name}{suffix}")) else { continue };
            let is_whole = |family: &FamilyFacts| family.kind.suffixes().contains(suffix);
            for (file, family) in shared.iter().filter(|(_, family)| is_whole(family)) {
                let mut before = parts.iter().take_while(|(other, _)| other < file);
                if let Some(part) = before.find(|(other, _)| meet(files, *file, *other)) {
                    found.push(suffix_clash((*file, family), *part));
                }
            }
            for (file, part) in parts {
                let mut before = shared.iter().take_while(|(other, _)| other < file);
                if let Some(whole) =
                    before.find(|(other, family)| is_whole(family) && meet(files, *file, *other))
                {
                    found.push(suffix_clash((*file, part), *whole));
                }
            }
        }
    }
    found.sort_by_key(|clash| (clash.file, clash.at, clash.rule, clash.other, clash.other_at));
    found
}

/// Every contradiction of one of `ones` with one of `others`, told at the former. Indices, in what is returned and asked
/// for, count `ones` first, then `others`.
pub fn clashes_between(ones: &[&Facts], others: &[&Facts], lines: &mut Lines<'_>) -> Vec<Clash> {
    let mut by_name: HashMap<&str, Vec<(usize, &FamilyFacts)>, RandomState> = HashMap::default();
    for (index, facts) in ones.iter().enumerate() {
        for family in &facts.families {
            by_name.entry(&family.name).or_default().push((index, family));
        }
    }
    let named = |name: &str| by_name.get(name).into_iter().flatten().copied();
    let mut found = Vec::new();
    for (index, other) in others.iter().enumerate() {
        let meets = |ours: &(usize, &FamilyFacts)| {
            ones.get(ours.0).is_some_and(|one| !one.rejected_by.or(other.rejected_by).is_all())
        };
        for family in &other.families {
            let theirs = (ones.len() + index, family);
            for ours in named(&family.name).filter(meets) {
                found.extend(declared(ours, theirs).or_else(|| series(ours, theirs, lines)));
            }
            for suffix in family.kind.suffixes() {
                let parts = named(&format!("{}{suffix}", family.name)).filter(meets);
                found.extend(parts.map(|ours| suffix_clash(ours, theirs)));
            }
            for suffix in Kind::Histogram.suffixes() {
                let Some(base) = family.name.strip_suffix(suffix) else { continue };
                let is_whole = |ours: &(usize, &FamilyFacts)| ours.1.kind.suffixes().contains(suffix);
                let wholes = named(base).filter(is_whole).filter(meets);
                found.extend(wholes.map(|ours| suffix_clash(ours, theirs)));
            }
        }
    }
    found
}

/// Everything that is wrong with a set of files, given as names and texts: the index of the file, and what. In the
/// order of their names, as node_exporter reads them.
pub fn judge(files: &[(&str, &[u8])]) -> Vec<(usize, Finding)> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|index| files.get(*index).map(|(name, _)| *name));
    let text = |place: usize| order.get(place).and_then(|index| files.get(*index)).map(|(_, text)| *text);
    let mut found = Vec::new();
    let mut facts = Vec::new();
    for (place, index) in order.iter().enumerate() {
        let reading = inspect(text(place).unwrap_or_default());
        found.extend(reading.findings.into_iter().map(|finding| (*index, finding)));
        facts.push(reading.facts);
    }
    let facts: Vec<&Facts> = facts.iter().collect();
    for clash in clashes(&facts, &mut |place, at| text(place).map(|text| line_at(text, at).to_vec())) {
        let original = |place: usize| order.get(place).copied().unwrap_or(place);
        let name = files.get(original(clash.other)).map_or("", |(name, _)| *name);
        let message = format!("{} {name}", clash.message);
        found.push((original(clash.file), Finding::new(clash.rule, clash.at, message, clash.cure)));
    }
    found
}

/// Whether some version reads both files.
fn meet(files: &[&Facts], one: usize, two: usize) -> bool {
    let rejected_by = |file: usize| files.get(file).map_or(Versions::ALL, |facts| facts.rejected_by);
    !rejected_by(one).or(rejected_by(two)).is_all()
}

/// Of a family, which file has a series first: so that not each file must be compared with each.
#[derive(Default)]
struct Seen(HashMap<u64, usize, RandomState>);

impl Seen {
    /// The first file before that has a series with the hash of one of `family`, which is that of file `index`.
    fn first(&mut self, index: usize, family: &FamilyFacts) -> Option<usize> {
        let firsts = family.series.iter().map(|series| *self.0.entry(series.hash).or_insert(index));
        firsts.min().filter(|first| *first < index)
    }
}

fn clash(
    rule: Rule,
    (file, family, at): (usize, &FamilyFacts, usize),
    (other, twin, other_at): (usize, &FamilyFacts, usize),
    message: String,
    cure: &'static str,
) -> Clash {
    Clash {
        rule,
        family: family.name.to_string(),
        file,
        at,
        other,
        other_family: twin.name.to_string(),
        other_at,
        message,
        cure,
    }
}

const ONCE: &str = "publish each series once; give it a label that tells the two apart";

/// What two files that hold a family contradict each other in before any of its series is looked at.
fn declared((file, family): (usize, &FamilyFacts), (other, twin): (usize, &FamilyFacts)) -> Option<Clash> {
    let name = || short(&family.name);
    if family.kind != twin.kind {
        let name = name();
        let message = format!("`{name}` is of TYPE {} here, and {} in", family.kind.word(), twin.kind.word());
        let cure = "give it the same TYPE line in both, or rename one of the two families";
        let (ours, theirs) = ((file, family, family.kind_at), (other, twin, twin.kind_at));
        return Some(clash(Rule::TypeConflict, ours, theirs, message, cure));
    }
    if family.help != twin.help {
        let name = name();
        let message = match (&family.help, &twin.help) {
            (Some(_), Some(_)) => format!("`{name}` has another HELP in"),
            (Some(_), None) => format!("`{name}` has HELP here, and none in"),
            (None, _) => format!("`{name}` has no HELP here, but in"),
        };
        let cure = "give it the same HELP line in both, byte for byte, or none";
        let (ours, theirs) = ((file, family, family.help_at), (other, twin, twin.help_at));
        return Some(clash(Rule::HelpConflict, ours, theirs, message, cure));
    }
    if family.opaque || twin.opaque {
        let message = format!("`{}` has series here that may be those in", name());
        let (ours, theirs) = ((file, family, family.at), (other, twin, twin.at));
        return Some(clash(Rule::SeriesConflict, ours, theirs, message, ONCE));
    }
    None
}

/// The first series of a family in one file that another file has, too.
fn series(
    (file, family): (usize, &FamilyFacts),
    (other, twin): (usize, &FamilyFacts),
    lines: &mut Lines<'_>,
) -> Option<Clash> {
    let (at, other_at) = shared_series((file, family), (other, twin), lines)?;
    let message = format!("this series of `{}` is also in", short(&family.name));
    Some(clash(Rule::SeriesConflict, (file, family, at), (other, twin, other_at), message, ONCE))
}

/// Where the first series of `family` stands that `twin` has, too.
fn shared_series(
    (file, family): (usize, &FamilyFacts),
    (other, twin): (usize, &FamilyFacts),
    lines: &mut Lines<'_>,
) -> Option<(usize, usize)> {
    let mut first: Option<(usize, usize)> = None;
    let (mut ours, mut theirs) = (family.series.as_slice(), twin.series.as_slice());
    while let (Some((one, rest)), Some((twin_one, twin_rest))) = (ours.split_first(), theirs.split_first()) {
        match one.hash.cmp(&twin_one.hash) {
            std::cmp::Ordering::Less => ours = rest,
            std::cmp::Ordering::Greater => theirs = twin_rest,
            std::cmp::Ordering::Equal => {
                // All of one side that have the hash are compared with all of the other's.
                let (same, rest) = split_equal(ours, one.hash);
                let (twin_same, twin_rest) = split_equal(theirs, one.hash);
                let is_earlier = |series: &&SeriesRef| first.is_none_or(|(at, _)| series.at < at);
                let meeting = same.iter().take_while(is_earlier).find_map(|ours| {
                    let line = lines(file, ours.at);
                    let mut is_same = |theirs: &&SeriesRef| {
                        is_same(family.kind, line.as_deref(), lines(other, theirs.at).as_deref())
                    };
                    Some((ours.at, twin_same.iter().find(&mut is_same)?.at))
                });
                first = meeting.or(first);
                (ours, theirs) = (rest, twin_rest);
            }
        }
    }
    first
}

/// Those of `series` at its start that have this hash, and the rest.
fn split_equal(series: &[SeriesRef], hash: u64) -> (&[SeriesRef], &[SeriesRef]) {
    let count = series.iter().take_while(|series| series.hash == hash).count();
    series.split_at_checked(count).unwrap_or_default()
}

/// Whether two samples have the same labels. Where a line can't be had any more, the equal hash is taken at its word.
fn is_same(kind: Kind, line: Option<&[u8]>, twin: Option<&[u8]>) -> bool {
    let (Some(line), Some(twin)) = (line, twin) else { return true };
    label_set(line, kind.bound(), false) == label_set(twin, kind.bound(), false)
}

fn suffix_clash((file, family): (usize, &FamilyFacts), (other, twin): (usize, &FamilyFacts)) -> Clash {
    let message = if family
        .kind
        .suffixes()
        .iter()
        .any(|suffix| format!("{}{suffix}", family.name) == *twin.name)
    {
        format!(
            "the {} `{}` spreads over `{}` in",
            family.kind.word(),
            short(&family.name),
            short(&twin.name)
        )
    } else {
        format!("`{}` is a part of the {} `{}` in", short(&family.name), twin.kind.word(), short(&twin.name))
    };
    clash(
        Rule::SuffixConflict,
        (file, family, family.at),
        (other, twin, twin.at),
        message,
        "rename one of the two families",
    )
}
