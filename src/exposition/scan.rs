//! One line of exposition text to its tokens: what stands there, and the first thing that can't.
//!
//! The scanner follows node_exporter's own parser (prometheus/common, expfmt/text_parse.go, v0.37.0 in node_exporter
//! 1.5.0, v0.62.0 in Debian's 1.9.0). It works on bytes, since comments need not be UTF-8; tokens are slices of the
//! line, and the labels of a sample share one buffer, so that a line costs no allocation.

use std::borrow::Cow;

use super::family::Kind;
use super::flaw::{Fault, Flaw};
use super::number::number;
use super::quoted::{self, Quoted};

/// Bytes of a line, and where in the line they begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub at: usize,
    pub bytes: &'a [u8],
}

impl<'a> Token<'a> {
    /// As text; only for tokens that are known to be UTF-8.
    pub fn str(self) -> &'a str {
        std::str::from_utf8(self.bytes).unwrap_or_default()
    }

    /// With its escapes resolved; only for HELP texts and label values that the scanner let pass.
    pub fn unescaped(self) -> Cow<'a, [u8]> {
        if !self.bytes.contains(&b'\\') {
            return Cow::Borrowed(self.bytes);
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut bytes = self.bytes.iter().copied();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'\\' => match bytes.next() {
                    Some(b'n') => b'\n',
                    escaped => escaped.unwrap_or(b'\\'),
                },
                byte => byte,
            });
        }
        Cow::Owned(out)
    }

    /// As [`unescaped`](Self::unescaped), as text.
    pub fn text(self) -> Cow<'a, str> {
        match self.unescaped() {
            Cow::Borrowed(_) => Cow::Borrowed(self.str()),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).unwrap_or_default()),
        }
    }
}

/// What a TYPE line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A kind.
    Kind(Kind),
    /// `gauge_histogram`, which node_exporter's parser knows and its textfile collector dies of.
    GaugeHistogram,
}

/// A label of a sample, its value still escaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub name: Token<'a>,
    pub value: Token<'a>,
}

