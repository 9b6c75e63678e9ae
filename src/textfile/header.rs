//! The comment lines at the head of every file of promdrop's: whose it is, and what is carried from run to
//! run.
//!
//! node_exporter skips them. Others could have written what is read back: it is checked, and what is in doubt
//! counts as absent.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use super::State;
use super::running::{MOST, Running};
use crate::exposition::Text;

/// The header's longest size, in bytes: what is longer is neither published nor read back.
pub(super) const MAX_HEADER: usize = 4 * 1024 * 1024;

/// The longest escaped text of a failure, in bytes.
const MAX_FAILURE: usize = 200;

const PREFIX: &str = "# promdrop-";
const FORMAT: &str = "# promdrop-format: ";
const VERSION: &str = "1";

/// What writes a file. One name is never shared by two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `promdrop run`
    Collector,
    /// `promdrop write`
    Write,
    /// `promdrop push`
    Push,
    /// `promdrop exec`
    Exec,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Collector, Kind::Write, Kind::Push, Kind::Exec];

    /// Its word in the header.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Collector => "collector",
            Kind::Write => "write",
            Kind::Push => "push",
            Kind::Exec => "exec",
        }
    }
}

/// The header of a file. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What wrote it.
    pub kind: Kind,
    /// Where it comes from, in canonical form: the collectors directory, the group of a push,
    /// the user of an exec.
    pub source: String,
    /// Its own file name: a copy under another name is nobody's.
    pub file: String,
    /// The start of the slot it served, in ms since the epoch; `None` before the first. Of a push, when one
    /// was last tried; of an exec, when its job last began or ended.
    pub slot: Option<u64>,
    /// When its collector last succeeded, in ms since the epoch; `None`: never.
    pub last_success: Option<u64>,
    /// How old its numbers may get; `None`: as old as they like. Whole milliseconds are kept.
    pub max_age: Option<Duration>,
    /// When the collector's definition was last changed, in ms since the epoch: of two that contradict each
    /// other the newer one goes before.
    pub definition: Option<u64>,
    /// Whether its numbers were removed because they were past their age.
    pub stale: bool,
    /// promdrop's own words on the last failure, never bytes of a command's output: anyone can read the file.
    /// What is longer than 200 bytes, escaped, is cut.
    pub failure: Option<String>,
    /// Of an exec, the runs of its job that are in progress, the oldest first.
    pub running: Vec<Running>,
    /// What the collector carries over.
    pub state: State,
}

/// What the head of a file says about whose it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Ours.
    Ours(Box<Header>),
    /// promdrop wrote it, but another version of it, or the header is damaged: as good as absent.
    Doubtful,
    /// promdrop's header for a file of another name.
    Copy,
    /// No header of promdrop's.
    Foreign,
}

impl Header {
    /// That of a file of which nothing is told yet.
    pub fn new(kind: Kind, source: impl Into<String>, file: impl Into<String>) -> Self {
        Self {
            kind,
            source: source.into(),
            file: file.into(),
            slot: None,
            last_success: None,
            max_age: None,
            definition: None,
            stale: false,
            failure: None,
            running: Vec::new(),
            state: State::default(),
        }
    }

    /// The age of the numbers of its file; `None` where they have none, or there never were any.
    pub fn expiry(&self) -> Option<Expiry> {
        let since = match self.kind {
            Kind::Collector => self.last_success,
            // Nobody may ever push or write again: not even what tells that the last one failed stands for
            // ever.
            Kind::Write | Kind::Push => self.last_success.or(self.slot),
            // What is told is the last run, however it ended. A success after it is of a clock that was set
            // back since.
            Kind::Exec => self.slot.or(self.last_success),
        };
        Some(Expiry { since: since?, age: self.max_age? })
    }

    /// Whether that is past its age at `now`, in ms since the epoch.
    pub fn is_past(&self, now: u64) -> bool {
        self.expiry().is_some_and(|expiry| expiry.is_past(now))
    }

    /// Appends the header's lines to `out`.
    pub fn render(&self, out: &mut String) {
        let mut line = |key: &str, value: &str| {
            // Writing to a String can't fail.
            let _ = writeln!(out, "{PREFIX}{key}: {value}");
        };
        line("format", VERSION);
        line("kind", self.kind.word());
        line("source", &escape(&self.source, usize::MAX));
        line("file", &escape(&self.file, usize::MAX));
        if let Some(slot) = self.slot {
            line("slot-ms", &slot.to_string());
        }
        if let Some(time) = self.last_success {
            line("last-success-ms", &time.to_string());
        }
        if let Some(age) = self.max_age {
            line("max-age-ms", &milliseconds(age).to_string());
        }
        if let Some(time) = self.definition {
            line("definition-ms", &time.to_string());
        }
        if self.stale {
            line("stale", "1");
        }
        if let Some(failure) = &self.failure {
            line("failure", &escape(failure, MAX_FAILURE));
        }
        for running in self.running.iter().rev().take(MOST).rev() {
            line("running", &running.to_string());
        }
        if !self.state.is_empty() {
            line("state", &self.state.render());
        }
    }

    /// The header of `text`, found at the name `file`, where it is promdrop's beyond doubt.
    pub(super) fn ours(text: &[u8], file: &str) -> Option<Self> {
        match Self::parse(text, file) {
            Claim::Ours(header) => Some(*header),
            Claim::Doubtful | Claim::Copy | Claim::Foreign => None,
        }
    }

