//! What can be wrong at a place of a text: each flaw in words, with its cure, and the rule that it breaks.

use super::rules::Rule;

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
