//! A collector file that takes the place of crontab lines which push. Pure.

use super::curl::{self, Body, Method};
use super::names;
use super::program::{Environment, Program};
use super::pushes::{Found, Survey};
use super::rewrite::{Printing, printing};
use super::shell::{self, Script};
use super::timing::{LONGEST_INTERVAL, Timing};
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

/// The longest script that goes into a collector's file, which may have 1 MiB.
const LONGEST_SCRIPT: usize = 200 * 1024;

/// Variables that cron reads itself.
const OF_CRON: [&str; 8] =
    ["SHELL", "MAILTO", "MAILFROM", "LOGNAME", "USER", "CRON_TZ", "RANDOM_DELAY", "CONTENT_TYPE"];

/// The default timeout, in milliseconds.
const TIMEOUT: u64 = 10_000;

/// The push that a collector can take the place of.
///
/// # Errors
/// Why none can, to be read behind "it stays a push since".
pub fn fitting<'a, 'b>(source: &Source<'_>, survey: &'a Survey<'b>) -> Result<&'a Found<'b>, String> {
    let [found] = survey.pushes.as_slice() else {
        return Err(format!("there are {} pushes", survey.pushes.len()));
    };
    match source.timing.interval {
        None => return Err(format!("it runs {}, which is no interval", source.timing.told)),
        Some(interval) if interval > LONGEST_INTERVAL => {
            return Err(format!("it runs {}, and a collector has no time of day", source.timing.told));
        }
        Some(_) => {}
    }
    if source.program.text.len() > LONGEST_SCRIPT {
        return Err("the script is too long to stand in a collector's file".to_owned());
    }
    match (&found.push.body, found.push.method) {
        (_, Method::Delete) | (Body::Nothing, _) => return Err("it deletes a group".to_owned()),
        (Body::File(_) | Body::Inline(_) | Body::Stdin, _) => {}
    }
    if !found.is_unconditional() {
        return Err("the push is part of a condition, a loop, a function or a longer pipeline".to_owned());
    }
    if source.program.text.contains("BASH_SOURCE") {
        return Err("the script asks where its file is".to_owned());
    }
    labels(found).map(|_| found)
}

/// Names and values of labels.
type Pairs = Vec<(String, String)>;

/// The labels that stay, and what `job` and `instance` were.
fn labels(found: &Found<'_>) -> Result<(Pairs, Pairs), String> {
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
    let mut out = notes(source, found, &printing, &lost, name);
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
    lost: &[(String, String)],
    name: &str,
) -> String {
    let mut notes = vec![origin(source, found)];
    notes.extend(source.timing.remark.clone());
    let had: Vec<String> = lost.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    notes.push(format!(
        "Its series had {}; now they have the job and instance of this host's node_exporter.",
        list(&had)
    ));
    if let Some(aside) = printing.aside {
        notes.push(format!(
            "Only what was pushed is printed, to descriptor {aside}; whatever else the script prints goes to stderr."
        ));
    }
    if let Some(log) = &source.program.log {
        notes.push(format!("Its output no longer goes to {log}: `promdrop test {name}` shows it."));
    }
    if !ends_well(source.script, found) {
        notes.push(AFTERWARDS.to_owned());
    }
    notes.extend(circumstances(source));
    if is_netstat_count(&source.program.text) {
        notes.push(NATIVE.to_owned());
    }
    notes.iter().map(|note| comment(note)).collect()
}

const AFTERWARDS: &str = "What follows the push decides the exit status, for which cron did not ask: with another than \
                          0 the run fails, unless `exit_statuses` has it.";

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

/// Whether the script ends with the push, or says itself that all is well.
fn ends_well(script: &Script, found: &Found<'_>) -> bool {
    script.statements.last().is_none_or(|last| {
        let words = last
            .simple()
            .map(|simple| simple.words.iter().map(shell::Word::constant).collect::<Option<Vec<_>>>());
        let says_so = words.flatten().is_some_and(|words| words == ["exit", "0"] || words == ["true"]);
        last.span == found.statement.span || says_so
    })
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
