//! What is known of each file of the directory without reading it again: whose it is, and what it holds.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use super::header::{Claim, Expiry, Header, Kind};
use super::look::Content;
use super::running::Running;
use super::survey::{Entry, Survey};
use crate::exposition::{Facts, Harm, Text, inspect_text};

/// A file that was read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub owner: Owner,
    pub facts: Facts,
}

/// Whose a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// promdrop's.
    Ours {
        kind: Kind,
        source: String,
        /// When its definition was last changed, in ms since the epoch, as it stood when the file was published.
        definition: Option<u64>,
        /// The slot that its collector has served last, in ms since the epoch.
        slot: Option<u64>,
        /// When it is past its age; `None` where it has none.
        expiry: Option<Expiry>,
        /// Whether that was seen, and its numbers removed.
        stale: bool,
        /// The runs of its job that were in progress when it was published.
        running: Vec<Running>,
    },
    /// promdrop's, but of another version, or damaged: as good as absent.
    Doubtful,
    /// Somebody else's.
    Foreign,
}

impl Seen {
    /// What the text of the file called `name` tells.
    pub fn read(name: &OsStr, text: &mut dyn Text) -> Self {
        let owner = match name.to_str().map_or(Claim::Foreign, |name| Header::claim(text, name)) {
            Claim::Ours(header) => Owner::of(&header),
            Claim::Doubtful => Owner::Doubtful,
            Claim::Copy | Claim::Foreign => Owner::Foreign,
        };
        Self { owner, facts: inspect_text(text).facts }
    }
}

impl Owner {
    /// The owner of what is published with `header`.
    pub fn of(header: &Header) -> Self {
        Owner::Ours {
            kind: header.kind,
            source: header.source.clone(),
            definition: header.definition,
            slot: header.slot,
            expiry: header.expiry(),
            stale: header.stale,
            running: header.running.clone(),
        }
    }
}

/// A file of the directory that node_exporter would read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'a> {
    pub name: &'a str,
    pub owner: &'a Owner,
    pub facts: &'a Facts,
}

/// The files of `survey`, in the order of their names.
pub(super) fn files(survey: &Survey<Seen>) -> impl Iterator<Item = Read<'_>> {
    survey.entries().filter_map(|(name, entry)| {
        let seen = entry.content.text()?;
        Some(Read { name: name.to_str()?, owner: owner(entry, seen), facts: &seen.facts })
    })
}

/// Whose `entry` is. promdrop publishes no links: one that leads to a file of promdrop's is somebody else's.
fn owner<'a>(entry: &Entry<Seen>, seen: &'a Seen) -> &'a Owner {
    if entry.is_link { &Owner::Foreign } else { &seen.owner }
}

/// The definitions that there are of a source, which tell what of its files still counts.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The source, as headers name it; empty where nothing is claimed.
    pub source: String,
    /// The file that each definition publishes, and when the definition was last changed, in ms since the epoch;
    /// `None` where it can't be loaded.
    pub definitions: HashMap<String, Option<u64>>,
    /// Those of the files whose definitions say that they are not to be run.
    pub disabled: HashSet<String>,
}

/// How a file stands to one that is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It counts as absent: no definition claims it any more, or nobody can read its header.
    Absent,
    /// It gives way: its definition is older, or has changed since. Of two that are as new, the later name gives way.
    Older,
    /// It goes before.
    Newer,
    /// Its HELP gives way, and nothing else: of two writes neither is the right one, but with two texts of HELP neither
    /// could ever change.
    Equal,
    /// The new text takes its HELP, and nothing else gives way: what is built upon what stands, as a push is, must never
    /// be taken out for a moment.
    Settled,
    /// It is somebody else's.
    Other,
}

impl Claims {
    /// Whether no definition claims `file`, of `source`, any more: not even one that has come since the definitions were
    /// read. Of another source nothing is known.
    pub(super) fn has_left(&self, file: &str, source: &str) -> bool {
        let stem = file.strip_suffix(".prom").unwrap_or(file);
        let definition = Path::new(source).join(format!("{stem}.yaml"));
        !self.source.is_empty()
            && *source == *self.source
            // What says of a run as a whole is claimed by no definition.
            && file != super::RUN_FILE
            && !self.definitions.contains_key(file)
            // On any doubt it is there.
            && matches!(definition.try_exists(), Ok(false))
    }

    /// How `file` stands, of `owner`, to what is published with `header`.
    pub(super) fn standing(&self, header: &Header, file: &str, owner: &Owner) -> Standing {
        let claimed = self.definitions.get(file);
        match owner {
            // It was promdrop's, and the definition that claims its name will publish it anew.
            Owner::Doubtful if claimed.is_some() => Standing::Absent,
            Owner::Ours { kind: Kind::Collector, source, definition, .. }
                if header.kind == Kind::Collector && *source == header.source && *source == self.source =>
            {
                match claimed {
                    None if self.has_left(file, source) => Standing::Absent,
                    Some(now) if now.is_some() && now != definition => Standing::Older,
                    _ if is_older((file, *definition), (&header.file, header.definition)) => Standing::Older,
                    _ => Standing::Newer,
                }
            }
            // Collectors have definitions to mend; the rest comes from programs, of which none is the right one.
            Owner::Ours { kind: Kind::Write, .. } if header.kind == Kind::Write => Standing::Equal,
            Owner::Ours { kind: Kind::Write | Kind::Push | Kind::Exec, .. }
                if header.kind != Kind::Collector =>
            {
                Standing::Settled
            }
            _ => Standing::Other,
        }
    }
}

/// Whether a file gives way to another by the times of their definitions. There is no tie, or two definitions that were
/// installed at one moment could each keep the other from what is new in both.
pub(super) fn is_older((file, at): (&str, Option<u64>), (other, other_at): (&str, Option<u64>)) -> bool {
    (at, Reverse(file)) < (other_at, Reverse(other))
}

/// How many files of others the directory holds, by the worst that each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Others {
    /// Those that do no harm.
    pub harmless: usize,
    /// Those that node_exporter rejects.
    pub reject: usize,
    /// Those that lose or distort their own series.
    pub distort: usize,
    /// Those that harm others.
    pub poison: usize,
    /// Those that could not be read, so that nobody can tell.
    pub unproven: usize,
}

impl Others {
    /// Counts those of `survey`; `poisons` says of a file by its name whether it contradicts another.
    pub(super) fn count(survey: &Survey<Seen>, poisons: impl Fn(&OsStr) -> bool) -> Self {
        let mut others = Self::default();
        for (name, entry) in survey.entries() {
            let harm = match &entry.content {
                Content::Text(seen) if *owner(entry, seen) != Owner::Foreign => continue,
                Content::Text(seen) if name.to_str().is_none() && !seen.facts.rejected_by.is_all() => {
                    Some(Harm::Poison)
                }
                Content::Text(_) if poisons(name) => Some(Harm::Poison),
                Content::Text(seen) => seen.facts.worst,
                Content::Fifo => Some(Harm::Poison),
                Content::NoFile(_) => Some(Harm::Reject),
                Content::TooLarge(_) | Content::Changing | Content::Unreadable(_) => {
                    others.unproven += 1;
                    continue;
                }
            };
            *match harm {
                None => &mut others.harmless,
                Some(Harm::Reject) => &mut others.reject,
                Some(Harm::Distort) => &mut others.distort,
                Some(Harm::Poison) => &mut others.poison,
            } += 1;
        }
        others
    }
}
