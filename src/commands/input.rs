//! Exposition text from stdin, or from a job, made fit to be published.

use std::io::{self, Read as _};

use nix::errno::Errno;

use super::complain;
use crate::diagnostic::{Problem, show};
use crate::exposition::{self, Family, Labels, Repair};
use crate::textfile::MAX_FILE;

/// What to call the input in a message.
pub const STDIN: &str = "stdin";

/// What stdin holds, with `labels` added, fit to be published. Says what was repaired.
///
/// # Errors
/// All that is wrong with it, each at its place.
pub fn taken_in(labels: &Labels, allow_empty: bool) -> Result<Vec<Family>, String> {
    let (repairs, families) = given(STDIN, &read_stdin()?, labels, allow_empty);
    for repair in repairs {
        complain(format_args!("{STDIN}:{}: {repair}", repair.line));
    }
    families
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

/// All of stdin, if it is no larger than what may be published.
fn read_stdin() -> Result<Vec<u8>, String> {
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
