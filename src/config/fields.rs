//! Types that check while they are read: a value of one of these is a valid one.

use std::fmt;
use std::time::Duration;

use super::yaml::{Field, Node, Problems, Wrong, read_text};

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
