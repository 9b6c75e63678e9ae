//! A crontab as cron reads it (crontab(5)): text to lines, each with what it means and where its parts stand. Pure.

use std::ops::Range;

use super::schedule::{Schedule, UNITS};
use crate::diagnostic::Problem;

/// Whose crontab it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A user's own: five fields and the command.
    User,
    /// The system's: a user's name before the command.
    System,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As it stands there.
    pub text: String,
    /// What it means.
    pub meaning: Meaning,
}

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A blank line or a comment.
    Nothing,
    /// `NAME = value`.
    Variable(String, String),
    /// What is started when.
    Job(Job),
    /// What cron would refuse.
    Wrong(Vec<Problem>),
    /// What a cron may take, but otherwise than it looks.
    Strange(Vec<Problem>),
}

/// What a line starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// When.
    pub when: When,
    /// The fields before the command, by their bytes in the line.
    pub fields: Vec<Range<usize>>,
    /// As whom, in a system crontab.
    pub user: Option<String>,
    /// Where the command begins, in bytes.
    pub at: usize,
    /// What the shell gets.
    pub command: String,
    /// What the command finds on its stdin.
    pub stdin: Option<String>,
}

/// When a job starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum When {
    /// At these minutes.
    At(Schedule),
    /// When cron itself does.
    Reboot,
}

/// Reads a crontab of this form.
pub fn read(text: &str, form: Form) -> Vec<Line> {
    let lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
    let lines = (1..).zip(lines);
    lines
        .map(|(number, text)| Line { number, text: text.to_owned(), meaning: meaning(number, text, form) })
        .collect()
}

fn meaning(number: usize, text: &str, form: Form) -> Meaning {
    let start = text.trim_start_matches(is_blank);
    if start.is_empty() || start.starts_with('#') {
        return Meaning::Nothing;
    }
    match variable(start) {
        Some(Ok((name, value))) => Meaning::Variable(name, value),
        Some(Err((rest, message, cure))) => {
            Meaning::Wrong(vec![problem(number, text, text.len() - rest, message, cure)])
        }
        None => match job(number, text, form) {
            Ok(job) => Meaning::Job(job),
            Err(problems) if is_tolerated(start) => Meaning::Strange(problems),
            Err(problems) => Meaning::Wrong(problems),
        },
    }
}

/// Whether a cron may take the time before a command, which is not understood here.
fn is_tolerated(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().take(UNITS.len() + 1).collect();
    let mut pairs = UNITS.iter().zip(&fields);
    let is_read = UNITS.iter().zip(&fields).all(|(unit, field)| unit.read(field).is_ok());
    !is_read && fields.len() > UNITS.len() && pairs.all(|(unit, field)| unit.tolerates(field))
}

/// Bytes from there to the end of the line, what is wrong, and the cure.
type Amiss = (usize, &'static str, &'static str);

/// Of a line that sets a variable, its name and value; or what is wrong with it.
fn variable(text: &str) -> Option<Result<(String, String), Amiss>> {
    let (name, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => text.get(1..)?.split_once(quote)?,
        _ => text.split_at_checked(text.find(|c| c == '=' || is_blank(c))?)?,
    };
    let value = rest.trim_start_matches(is_blank).strip_prefix('=')?.trim_matches(is_blank);
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let value = match quote {
        None if value.is_empty() => Err((0, "the variable has no value", "write \"\" for an empty one")),
        None => Ok(value),
        Some(quote) => match value.get(1..).and_then(|value| value.split_once(quote)) {
            Some((value, "")) => Ok(value),
            Some((_, after)) => Err((
                text.len() - (after.as_ptr() as usize - text.as_ptr() as usize),
                "something follows the closing quote",
                "put quotes around the whole value, or leave them out",
            )),
            None => Err((value.len(), "the quote is not closed", "close it at the end of the line")),
        },
    };
    Some(value.map(|value| (name.to_owned(), value.to_owned())))
}

