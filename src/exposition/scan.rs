//! One line of exposition text to its tokens: what stands there, and the first thing that can't.
//!
//! The scanner follows node_exporter's own parser (prometheus/common, expfmt/text_parse.go, v0.37.0 in node_exporter
//! 1.5.0, v0.62.0 in Debian's 1.9.0). It works on bytes, since comments need not be UTF-8; tokens are slices of the
//! line, and the labels of a sample share one buffer, so that a line costs no allocation.

use std::borrow::Cow;

use super::family::Kind;
use super::quoted::{self, Quoted};
use super::rules::Rule;

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

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    // The line as a whole.
    Cut,
    Nul,
    ByteOrderMark,
    CarriageReturn,
    // The name of a sample.
    NoName,
    BadQuotes,
    QuotedName,
    NameByte,
    // Its labels.
    NoLabelName,
    NoEquals,
    NoQuote,
    OpenValue,
    LabelEscape,
    LabelNotUtf8,
    NoComma,
    OpenLabels,
    // Its value, and what follows.
    NoValue,
    NotANumber,
    Hexadecimal,
    SignedNan,
    Overflow,
    BlankAfterValue,
    Timestamp,
    Exemplar,
    AfterValue,
    GluedValue,
    // HELP and TYPE.
    MetaName,
    HelpEscape,
    HelpQuote,
    UnknownKind,
    LaterKind,
    BlankAfterKind,
    // Found across lines.
    SecondHelp,
    SecondType,
    LateType,
    // Fine for node_exporter, but not what promdrop writes.
    NotCanonical(&'static str),
}

impl Flaw {
    /// The message and the cure; `quoted` is the start of what stands at the place.
    pub fn describe(self, quoted: &str) -> (String, &'static str) {
        let name_cure = "a sample begins with a name of letters, digits, `_` and `:`, no digit first; a comment begins with `#`";
        let label_cure = "write labels as {name=\"value\",other=\"value\"}; a name has letters, digits and `_`, no digit first";
        let number_cure = "write a decimal number, NaN, +Inf or -Inf";
        let kinds = "the kinds are counter, gauge, histogram, summary and untyped";
        let utf8 = "print UTF-8, or set a UTF-8 locale for the command";
        let once = "a family has one HELP and one TYPE line: remove this one";
        match self {
            Flaw::Cut => (
                "the last line has no end: was the output cut?".into(),
                "end every line, the last one too, with a newline",
            ),
            Flaw::Nul => ("a NUL byte: was the file not written whole?".into(), "write the text anew"),
            Flaw::ByteOrderMark => {
                ("a byte order mark".into(), "save the text as UTF-8 without a byte order mark")
            }
            Flaw::CarriageReturn => {
                ("the line ends in CR LF".into(), "end all lines with LF alone, for example with dos2unix")
            }
            Flaw::NoName => (format!("no metric name at `{quoted}`"), name_cure),
            Flaw::BadQuotes => (
                "a sample that begins with a quote or a brace, and is not even one for newer versions".into(),
                "write name{label=\"value\"} 1, the names without quotes",
            ),
            Flaw::QuotedName => {
                ("a name in quotes after HELP or TYPE".into(), "write the name without quotes")
            }
            Flaw::NameByte => (
                format!(
                    "`{quoted}` can't be part of a metric name, and without a blank before it is no value either"
                ),
                "use `_` in names; put a blank before the value",
            ),
            Flaw::NoLabelName => (format!("no label name at `{quoted}`"), label_cure),
            Flaw::NoEquals => (format!("no `=` after the label name, but `{quoted}`"), label_cure),
            Flaw::NoQuote => ("the label value is not in double quotes".into(), label_cure),
            Flaw::OpenValue => (
                "the label value has no closing quote".into(),
                "close it on the same line; write a quote in it as `\\\"`, a line feed as `\\n`",
            ),
            Flaw::LabelEscape => (
                format!("`{quoted}` is no escape of a label value"),
                "only `\\\\`, `\\\"` and `\\n` are; write a backslash as `\\\\`",
            ),
            Flaw::LabelNotUtf8 => ("the label value is not UTF-8".into(), utf8),
            Flaw::NoComma => (format!("no `,` or `}}` after the label value, but `{quoted}`"), label_cure),
            Flaw::OpenLabels => ("the labels have no closing `}`".into(), label_cure),
            Flaw::NoValue => ("the sample has no value".into(), number_cure),
            Flaw::NotANumber => (format!("`{quoted}` is no number"), number_cure),
            Flaw::Hexadecimal => {
                (format!("`{quoted}` is hexadecimal, which node_exporter rejects"), number_cure)
            }
            Flaw::SignedNan => ("NaN has no sign".into(), "write NaN"),
            Flaw::Overflow => (format!("`{quoted}` is larger than a 64-bit float can be"), number_cure),
            Flaw::BlankAfterValue => ("blanks after the value".into(), "end the line right after the value"),
            Flaw::Timestamp => (
                "a timestamp: node_exporter drops a file that holds one".into(),
                "print the value alone; node_exporter takes the time of the scrape",
            ),
            Flaw::Exemplar => ("an exemplar, which only OpenMetrics has".into(), "print the value alone"),
            Flaw::AfterValue => (
                format!("`{quoted}` after the value"),
                "print one sample a line, and nothing after its value",
            ),
            Flaw::GluedValue => (
                format!("no blank before `{quoted}`: node_exporter takes it for the value"),
                "put a blank between the name and the value; use `_` in names",
            ),
            Flaw::MetaName => (
                format!("no metric name after HELP or TYPE, but `{quoted}`"),
                "write `# HELP name text` or `# TYPE name kind`; begin a comment with another word",
            ),
            Flaw::HelpEscape => (
                format!("`{quoted}` is no escape of a HELP text"),
                "only `\\\\` and `\\n` are; write a backslash as `\\\\`, and a quote as it is",
            ),
            Flaw::HelpQuote => (
                "a quote with a backslash before it in HELP".into(),
                "write the quote as it is, without a backslash",
            ),
            Flaw::UnknownKind => (format!("`{quoted}` is no kind of metric"), kinds),
            Flaw::LaterKind => (format!("`{quoted}` is a kind for later node_exporters only"), kinds),
            Flaw::BlankAfterKind => {
                ("something after the kind".into(), "end the TYPE line right after the kind")
            }
            Flaw::SecondHelp => ("a second HELP of this family".into(), once),
            Flaw::SecondType => ("a second TYPE of this family".into(), once),
            Flaw::LateType => {
                ("TYPE after samples of this family".into(), "print TYPE before the family's samples")
            }
            Flaw::NotCanonical(what) => (format!("not as promdrop writes it: {what}"), ""),
        }
    }

