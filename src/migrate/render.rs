//! A plan as text: a head of comments, and the crontab as it is then. Pure.

use super::crontab::{Form, Line, Meaning};
use super::plan::{Plan, Then};
use super::words::{self, comment, duration};
use super::{Migration, Origin};
use crate::diagnostic::Problem;

/// Begins each part.
const PART: &str = "# ---- ";

const MINUTE: u64 = 60_000;
/// How often promdrop.timer comes.
const TIMER: u64 = 15_000;

impl Migration {
    /// All of it, to be read, cut or piped.
    pub fn whole(&self) -> String {
        let collectors = self.collectors.iter().map(|(name, text)| format!("{PART}{name}.yaml\n{text}"));
        let collectors: String = collectors.collect();
        format!("{}{collectors}{}", self.head, self.last_part())
    }

    /// Without the collectors, which were written to `directory`.
    pub fn without_collectors(&self, directory: &str) -> String {
        let names =
            self.collectors.iter().map(|(name, _)| format!("{PART}written: {directory}/{name}.yaml\n"));
        let names: String = names.collect();
        format!("{}{names}{}", self.written_head, self.last_part())
    }

    fn last_part(&self) -> String {
        format!("{PART}crontab\n{}", self.crontab)
    }
}

/// What to do with the rest.
pub fn head(plan: &Plan, origin: &Origin<'_>, is_written: bool) -> String {
    let name = crate::diagnostic::printable(origin.name);
    let changed = if is_written { "No crontab was changed" } else { "Nothing was changed" };
    let mut out = comment(&format!(
        "What takes the place of {name}, by promdrop migrate. {changed}: read it, then use it."
    ));
    if plan.collectors.is_empty() {
        return out
            + &comment("Nothing in it becomes a collector. The part below is the crontab as it is then.");
    }
    out += &comment(if is_written { WRITTEN } else { PRINTED });
    out += &comment(
        "cron runs a command in its user's home directory; promdrop in /, unless `directory` says otherwise, and under \
         promdrop.service with the rights that promdrop(8) lists.",
    );
    if plan.has_copies {
        out += &comment(
            "What stands in a collector is a copy of its script: later changes of the script's own file have no effect.",
        );
    }
    out
}

const PRINTED: &str = "Each part but the last is a collector, a file of that name in /etc/promdrop/collectors.d; \
                       `promdrop test NAME` shows what it would publish. The last part is the crontab as it is then.";

const WRITTEN: &str = "The collectors were written to the files below; `promdrop test NAME` shows what one in \
                       /etc/promdrop/collectors.d would publish. The last part is the crontab as it is then, which is \
                       still to be installed.";

/// The crontab with every line's fate.
pub fn crontab(lines: &[Line], plan: &Plan, origin: &Origin<'_>) -> String {
    let mut out = before(lines, plan, origin);
    for line in lines {
        let Line { number, text, meaning } = line;
        let fate = plan.lines.get(number).cloned().unwrap_or_default();
        out += &fate.notes;
        match (meaning, fate.then) {
            (Meaning::Wrong(problems), _) => out += &format!("{}# {text}\n", not_understood(problems)),
            (Meaning::Strange(problems), _) => out += &format!("{}{text}\n", not_understood(problems)),
            (_, Then::Goes) => out += &format!("# {text}\n"),
            (_, Then::Line(line)) => out += &format!("{line}\n"),
            (_, Then::Stays) => out += &format!("{text}\n"),
        }
    }
    out
}

fn not_understood(problems: &[Problem]) -> String {
    let told = |Problem { column, message, .. }: &Problem| {
        comment(&format!("Not understood, column {column}: {message}."))
    };
    problems.iter().map(told).collect()
}

/// How promdrop must be started for the intervals of the collectors.
fn starts(intervals: &[u64]) -> String {
    let every = intervals.iter().copied().chain([MINUTE]).reduce(common).unwrap_or(MINUTE);
    if every == MINUTE {
        return String::new();
    }
    // Shorter, promdrop would be little else.
    let line = format!("# * * * * *  root  promdrop run --every {} --for 1m\n", duration(every.max(1000)));
    let why = if every.is_multiple_of(TIMER) {
        "Collectors at other times than full minutes need promdrop.timer, or this line in /etc/cron.d/promdrop:"
    } else {
        "promdrop.timer comes every 15s, of which not all intervals are a multiple: they need this line in \
         /etc/cron.d/promdrop, in the place of the timer:"
    };
    comment(why) + &line
}

/// Where a PATH of the crontab leads past promdrop.
fn paths(lines: &[Line]) -> String {
    let of_line = |line: &Line| match &line.meaning {
        Meaning::Variable(name, value)
            if name == "PATH" && !value.split(':').any(|place| place == "/usr/bin") =>
        {
            Some(line.number)
        }
        _ => None,
    };
    let numbers: Vec<usize> = lines.iter().filter_map(of_line).collect();
    if numbers.is_empty() {
        return String::new();
    }
    comment(&format!(
        "The PATH of {} has no /usr/bin, where promdrop is as a rule: without its directory no line finds it.",
        words::lines(&numbers)
    ))
}

/// Whether each command may begin with a user's name.
fn is_perhaps_of_system(lines: &[Line]) -> bool {
    let mut jobs = lines.iter().filter_map(|line| match &line.meaning {
        Meaning::Job(job) => Some(job.command.split_whitespace()),
        _ => None,
    });
    let is_user = |word: &str| {
        word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
            && !super::names::WRAPPERS.contains(&word)
    };
    let begins = |mut words: std::str::SplitWhitespace<'_>| {
        words.next().is_some_and(is_user) && words.next().is_some_and(|word| word.starts_with('/'))
    };
    jobs.clone().next().is_some() && jobs.all(begins)
}

/// What the lines need.
fn before(lines: &[Line], plan: &Plan, origin: &Origin<'_>) -> String {
    let mut out = starts(&plan.intervals);
    if origin.form == Form::User && is_perhaps_of_system(lines) {
        out += &comment("If each command begins with a user's name: a system crontab is read with --system.");
    }
    let users = lines
        .iter()
        .filter(|line| matches!(plan.lines.get(&line.number).map(|fate| &fate.then), Some(Then::Line(_))));
    if users.clone().next().is_some() {
        out += &paths(lines);
    }
    let mut users = users.map(|line| match &line.meaning {
        Meaning::Job(job) if origin.form == Form::System => job.user.as_deref(),
        _ => origin.owner,
    });
    if users.any(|user| user != Some("root")) {
        out += &comment(
            "promdrop exec and push publish as the user of their line, who must be able to write to the textfile \
             directory.",
        );
    }
    out
}

/// The greatest common divisor.
fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common(b, a % b) }
}
