//! Over blanks, comments and whatever has a closing sign of its own.

use std::ops::Range;

use super::Unknown;
use super::parse::Parser;

impl Parser<'_> {
    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    /// Passes `text` if it stands here.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    pub(super) fn next_char(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn unknown<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Unknown> {
        Err(Unknown { at, message: message.into() })
    }

    pub(super) fn slice(&self, span: Range<usize>) -> String {
        self.text.get(span).unwrap_or_default().to_owned()
    }

    /// Blanks, escaped newlines, a comment.
    pub(super) fn skip_blanks(&mut self) {
        while self.take(" ") || self.take("\t") || self.take("\\\n") {}
        let begins_word = self.at == 0
            || self
                .text
                .get(..self.at)
                .is_some_and(|t| t.ends_with([' ', '\t', '\n', ';', '&', '|', '(', ')']));
        if self.looking_at("#") && begins_word {
            let length = self.rest().find('\n').unwrap_or(self.rest().len());
            self.comments.push(self.at..self.at + length);
            self.at += length;
        }
    }

    /// Blanks, comments, newlines and the here-documents behind them.
    pub(super) fn skip_lines(&mut self) -> Result<(), Unknown> {
        loop {
            self.skip_blanks();
            if !self.newline()? {
                return Ok(());
            }
        }
    }

    /// Passes a newline, and the here-documents that begin there.
    pub(super) fn newline(&mut self) -> Result<bool, Unknown> {
        if !self.take("\n") {
            return Ok(false);
        }
        for document in std::mem::take(&mut self.pending) {
            let start = self.at;
            loop {
                let end = self.rest().find('\n').map_or(self.text.len(), |length| self.at + length);
                let line = self.slice(self.at..end);
                let line = if document.strips_tabs { line.trim_start_matches('\t') } else { &line };
                let is_last = line == document.delimiter;
                if is_last {
                    self.documents.push(start..self.at);
                }
                if !is_last && end == self.text.len() {
                    let message = format!("the here-document has no end `{}`", document.delimiter);
                    return self.unknown(document.at, message);
                }
                self.at = (end + 1).min(self.text.len());
                if is_last {
                    break;
                }
            }
        }
        Ok(true)
    }

    /// To behind the next `close`; a backslash hides one where `escapes`.
    pub(super) fn skip_to(&mut self, close: char, escapes: bool) -> Result<(), Unknown> {
        let start = self.at;
        while let Some(c) = self.next_char() {
            if c == close {
                return Ok(());
            }
            if c == '\\' && escapes {
                self.next_char();
            }
        }
        self.unknown(start, format!("there is no closing {close}"))
    }

    /// Behind `${`, to behind its `}`; behind `$((`, with two `)`.
    pub(super) fn skip_nested(&mut self, open: char, close: char) -> Result<(), Unknown> {
        let start = self.at;
        let mut depth = 1_usize;
        while let Some(c) = self.next_char() {
            match c {
                '\\' => drop(self.next_char()),
                '\'' if self.in_double_quotes => {
                    return self.unknown(self.at - 1, "a ' between \"${ and }\" is not followed here");
                }
                '\'' if open == '{' => self.skip_to('\'', false)?,
                '"' => self.skip_to('"', true)?,
                '`' => self.skip_to('`', true)?,
                '$' if self.take("(") => self.substitution()?,
                c if c == open => depth += 1,
                c if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        self.unknown(start, format!("there is no closing {close}"))
    }
}
