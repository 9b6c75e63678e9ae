//! What there is to say of each collector and file, from what was seen of them. Pure.
//!
//! All but the definitions is input that others could have written: what is in doubt is left out, and every text is
//! made fit to be printed here.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use crate::collect::Outcome;
use crate::collect::health::seconds;
use crate::config;
use crate::diagnostic::printable;
use crate::exec::record::Verdict;
use crate::schedule::{Slots, millis};
use crate::textfile::{Header, Holder, Kind, Published, RUN_FILE, Running};

/// The interval, in seconds, of a definition that can't be read and never ran.
const LIKELY_INTERVAL: f64 = 60.0;

/// The word of a run that succeeded.
const SUCCESS: &str = Outcome::Success.word();

const DOUBTFUL: &str = "its header is damaged, or another version's";

/// What was seen.
pub struct Sight<'a> {
    /// The collectors directory, as headers name it.
    pub source: &'a str,
    /// Its definitions.
    pub definitions: Vec<Definition<'a>>,
    /// What stands in the textfile directory, in the order of the names.
    pub holders: &'a [(String, Holder)],
    /// Whether the collector of that name runs right now, where that can be told.
    pub running: &'a dyn Fn(&str) -> Option<bool>,
    /// Whether a run that a job's file names goes on.
    pub lives: &'a dyn Fn(&Running) -> bool,
    /// In ms since the epoch.
    pub now: u64,
}

/// A definition.
pub struct Definition<'a> {
    /// The collector's name; where it can have none, that of the definition's file.
    pub name: String,
    /// The file that it claims.
    pub file: Option<String>,
    /// What it says.
    pub content: Content<'a>,
    /// When it came to where it is, or changed there, in ms since the epoch.
    pub since: Option<u64>,
}

/// What a definition says.
pub enum Content<'a> {
    /// It can be run.
    Good(&'a config::Header, Slots),
    /// It can't be loaded, and why.
    Bad(String),
    /// Not for the one who asks.
    Unreadable,
}

/// What is to be shown, and, as it is printed with `--json`, the document.
#[derive(Debug, Serialize)]
pub struct Status {
    /// When it was so.
    pub now_timestamp_seconds: f64,
    /// When promdrop last ran a collector, by its own file.
    pub last_run_timestamp_seconds: Option<f64>,
    /// Files of others, and what can't be read.
    pub foreign_files: usize,
    /// How many of the rows tell of a failure.
    pub failures: usize,
    /// In the order of the names.
    pub collectors: Vec<Row>,
}

/// A collector, or a file that none claims.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub kind: Option<&'static str>,
    pub module: Option<String>,
    pub source: Option<String>,
    pub file: Option<String>,
    pub state: State,
    /// Whether the state is one that an operator should see to.
    pub failed: bool,
    pub running: Option<bool>,
    pub result: Option<&'static str>,
    pub reason: Option<String>,
    pub interval_seconds: Option<f64>,
    pub offset_seconds: Option<f64>,
    pub max_age_seconds: Option<f64>,
    pub last_run_timestamp_seconds: Option<f64>,
    pub last_success_timestamp_seconds: Option<f64>,
    pub age_seconds: Option<f64>,
    pub duration_seconds: Option<f64>,
    pub series: Option<u64>,
    pub next_due_timestamp_seconds: Option<f64>,
}

/// How a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The last run succeeded.
    Success,
    /// The last run failed.
    Failed,
    /// The last success is longer ago than the numbers may be old.
    Stale,
    /// It never ran.
    Never,
    /// It never ran, and promdrop did since it had to.
    Overdue,
    /// It is not to be run.
    Disabled,
    /// Its definition can't be loaded.
    Config,
    /// What stands at its name is somebody else's.
    Conflict,
    /// No definition claims it any more: the next run removes it.
    Left,
    /// What there is can't be relied on.
    Unknown,
}

impl State {
    fn is_failure(self) -> bool {
        match self {
            State::Success | State::Never | State::Disabled | State::Left => false,
            State::Failed
            | State::Stale
            | State::Overdue
            | State::Config
            | State::Conflict
            | State::Unknown => true,
        }
    }
}

