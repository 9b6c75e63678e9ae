//! A text, in memory or not, and places and pieces of it for messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::series::line_at;

/// A text, which need not be in memory as a whole. One that can't be read on seems to end there: whoever made it knows.
pub trait Text {
    /// Hands it to `take` from its start, in pieces of whole lines, until it breaks; only the last line may have no end.
    fn each(&mut self, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>);

    /// The line from byte `at` on, without its line feed; `None` where there is none.
    fn line(&mut self, at: usize) -> Option<Vec<u8>>;
}

impl Text for &[u8] {
    fn each(&mut self, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let _ = take(self);
    }

    fn line(&mut self, at: usize) -> Option<Vec<u8>> {
        (at < self.len()).then(|| line_at(self, at).to_vec())
    }
}

/// A place of a text, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line before the place; of a long one, the end.
    pub before: Vec<u8>,
    /// The line from the place on, without its line feed; of a long one, the start.
    pub rest: Vec<u8>,
}

/// The places of `text` that are `wanted`, by bytes from its start; those past its end are missing.
pub fn spots(text: &mut dyn Text, wanted: impl IntoIterator<Item = usize>) -> BTreeMap<usize, Spot> {
    let mut wanted: Vec<usize> = wanted.into_iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut found = BTreeMap::new();
    let mut wanted = wanted.into_iter().peekable();
    let (mut start, mut lines) = (0, 0);
    if wanted.peek().is_none() {
        return found;
    }
    text.each(&mut |piece| {
        let end = start + piece.len();
        let mut position = Position::new(piece);
        while let Some(at) = wanted.next_if(|at| *at < end) {
            let (line, column) = position.of(at - start);
            let (before, rest) = position.line();
            let spot = Spot { line: lines + line, column, before: before.to_vec(), rest: rest.to_vec() };
            found.insert(at, spot);
        }
        start = end;
        lines += memchr::memchr_iter(b'\n', piece).count();
        if wanted.peek().is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// Turns byte offsets into lines and columns. In rising order each byte is passed once.
#[derive(Debug)]
pub struct Position<'a> {
    text: &'a [u8],
    /// What was asked for last, and its line and column.
    at: usize,
    line: usize,
    column: usize,
    /// Where the line begins.
    start: usize,
}

impl<'a> Position<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, line: 1, column: 1, start: 0 }
    }

    /// The line and the column in characters of the byte at `at`, both from 1.
    pub fn of(&mut self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        if at < self.at {
            *self = Self::new(self.text);
        }
        let passed = self.text.get(self.at..at).unwrap_or_default();
        if let Some(last) = memchr::memrchr(b'\n', passed) {
            self.line += memchr::memchr_iter(b'\n', passed).count();
            self.start = self.at + last + 1;
            self.column = 1;
        }
        let before = self.text.get(self.start.max(self.at)..at).unwrap_or_default();
        self.column += before.utf8_chunks().map(characters).sum::<usize>();
        self.at = at;
        (self.line, self.column)
    }

    /// The line of the last place that was asked for, before it and from it on, without its line feed; of a long one, no
    /// more than anybody wants to see.
    pub fn line(&self) -> (&'a [u8], &'a [u8]) {
        const MOST: usize = 1000;
        let start = self.start.max(self.at.saturating_sub(MOST));
        let before = self.text.get(start..self.at).unwrap_or_default();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let rest = rest.get(..MOST).unwrap_or(rest);
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        (before, rest.get(..end).unwrap_or_default())
    }
}

/// How many characters the chunk becomes where it is shown.
fn characters(chunk: std::str::Utf8Chunk<'_>) -> usize {
    chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty())
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
    fn places_are_told_in_any_order() {
        let text = "a é\u{fffd}b\n\nlast";
        let mut position = Position::new(text.as_bytes());
        for (at, place, line) in [
            (0, (1, 1), "a é\u{fffd}b"),
            (4, (1, 4), "a é\u{fffd}b"),
            (8, (1, 6), "a é\u{fffd}b"),
            (9, (2, 1), ""),
            (12, (3, 3), "last"),
            (4, (1, 4), "a é\u{fffd}b"),
            (99, (3, 5), "last"),
        ] {
            assert_eq!(position.of(at), place, "{at}");
            let (before, rest) = position.line();
            assert_eq!([before, rest].concat(), line.as_bytes(), "{at}");
        }
        let mut broken = Position::new(b"\xff\xffx\n");
        assert_eq!(broken.of(2), (1, 3));
    }
}
