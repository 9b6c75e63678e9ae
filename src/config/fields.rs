//! Types that check while they are read: a value of one of these is a valid one.

use std::fmt;
use std::time::Duration;

use super::yaml::{Field, Node, Problems, Value, Wrong, check_keys, read_text};
use crate::exposition::family::Labels;

/// A collector's name: the stem of its file, and of the `.prom` file it writes. `[a-z0-9][a-z0-9_-]*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stem(String);

impl Stem {
    /// Checks `text`; `promdrop` is reserved.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        // A file name is at most 255 bytes long; this leaves room for what promdrop adds to it.
        if !first || !rest || text.len() > 128 {
            return Err(Wrong::new(
                format!("`{text}` is not a collector's name"),
                "use lower-case letters, digits, `-` and `_`, a letter or digit first, at most 128 of them",
            ));
        }
        if text == "promdrop" {
            return Err(Wrong::new("`promdrop` is reserved for promdrop's own file", "choose another name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Field for Duration {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        const CURE: &str = "write a number with its unit, such as 500ms, 15s, 1m or `1h 30m`";
        if let super::yaml::Value::Integer(_) | super::yaml::Value::Float(_) = node.value {
            problems.report(node, Wrong::new("a duration needs a unit", CURE));
            return None;
        }
        read_text(node, problems, |text| {
            humantime::parse_duration(text)
                .map_err(|e| Wrong::new(format!("`{text}` is not a duration: {e}"), CURE))
        })
    }
}

/// Reads a map of label names to values: names by the legacy grammar (`[a-zA-Z_][a-zA-Z0-9_]*`, no `__` in front, which
/// node_exporter dies of), values that are not empty, since an empty label is an absent one.
pub fn read_labels(node: &Node, problems: &Problems) -> Option<Labels> {
    let Value::Map(entries) = &node.value else {
        let message = format!("this is {}, where a map of labels is expected", node.value.kind());
        problems.report(node, Wrong::new(message, "write `{name: value}`"));
        return None;
    };
    check_keys(entries, problems);
    let mut labels = Some(Labels::new());
    for (key, value) in entries {
        let name = read_text(key, problems, label_name);
        let value = read_text(value, problems, |text| match text {
            "" => Err(Wrong::new("an empty label is an absent one", "write a value, or remove the label")),
            text => Ok(text.to_owned()),
        });
        labels = match (labels, name, value) {
            (Some(mut labels), Some(name), Some(value)) => {
                labels.push((name.into(), value.into()));
                Some(labels)
            }
            _ => None,
        };
    }
    labels
}

fn label_name(text: &str) -> Result<String, Wrong> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') || text.starts_with("__") {
        return Err(Wrong::new(
            format!("`{text}` is not a label name"),
            "use letters, digits and `_`, no digit first, and no `__` in front",
        ));
    }
    if matches!(text, "le" | "quantile") {
        let message = format!("`{text}` is what histograms and summaries call their own label");
        return Err(Wrong::new(message, "choose another name"));
    }
    Ok(text.to_owned())
}
