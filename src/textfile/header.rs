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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::textfile::Process;

    fn running(pid: u32) -> Running {
        let [job, waiter] = [pid, pid + 1].map(|pid| Process { pid, start: 99 });
        Running { job, waiter, namespace: 4_026_531_836, boot: 0x0123_4567_89ab_cdef }
    }

    fn header() -> Header {
        let mut state = State::default();
        state.set(State::key(&["192.0.2.1", "sent"]), 7);
        Header {
            kind: Kind::Collector,
            source: "/etc/promdrop/collectors.d".into(),
            file: "ping.prom".into(),
            slot: Some(1_754_900_000_000),
            last_success: Some(1_754_900_000_250),
            max_age: Some(Duration::from_secs(300)),
            definition: Some(1_754_800_000_000),
            stale: true,
            failure: Some("timeout: raise it".into()),
            running: vec![running(7)],
            state,
        }
    }

    fn text(header: &Header) -> String {
        let mut text = String::new();
        header.render(&mut text);
        text
    }

    #[test]
    fn looks_like_this() {
        let expected = "\
# promdrop-format: 1
# promdrop-kind: collector
# promdrop-source: /etc/promdrop/collectors.d
# promdrop-file: ping.prom
# promdrop-slot-ms: 1754900000000
# promdrop-last-success-ms: 1754900000250
# promdrop-max-age-ms: 300000
# promdrop-definition-ms: 1754800000000
# promdrop-stale: 1
# promdrop-failure: timeout: raise it
# promdrop-running: 7 99 8 99 4026531836 00000000000000000123456789abcdef
# promdrop-state: 1 16ce28028c504f51 192.0.2.1/sent=7
";
        assert_eq!(text(&header()), expected);
    }

    #[test]
    fn what_follows_is_not_the_headers() {
        let text = text(&header()) + "# HELP a b\n# promdrop-kind: write\na 1\n";
        assert_eq!(Header::parse(text.as_bytes(), "ping.prom"), Claim::Ours(Box::new(header())));
    }

    #[test]
    fn what_is_in_doubt_is_absent() {
        let good = text(&header());
        for (old, new) in [
            ("format: 1", "format: 2"),
            ("format: 1\n", "format: 1\n# promdrop-format: 1\n"),
            ("kind: collector", "kind: robot"),
            ("kind: collector", "kind: "),
            ("# promdrop-kind: collector\n", ""),
            ("# promdrop-source: /etc/promdrop/collectors.d\n", ""),
            ("# promdrop-file: ping.prom\n", ""),
            ("slot-ms: 1754900000000", "slot-ms: 1754900000000\n# promdrop-slot-ms: 1754900000000"),
            ("slot-ms: 1754900000000", "slot-ms: +1"),
            ("slot-ms: 1754900000000", "slot-ms: "),
            ("slot-ms: 1754900000000", "slot-ms: 1e9"),
            ("slot-ms: 1754900000000", "slot-ms: -1"),
            ("slot-ms: 1754900000000", "slot-ms: 18446744073709551616"),
            ("slot-ms: ", "slot-ms:"),
            ("max-age-ms: 300000", "max-age-ms: 5m"),
            ("max-age-ms: 300000", "max-age-ms: "),
            ("slot-ms", "slots"),
            ("stale: 1", "stale: 0"),
            ("stale: 1", "stale: "),
            ("stale: 1", "stale: 1\n# promdrop-stale: 1"),
            ("running: 7 99", "running: 7"),
            ("running: 7 99", "running: x 99"),
            ("timeout", "time\\out"),
            ("timeout", "\\u{d800}"),
            ("timeout", "\\u{41"),
            ("sent=7\n", "sent=7"),
        ] {
            assert!(good.contains(old), "{old}");
            let bad = good.replace(old, new);
            assert_eq!(Header::parse(bad.as_bytes(), "ping.prom"), Claim::Doubtful, "{bad}");
        }
        let long = good.replace("timeout", &"x".repeat(MAX_FAILURE));
        assert_eq!(Header::parse(long.as_bytes(), "ping.prom"), Claim::Doubtful);
        let large = good.replace("/etc", &"x".repeat(MAX_HEADER));
        assert_eq!(Header::parse(large.as_bytes(), "ping.prom"), Claim::Doubtful);
        let mut latin = good.into_bytes();
        latin[60] = 0xe9;
        assert_eq!(Header::parse(&latin, "ping.prom"), Claim::Doubtful);
    }

    #[test]
    fn a_state_in_doubt_leaves_the_header() {
        let good = text(&header());
        for (old, new) in [("state: 1", "state: 2"), ("sent=7", "sent=6"), ("sent=7", "sent=77")] {
            assert!(good.contains(old), "{old}");
            let expected = Header { state: State::default(), ..header() };
            let read = Header::parse(good.replace(old, new).as_bytes(), "ping.prom");
            assert_eq!(read, Claim::Ours(Box::new(expected)), "{new}");
        }
    }

    #[test]
    fn of_too_many_runs_the_newest_are_kept() {
        let all: Vec<Running> = (0..MOST as u32 + 5).map(running).collect();
        let text = text(&Header { running: all.clone(), ..header() });
        let Claim::Ours(read) = Header::parse(text.as_bytes(), "ping.prom") else { panic!("{text}") };
        assert_eq!(read.running, all[5..]);
    }

    #[test]
    fn another_name_makes_it_a_copy_and_no_header_foreign() {
        assert_eq!(Header::parse(text(&header()).as_bytes(), "pong.prom"), Claim::Copy);
        for foreign in ["", "a 1\n", "\n# promdrop-format: 1\n", "# promdrop-kind: collector\n"] {
            assert_eq!(Header::parse(foreign.as_bytes(), "ping.prom"), Claim::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_long_failure_is_cut_between_characters() {
        for unit in ["é", "\u{1b}", "\\", "abc"] {
            let failure = Some(unit.repeat(MAX_FAILURE));
            let text = text(&Header { failure, ..header() });
            let line = text.lines().find_map(|line| line.strip_prefix("# promdrop-failure: ")).unwrap();
            assert!((MAX_FAILURE - 8..=MAX_FAILURE).contains(&line.len()), "{line}");
            let Claim::Ours(read) = Header::parse(text.as_bytes(), "ping.prom") else { panic!("{text}") };
            assert!(unit.repeat(MAX_FAILURE).starts_with(&read.failure.unwrap()), "{line}");
        }
    }

    fn any_running() -> impl Strategy<Value = Running> {
        let process = || any::<(u32, u64)>().prop_map(|(pid, start)| Process { pid, start });
        (process(), process(), any::<u64>(), any::<u128>())
            .prop_map(|(job, waiter, namespace, boot)| Running { job, waiter, namespace, boot })
    }

    fn headers() -> impl Strategy<Value = Header> {
        let state = proptest::collection::btree_map(any::<String>(), any::<u64>(), 0..8).prop_map(|map| {
            let mut state = State::default();
            for (key, value) in map {
                state.set(State::key(&["x", &key]), value);
            }
            state
        });
        let failure = proptest::option::of("\\PC{0,40}|[\\x00-\\x1f\\\\]{0,20}");
        let kind = proptest::sample::select(Kind::ALL.to_vec());
        let (slot, last_success) = (any::<Option<u64>>(), any::<Option<u64>>());
        let max_age = any::<(Option<u64>, Option<u64>, bool)>();
        let runs = proptest::collection::vec(any_running(), 0..4);
        let names = (any::<String>(), any::<String>());
        (kind, names, slot, last_success, max_age, failure, runs, state).prop_map(
            |(
                kind,
                (source, file),
                slot,
                last_success,
                (max_age, definition, stale),
                failure,
                running,
                state,
            )| Header {
                stale,
                definition,
                kind,
                source,
                file,
                slot,
                last_success,
                max_age: max_age.map(Duration::from_millis),
                failure,
                running,
                state,
            },
        )
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was_written(header in headers()) {
            let text = text(&header);
            prop_assert!(text.lines().all(|line| line.starts_with(PREFIX)), "{}", text);
            prop_assert!(!text.trim_end_matches('\n').contains(|c: char| c.is_control() && c != '\n'));
            prop_assert_eq!(Header::parse(text.as_bytes(), &header.file), Claim::Ours(Box::new(header)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            header in headers(), at in any::<proptest::sample::Index>(), bytes in any::<Vec<u8>>(),
        ) {
            let mut text = text(&header).into_bytes();
            let at = at.index(text.len());
            text.splice(at..text.len().min(at + bytes.len() / 2), bytes);
            if let Claim::Ours(read) = Header::parse(&text, "other.prom") {
                prop_assert_eq!(read.file, "other.prom");
            }
        }
    }
}