/// What a line is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'a> {
    /// Nothing but blanks.
    Blank,
    /// A comment, or a HELP or TYPE that ends with the name, which node_exporter takes for one.
    Comment,
    /// HELP, its text still escaped; without text it only declares the family.
    Help { name: Token<'a>, text: Token<'a> },
    /// TYPE and where its word begins; without a word it only declares the family.
    Type { name: Token<'a>, kind: Option<(Word, usize)> },
    /// A sample; its labels are in the scanner.
    Sample { name: Token<'a>, value_at: usize, value: f64 },
    /// A sample with a name in quotes or without one, which 1.5.0 rejects; what 1.9.0 makes of it is in the scanner.
    Quoted,
    /// HELP of a name in quotes, likewise, which is in the scanner.
    QuotedHelp { name_at: usize, text: Token<'a> },
    /// TYPE of a name in quotes, likewise.
    QuotedType { name_at: usize, kind: Option<(Word, usize)> },
}

/// Takes lines apart.
#[derive(Debug, Default)]
pub(super) struct Scanner<'a> {
    /// The labels of the last sample.
    pub labels: Vec<Label<'a>>,
    /// The first thing in the last line that promdrop would have written otherwise.
    pub odd: Option<Fault>,
    /// What of the last line node_exporter takes, but all versions not alike, or not as it was meant.
    pub note: Option<Fault>,
    /// What 1.9.0 makes of the last line, where it has a name in quotes, or none.
    pub quoted: Quoted,
    /// The name of the last sample: the next one is mostly called the same.
    last: &'a [u8],
    /// Whether the whole text is known to be UTF-8, so that no part of it is looked at again.
    utf8: bool,
}

impl<'a> Scanner<'a> {
    /// One for the lines of `text`.
    pub fn of(text: &'a [u8]) -> Self {
        Self { utf8: text.is_ascii() || std::str::from_utf8(text).is_ok(), ..Self::default() }
    }

    /// Takes `line` apart, without its line feed.
    ///
    /// # Errors
    /// The first place where the line can't be read; nothing after it is known.
    #[inline]
    pub fn scan(&mut self, line: &'a [u8]) -> Result<Line<'a>, Fault> {
        self.odd = None;
        self.note = None;
        match self.alike(line) {
            Some(sample) => Ok(sample),
            None => self.scan_any(line),
        }
    }

    /// A sample with the name and the labels of the one before, only the values being others: most are, and this is
    /// faster than to look at each byte. `None`: it is not, or there is more to say of it.
    #[inline]
    fn alike(&mut self, line: &'a [u8]) -> Option<Line<'a>> {
        if self.last.is_empty() || !self.utf8 {
            return None;
        }
        let token = |rest: &'a [u8], length: usize| {
            let bytes = rest.get(..length)?;
            Some(Token { at: line.len() - rest.len(), bytes })
        };
        let name = token(line, self.last.len())?;
        let mut rest = line.strip_prefix(self.last)?;
        let mut before = b'{';
        for label in &mut self.labels {
            let (first, after) = rest.split_first()?;
            let name = token(after, label.name.bytes.len())?;
            let after = after.strip_prefix(label.name.bytes)?.strip_prefix(b"=\"")?;
            let value = token(after, until_quote(after))?;
            if *first != before || value.bytes.is_empty() {
                return None;
            }
            rest = after.get(value.bytes.len()..)?.strip_prefix(b"\"")?;
            *label = Label { name, value };
            before = b',';
        }
        if !self.labels.is_empty() {
            rest = rest.strip_prefix(b"}")?;
        }
        let value = rest.strip_prefix(b" ")?;
        let number = number(value).ok()?;
        Some(Line::Sample { name, value_at: line.len() - value.len(), value: number })
    }

    /// Any line.
    fn scan_any(&mut self, line: &'a [u8]) -> Result<Line<'a>, Fault> {
        self.labels.clear();
        let mut cursor = Cursor { line, at: 0, odd: &mut self.odd, note: &mut self.note, utf8: self.utf8 };
        cursor.blanks(b"");
        match cursor.peek() {
            None => {
                cursor.odd(0, "an empty line");
                Ok(Line::Blank)
            }
            Some(b'#') => cursor.comment(&mut self.quoted),
            Some(_) => {
                let start = cursor.at;
                match cursor.sample(&mut self.labels, self.last)? {
                    Some(sample) => {
                        if let Line::Sample { name, .. } = sample {
                            self.last = name.bytes;
                        }
                        Ok(sample)
                    }
                    None => {
                        cursor.at = start;
                        self.quoted = cursor.quoted()?;
                        Ok(Line::Quoted)
                    }
                }
            }
        }
    }
}

/// A place in a line.
struct Cursor<'a, 'b> {
    line: &'a [u8],
    at: usize,
    odd: &'b mut Option<Fault>,
    note: &'b mut Option<Fault>,
    utf8: bool,
}

impl<'a> Cursor<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn rest(&self) -> Token<'a> {
        Token { at: self.at, bytes: self.line.get(self.at..).unwrap_or_default() }
    }

    fn fail<T>(&self, flaw: Flaw) -> Result<T, Fault> {
        Err(Fault { at: self.at, flaw })
    }

    fn odd(&mut self, at: usize, what: &'static str) {
        self.odd.get_or_insert(Fault { at, flaw: Flaw::NotCanonical(what) });
    }

    /// Passes `byte` if it stands here.
    fn pass(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    #[inline]
    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> Token<'a> {
        let at = self.at;
        while self.line.get(self.at).is_some_and(|byte| keep(*byte)) {
            self.at += 1;
        }
        Token { at, bytes: self.line.get(at..self.at).unwrap_or_default() }
    }

    /// Passes blanks, of which promdrop would have written `canonical`.
    fn blanks(&mut self, canonical: &[u8]) {
        let Token { at, bytes } = self.take_while(is_blank);
        if bytes != canonical {
            self.odd(at, if canonical.is_empty() { "a blank" } else { "not one blank" });
        }
    }

    fn word(&mut self) -> Token<'a> {
        self.take_while(|byte| !is_blank(byte))
    }

    /// A metric name; empty where none stands.
    fn metric_name(&mut self) -> Token<'a> {
        match self.peek() {
            Some(b'0'..=b'9') => Token { at: self.at, bytes: b"" },
            _ => self.take_while(|byte| is_label_byte(byte) || byte == b':'),
        }
    }

    /// The name `last`, if it stands here.
    #[inline]
    fn same_name(&mut self, last: &[u8]) -> Option<Token<'a>> {
        let Token { at, bytes } = self.rest();
        let end = *bytes.strip_prefix(last)?.first()?;
        if last.is_empty() || end != b'{' && end != b' ' {
            return None;
        }
        self.at += last.len();
        Some(Token { at, bytes: bytes.get(..last.len())? })
    }

    /// A comment, HELP or TYPE; a name in quotes into `quoted`.
    fn comment(&mut self, quoted: &mut Quoted) -> Result<Line<'a>, Fault> {
        let start = self.at;
        self.pass(b'#');
        // A plain comment may begin as it likes; only HELP and TYPE are held to one blank.
        let gap = self.take_while(is_blank);
        let word = self.word();
        let is_help = match word.bytes {
            b"HELP" => true,
            b"TYPE" => false,
            _ => return Ok(Line::Comment),
        };
        if gap.bytes != b" " {
            self.odd(start + 1, "not one blank");
        }
        if self.peek().is_none() {
            self.odd(start, "HELP or TYPE without a name");
            return Ok(Line::Comment);
        }
        self.blanks(b" ");
        self.declaration(start, is_help, quoted)
    }

    /// HELP or TYPE, from the name on, of the line that begins at `start`.
    fn declaration(&mut self, start: usize, is_help: bool, quoted: &mut Quoted) -> Result<Line<'a>, Fault> {
        let name = self.metric_name();
        let is_quoted = self.peek() == Some(b'"');
        if is_quoted {
            self.at = name.at;
            let (text, length) =
                quoted::name(self.rest().bytes).ok_or(Fault { at: name.at, flaw: Flaw::MetaName })?;
            *quoted = Quoted { name: Some(text), ..Quoted::default() };
            self.at += length;
            self.note.get_or_insert(Fault { at: name.at, flaw: Flaw::QuotedName });
        }
        if self.peek().is_none() {
            self.odd(start, "HELP or TYPE with nothing after the name");
            return Ok(Line::Comment);
        }
        if name.bytes.is_empty() && !is_quoted || !self.peek().is_some_and(is_blank) {
            self.at = name.at;
            return self.fail(Flaw::MetaName);
        }
        self.blanks(b" ");
        let rest = self.rest();
        if rest.bytes.is_empty() {
            self.odd(start, "HELP or TYPE with nothing after the name");
        }
        if is_help {
            self.help_text()?;
            return Ok(match is_quoted {
                true => Line::QuotedHelp { name_at: name.at, text: rest },
                false => Line::Help { name, text: rest },
            });
        }
        let kind = if rest.bytes.is_empty() { None } else { Some((self.kind()?, rest.at)) };
        Ok(match is_quoted {
            true => Line::QuotedType { name_at: name.at, kind },
            false => Line::Type { name, kind },
        })
    }

    fn help_text(&mut self) -> Result<(), Fault> {
        loop {
            self.take_while(|byte| byte != b'\\');
            match self.line.get(self.at + 1) {
                _ if self.peek().is_none() => return Ok(()),
                Some(b'\\' | b'n') => self.at += 2,
                Some(b'"') => {
                    self.note.get_or_insert(Fault { at: self.at, flaw: Flaw::HelpQuote });
                    self.at += 2;
                }
                _ => return self.fail(Flaw::HelpEscape),
            }
        }
    }

    fn kind(&mut self) -> Result<Word, Fault> {
        let word = self.word();
        // node_exporter reads over backslashes.
        let text = std::str::from_utf8(word.bytes).unwrap_or_default().replace('\\', "");
        let lower: String = text.chars().map(lower_case).collect();
        let kind = match lower.as_str() {
            "gauge_histogram" | LATER_KIND => Some(Word::GaugeHistogram),
            lower => Kind::from_word(lower).map(Word::Kind),
        };
        let Some(kind) = kind else {
            self.at = word.at;
            return self.fail(Flaw::UnknownKind);
        };
        if self.peek().is_some() {
            return self.fail(Flaw::BlankAfterKind);
        }
        if lower == LATER_KIND {
            self.note.get_or_insert(Fault { at: word.at, flaw: Flaw::LaterKind });
        }
        if !matches!(kind, Word::Kind(kind) if kind.word().as_bytes() == word.bytes) {
            self.odd(word.at, "a kind not in lower case");
        }
        Ok(kind)
    }

    /// A sample, its labels into `labels`; `None` where quotes or braces stand for a name.
    fn sample(&mut self, labels: &mut Vec<Label<'a>>, last: &[u8]) -> Result<Option<Line<'a>>, Fault> {
        let name = self.same_name(last).unwrap_or_else(|| self.metric_name());
        if name.bytes.is_empty() {
            return match self.rest().bytes {
                [b'"' | b'{', ..] => Ok(None),
                [0, ..] => self.fail(Flaw::Nul),
                [0xEF, 0xBB, 0xBF, ..] => self.fail(Flaw::ByteOrderMark),
                _ => self.fail(Flaw::NoName),
            };
        }
        // node_exporter needs no blank here: it takes `c_a-1` for c_a with the value -1.
        let glued = match self.peek() {
            None => return self.fail(Flaw::NoValue),
            Some(b'"') => return Ok(None),
            Some(byte) => byte != b'{' && !is_blank(byte),
        };
        let gap = self.take_while(is_blank);
        if self.peek() == Some(b'{') {
            if !gap.bytes.is_empty() {
                self.odd(gap.at, "a blank before the labels");
            }
            if !self.labels(labels)? {
                return Ok(None);
            }
            self.blanks(b" ");
        } else if gap.bytes != b" " {
            self.odd(gap.at, "not one blank");
        }
        let (value_at, value) = self.value().map_err(|fault| match fault.flaw {
            Flaw::NotANumber if glued => Fault { flaw: Flaw::NameByte, ..fault },
            _ => fault,
        })?;
        if glued {
            self.note.get_or_insert(Fault { at: value_at, flaw: Flaw::GluedValue });
        }
        Ok(Some(Line::Sample { name, value_at, value }))
    }

    /// The value, and that nothing follows it.
    fn value(&mut self) -> Result<(usize, f64), Fault> {
        let token = self.word();
        if token.bytes.is_empty() {
            return self.fail(Flaw::NoValue);
        }
        let value = number(token.bytes).map_err(|flaw| Fault { at: token.at, flaw })?;
        if self.peek().is_some() {
            return self.after_value();
        }
        Ok((token.at, value))
    }

    /// A sample with a name in quotes, or without one.
    fn quoted(&mut self) -> Result<Quoted, Fault> {
        let start = self.at;
        let (quoted, length) =
            quoted::read(self.rest().bytes).ok_or(Fault { at: start, flaw: Flaw::BadQuotes })?;
        self.at += length;
        self.take_while(is_blank);
        self.odd(start, "a name in quotes");
        // Where there is no name, 1.9.0 may be dead before it comes to the value.
        if quoted.name.is_some() {
            self.value()?;
        }
        Ok(quoted)
    }

    /// The labels; `false` where one has a name with quotes.
    fn labels(&mut self, labels: &mut Vec<Label<'a>>) -> Result<bool, Fault> {
        let start = self.at;
        self.pass(b'{');
        loop {
            self.blanks(b"");
            if self.peek() == Some(b'}') {
                self.odd(
                    self.at,
                    if labels.is_empty() { "empty braces" } else { "a comma after the last label" },
                );
                self.pass(b'}');
                return Ok(true);
            }
            let name = match self.peek() {
                None => return Err(Fault { at: start, flaw: Flaw::OpenLabels }),
                Some(b'0'..=b'9') => return self.fail(Flaw::NoLabelName),
                Some(_) => self.take_while(is_label_byte),
            };
            if self.peek() == Some(b'"') {
                return Ok(false);
            }
            if name.bytes.is_empty() {
                return self.fail(Flaw::NoLabelName);
            }
            self.blanks(b"");
            if !self.pass(b'=') {
                return self.fail(Flaw::NoEquals);
            }
            self.blanks(b"");
            let value = self.label_value()?;
            labels.push(Label { name, value });
            self.blanks(b"");
            if self.pass(b'}') {
                return Ok(true);
            }
            if !self.pass(b',') {
                return match self.peek() {
                    None => Err(Fault { at: start, flaw: Flaw::OpenLabels }),
                    Some(_) => self.fail(Flaw::NoComma),
                };
            }
        }
    }

    fn label_value(&mut self) -> Result<Token<'a>, Fault> {
        let quote = self.at;
        if !self.pass(b'"') {
            return self.fail(Flaw::NoQuote);
        }
        let start = self.at;
        loop {
            self.at += until_quote(self.line.get(self.at..).unwrap_or_default());
            match (self.peek(), self.line.get(self.at + 1)) {
                (Some(b'"'), _) => break,
                (Some(_), Some(b'\\' | b'"' | b'n')) => self.at += 2,
                (Some(_), Some(_)) => return self.fail(Flaw::LabelEscape),
                _ => return Err(Fault { at: quote, flaw: Flaw::OpenValue }),
            }
        }
        let value = Token { at: start, bytes: self.line.get(start..self.at).unwrap_or_default() };
        if !self.utf8 && std::str::from_utf8(value.bytes).is_err() {
            return Err(Fault { at: quote, flaw: Flaw::LabelNotUtf8 });
        }
        if value.bytes.is_empty() {
            self.odd(quote, "a label with an empty value");
        }
        self.pass(b'"');
        Ok(value)
    }

    /// Whatever follows the value is wrong; says how.
    fn after_value<T>(&mut self) -> Result<T, Fault> {
        let gap = self.take_while(is_blank);
        let word = self.word();
        let digits = word.bytes.strip_prefix(b"-").or(word.bytes.strip_prefix(b"+")).unwrap_or(word.bytes);
        let flaw = match word.bytes.first() {
            None => Flaw::BlankAfterValue,
            Some(b'#') => Flaw::Exemplar,
            _ if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => Flaw::Timestamp,
            _ => Flaw::AfterValue,
        };
        Err(Fault { at: if flaw == Flaw::BlankAfterValue { gap.at } else { word.at }, flaw })
    }
}

