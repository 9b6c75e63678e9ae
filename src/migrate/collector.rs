//! A collector file that takes the place of crontab lines which push. Pure.

use super::curl;
use super::names;
use super::program::{Environment, Program};
use super::pushes::Found;
use super::rewrite::{Printing, printing};
use super::shell::{self, Script};
use super::timing::Timing;
use super::words::{comment, duration, lines, list};
use super::yaml::{block, scalar};
use crate::config::fields::parse_label;

/// What a collector is made of.
#[derive(Debug)]
pub struct Source<'a> {
    /// Lines of the crontab.
    pub lines: &'a [usize],
    /// When they run it.
    pub timing: &'a Timing,
    /// As whom, where that is known.
    pub user: Option<&'a str>,
    /// With which variables.
    pub environment: &'a Environment,
    /// What they run.
    pub program: &'a Program,
    /// The same, parsed.
    pub script: &'a Script,
}

/// Variables that cron reads itself.
const OF_CRON: [&str; 8] =
    ["SHELL", "MAILTO", "MAILFROM", "LOGNAME", "USER", "CRON_TZ", "RANDOM_DELAY", "CONTENT_TYPE"];

/// The default timeout, in milliseconds.
const TIMEOUT: u64 = 10_000;

/// Names and values of labels.
pub type Pairs = Vec<(String, String)>;

/// The labels that stay, and what `job` and `instance` were.
///
/// # Errors
/// Why a collector can't have them.
pub fn labels(found: &Found<'_>) -> Result<(Pairs, Pairs), String> {
    let all = curl::labels(&found.push.group).ok_or("its URL is not understood")?;
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for (i, (name, value)) in all.into_iter().enumerate() {
        if (i == 0) != (name == "job") {
            return Err(format!("its group begins with or repeats `{name}`"));
        }
        if name == "job" || name == "instance" {
            lost.push((name, curl::shown(&value)));
            continue;
        }
        let value = shell::constant(&value)
            .ok_or_else(|| format!("its label `{name}` is not the same in each run"))?;
        let fits = !value.contains('%') && parse_label(&format!("{name}={value}")).is_ok();
        if !fits || kept.iter().any(|(other, _)| *other == name) {
            return Err(format!("its label `{name}` is not one that a collector may have"));
        }
        kept.push((name, value));
    }
    Ok((kept, lost))
}

/// What the collector may be called.
pub fn wish(source: &Source<'_>, found: &Found<'_>) -> String {
    let file = source.program.path.as_ref().map(|path| names::of_path(&path.to_string_lossy()));
    let metric = || names::of_push(&found.push, found.statement, found.place);
    file.or_else(metric).or_else(|| names::of_script(source.script)).unwrap_or_default()
}

/// The text of the file.
pub fn render(source: &Source<'_>, found: &Found<'_>, name: &str) -> String {
    let (kept, lost) = labels(found).unwrap_or_default();
    let printing = printing(&source.program.text, source.script, found);
    let interval = source.timing.interval.unwrap_or_default();
    let mut out = notes(source, found, &printing, (&kept, &lost), name);
    out += &format!("module: command\ninterval: {}\n", duration(interval));
    if source.timing.splay {
        out += "splay: true\n";
    }
    out += &user(source.user);
    if !kept.is_empty() {
        out += "labels:\n";
    }
    for (name, value) in &kept {
        out += &format!("  {}: {}\n", scalar(name), scalar(value));
    }
    out += "command:\n";
    out += &surroundings(source);
    out + &run(source.program, &printing.text)
}

fn user(user: Option<&str>) -> String {
    match user {
        Some("root") => String::new(),
        Some(user) if is_account(user) => format!("user: {}\n", scalar(user)),
        _ => comment(
            "Name the crontab's owner here, or with --user; else it runs as promdrop's own user, root as a rule:\n\
             user: NAME",
        ),
    }
}

/// A number would be taken for an id.
fn is_account(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.$@\\".contains(&b);
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && name.bytes().all(plain)
}

fn surroundings(source: &Source<'_>) -> String {
    let mut out = String::new();
    let home = super::program::variable(source.environment, "HOME");
    let directory = source.program.directory.as_deref().or(home).filter(|path| path.starts_with('/'));
    if let Some(directory) = directory {
        out += &format!("  directory: {}\n", scalar(directory));
    }
    let variables = variables(source.environment);
    if !variables.is_empty() {
        out += "  environment:\n";
    }
    for (name, value) in variables {
        out += &format!("    {}: {}\n", scalar(name), scalar(value));
    }
    out
}

/// The variables that the command gets, the last value of each.
fn variables(environment: &Environment) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for (name, value) in environment {
        all.retain(|(other, _)| other != name);
        if !OF_CRON.contains(&name.as_str()) && shell::is_name(name) && !value.contains('\0') {
            all.push((name, value));
        }
    }
    all
}

fn run(program: &Program, text: &str) -> String {
    if program.is_plain() {
        return format!("  shell: {}\n", block(text, 4));
    }
    let mut out = "  argv:\n".to_owned();
    let options = program.shell.iter().map(String::as_str).chain(["-c"]);
    for word in options {
        out += &format!("    - {}\n", scalar(word));
    }
    out += &format!("    - {}\n", block(text, 6));
    let file = program.path.as_ref().map(|path| path.to_string_lossy().into_owned());
    for word in file.iter().chain(&program.arguments) {
        out += &format!("    - {}\n", scalar(word));
    }
    out
}

