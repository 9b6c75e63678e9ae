//! What a field's text is worth: a number, or one of some states.

use std::collections::HashMap;

use super::{Reduce, read_word};
use crate::collect::output::number::{self, NotANumber, Units};
use crate::config::fields::read_label_name;
use crate::config::yaml::{Node, Problems, Section, Value, Wrong, check_keys, read_entries, read_text};

/// The label that tells states apart where the definition doesn't say.
const STATE: &str = "state";

/// How a text is read.
#[derive(Debug)]
pub enum Reading {
    /// As a number.
    Number {
        /// Texts that stand for numbers, asked first.
        values: HashMap<String, f64>,
        /// How its unit is read.
        units: Units,
        /// What it is multiplied by.
        scale: f64,
    },
    /// As one of these.
    States {
        /// The label that tells them apart.
        label: String,
        /// Each with the texts that stand for it.
        states: Vec<(String, Vec<String>)>,
    },
}

/// What was read.
pub enum Read<'a> {
    /// A number.
    Number(f64),
    /// `is` out of `states`.
    State {
        /// The label that tells them apart.
        label: &'a str,
        /// All of them.
        states: &'a [(String, Vec<String>)],
        /// The one it is.
        is: &'a str,
    },
}

/// What a text is not.
#[derive(Debug, Clone, PartialEq)]
pub enum Unfit {
    Number(NotANumber),
    State(String),
}

impl Unfit {
    /// In words, about `subject`.
    pub fn about(&self, subject: &str) -> String {
        match self {
            Self::Number(NotANumber::Empty) => format!("{subject} is empty where one number is expected"),
            Self::Number(NotANumber::Other) => format!("{subject} is not one number"),
            Self::Number(NotANumber::TooLarge) => format!("the number in {subject} is too large"),
            Self::Number(NotANumber::Unit) => {
                format!("{subject} has a unit that promdrop doesn't know: there is `units: ignore`")
            }
            Self::State(known) => format!("{subject} is none of the states {known}"),
        }
    }
}

impl Reading {
    /// Reads `scale`, `values`, `units`, `states` and `state_label`.
    pub fn read(section: &mut Section<'_>, reduce: Option<Reduce>) -> Option<Self> {
        let scale = section.node("scale").map(|node| read_factor(node, section.problems()));
        let values = section.node("values").map(|node| read_values(node, section.problems()));
        let units = section.node("units").map(|node| read_units(node, section.problems()));
        let states = section.node("states").map(|node| read_states(node, section.problems()));
        let label = section.node("state_label").map(|node| read_label_name(node, section.problems()));
        let Some(states) = states else {
            if label.is_some() {
                let wrong = Wrong::new("without `states` there is nothing to label", "remove it");
                section.report("state_label", wrong);
            }
            let keys = [("scale", scale.is_some()), ("values", values.is_some()), ("units", units.is_some())];
            for (key, _) in keys.iter().filter(|(_, there)| *there && reduce == Some(Reduce::Count)) {
                let message = format!("`{key}` has no meaning where records are counted");
                section.report(key, Wrong::new(message, "remove one of the two"));
            }
            return Some(Self::Number {
                values: values.flatten().unwrap_or_default(),
                units: units.flatten().unwrap_or_default(),
                scale: scale.flatten().unwrap_or(1.0),
            });
        };
        for (key, there) in [
            ("scale", scale.is_some()),
            ("values", values.is_some()),
            ("units", units.is_some()),
            ("reduce", reduce.is_some()),
        ] {
            if there {
                let message = format!("`{key}` has no meaning for `states`, which are 0 or 1");
                section.report(key, Wrong::new(message, "remove one of the two"));
            }
        }
        Some(Self::States { label: label.flatten().unwrap_or_else(|| STATE.to_owned()), states: states? })
    }

    /// The label that it puts on series, if any.
    pub fn state_label(&self) -> Option<&str> {
        match self {
            Self::Number { .. } => None,
            Self::States { label, .. } => Some(label),
        }
    }

    /// Whether it turns the sign of numbers.
    pub fn is_negated(&self) -> bool {
        matches!(self, Self::Number { scale, .. } if *scale < 0.0)
    }

