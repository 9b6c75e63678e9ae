//! Places and pieces of a text for messages.

use std::borrow::Cow;

/// Turns byte offsets, given in rising order, into lines and columns.
#[derive(Debug)]
pub struct Position<'a> {
    text: &'a [u8],
    line: usize,
    /// Where the line begins.
    start: usize,
    /// The place that was asked for last, and how many characters stand before it in its line: lines may be long, and
    /// many places in one.
    at: usize,
    before: usize,
}

impl<'a> Position<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, line: 1, start: 0, at: 0, before: 0 }
    }

    /// The line and the column in characters of the byte at `at`, both from 1.
    pub fn of(&mut self, at: usize) -> (usize, usize) {
        if at < self.at {
            (self.at, self.before) = (self.start, 0);
        }
        let passed = self.text.get(self.at..at).unwrap_or_default();
        if let Some(last) = memchr::memrchr(b'\n', passed) {
            self.line += memchr::memchr_iter(b'\n', passed).count();
            self.start = self.at + last + 1;
            (self.at, self.before) = (self.start, 0);
        }
        let passed = self.text.get(self.at..at).unwrap_or_default();
        self.before += String::from_utf8_lossy(passed).chars().count();
        self.at += passed.len();
        (self.line, self.before + 1)
    }

    /// The line of the last place that was asked for, without its line feed.
    pub fn line(&self) -> &'a [u8] {
        let rest = self.text.get(self.start..).unwrap_or_default();
        rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default()
    }
}

/// `text`, cut where it is too long for a message.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_in_characters() {
        let text = "é=1\nüü x\n\ny".as_bytes();
        let mut position = Position::new(text);
        for (at, expected, line) in [
            (0, (1, 1), "é=1"),
            (2, (1, 2), "é=1"),
            (2, (1, 2), "é=1"),
            (4, (1, 4), "é=1"),
            (5, (2, 1), "üü x"),
            (9, (2, 3), "üü x"),
            (10, (2, 4), "üü x"),
            // Back, but in the same line.
            (7, (2, 2), "üü x"),
            (12, (3, 1), ""),
            (14, (4, 2), "y"),
        ] {
            assert_eq!(position.of(at), expected, "{at}");
            assert_eq!(position.line(), line.as_bytes(), "{at}");
        }
    }
}