    /// The rule it breaks.
    pub fn rule(self) -> Rule {
        match self {
            Flaw::Cut => Rule::UnendedLine,
            Flaw::Nul => Rule::NulByte,
            Flaw::ByteOrderMark => Rule::ByteOrderMark,
            Flaw::CarriageReturn => Rule::CarriageReturn,
            Flaw::NoName | Flaw::NameByte | Flaw::BadQuotes | Flaw::MetaName => Rule::MetricName,
            Flaw::QuotedName => Rule::QuotedName,
            Flaw::NoLabelName
            | Flaw::NoEquals
            | Flaw::NoQuote
            | Flaw::OpenValue
            | Flaw::NoComma
            | Flaw::OpenLabels => Rule::LabelSyntax,
            Flaw::LabelEscape => Rule::LabelEscape,
            Flaw::LabelNotUtf8 => Rule::LabelUtf8,
            Flaw::NoValue | Flaw::NotANumber | Flaw::Hexadecimal | Flaw::SignedNan | Flaw::Overflow => {
                Rule::Value
            }
            Flaw::BlankAfterValue | Flaw::Exemplar | Flaw::AfterValue => Rule::AfterValue,
            Flaw::Timestamp => Rule::Timestamp,
            Flaw::GluedValue => Rule::GluedValue,
            Flaw::HelpEscape => Rule::HelpEscape,
            Flaw::HelpQuote => Rule::HelpQuote,
            Flaw::UnknownKind | Flaw::BlankAfterKind => Rule::TypeWord,
            Flaw::LaterKind => Rule::LaterKind,
            Flaw::SecondHelp => Rule::SecondHelp,
            Flaw::SecondType => Rule::SecondType,
            Flaw::LateType => Rule::LateType,
            Flaw::NotCanonical(_) => Rule::NotCanonical,
        }
    }
}

/// A flaw and its place, in bytes from the start of what was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub flaw: Flaw,
}

