//! Words: quotes, backslashes and what begins with `$`.

use super::parse::Parser;
use super::{Part, Unknown, Word};

/// A word that grows.
#[derive(Default)]
struct Growing {
    parts: Vec<Part>,
    quoted: bool,
    expands: bool,
}

impl Growing {
    fn push(&mut self, c: char) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push(c),
            _ => self.parts.push(Part::Text(c.into())),
        }
    }

    fn push_all(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }
}

impl Parser<'_> {
    /// The word that begins here, if one does.
    pub(super) fn word(&mut self) -> Result<Option<Word>, Unknown> {
        let start = self.at;
        let mut word = Growing::default();
        while let Some(c) = self.peek() {
            match c {
                '<' | '>' if self.rest().chars().nth(1) == Some('(') => {
                    let start = self.at;
                    self.at += 2;
                    self.substitution()?;
                    word.parts.push(Part::Opaque(self.slice(start..self.at)));
                }
                '(' if self.is_array(start) => self.array(&mut word)?,
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                _ => self.piece(c, &mut word)?,
            }
        }
        if self.at == start {
            return Ok(None);
        }
        if word.parts.is_empty() {
            word.parts.push(Part::Text(String::new()));
        }
        let Growing { parts, quoted, expands } = word;
        // The command, which needs no `]` in its own word.
        let expands = expands && parts != [Part::Text("[".to_owned())];
        Ok(Some(Word { span: start..self.at, parts, bare: !quoted, expands }))
    }

    fn piece(&mut self, c: char, word: &mut Growing) -> Result<(), Unknown> {
        self.next_char();
        match c {
            '\\' => {
                word.quoted = true;
                match self.next_char() {
                    Some('\n') => {}
                    Some(c) => word.push(c),
                    None => word.push('\\'),
                }
            }
            '\'' => {
                let start = self.at;
                self.skip_to('\'', false)?;
                word.quoted = true;
                word.push_all(&self.slice(start..self.at - 1));
                if word.parts.is_empty() {
                    word.parts.push(Part::Text(String::new()));
                }
            }
            '"' => self.double_quoted(word)?,
            '`' => self.backticks(word)?,
            '$' if self.looking_at("'") => {
                let start = self.at - 1;
                self.at += 1;
                self.skip_to('\'', true)?;
                word.quoted = true;
                word.parts.push(Part::Opaque(self.slice(start..self.at)));
            }
            '$' => self.dollar(word)?,
            '*' | '?' | '[' | '~' | '{' => {
                word.expands = true;
                word.push(c);
            }
            c => word.push(c),
        }
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Growing) -> Result<(), Unknown> {
        let start = self.at;
        word.quoted = true;
        if word.parts.is_empty() {
            word.parts.push(Part::Text(String::new()));
        }
        loop {
            match self.next_char() {
                None => return self.unknown(start - 1, "there is no closing \""),
                Some('"') => return Ok(()),
                Some('\\') => match self.next_char() {
                    Some('\n') => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                    Some(c) => {
                        word.push('\\');
                        word.push(c);
                    }
                    None => {}
                },
                Some('$') => {
                    self.in_double_quotes = true;
                    self.dollar(word)?;
                    self.in_double_quotes = false;
                }
                Some('`') => self.backticks(word)?,
                Some(c) => word.push(c),
            }
        }
    }

    fn backticks(&mut self, word: &mut Growing) -> Result<(), Unknown> {
        let start = self.at - 1;
        self.skip_to('`', true)?;
        word.parts.push(Part::Opaque(self.slice(start..self.at)));
        Ok(())
    }

    /// What stands behind a `$`.
    fn dollar(&mut self, word: &mut Growing) -> Result<(), Unknown> {
        let start = self.at - 1;
        if self.take("((") {
            self.skip_nested('(', ')')?;
            if !self.take(")") {
                return self.unknown(start, "`$((` is not closed by `))`");
            }
        } else if self.take("(") {
            self.substitution()?;
        } else if self.take("{") {
            self.skip_nested('{', '}')?;
            let name = self.slice(start + 2..self.at - 1);
            if is_name(&name) {
                word.parts.push(Part::Variable(name));
                return Ok(());
            }
        } else {
            let letters = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let letters = letters.unwrap_or(self.rest().len());
            let first = self.peek();
            match first {
                Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                    self.at += letters;
                    word.parts.push(Part::Variable(self.slice(start + 1..self.at)));
                    return Ok(());
                }
                Some('0'..='9' | '@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
                _ => {
                    word.push('$');
                    return Ok(());
                }
            }
        }
        word.parts.push(Part::Opaque(self.slice(start..self.at)));
        Ok(())
    }

    /// Whether the `(` here begins the values of an array, `name=(`.
    fn is_array(&self, start: usize) -> bool {
        let name = self.text.get(start..self.at).and_then(|word| word.strip_suffix('='));
        name.is_some_and(|name| is_name(name.strip_suffix('+').unwrap_or(name)))
    }

    fn array(&mut self, word: &mut Growing) -> Result<(), Unknown> {
        let start = self.at;
        self.at += 1;
        loop {
            self.skip_lines()?;
            if self.take(")") {
                break;
            }
            if self.word()?.is_none() {
                return self.unknown(start, "there is no closing )");
            }
        }
        word.parts.push(Part::Opaque(self.slice(start..self.at)));
        Ok(())
    }
}

/// Whether `text` may be a variable's name.
pub fn is_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit())
}
