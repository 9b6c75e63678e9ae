//! One way to say what is wrong in a text: `path:line:col: message`, the source line, a caret, the cure.

use std::fmt::{self, Write as _};

/// Something wrong at one spot of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1. 0 where the problem is the file as a whole; then no source line is shown.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it; empty where the message says it all.
    pub cure: String,
}

impl Problem {
    /// A problem of a whole file.
    pub fn whole(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { line: 0, column: 0, message: message.into(), cure: cure.into() }
    }
}

/// Shows `problem` in `text` as found at `path`.
pub fn show<'a>(path: &'a str, text: &'a str, problem: &'a Problem) -> impl fmt::Display + 'a {
    let line = text.split('\n').nth(problem.line.wrapping_sub(1));
    let source = line.map(|line| {
        let caret =
            line.char_indices().nth(problem.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
        line.as_bytes().split_at_checked(caret).unwrap_or_default()
    });
    Shown { path, source, problem, effect: "" }
}

/// Shows `problem`, found at `path` between the two halves of a line, and what it does.
pub fn show_effect<'a>(
    path: &'a str,
    source: Option<(&'a [u8], &'a [u8])>,
    problem: &'a Problem,
    effect: &'a str,
) -> impl fmt::Display + 'a {
    Shown { path, source, problem, effect }
}

/// Writes each of `problems`, a line break between two: what a type that has them displays.
pub fn show_all(out: &mut fmt::Formatter<'_>, path: &str, text: &str, problems: &[Problem]) -> fmt::Result {
    for (i, problem) in problems.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", show(path, text, problem))?;
    }
    Ok(())
}

struct Shown<'a> {
    path: &'a str,
    /// The line before the caret, and from it on.
    source: Option<(&'a [u8], &'a [u8])>,
    problem: &'a Problem,
    effect: &'a str,
}

/// Characters of a source line that are shown; of longer ones, a window around the caret.
const WIDTH: usize = 100;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, column, message, cure } = self.problem;
        let (path, message) = (printable(self.path), printable(message));
        if *line == 0 {
            write!(out, "{path}: {message}")?;
        } else {
            write!(out, "{path}:{line}:{column}: {message}")?;
            if let Some((before, rest)) = self.source {
                let (before, rest) = window(before, rest);
                // A tab stays a tab under the caret, so that both lines are laid out alike.
                let before = printable(&before);
                let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                let rest = printable(rest.trim_end_matches('\r'));
                write!(out, "\n {number} | {before}{rest}\n {gutter} | {indent}^")?;
            }
        }
        if !self.effect.is_empty() {
            write!(out, "\n   = what happens: {}", self.effect)?;
        }
        if !cure.is_empty() {
            write!(out, "\n   = {}", printable(cure))?;
        }
        Ok(())
    }
}

/// What is shown of a line, looking at no more of it than that.
fn window(before: &[u8], rest: &[u8]) -> (String, String) {
    const LONGEST: usize = 4 * (WIDTH + 1);
    let near = before.get(before.len().saturating_sub(LONGEST)..).unwrap_or_default();
    let cut = if near.len() < before.len() {
        near.iter().take_while(|byte| **byte & 0xc0 == 0x80).count()
    } else {
        0
    };
    let before = String::from_utf8_lossy(near.get(cut..).unwrap_or_default());
    let rest = String::from_utf8_lossy(rest.get(..LONGEST).unwrap_or(rest));
    let count = before.chars().count();
    let is_long = count + rest.chars().count() > WIDTH;
    let skip = if is_long { count.saturating_sub(WIDTH / 2) } else { 0 };
    (before.chars().skip(skip).collect(), rest.chars().take(WIDTH - (count - skip)).collect())
}

/// `text` with control characters made visible, so that no file can write to a terminal, nor turn round what is read
/// there.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize) -> Problem {
        Problem { line, column, message: "bad".into(), cure: "mend it".into() }
    }

    #[test]
    fn points_at_the_spot() {
        let shown = show("a.yaml", "x: 1\n\ty: é2\n", &problem(2, 6)).to_string();
        assert_eq!(shown, "a.yaml:2:6: bad\n 2 | \ty: é2\n   | \t    ^\n   = mend it");
    }

    #[test]
    fn long_lines_are_windowed_around_the_caret() {
        let text = "x".repeat(5000) + "!" + &"y".repeat(5000);
        let shown = show("a", &text, &problem(1, 5001)).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].len() < 120, "{shown}");
        let caret = lines[2].find('^').unwrap();
        assert_eq!(&lines[1][caret..=caret], "!");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let quoting = Problem { message: "no `\x1b[2J`".into(), cure: "not \x07".into(), ..problem(1, 1) };
        let shown = show("a\x1b", "\x1b[2J\n", &quoting).to_string();
        assert!(!shown.contains('\x07'), "{shown:?}");
        assert!(!shown.contains('\x1b'), "{shown:?}");
        assert_eq!(printable("\u{202e}1\u{2066}é\t"), "\\u{202e}1\\u{2066}é\t");
    }

    #[test]
    fn the_caret_stands_under_what_was_made_visible_before_it() {
        let shown = show_effect("a", Some((b"\x1b\xff", b"!\r")), &problem(1, 3), "all is lost").to_string();
        assert_eq!(
            shown,
            "a:1:3: bad\n 1 | \\x1b\u{fffd}!\n   |      ^\n   = what happens: all is lost\n   = mend it"
        );
    }

    #[test]
    fn a_window_begins_with_a_whole_character() {
        for cut in 0..8 {
            let shown = window("é€".repeat(1000).get(5 * cut..).unwrap().as_bytes(), &[b'x'; 9000]);
            assert!(shown.0.starts_with(['é', '€']), "{shown:?}");
            assert_eq!((shown.0.chars().count(), shown.1.len()), (50, 50));
        }
    }

    #[test]
    fn a_line_past_the_end_is_no_panic() {
        assert_eq!(show("a", "", &problem(9, 9)).to_string(), "a:9:9: bad\n   = mend it");
    }
}