/// Makes the rows, and what is said beside them.
pub fn assemble(sight: &Sight<'_>) -> Status {
    let last = sight.published(RUN_FILE).map(|published| &published.header);
    let run = last.filter(|header| header.source == sight.source).and_then(|header| header.last_success);
    let claimed: HashSet<&str> = sight.definitions.iter().filter_map(|d| d.file.as_deref()).collect();
    let mut foreign_files = 0;
    let mut collectors: Vec<Row> =
        sight.definitions.iter().map(|definition| sight.of_definition(definition, run)).collect();
    for (file, holder) in sight.holders.iter().filter(|(file, _)| !claimed.contains(file.as_str())) {
        match holder {
            Holder::Foreign(_) | Holder::Unread(_) => foreign_files += 1,
            Holder::Ours(_) if file == RUN_FILE => {}
            Holder::Ours(published) => collectors.push(sight.of_file(file, published)),
            Holder::Doubtful => {
                let mut row = Row { file: Some(printable(file)), ..Row::new(stem(file), State::Unknown) };
                row.give(State::Unknown, Some(DOUBTFUL));
                collectors.push(row);
            }
        }
    }
    for row in &mut collectors {
        row.failed = row.state.is_failure();
    }
    collectors.sort_by(|one, two| (&one.name, &one.file).cmp(&(&two.name, &two.file)));
    Status {
        now_timestamp_seconds: seconds(sight.now),
        last_run_timestamp_seconds: last.and_then(|header| header.last_success).map(seconds),
        foreign_files,
        failures: collectors.iter().filter(|row| row.failed).count(),
        collectors,
    }
}

impl Sight<'_> {
    fn published(&self, file: &str) -> Option<&Published> {
        match self.holder(file) {
            Some(Holder::Ours(published)) => Some(published),
            _ => None,
        }
    }

    fn holder(&self, file: &str) -> Option<&Holder> {
        self.holders.iter().find(|(name, _)| name == file).map(|(_, holder)| holder)
    }

    /// The row of a definition; `run` is when promdrop last ran any of its directory.
    fn of_definition(&self, definition: &Definition<'_>, run: Option<u64>) -> Row {
        let file = definition.file.as_deref();
        let mut row = Row {
            kind: Some(Kind::Collector.word()),
            source: Some(printable(self.source)),
            file: file.map(printable),
            running: file.and_then(|file| (self.running)(stem(file))),
            ..Row::new(&definition.name, State::Never)
        };
        let mut served = None;
        match file.and_then(|file| self.holder(file)) {
            None => {}
            Some(Holder::Ours(published)) if published.header.kind == Kind::Collector => {
                served = published.header.slot;
                row.fill(published, self.now);
            }
            Some(Holder::Ours(published)) => {
                let theirs = published.header.kind.word();
                row.give(State::Conflict, Some(&format!("its file is that of a {theirs}")));
            }
            Some(Holder::Doubtful) => row.give(State::Unknown, Some(DOUBTFUL)),
            Some(Holder::Foreign(why)) => row.give(State::Conflict, Some(why)),
            Some(Holder::Unread(why)) => row.give(State::Unknown, Some(why)),
        }
        let slots = match &definition.content {
            Content::Good(header, slots) => {
                row.module = Some(header.module.clone());
                row.interval_seconds = Some(header.interval.as_secs_f64());
                row.max_age_seconds = Some(header.max_age.as_secs_f64());
                if !header.enabled {
                    row.give(State::Disabled, None);
                }
                Some(*slots)
            }
            Content::Bad(why) => {
                row.give(State::Config, Some(why));
                None
            }
            Content::Unreadable => inferred(&row, served),
        };
        // Once it is there, it is due at the next tick; an interval later it should have run, whatever else there was to do.
        let interval = row.interval_seconds.unwrap_or(LIKELY_INTERVAL);
        let had_to = definition.since.map(|since| seconds(since) + interval);
        let missed = run.zip(had_to).is_some_and(|(run, had_to)| seconds(run) > had_to);
        if row.state == State::Never && row.running != Some(true) && missed {
            row.give(State::Overdue, Some("promdrop has run since it was due"));
        }
        row.offset_seconds = slots.map(|slots| slots.offset().as_secs_f64());
        if row.state != State::Disabled {
            row.next_due_timestamp_seconds = slots.map(|slots| seconds(slots.next_due(self.now, served)));
        }
        row
    }

    /// The row of a file of promdrop's that no definition claims.
    fn of_file(&self, file: &str, published: &Published) -> Row {
        let header = &published.header;
        let is_collector = header.kind == Kind::Collector;
        let name = match header.kind {
            Kind::Push => &header.source,
            Kind::Exec => stem(file).strip_prefix("exec.").unwrap_or(stem(file)),
            Kind::Collector | Kind::Write => stem(file),
        };
        let mut row = Row {
            kind: Some(header.kind.word()),
            source: Some(printable(&header.source)),
            file: Some(printable(file)),
            running: match header.kind {
                Kind::Collector => (self.running)(stem(file)),
                Kind::Exec => Some(header.running.iter().any(self.lives)),
                Kind::Write | Kind::Push => None,
            },
            ..Row::new(name, State::Unknown)
        };
        row.fill(published, self.now);
        if is_collector && header.source == self.source {
            row.give(State::Left, Some("no definition claims it any more"));
        } else if is_collector && let Some(slots) = inferred(&row, header.slot) {
            row.offset_seconds = Some(slots.offset().as_secs_f64());
            row.next_due_timestamp_seconds = Some(seconds(slots.next_due(self.now, header.slot)));
        }
        row
    }
}

