//! Places and pieces of a text for messages.

use std::borrow::Cow;

/// Turns byte offsets, given in rising order, into lines and columns.
#[derive(Debug)]
pub struct Position<'a> {
    text: &'a [u8],
    line: usize,
    /// Where the line begins.
    start: usize,
}

impl<'a> Position<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, line: 1, start: 0 }
    }

    /// The line and the column in characters of the byte at `at`, both from 1.
    pub fn of(&mut self, at: usize) -> (usize, usize) {
        let passed = self.text.get(self.start..at).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', passed).count();
        if let Some(last) = memchr::memrchr(b'\n', passed) {
            self.start += last + 1;
        }
        let before = self.text.get(self.start..at).unwrap_or_default();
        (self.line, String::from_utf8_lossy(before).chars().count() + 1)
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
