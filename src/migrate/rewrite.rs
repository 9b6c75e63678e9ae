//! A script that pushes, as one that prints what it pushed. Pure.

use std::ops::Range;

use super::curl::Body;
use super::pushes::{Found, edited};
use super::shell::{Command, Kind, Redirect, Script, Simple, Statement, Word, quote_parts};

/// A script whose stdout is the exposition text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printing {
    /// Its text.
    pub text: String,
    /// The descriptor that stdout was put aside on, since the script prints other things too.
    pub aside: Option<u32>,
    /// Whether something behind the push may end it with a failure.
    pub leaves: bool,
    /// Whether anything stands behind the push.
    pub goes_on: bool,
}

/// Commands that print nothing where they are given arguments, none of which asks for more words.
const SILENT: [&str; 25] = [
    ":", "[", "cd", "chmod", "chown", "cp", "declare", "export", "kill", "let", "ln", "local", "mkdir", "mv",
    "read", "readonly", "rm", "rmdir", "set", "shopt", "sleep", "test", "touch", "typeset", "unset",
];

/// Commands that don't fail: the status of others, as of one without a match, was not that of the pipeline.
const FAITHFUL: [&str; 2] = ["echo", "printf"];

/// `text` without its shebang's line, the one push `found` in it replaced.
pub fn printing(text: &str, script: &Script, found: &Found<'_>) -> Printing {
    let prints = script
        .statements
        .iter()
        .any(|statement| statement.span != found.statement.span && may_print(statement));
    let aside = if prints { free_descriptor(text) } else { None };
    let body = edited(text, edits(text, found, aside));
    let body = match body.strip_prefix("#!") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, body)| body),
        None => &body,
    };
    let body = body.trim_end();
    let is_long = body.contains('\n') || text.contains('\n');
    let mut printed = match aside {
        Some(aside) if is_long => format!("exec {aside}>&1 1>&2\n{body}\n"),
        Some(aside) => format!("exec {aside}>&1 1>&2; {body}"),
        None if body.contains('\n') => format!("{body}\n"),
        None => body.to_owned(),
    };
    let ending = ending(script, found);
    if ending == Ending::Open {
        // cron did not ask for the status of what follows the push.
        printed = format!("{}\nexit 0\n", printed.trim_end());
    }
    Printing {
        text: printed,
        aside,
        leaves: ending != Ending::Good && may_leave(text, found),
        goes_on: ending != Ending::Good,
    }
}

/// Whether the script may end before its last line, behind the push.
fn may_leave(text: &str, found: &Found<'_>) -> bool {
    let behind = text.get(found.statement.span.end..).unwrap_or_default();
    let is_strict = ["set -e", "set -u", "errexit", "set -o"].iter().any(|sign| text.contains(sign));
    is_strict || ["exit", "exec", "trap"].iter().any(|sign| behind.contains(sign))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It ends with the push, or says itself that all is well.
    Good,
    /// It ends with a status of its own making.
    Exit,
    /// The last command's status is the script's.
    Open,
}

fn ending(script: &Script, found: &Found<'_>) -> Ending {
    let Some(last) = script.statements.last() else { return Ending::Good };
    let words = last.simple().map(|simple| simple.words.iter().map_while(Word::constant).collect::<Vec<_>>());
    let words: Vec<&str> = words.iter().flatten().map(String::as_str).collect();
    match words.as_slice() {
        _ if last.span == found.statement.span => Ending::Good,
        ["exit", "0"] | ["true"] if !last.joined => Ending::Good,
        ["exit", ..] if !last.joined => Ending::Exit,
        _ => Ending::Open,
    }
}

