//! Whether a collector can take the place of lines that push. Pure.

use super::collector::{self, Source};
use super::curl::{Body, Method};
use super::program::Program;
use super::pushes::{Found, Survey};
use super::shell::{Command, Part, Script, Simple, Statement, Word};
use super::timing::LONGEST_INTERVAL;

/// The longest script that goes into a collector's file: it becomes one argument, which Linux limits to 128 KiB.
const LONGEST_SCRIPT: usize = 100 << 10;

/// What a script can't have where it is no file of its own, or no longer pushes, and why.
const STRANGE: [(&str, &str); 8] = [
    ("\r", "there is a carriage return in the script, which is part of a word there"),
    ("\u{fffd}", "the script is not UTF-8"),
    ("alias curl", OWN_CURL),
    ("function curl", OWN_CURL),
    ("curl()", OWN_CURL),
    ("curl ()", OWN_CURL),
    ("BASH_SOURCE", "the script asks where its file is"),
    ("PIPESTATUS", "the script asks for PIPESTATUS, which is another without the push"),
];

const OWN_CURL: &str = "the script has a curl of its own";

/// The push that a collector can take the place of.
///
/// # Errors
/// Why none can, to be read behind "No collector:".
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
    match (&found.push.body, found.push.method) {
        (_, Method::Delete) | (Body::Nothing, _) => return Err("it deletes a group".to_owned()),
        (Body::File(_) | Body::Inline(_) | Body::Stdin, _) => {}
    }
    if found.push.keeps {
        return Err("the push shows or keeps the answer of the Pushgateway, which there is none of any more"
            .to_owned());
    }
    if !found.is_unconditional() {
        return Err("the push is part of a condition, a loop, a function or a longer pipeline".to_owned());
    }
    text(source.program, source.script)?;
    collector::labels(found).map(|_| found)
}

fn text(program: &Program, script: &Script) -> Result<(), String> {
    if program.is_private {
        let why = "not everyone may read the script, as everyone may a collector's file and the arguments of what runs; \
                   make one by hand, see `secrets` in promdrop.yaml(5), or change the script";
        return Err(why.to_owned());
    }
    if program.text.len() > LONGEST_SCRIPT {
        return Err("the script is too long to stand in a collector's file".to_owned());
    }
    if let Some((_, why)) = STRANGE.iter().find(|(sign, _)| program.text.contains(sign)) {
        return Err((*why).to_owned());
    }
    let substituted = ["$($0", "$(\"$0", "`$0", "`\"$0"].iter().any(|sign| program.text.contains(sign));
    if substituted || executes_itself(&script.statements) {
        return Err("the script perhaps executes itself, as `$0`, and that pushes".to_owned());
    }
    Ok(())
}

/// Programs that only look at the name they are given.
const HARMLESS: [&str; 9] =
    ["dirname", "basename", "readlink", "realpath", "echo", "printf", "logger", "test", "["];

fn executes_itself(statements: &[Statement]) -> bool {
    statements.iter().flat_map(|statement| &statement.commands).any(|command| match command {
        Command::Compound(compound) => executes_itself(&compound.body),
        Command::Simple(simple) => simple.assignments.iter().chain(words(simple)).any(is_own_name),
    })
}

fn words(simple: &Simple) -> &[Word] {
    let is_harmless = simple.program().is_some_and(|program| HARMLESS.contains(&program.as_str()));
    if is_harmless { &[] } else { &simple.words }
}

fn is_own_name(word: &Word) -> bool {
    word.parts.iter().any(|part| matches!(part, Part::Opaque(raw) if raw == "$0" || raw == "${0}"))
}