fn notes(
    source: &Source<'_>,
    found: &Found<'_>,
    printing: &Printing,
    (kept, lost): (&Pairs, &Pairs),
    name: &str,
) -> String {
    let mut notes = vec![origin(source, found)];
    notes.extend(source.timing.remark.clone());
    let had: Vec<String> = lost.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    notes.push(format!(
        "Its series had {}; now they have the job and instance of this host's node_exporter. {}",
        list(&had),
        overwritten(kept)
    ));
    if found.push.strips {
        notes.push(STRIPPED.to_owned());
    }
    if let Some(aside) = printing.aside {
        notes.push(format!(
            "Only what was pushed is printed, to descriptor {aside}; whatever else the script prints goes to stderr."
        ));
    }
    if let Some(log) = &source.program.log {
        notes.push(format!("Its output no longer goes to {log}: `promdrop test {name}` shows it."));
    }
    let is_strict = source.program.shell.iter().skip(1).any(|option| option.contains('e'));
    if printing.leaves || (is_strict && printing.goes_on) {
        notes.push(AFTERWARDS.to_owned());
    }
    notes.extend(circumstances(source));
    notes.extend(secret(&printing.text));
    if is_netstat_count(&source.program.text) {
        notes.push(NATIVE.to_owned());
    }
    notes.iter().map(|note| comment(note)).collect()
}

const AFTERWARDS: &str = "An `exit`, or what fails under `set -e`, decides behind the push on the exit status, for which cron \
                          did not ask: with another than 0 the run fails, unless `exit_statuses` has it.";

const STRIPPED: &str = "curl's -d sends a text without its newlines, or without the last, most of which a Pushgateway \
                        refuses; here the text is taken with all of them.";

/// What becomes of labels that the text has too.
fn overwritten(kept: &Pairs) -> String {
    let names: Vec<String> = kept.iter().map(|(name, _)| format!("`{name}`")).collect();
    let refused = if names.is_empty() { String::new() } else { format!(", and {} is refused", list(&names)) };
    format!("A `job` or `instance` in the text, which the Pushgateway overwrote, stays{refused}.")
}

/// What looks like a password in a text that all may read.
fn secret(text: &str) -> Option<String> {
    let with_password = text.split("://").skip(1).any(|rest| {
        let end =
            rest.find(|c: char| c == '/' || c.is_whitespace() || c == '"' || c == '\'').unwrap_or(rest.len());
        rest.get(..end).and_then(|host| host.split_once('@')).is_some_and(|(user, _)| user.contains(':'))
    });
    let upper = text.to_ascii_uppercase();
    let named = ["PASSWORD=", "TOKEN=", "SECRET="].iter().any(|name| upper.contains(name));
    (with_password || named).then(|| {
        "There may be a password in it: all may read this file and the arguments of what runs; see `secrets` in \
         promdrop.yaml(5)."
            .to_owned()
    })
}

const NATIVE: &str = "The module netstat gives the same number, as count_netstat_wait_connections, and needs no \
                      command: use one of the two in a directory, not both.";

/// Where it comes from, and when it ran.
fn origin(source: &Source<'_>, found: &Found<'_>) -> String {
    let program = source.program;
    let at = super::line_of(&program.text, found.simple.span.start);
    let from = match &program.path {
        Some(path) => format!("{}, which pushed in line {at} to", path.display()),
        None => "a command that pushed to".to_owned(),
    };
    let (group, told) = (curl::shown(&found.push.group), &source.timing.told);
    format!("From {from} {group}. {} of the crontab ran it: {told}.", capital(&lines(source.lines)))
}

fn circumstances(source: &Source<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let interval = source.timing.interval.unwrap_or_default();
    if interval > TIMEOUT {
        notes.push(format!(
            "cron had no time limit. Here it is ended after {}; a `timeout` may be as long as the interval.",
            duration(TIMEOUT)
        ));
    }
    let names: Vec<&str> = variables(source.environment).into_iter().map(|(name, _)| name).collect();
    if !names.is_empty() {
        notes.push(format!("From the crontab: {}.", list(&names)));
    }
    let is_secret = |name: &&str| {
        let name = name.to_ascii_uppercase();
        ["PASS", "TOKEN", "SECRET", "KEY"].iter().any(|word| name.contains(word))
    };
    let secrets: Vec<&str> = names.iter().copied().filter(is_secret).collect();
    if !secrets.is_empty() {
        let names = list(&secrets);
        notes.push(format!(
            "All may read this file: {names} may belong into `secrets`, see promdrop.yaml(5)."
        ));
    }
    let passed: Vec<&str> = source
        .environment
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| *name != "SHELL" && !names.contains(name))
        .collect();
    if !passed.is_empty() {
        let why = "promdrop mails nothing, and what cron alone reads has no meaning here";
        notes.push(format!("Not taken over: {}; {why}.", list(&passed)));
    }
    notes
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Whether a script counts what the module netstat counts natively.
pub fn is_netstat_count(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = words.join(" ").replace(['"', '\''], "");
    plain.contains("netstat -an | grep -i wait | wc -l") || plain.contains("netstat -an|grep -i wait|wc -l")
}