    /// The lines of `text` that are its header.
    pub(super) fn lines(text: &[u8]) -> &[u8] {
        let is_header = |line: &&[u8]| line.starts_with(PREFIX.as_bytes());
        let length = text.split_inclusive(|byte| *byte == b'\n').take_while(is_header).map(<[u8]>::len).sum();
        text.get(..length).unwrap_or_default()
    }

    /// As [`parse`](Self::parse), of a text that need not be in memory, but without its state, which may be
    /// large and is only for the next run.
    pub(super) fn claim(text: &mut dyn Text, file: &str) -> Claim {
        let mut head = Vec::new();
        text.each(&mut |piece| {
            let lines = Self::lines(piece);
            head.extend_from_slice(lines);
            match lines.len() == piece.len() && head.len() <= MAX_HEADER {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        Self::parse_with(&head, file, |_| State::default())
    }

    /// Reads the head of `text`, found at the name `file`.
    pub(super) fn parse(text: &[u8], file: &str) -> Claim {
        // Its version is its own: a state that can't be read starts again, the header stands.
        Self::parse_with(text, file, |line| State::parse(line).unwrap_or_default())
    }

    fn parse_with(text: &[u8], file: &str, state: impl Fn(&str) -> State) -> Claim {
        if !text.starts_with(FORMAT.as_bytes()) {
            return Claim::Foreign;
        }
        match Self::fields(text, state) {
            Some(header) if header.file == file => Claim::Ours(Box::new(header)),
            Some(_) => Claim::Copy,
            None => Claim::Doubtful,
        }
    }

    fn fields(text: &[u8], read_state: impl Fn(&str) -> State) -> Option<Self> {
        let mut lines = Lines { rest: text, left: MAX_HEADER };
        if lines.next()?? != ("format", VERSION) {
            return None;
        }
        let (mut kind, mut source, mut file, mut max_age) = (None, None, None, None);
        let (mut slot, mut last_success, mut failure, mut state) = (None, None, None, None);
        let (mut definition, mut stale, mut running) = (None, None, Vec::new());
        for line in lines {
            let (key, value) = line?;
            match key {
                "kind" => once(&mut kind, Kind::ALL.into_iter().find(|kind| kind.word() == value)?)?,
                "source" => once(&mut source, unescape(value)?)?,
                "file" => once(&mut file, unescape(value)?)?,
                "slot-ms" => once(&mut slot, whole_number(value)?)?,
                "last-success-ms" => once(&mut last_success, whole_number(value)?)?,
                "max-age-ms" => once(&mut max_age, Duration::from_millis(whole_number(value)?))?,
                "definition-ms" => once(&mut definition, whole_number(value)?)?,
                "stale" if value == "1" => once(&mut stale, ())?,
                "failure" if value.len() <= MAX_FAILURE => once(&mut failure, unescape(value)?)?,
                "running" if running.len() < MOST => running.push(Running::parse(value)?),
                "state" => once(&mut state, read_state(value))?,
                _ => return None,
            }
        }
        Some(Self {
            kind: kind?,
            source: source?,
            file: file?,
            slot,
            last_success,
            max_age,
            definition,
            stale: stale.is_some(),
            failure,
            running,
            state: state.unwrap_or_default(),
        })
    }
}

/// How old the numbers of a file may get, and since when they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// In ms since the epoch.
    since: u64,
    age: Duration,
}

impl Expiry {
    /// Whether it is past at `now`, in ms since the epoch. A time that lies in the future (the clock was set
    /// back, or others wrote it) by more than the age must not keep the numbers for ever: it counts as past.
    /// By less than that, the clock may be about to be right again.
    pub fn is_past(self, now: u64) -> bool {
        u128::from(now.abs_diff(self.since)) > self.age.as_millis()
    }
}

/// Sets what is not set yet; a key that stands twice is doubtful.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// The header's lines as keys and values; `None` where one is not as promdrop writes it, or goes beyond the
/// limit.
struct Lines<'t> {
    rest: &'t [u8],
    left: usize,
}

impl<'t> Iterator for Lines<'t> {
    type Item = Option<(&'t str, &'t str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.strip_prefix(PREFIX.as_bytes())?;
        Some(self.split(line))
    }
}

impl<'t> Lines<'t> {
    fn split(&mut self, line: &'t [u8]) -> Option<(&'t str, &'t str)> {
        let end = line.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = line.split_at_checked(end)?;
        self.left = self.left.checked_sub(PREFIX.len() + line.len() + 1)?;
        self.rest = rest.strip_prefix(b"\n")?;
        std::str::from_utf8(line).ok()?.split_once(": ")
    }
}

/// A number of decimal digits and nothing else.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    // `parse` alone would take a plus sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `text` as one line of at most `limit` bytes, cut between characters: backslash and control characters
/// escaped.
fn escape(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        let before = out.len();
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
        if out.len() > limit {
            out.truncate(before);
            break;
        }
    }
    out
}

/// The text that [`escape`] made `text` of.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = match escaped.chars().next()? {
            '\\' => {
                out.push('\\');
                escaped.get(1..)?
            }
            'n' => {
                out.push('\n');
                escaped.get(1..)?
            }
            _ => {
                let (code, rest) = escaped.strip_prefix("u{")?.split_once('}')?;
                out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                rest
            }
        };
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests;
