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
    Shown { path, text, problem }
}

struct Shown<'a> {
    path: &'a str,
    text: &'a str,
    problem: &'a Problem,
}

/// Characters of a source line that are shown; of longer ones, a window around the caret.
const WIDTH: usize = 100;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, column, message, cure } = self.problem;
        let (path, message, cure) = (printable(self.path), printable(message), printable(cure));
        if *line == 0 {
            write!(out, "{path}: {message}")?;
        } else {
            write!(out, "{path}:{line}:{column}: {message}")?;
            if let Some(source) = self.text.split('\n').nth(line - 1) {
                let skip = column.saturating_sub(WIDTH / 2 + 1);
                let skip = if source.chars().count() > WIDTH { skip } else { 0 };
                let shown: String = source.chars().skip(skip).take(WIDTH).collect();
                // A tab stays a tab under the caret, so that both lines are laid out alike.
                let indent: String = shown
                    .chars()
                    .take(column - 1 - skip)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                write!(
                    out,
                    "\n {number} | {}\n {gutter} | {indent}^",
                    printable(shown.trim_end_matches('\r'))
                )?;
            }
        }
        if !cure.is_empty() {
            write!(out, "\n   = {cure}")?;
        }
        Ok(())
    }
}

/// `text` with control characters made visible, so that no file can write to a terminal.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
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
    }

    #[test]
    fn a_line_past_the_end_is_no_panic() {
        assert_eq!(show("a", "", &problem(9, 9)).to_string(), "a:9:9: bad\n   = mend it");
    }
}