/// What takes the place of the push.
fn edits(text: &str, found: &Found<'_>, aside: Option<u32>) -> Vec<(Range<usize>, String)> {
    let simple = found.simple;
    let to = aside.map_or_else(String::new, |aside| format!(" >&{aside}"));
    let all = simple.span.clone();
    if let Body::Inline(parts) = &found.push.body {
        return vec![(all, format!("printf '%s\\n' {}{to}", quote_parts(parts)))];
    }
    if let Body::File(parts) = &found.push.body {
        return vec![(all, format!("cat {}{to}", quote_parts(parts)))];
    }
    let inputs = simple.redirects.iter().filter(|redirect| redirect.is_input());
    let inputs: String =
        inputs.filter_map(|redirect| Some(format!(" {}", text.get(redirect.span.clone())?))).collect();
    let before = found.place.checked_sub(1).and_then(|before| found.statement.commands.get(before));
    let pipe = found.place.checked_sub(1).and_then(|before| found.statement.pipes.get(before));
    match (before, pipe) {
        (Some(before), Some(pipe)) if inputs.is_empty() && is_faithful(before) => {
            let gap = text.get(pipe.end..all.start).unwrap_or_default();
            if gap.replace("\\\n", "").trim_matches([' ', '\t']).is_empty() {
                let before = text.get(..pipe.start).unwrap_or_default();
                return vec![(trimmed(before).len()..all.end, to)];
            }
            // The text of a here-document stands between them.
            vec![(pipe.clone(), to.trim_start().to_owned()), (all, String::new())]
        }
        // `cat` keeps what a pipeline's status and order of redirections were.
        _ => vec![(all, format!("cat{inputs}{to}"))],
    }
}

/// `text` without blanks and escaped newlines at its end.
fn trimmed(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t']);
    text.strip_suffix("\\\n").map_or(text, trimmed)
}

/// Whether the end of a pipeline may be what comes before the push.
fn is_faithful(command: &Command) -> bool {
    let Some(simple) = command.simple() else { return false };
    let is_known = simple.program().is_some_and(|program| FAITHFUL.contains(&program.as_str()));
    is_known && simple.redirects.iter().all(Redirect::is_input)
}

/// Whether a statement may write to the script's stdout.
fn may_print(statement: &Statement) -> bool {
    let Some(last) = statement.commands.last() else { return false };
    // It may lead stdout elsewhere for all that follows.
    if last.simple().and_then(Simple::program).is_some_and(|program| program == "exec") {
        return true;
    }
    // What is piped on is not printed.
    if last.redirects().iter().any(leads_away) {
        return false;
    }
    match last {
        Command::Simple(simple) => !is_silent(simple),
        Command::Compound(compound) => {
            // A function prints where it is called, and that is no silent command.
            compound.kind != Kind::Function && compound.body.iter().any(may_print)
        }
    }
}

fn leads_away(redirect: &Redirect) -> bool {
    let stdout = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    let is_stdout = match redirect.target.constant() {
        Some(target) => stdout.contains(&target.as_str()) || (redirect.operator == ">&" && target == "1"),
        // What it stands for may be one of these.
        None => true,
    };
    redirect.is_output() && !is_stdout
}

fn is_silent(simple: &Simple) -> bool {
    let bare = [":", "true", "false", "exit", "return", "shift"];
    let is_among = |names: &[&str]| simple.program().is_some_and(|program| names.contains(&program.as_str()));
    let asks = |word: &Word| {
        word.constant().is_some_and(|text| text.starts_with('-') && text.contains(['v', 'p', 'l']))
    };
    let is_asked = simple.words.len() > 1 && !simple.words.iter().skip(1).any(asks);
    simple.words.is_empty() || is_among(&bare) || (is_asked && is_among(&SILENT))
}

/// A descriptor that the script does not use.
fn free_descriptor(text: &str) -> Option<u32> {
    (3..10).find(|number| {
        let uses = [format!("{number}>"), format!("{number}<"), format!("&{number}")];
        !uses.iter().any(|used| text.contains(used))
    })
}

#[cfg(test)]
mod tests {
    use super::super::pushes::survey;
    use super::super::shell::parse;
    use super::*;

    const CURL: &str = "curl -s --data-binary @- http://gw:9091/metrics/job/a";

    #[track_caller]
    fn printed(text: &str) -> String {
        let text = text.replace("CURL", CURL);
        let script = parse(&text).unwrap();
        let survey = survey(&text, &script, &[]);
        assert_eq!((survey.pushes.len(), survey.unclear.as_slice()), (1, &[][..]), "{text}");
        printing(&text, &script, &survey.pushes[0]).text
    }

