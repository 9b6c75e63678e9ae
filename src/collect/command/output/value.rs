//! `format: value`: one number, as `wc -l` prints it.

use std::borrow::Cow;

use super::{Reader, Unreadable};
use crate::config::fields::{read_labels, read_metric_name};
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, read_text};
use crate::diagnostic::printable;
use crate::exposition::{Family, Kind, Labels, Sample};

/// Of output that is no number so many characters are shown.
const SHOWN: usize = 60;

#[derive(Debug)]
struct Value {
    name: String,
    kind: Kind,
    help: Option<String>,
    labels: Labels,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Box<dyn Reader>> {
    let name = section.required_node("name", "write `name: ` and what the number shall be called");
    let name = name.and_then(|node| read_metric_name(node, section.problems()));
    let kind = section.optional::<ValueKind>("type").map_or(Kind::Gauge, |kind| kind.0);
    let help = section.optional::<Help>("help").map(|help| help.0);
    let labels = section.node("labels").and_then(|node| read_labels(node, section.problems()));
    Some(Box::new(Value { name: name?, kind, help, labels: labels.unwrap_or_default() }))
}

impl Reader for Value {
    fn families(&self, output: &[u8]) -> Result<Vec<Family>, Unreadable> {
        let value = number(output).map_err(|message| Unreadable {
            message: message.to_owned(),
            detail: format!("its output: {}", quoted(output)),
        })?;
        let name: Cow<'static, str> = self.name.clone().into();
        Ok(vec![Family {
            name: name.clone(),
            help: self.help.clone().map(Cow::Owned),
            kind: Some(self.kind),
            samples: vec![Sample { name, labels: self.labels.clone(), value }],
        }])
    }
}

/// The one number in `output`: decimal, or NaN, Inf, +Inf, -Inf as Prometheus spells them.
fn number(output: &[u8]) -> Result<f64, &'static str> {
    let text = output.trim_ascii();
    match text {
        b"" => return Err("its output is empty where one number is expected"),
        b"NaN" => return Ok(f64::NAN),
        b"Inf" | b"+Inf" => return Ok(f64::INFINITY),
        b"-Inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    // Rust's parser also knows words, in any case: those were dealt with.
    let decimal = text.iter().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let parsed = std::str::from_utf8(text).ok().filter(|_| decimal).and_then(|text| text.parse::<f64>().ok());
    match parsed {
        Some(value) if value.is_finite() => Ok(value),
        Some(_) => Err("the number in its output is too large"),
        None => Err("its output is not one number"),
    }
}

fn quoted(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output.trim_ascii());
    let start: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().nth(SHOWN).is_some() { " ..." } else { "" };
    format!("\"{}\"{more}", printable(&start))
}

struct ValueKind(Kind);

impl Field for ValueKind {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match Kind::from_word(text) {
            Some(kind @ (Kind::Gauge | Kind::Counter | Kind::Untyped)) => Ok(Self(kind)),
            _ => {
                let message = format!("`{text}` is not a type that one number can have");
                Err(Wrong::new(message, "write gauge, counter or untyped"))
            }
        })
    }
}

struct Help(String);

impl Field for Help {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| {
            if text.is_empty() || text.trim() != text || text.contains(char::is_control) {
                let message = "a HELP text is one line, neither empty nor with blanks around it";
                return Err(Wrong::new(message, "write one line, or leave `help` out"));
            }
            Ok(Self(text.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_prometheus_spells_them() {
        for (text, value) in [
            ("0", 0.0),
            ("  42\n", 42.0),
            ("\t-1.5e3 \r\n\n", -1500.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("+Inf", f64::INFINITY),
            ("Inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text.as_bytes()), Ok(value), "{text:?}");
        }
        assert!(number(b"NaN\n").unwrap().is_nan());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "1 2", "1\n2", "0x10", "1_000", "1,5", "nan", "inf", "infinity", "12ms", "e", ".", "\u{661}",
            "1\0",
        ] {
            assert_eq!(number(text.as_bytes()), Err("its output is not one number"), "{text:?}");
        }
        assert_eq!(number(b"1e309"), Err("the number in its output is too large"));
        assert_eq!(number(b" \n"), Err("its output is empty where one number is expected"));
        assert_eq!(number(b"\xff"), Err("its output is not one number"));
    }

    #[test]
    fn what_was_found_is_quoted_short_and_only_in_the_detail() {
        let value = Value { name: "a".into(), kind: Kind::Gauge, help: None, labels: Labels::new() };
        let unreadable = value.families(format!("\x1b{}", "x".repeat(10_000)).as_bytes()).unwrap_err();
        assert_eq!(unreadable.message, "its output is not one number");
        assert_eq!(unreadable.detail, format!("its output: \"\\x1b{}\" ...", "x".repeat(59)));
    }
}