    /// What `text` is worth.
    ///
    /// # Errors
    /// Where it is worth nothing.
    pub fn read_text(&self, text: &str) -> Result<Read<'_>, Unfit> {
        match self {
            Self::Number { values, units, scale } => {
                let value = match values.get(text.trim()) {
                    Some(value) => *value,
                    None => number::parse(text, *units).map_err(Unfit::Number)?,
                };
                let scaled = number::in_units(value, *scale);
                if scaled.is_infinite() && value.is_finite() {
                    return Err(Unfit::Number(NotANumber::TooLarge));
                }
                Ok(Read::Number(scaled))
            }
            Self::States { label, states } => {
                let text = text.trim();
                match states.iter().find(|(_, texts)| texts.iter().any(|known| known == text)) {
                    Some((is, _)) => Ok(Read::State { label, states, is }),
                    None => {
                        let known: Vec<&str> = states.iter().map(|(name, _)| name.as_str()).collect();
                        Err(Unfit::State(known.join(", ")))
                    }
                }
            }
        }
    }
}

/// Reads what a number is multiplied by.
pub fn read_factor(node: &Node, problems: &Problems) -> Option<f64> {
    let factor = read_number(node, problems)?;
    if factor != 0.0 && factor.is_finite() {
        return Some(factor);
    }
    let cure = "write a factor such as 0.001";
    problems.report(node, Wrong::new("a number can't be scaled by this", cure));
    None
}

fn read_number(node: &Node, problems: &Problems) -> Option<f64> {
    match node.value {
        #[allow(clippy::cast_precision_loss)]
        Value::Integer(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        ref other => {
            let message = format!("this is {}, where a number is expected", other.kind());
            problems.report(node, Wrong::new(message, "write a number such as 0.001"));
            None
        }
    }
}

fn read_units(node: &Node, problems: &Problems) -> Option<Units> {
    let words = [("binary", Units::Binary), ("decimal", Units::Decimal), ("ignore", Units::Ignore)];
    read_word(node, problems, "a way to read units", &words)
}

fn read_values(node: &Node, problems: &Problems) -> Option<HashMap<String, f64>> {
    let entries = read_entries(node, problems, "write `{TEXT: NUMBER}`", |(key, value)| {
        let text = read_text(key, problems, |text| Ok(text.trim().to_owned()));
        Some((text?, read_number(value, problems)?))
    });
    entries.map(|entries| entries.into_iter().collect())
}

/// Reads states: a list of texts, or a map of names to a text or several.
fn read_states(node: &Node, problems: &Problems) -> Option<Vec<(String, Vec<String>)>> {
    let text = |node: &Node| {
        read_text(node, problems, |text| match text.trim() {
            "" => Err(Wrong::new("a state without a name", "write its text, in quotes")),
            text if text.contains(char::is_control) => {
                Err(Wrong::new("a state holds a control character", "write it in one line"))
            }
            text => Ok(text.to_owned()),
        })
    };
    let texts = |node: &Node| match &node.value {
        Value::List(items) => items.iter().map(text).collect::<Option<Vec<_>>>(),
        _ => text(node).map(|text| vec![text]),
    };
    let read: Vec<Option<(String, Vec<String>)>> = match &node.value {
        Value::List(items) => {
            items.iter().map(|item| text(item).map(|text| (text.clone(), vec![text]))).collect()
        }
        Value::Map(entries) => {
            check_keys(entries, problems);
            entries.iter().map(|(key, value)| Some((text(key)?, texts(value)?))).collect()
        }
        other => {
            let message = format!("this is {}, where a list or a map is expected", other.kind());
            problems.report(node, Wrong::new(message, "write `[STATE, ...]` or `{STATE: [TEXT, ...]}`"));
            return None;
        }
    };
    let states: Vec<(String, Vec<String>)> = read.into_iter().collect::<Option<_>>()?;
    let mut seen = std::collections::HashSet::new();
    let mut names = std::collections::HashSet::new();
    let twice = states.iter().any(|(name, texts)| {
        !names.insert(name.as_str()) || texts.iter().any(|text| !seen.insert(text.as_str()))
    });
    if states.is_empty() || twice {
        let message = if twice { "a state or its text stands here twice" } else { "there is no state" };
        problems.report(node, Wrong::new(message, "name each state and each text once"));
        return None;
    }
    Some(states)
}