impl Row {
    pub fn new(name: &str, state: State) -> Self {
        Self {
            name: printable(name),
            kind: None,
            module: None,
            source: None,
            file: None,
            state,
            failed: false,
            running: None,
            result: None,
            reason: None,
            interval_seconds: None,
            offset_seconds: None,
            max_age_seconds: None,
            last_run_timestamp_seconds: None,
            last_success_timestamp_seconds: None,
            age_seconds: None,
            duration_seconds: None,
            series: None,
            next_due_timestamp_seconds: None,
        }
    }

    fn give(&mut self, state: State, reason: Option<&str>) {
        self.state = state;
        self.reason = reason.map(printable);
    }

    /// Fills in what the file says.
    fn fill(&mut self, published: &Published, now: u64) {
        let Published { header, .. } = published;
        let told = |what: &str| told(published, what);
        self.last_success_timestamp_seconds = header.last_success.map(seconds);
        self.last_run_timestamp_seconds = match header.kind {
            Kind::Collector => told("last_run_timestamp_seconds"),
            Kind::Write => self.last_success_timestamp_seconds,
            // When one was last tried.
            Kind::Push => header.slot.map(seconds),
            Kind::Exec => told("start_timestamp_seconds"),
        };
        self.age_seconds = header.last_success.map(|at| since(at, now));
        self.duration_seconds = told("duration_seconds");
        self.interval_seconds = told("interval_seconds");
        self.max_age_seconds = header.max_age.map(|age| seconds(millis(age)));
        // The cast keeps to what a u64 can hold.
        self.series = told("series").filter(|series| series.fract() == 0.0).map(|series| series as u64);
        let success = told("success");
        let (result, reason) = result(header, success);
        self.result = result;
        self.give(
            match result {
                // Its first run goes on.
                None if header.kind == Kind::Exec && success.is_none() && header.failure.is_none() => {
                    State::Never
                }
                None => State::Unknown,
                Some(word) if word == SUCCESS => State::Success,
                Some(_) => State::Failed,
            },
            reason,
        );
        if header.stale || header.is_past(now) {
            self.state = State::Stale;
        }
    }
}

/// The seconds from `at` to `now`, both in ms: negative where it is yet to come.
fn since(at: u64, now: u64) -> f64 {
    if at <= now { seconds(now - at) } else { -seconds(at - now) }
}

fn stem(file: &str) -> &str {
    file.strip_suffix(".prom").unwrap_or(file)
}

/// The slots of a collector whose definition can't be read, by the one that it has served.
fn inferred(row: &Row, served: Option<u64>) -> Option<Slots> {
    let interval = Duration::try_from_secs_f64(row.interval_seconds?).ok()?;
    Some(Slots::new(interval, Duration::from_millis(served?)))
}

/// The number that the file tells as `promdrop_KIND_what` of what it is of; none is negative.
fn told(published: &Published, what: &str) -> Option<f64> {
    let name = format!("promdrop_{}_{what}", published.header.kind.word());
    let mut families = published.families.as_ref()?.iter();
    let family = families.find(|family| family.name == name)?;
    match family.samples.as_slice() {
        [sample] if sample.value.is_finite() && sample.value >= 0.0 => Some(sample.value),
        _ => None,
    }
}

/// How the last run ended, in a word, and why; `None` where the header and what is told of `success` contradict each
/// other, or one is missing.
fn result(header: &Header, success: Option<f64>) -> (Option<&'static str>, Option<&str>) {
    let expected = if header.failure.is_some() { 0.0 } else { 1.0 };
    let agrees = match (header.kind, success) {
        (_, Some(success)) => success == expected,
        // They have no other runs than those that are published.
        (Kind::Write | Kind::Push, None) => true,
        (Kind::Exec, None) if header.failure.is_none() => return (None, None),
        (Kind::Collector | Kind::Exec, None) => false,
    };
    let Some(failure) = header.failure.as_deref() else {
        return match agrees {
            true => (Some(SUCCESS), None),
            false => (None, Some("its header and its health don't agree")),
        };
    };
    let named = failure.split_once(": ").and_then(|(told, message)| {
        let word = match header.kind {
            Kind::Exec => Verdict::ALL.map(Verdict::word).into_iter().find(|word| *word == told),
            _ => Outcome::ALL.map(Outcome::word).into_iter().find(|word| *word == told),
        };
        Some((word?, message))
    });
    match named {
        Some((word, message)) if agrees && word != SUCCESS => (Some(word), Some(message)),
        _ => (None, Some(failure)),
    }
}