/// OpenMetrics's word for a gauge histogram, which node_exporter knows from 1.10.0 on.
const LATER_KIND: &str = "gaugehistogram";

/// `c` as node_exporter compares it in a TYPE word. Go's strings.ToUpper turns letter by letter into upper case, which
/// for two letters beyond ASCII lies within it; Rust's to_uppercase would make ST of the one letter U+FB05, too.
fn lower_case(c: char) -> char {
    match c {
        '\u{131}' => 'i',
        '\u{17f}' => 's',
        c => c.to_ascii_lowercase(),
    }
}

/// How many bytes stand before a quote or a backslash.
#[inline]
fn until_quote(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(bytes) = rest.get(at..at + 8).and_then(|eight| eight.try_into().ok()) {
        let eight = u64::from_le_bytes(bytes);
        let found = zero_byte(eight ^ splat(b'"')) | zero_byte(eight ^ splat(b'\\'));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = rest.get(at..).unwrap_or_default();
    at + tail.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(tail.len())
}

const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of the lowest byte that is zero; of bytes above that one, nothing is told.
const fn zero_byte(eight: u64) -> u64 {
    eight.wrapping_sub(splat(1)) & !eight & splat(0x80)
}

/// Blank is space and tab only; all else that looks empty is a byte like any other.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Which bytes a label name is made of.
const LABEL_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        #[expect(clippy::indexing_slicing, reason = "at compile time")]
        let here = &mut table[byte];
        *here = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

pub(super) fn is_label_byte(byte: u8) -> bool {
    LABEL_BYTES.get(usize::from(byte)).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests;
