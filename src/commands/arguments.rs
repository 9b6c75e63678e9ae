//! What several subcommands are told in the same way: names, labels, ages, and exposition text.

use std::io::{self, Read as _};
use std::time::Duration;

use nix::errno::Errno;

use crate::config::fields::{Stem, misfit, parse_duration, parse_label};
use crate::config::header::LONGEST_MAX_AGE;
use crate::config::yaml::Wrong;
use crate::diagnostic::{Problem, show};
use crate::exposition::{self, Family, Labels, Repair};
use crate::textfile::MAX_FILE;

/// Shorter, a file would be gone before anyone reads it.
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(1);

/// What to call the input in a message.
pub const STDIN: &str = "stdin";

/// The name of a file without `.prom`.
///
/// # Errors
/// Where it can't be one.
pub fn stem(text: &str) -> Result<Stem, Wrong> {
    Stem::parse(text).map_err(|wrong| match text.strip_suffix(".prom").map(Stem::parse) {
        Some(Ok(stem)) => Wrong::new("the name is given without `.prom`", format!("write `{stem}`")),
        _ => wrong,
    })
}

/// Labels as `NAME=VALUE`.
///
/// # Errors
/// Where one can't be used, or is there twice.
pub fn labels(texts: &[String]) -> Result<Labels, Wrong> {
    let mut labels = Labels::new();
    for text in texts {
        let (name, value) = parse_label(text)?;
        if labels.iter().any(|(taken, _)| *taken == name) {
            return Err(Wrong::new(format!("the label `{name}` is given twice"), "give it once"));
        }
        labels.push((name.into(), value.into()));
    }
    Ok(labels)
}

/// An age at which numbers are removed.
///
/// # Errors
/// Where it is no duration, or out of range.
pub fn max_age(text: &str) -> Result<Duration, Wrong> {
    let age = parse_duration(text)?;
    let Some(fault) = misfit(age, SHORTEST_MAX_AGE, LONGEST_MAX_AGE) else { return Ok(age) };
    Err(Wrong::new(
        format!("an age of {text} is too {fault}"),
        "an age is 1s to 35days; `m` is a minute, `M` a month",
    ))
}

/// All of stdin, if it is no larger than what may be published.
///
/// # Errors
/// Where it is, or can't be read.
pub fn read_stdin() -> Result<Vec<u8>, String> {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(MAX_FILE as u64 + 1).read_to_end(&mut input);
    let problem = match read {
        Ok(_) if input.len() <= MAX_FILE => return Ok(input),
        Ok(_) => Problem::whole(
            format!("there is more than the {MAX_FILE} bytes allowed"),
            "print fewer series, or split them over several names",
        ),
        Err(error) => {
            let errno = error.raw_os_error().map(Errno::from_raw);
            let reason = errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_lowercase());
            Problem::whole(format!("can't be read: {reason}"), "")
        }
    };
    Err(show(STDIN, "", &problem).to_string())
}

/// What `input`, called `what` in messages, holds, fit to be published with `labels`; or else all that is wrong with it.
/// With it comes what was repaired.
pub fn given(
    what: &str,
    input: &[u8],
    labels: &Labels,
    allow_empty: bool,
) -> (Vec<Repair>, Result<Vec<Family>, String>) {
    let (text, repairs) = exposition::repair(input);
    let mut problems = exposition::misfits(&text, labels);
    let mut families = match exposition::read(&text) {
        Ok(families) if families.is_empty() && !allow_empty => {
            let cure = "see why the command printed none, or allow it with --allow-empty";
            problems.push(Problem::whole("there are no samples", cure));
            Vec::new()
        }
        Ok(families) => families,
        Err(found) => {
            problems.extend(found);
            Vec::new()
        }
    };
    if problems.is_empty() {
        // The misfits have told of every label that could be in the way.
        let added = exposition::add_labels(&mut families, labels);
        let told = added.map_err(|label| format!("{what}: the label `{label}` is there already"));
        return (repairs, told.map(|()| families));
    }
    // In the order of the text; what has no place in it comes last.
    problems.sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
    let text = String::from_utf8_lossy(&text);
    let shown: Vec<String> = problems.iter().map(|problem| show(what, &text, problem).to_string()).collect();
    (repairs, Err(shown.join("\n")))
}

/// A duration from `low` to `high`.
///
/// # Errors
/// Where it is none, or out of range.
pub fn duration(text: &str, low: Duration, high: Duration) -> Result<Duration, Wrong> {
    let duration = parse_duration(text)?;
    let Some(fault) = misfit(duration, low, high) else { return Ok(duration) };
    let cure = format!(
        "give {} to {}; `m` is a minute, `M` a month",
        humantime::format_duration(low),
        humantime::format_duration(high)
    );
    Err(Wrong::new(format!("{text} is too {fault}"), cure))
}