/// A number as node_exporter reads it: what Go's strconv.ParseFloat takes, without hexadecimal and underscores.
pub(super) fn number(bytes: &[u8]) -> Result<f64, Flaw> {
    // What most values are: exact in a float, however they are added up.
    if bytes.len() <= 15 && !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
        let whole = bytes.iter().fold(0_u64, |whole, digit| whole * 10 + u64::from(digit - b'0'));
        return Ok(whole as f64);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::NotANumber)?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value: f64 = text.parse().map_err(|_| match unsigned.get(..2) {
        Some("0x" | "0X") => Flaw::Hexadecimal,
        _ => Flaw::NotANumber,
    })?;
    // Where Rust differs from Go: it takes a signed NaN, and rounds what is too large to infinity.
    if value.is_nan() && unsigned.len() < text.len() {
        return Err(Flaw::SignedNan);
    }
    if value.is_infinite() && unsigned.starts_with(|c: char| !c.is_ascii_alphabetic()) {
        return Err(Flaw::Overflow);
    }
    Ok(value)
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
    pub fn scan(&mut self, line: &'a [u8]) -> Result<Line<'a>, Fault> {
        self.labels.clear();
        self.odd = None;
        self.note = None;
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

/// How many bytes stand before a quote or a backslash. Most values are shorter than it takes to call for help.
#[inline]
fn until_quote(rest: &[u8]) -> usize {
    const SHORT: usize = 16;
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\');
    let head = rest.get(..SHORT).unwrap_or(rest);
    match head.iter().position(is_end) {
        Some(length) => length,
        None => {
            let tail = rest.get(head.len()..).unwrap_or_default();
            head.len() + memchr::memchr2(b'"', b'\\', tail).unwrap_or(tail.len())
        }
    }
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
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_gos_parsefloat() {
        for (text, value) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1E+5", 1e5),
            ("00012", 12.0),
            ("inf", f64::INFINITY),
            ("-iNfInItY", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("1e-99999999999999999999", 0.0),
        ] {
            assert_eq!(number(text.as_bytes()), Ok(value), "{text}");
        }
        assert!(number(b"nAn").unwrap().is_nan());
        for (text, flaw) in [
            ("", Flaw::NotANumber),
            (".", Flaw::NotANumber),
            ("-", Flaw::NotANumber),
            ("1e", Flaw::NotANumber),
            ("1_000", Flaw::NotANumber),
            ("1 ", Flaw::NotANumber),
            ("1,5", Flaw::NotANumber),
            ("0x10", Flaw::Hexadecimal),
            ("-0X1p-2", Flaw::Hexadecimal),
            ("+NaN", Flaw::SignedNan),
            ("-nan", Flaw::SignedNan),
            ("1e309", Flaw::Overflow),
            ("-1e99999999999999999999", Flaw::Overflow),
        ] {
            assert_eq!(number(text.as_bytes()), Err(flaw), "{text}");
        }
    }

    #[test]
    fn kinds_are_those_of_gos_toupper() {
        let mut scanner = Scanner::default();
        let mut kind = |word: &str| match scanner.scan(format!("# TYPE c_a {word}").leak().as_bytes()) {
            Ok(Line::Type { kind: Some((word, _)), .. }) => Some(word),
            _ => None,
        };
        for word in ["histogram", "hIstogRAM", "hi\u{17f}togram", "h\u{131}stogram", "\\histo\\gram\\"] {
            assert_eq!(kind(word), Some(Word::Kind(Kind::Histogram)), "{word}");
        }
        for word in ["hi\u{fb05}ogram", "hi\u{fb06}ogram", "histogram\u{e9}", "stateset"] {
            assert_eq!(kind(word), None, "{word}");
        }
        assert_eq!(kind("GaugeHistogram"), Some(Word::GaugeHistogram));
    }

    #[test]
    fn a_sample_is_taken_apart_where_it_stands() {
        let mut scanner = Scanner::default();
        let line = scanner.scan(b" c_a { x = \"a\\\"}\" , } -1e3").unwrap();
        let Line::Sample { name, value_at, value } = line else { panic!("{line:?}") };
        assert_eq!((name.at, name.str(), value_at, value), (1, "c_a", 22, -1000.0));
        let [label] = &scanner.labels[..] else { panic!("{:?}", scanner.labels) };
        assert_eq!((label.name.at, label.name.str()), (7, "x"));
        assert_eq!((label.value.at, label.value.text().as_ref()), (12, "a\"}"));
        assert_eq!(scanner.odd, Some(Fault { at: 0, flaw: Flaw::NotCanonical("a blank") }));
    }

    #[test]
    fn what_promdrop_writes_is_not_odd() {
        let mut scanner = Scanner::default();
        for line in [
            "# HELP c_a a \\\\ \\n \"b\"",
            "# TYPE c_a gauge",
            "c_a 1",
            "c_a{x=\"1\",y=\"2\"} NaN",
            "# promdrop 1",
        ] {
            scanner.scan(line.as_bytes()).unwrap();
            assert_eq!(scanner.odd, None, "{line}");
        }
        for line in [
            "",
            " c_a 1",
            "c_a  1",
            "c_a\t1",
            "c_a {x=\"1\"} 1",
            "c_a{} 1",
            "c_a{x=\"1\",} 1",
            "c_a{ x=\"1\"} 1",
            "c_a{x =\"1\"} 1",
            "c_a{x= \"1\"} 1",
            "c_a{x=\"1\" } 1",
            "c_a{x=\"1\", y=\"2\"} 1",
            "c_a{x=\"1\"}1",
            "c_a{x=\"\"} 1",
            "#HELP c_a x",
            "# HELP  c_a x",
            "# HELP c_a  x",
            "# HELP c_a ",
            "# HELP c_a",
            "# HELP",
            "# TYPE c_a Gauge",
            "#  TYPE c_a gauge",
            "# TYPE\tc_a gauge",
            " # TYPE c_a gauge",
        ] {
            scanner.scan(line.as_bytes()).unwrap();
            assert!(scanner.odd.is_some(), "{line}");
        }
    }
}