fn job(number: usize, text: &str, form: Form) -> Result<Job, Vec<Problem>> {
    let mut fields = Fields { text, at: 0 };
    let mut places = Vec::new();
    let when = when(number, text, &mut fields, &mut places)?;
    let user = match form {
        Form::User => None,
        Form::System => {
            let Some(place) = fields.next() else {
                return Err(vec![missing(
                    number,
                    text,
                    "user",
                    "in a system crontab it comes before the command",
                )]);
            };
            let name = text.get(place.clone()).unwrap_or_default();
            if name.starts_with(['/', '.', '(', '"', '\'']) || name.contains(['/', ';', '=', '$']) {
                let message = format!("`{name}` is no user's name");
                let cure =
                    "in a system crontab it comes before the command; a user's is read without --system";
                return Err(vec![problem(number, text, place.start, &message, cure)]);
            }
            places.push(place);
            Some(name.to_owned())
        }
    };
    let rest = text.get(fields.at..).unwrap_or_default();
    let at = text.len() - rest.trim_start_matches(is_blank).len();
    let raw = text.get(at..).unwrap_or_default();
    if raw.is_empty() {
        return Err(vec![missing(number, text, "command", "write what is to be started behind the time")]);
    }
    let (command, stdin) = decode(raw);
    Ok(Job { when, fields: places, user, at, command, stdin })
}

/// The time of a job; its fields come into `places`.
fn when(
    number: usize,
    text: &str,
    fields: &mut Fields<'_>,
    places: &mut Vec<Range<usize>>,
) -> Result<When, Vec<Problem>> {
    for unit in &UNITS {
        let cure =
            "a time is five fields, minute, hour, day, month, day of the week, or a word such as @daily";
        let place = fields.next().ok_or_else(|| vec![missing(number, text, unit.name, cure)])?;
        let word = text.get(place.clone()).unwrap_or_default();
        places.push(place.clone());
        if places.len() > 1 || !word.starts_with('@') {
            continue;
        }
        return match Schedule::of_word(word) {
            Some(schedule) => Ok(When::At(schedule)),
            None if word == "@reboot" => Ok(When::Reboot),
            None => {
                let cure =
                    "there are @reboot, @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually";
                Err(vec![problem(number, text, place.start, &format!("`{word}` is no time"), cure)])
            }
        };
    }
    let word = |place: &Range<usize>| text.get(place.clone()).unwrap_or_default();
    let [a, b, c, d, e] = places.as_slice() else { return Err(Vec::new()) };
    Schedule::read([a, b, c, d, e].map(word)).map(When::At).map_err(|faults| {
        let told = faults.into_iter().filter_map(|(place, fault)| {
            let mut found = problem(number, text, places.get(place)?.start, &fault.message, &fault.cure);
            found.column += fault.at;
            Some(found)
        });
        told.collect()
    })
}

fn missing(number: usize, text: &str, what: &str, cure: &str) -> Problem {
    problem(number, text, text.trim_end_matches(is_blank).len(), &format!("there is no {what}"), cure)
}

fn problem(line: usize, text: &str, at: usize, message: &str, cure: &str) -> Problem {
    let column = text.get(..at).unwrap_or(text).chars().count() + 1;
    Problem { line, column, message: message.to_owned(), cure: cure.to_owned() }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// The places of the words of a line.
struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Fields<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..)?;
        let word = rest.trim_start_matches(is_blank);
        let start = self.at + rest.len() - word.len();
        self.at = start + word.find(is_blank).unwrap_or(word.len());
        (self.at > start).then_some(start..self.at)
    }
}

/// What the shell gets of a command, and what it finds on its stdin: behind the first `%`, each further one a newline.
/// A backslash makes a `%` or another backslash an ordinary character, which cron then does not show the shell; before
/// anything else it stays.
fn decode(raw: &str) -> (String, Option<String>) {
    let mut command = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => return (command, Some(decode_input(chars.as_str()))),
            '\\' => match chars.next() {
                Some(c @ ('%' | '\\')) => command.push(c),
                Some(c) => command.extend(['\\', c]),
                None => command.push('\\'),
            },
            c => command.push(c),
        }
    }
    (command, None)
}

/// There only a `%` is escaped. cron ends it with a newline.
fn decode_input(raw: &str) -> String {
    raw.replace("\\%", "\0").replace('%', "\n").replace('\0', "%")
}

/// A command and its stdin as they are written in a crontab; `None` where they can't be.
pub fn encode(command: &str, stdin: Option<&str>) -> Option<String> {
    let mut out = String::new();
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str("\\%"),
            '\\' if chars.peek().map_or(stdin.is_some(), |next| matches!(next, '\\' | '%')) => {
                out.push_str("\\\\")
            }
            '\\' => {
                out.push('\\');
                out.extend(chars.next());
            }
            c => out.push(c),
        }
    }
    if let Some(stdin) = stdin {
        out.push('%');
        out.push_str(&stdin.replace('%', "\\%").replace('\n', "%"));
    }
    let fits = !out.contains(['\n', '\0']) && !out.starts_with([' ', '\t']);
    (fits && decode(&out) == (command.to_owned(), stdin.map(str::to_owned))).then_some(out)
}

#[cfg(test)]
mod tests;