    #[test]
    fn the_push_is_taken_away() {
        for (text, expected) in [
            ("echo \"x 1\" | CURL", "echo \"x 1\""),
            ("echo \"x 1\" | CURL >/dev/null 2>&1", "echo \"x 1\""),
            ("a=1\necho \"x $a\" |\\\n  CURL\n", "a=1\necho \"x $a\"\n"),
            ("echo x 1 \\\n  \\\n  | CURL\nrm y", "echo x 1\nrm y\nexit 0\n"),
            ("echo a 1 |\nCURL\n", "echo a 1 \n\n".trim_end()),
            ("#!/bin/sh\ncat <<EOF | CURL\nx 1\nEOF\n", "cat <<EOF | cat\nx 1\nEOF\n"),
            ("echo 1 <<EOF | CURL\nx 1\nEOF\n", "echo 1 <<EOF\nx 1\nEOF\n"),
            ("echo x 1 | CURL\nls >/dev/null\n", "echo x 1\nls >/dev/null\nexit 0\n"),
            ("echo x 1 | CURL\nexit 0\n", "echo x 1\nexit 0\n"),
            ("echo x 1 | CURL\nexit $?\n", "echo x 1\nexit $?\n"),
            ("awk 1 x | CURL", "awk 1 x | cat"),
            ("CURL <<EOF\nx 1\nEOF\n", "cat <<EOF\nx 1\nEOF\n"),
            ("CURL </tmp/x", "cat </tmp/x"),
            (
                "rm -f $t; date >$t; curl --data-binary \"@$t\" gw/metrics/job/a",
                "exec 3>&1 1>&2; rm -f $t; date >$t; cat \"${t}\" >&3",
            ),
            ("CURL <<< 'x 1'", "cat <<< 'x 1'"),
            // grep's status was not the script's.
            ("grep -c a b | CURL", "grep -c a b | cat"),
            ("{ echo a 1; echo b 2; } | CURL", "{ echo a 1; echo b 2; } | cat"),
            ("echo x 2>&1 | CURL", "echo x 2>&1 | cat"),
            ("echo y | grep z >/tmp/y; echo x 1 | CURL", "echo y | grep z >/tmp/y; echo x 1"),
            ("curl -d \"x $a\" http://gw/metrics/job/a", "printf '%s\\n' \"x ${a}\""),
            ("wget -qO- --post-data='x 1' http://gw/metrics/job/a", "printf '%s\\n' 'x 1'"),
        ] {
            assert_eq!(printed(text), expected, "{text}");
        }
    }

    #[test]
    fn what_else_is_printed_goes_to_stderr() {
        for (text, expected) in [
            ("echo hi; echo x 1 | CURL", "exec 3>&1 1>&2; echo hi; echo x 1 >&3"),
            ("#!/bin/sh\necho hi\necho x 1 | CURL\n", "exec 3>&1 1>&2\necho hi\necho x 1 >&3\n"),
            ("ls | wc -l\ncat <<E | CURL\nx\nE\n", "exec 3>&1 1>&2\nls | wc -l\ncat <<E | cat >&3\nx\nE\n"),
            ("ls >/dev/stdout\necho x | CURL\n", "exec 3>&1 1>&2\nls >/dev/stdout\necho x >&3\n"),
            ("echo x 1 | CURL\necho done\n", "exec 3>&1 1>&2\necho x 1 >&3\necho done\nexit 0\n"),
            ("if a; then echo b; fi\nx | CURL\n", "exec 3>&1 1>&2\nif a; then echo b; fi\nx | cat >&3\n"),
            ("exec 3>/tmp/x\nfoo\necho x | CURL\n", "exec 4>&1 1>&2\nexec 3>/tmp/x\nfoo\necho x >&4\n"),
            ("exec >/dev/null\necho x | CURL\n", "exec 3>&1 1>&2\nexec >/dev/null\necho x >&3\n"),
            ("trap 'echo y' EXIT\necho x | CURL\n", "exec 3>&1 1>&2\ntrap 'echo y' EXIT\necho x >&3\n"),
            ("rm -vf y\necho x | CURL\n", "exec 3>&1 1>&2\nrm -vf y\necho x >&3\n"),
            (
                "foo >&1\ncurl -d 'x 1' http://gw/metrics/job/a",
                "exec 3>&1 1>&2\nfoo >&1\nprintf '%s\\n' 'x 1' >&3\n",
            ),
        ] {
            assert_eq!(printed(text), expected, "{text}");
        }
        for silent in
            ["f() { echo x; }", "a=$(ls)", "[ -e /x ] || exit 1", "foo >/dev/null", "foo >&2", "export A=1"]
        {
            let text = format!("{silent}\necho x 1 | CURL\n");
            assert_eq!(printed(&text), format!("{silent}\necho x 1\n"), "{silent}");
        }
    }
}
