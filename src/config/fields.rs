//! Types that check while they are read: a value of one of these is a valid one.

use std::fmt;
use std::time::Duration;

use super::OnFailure;
use super::yaml::{Field, Node, Problems, Value, Wrong, check_keys, nearest, quote, read_integer, read_text};
use crate::exposition::{Labels, OWN_PREFIX};

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
                format!("{} can't be the name of a collector or a .prom file", quote(text)),
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

const DURATION_CURE: &str = "write a number with its unit, such as 500ms, 15s, 1m or `1h 30m`";

/// A duration as people write it.
pub fn parse_duration(text: &str) -> Result<Duration, Wrong> {
    humantime::parse_duration(text)
        .map_err(|_| Wrong::new(format!("{} is not a duration", quote(text)), DURATION_CURE))
}

/// What is wrong with the length of `duration` where it is not from `low` to `high`.
pub fn misfit(duration: Duration, low: Duration, high: Duration) -> Option<&'static str> {
    match duration {
        _ if duration < low => Some("short"),
        _ if duration > high => Some("long"),
        _ => None,
    }
}

impl Field for Duration {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let message = match &node.value {
            Value::Text(_) => String::new(),
            Value::Integer(_) | Value::Float(_) => "a duration needs a unit".to_owned(),
            other => format!("this is {}, where a duration is expected", other.kind()),
        };
        if !message.is_empty() {
            problems.report(node, Wrong::new(message, DURATION_CURE));
            return None;
        }
        read_text(node, problems, parse_duration)
    }
}

impl Field for OnFailure {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match text {
            "drop" => Ok(OnFailure::Drop),
            "keep" => Ok(OnFailure::Keep),
            _ => {
                let cure = match nearest(text, &["drop", "keep"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write `drop` or `keep`".to_owned(),
                };
                Err(Wrong::new(format!("{} is nothing to do on failure", quote(text)), cure))
            }
        })
    }
}

const SIZE_CURE: &str = "write a whole number of bytes, or one with KiB, MiB or GiB directly after it";

/// A number of bytes, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A size as it stands in a text: `64KiB`.
pub fn parse_size(text: &str) -> Result<Size, Wrong> {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let wrong = || Wrong::new(format!("{} is not a size", quote(text)), SIZE_CURE);
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = unit.unwrap_or((text, 1));
    // Rust's parser would take a sign.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes <= i64::MAX.cast_unsigned()).map(Size).ok_or_else(wrong)
}

impl Field for Size {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        match node.value {
            Value::Integer(_) => {
                let bytes = read_integer(node, problems, 0, i64::MAX.into())?;
                u64::try_from(bytes).ok().map(Size)
            }
            Value::Text(_) => read_text(node, problems, parse_size),
            ref other => {
                let message = format!("this is {}, where a size is expected", other.kind());
                problems.report(node, Wrong::new(message, SIZE_CURE));
                None
            }
        }
    }
}

/// Reads the name of a user to run as. Whether there is one of that name is seen when it is needed: a definition may
/// be installed before the package that makes the user.
pub fn read_user(node: &Node, problems: &Problems) -> Option<String> {
    read_account(node, problems, "user", "/etc/passwd")
}

/// Reads the name of a group to run as; whether there is one is seen when it is needed.
pub fn read_group(node: &Node, problems: &Problems) -> Option<String> {
    read_account(node, problems, "group", "/etc/group")
}

fn read_account(node: &Node, problems: &Problems, what: &str, file: &str) -> Option<String> {
    read_text(node, problems, |text| {
        // What such a file can hold: a colon ends the field there; a name of digits only would be taken for an id.
        let can_be = !text.is_empty()
            && text.len() <= 255
            && !text.starts_with('-')
            && !text.bytes().all(|b| b.is_ascii_digit())
            && !text.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/' | ','));
        if can_be {
            return Ok(text.to_owned());
        }
        Err(Wrong::new(
            format!("{} is not a {what}'s name", quote(text)),
            format!("write the name as it stands first on the {what}'s line in {file}"),
        ))
    })
}

/// Reads the name of a metric, `[a-zA-Z_:][a-zA-Z0-9_:]*`; `promdrop_` is for promdrop's own.
pub fn read_metric_name(node: &Node, problems: &Problems) -> Option<String> {
    read_text(node, problems, |text| {
        if !is_name(text, ":") {
            return Err(Wrong::new(
                format!("{} is not a metric's name", quote(text)),
                "use letters, digits, `_` and `:`, no digit first",
            ));
        }
        if text.starts_with(OWN_PREFIX) {
            return Err(Wrong::new(
                format!("{} begins with `promdrop_`, which is for promdrop's own metrics", quote(text)),
                "choose another name",
            ));
        }
        Ok(text.to_owned())
    })
}

/// Reads a HELP text.
pub fn read_help(node: &Node, problems: &Problems) -> Option<String> {
    read_text(node, problems, |text| {
        if text.is_empty() || text.trim() != text || text.contains(char::is_control) {
            let message = "a HELP text is one line, neither empty nor with blanks around it";
            return Err(Wrong::new(message, "write one line, or leave `help` out"));
        }
        Ok(text.to_owned())
    })
}

/// Whether `text` may be the name of a label.
pub fn is_label_name(text: &str) -> bool {
    label_name(text).is_ok()
}

/// Reads the name of a label.
pub fn read_label_name(node: &Node, problems: &Problems) -> Option<String> {
    read_text(node, problems, label_name)
}

/// Reads a map of label names to values, in its order.
///
/// Label names are `[a-zA-Z_][a-zA-Z0-9_]*`, since older node_exporters reject any other or die of it. `collector`
/// is allowed: promdrop's health series bear it, but these labels go to the collector's own families only.
pub fn read_labels(node: &Node, problems: &Problems) -> Option<Labels> {
    let Value::Map(entries) = &node.value else {
        let message = format!("this is {}, where labels are expected", node.value.kind());
        problems.report(node, Wrong::new(message, "write `{name: value}`, or a line `name: value` for each"));
        return None;
    };
    check_keys(entries, problems);
    // Every entry is read, so that every problem is found.
    let read: Vec<Option<_>> = entries
        .iter()
        .map(|(key, value)| {
            let name = match &key.value {
                Value::Text(_) => read_text(key, problems, label_name),
                // check_keys has told.
                _ => None,
            };
            let value = read_text(value, problems, label_value);
            Some((name?.into(), value?.into()))
        })
        .collect();
    read.into_iter().collect()
}

/// A label as it stands in an argument: `NAME=VALUE`.
pub fn parse_label(text: &str) -> Result<(String, String), Wrong> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Wrong::new(format!("{} is not a label", quote(text)), "write NAME=VALUE"));
    };
    Ok((label_name(name)?, label_value(value)?))
}

fn label_name(text: &str) -> Result<String, Wrong> {
    if !is_name(text, "") {
        return Err(Wrong::new(
            format!("{} is not a label's name", quote(text)),
            "use letters, digits and `_`, no digit first",
        ));
    }
    if text.starts_with("__") {
        return Err(Wrong::new(
            format!("the label {} begins with `__`, which kills node_exporter", quote(text)),
            "choose another name",
        ));
    }
    if text == "le" || text == "quantile" {
        return Err(Wrong::new(
            format!("the label `{text}` is for histograms and summaries"),
            "choose another name",
        ));
    }
    Ok(text.to_owned())
}

fn label_value(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("an empty label is the same as none", "remove it, or give it a value"));
    }
    if text.contains(char::is_control) {
        return Err(Wrong::new(
            format!("the label's value {} holds a control character", quote(text)),
            "write it on one line of plain text",
        ));
    }
    Ok(text.to_owned())
}

/// Whether `text` is a name of ASCII letters, digits, `_` and `more`, with no digit first.
fn is_name(text: &str, more: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::yaml::decode;
    use super::*;

    /// What `read` makes of the one value `yaml`, or the messages.
    fn read<T>(yaml: &str, read: impl FnOnce(&Node, &Problems) -> Option<T>) -> Result<T, Vec<String>> {
        decode(yaml, read).map_err(|found| found.into_iter().map(|p| p.message).collect())
    }

    fn duration(yaml: &str) -> Option<Duration> {
        read(yaml, Duration::read).ok()
    }

    #[test]
    fn durations() {
        assert_eq!(duration("15s"), Some(Duration::from_secs(15)));
        assert_eq!(duration("1h 30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        // A month: the bounds of `interval` refuse it.
        assert_eq!(duration("1M"), Some(Duration::from_secs(2_630_016)));
        for bad in
            ["15", "1.5", "-5s", "5", "s", "''", "1 fortnight", "99999999999999999999s", "0.1ns", "1e3s"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
        // The largest number of the largest unit overflows.
        assert_eq!(duration("18446744073709551615y"), None);
    }

    #[test]
    fn a_number_is_no_duration_without_its_unit() {
        assert_eq!(read("15", Duration::read), Err(vec!["a duration needs a unit".to_owned()]));
    }

    #[test]
    fn sizes() {
        for (yaml, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("'1024'", 1024),
            ("64KiB", 65_536),
            ("3MiB", 3 << 20),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(read(yaml, Size::read), Ok(Size(bytes)), "{yaml}");
        }
        for bad in [
            "-1",
            "1.5",
            "1.5MiB",
            "10MB",
            "10M",
            "10 MiB",
            "MiB",
            "''",
            "+1KiB",
            "0x10KiB",
            "99999999999GiB",
            "[1]",
            "true",
        ] {
            assert!(read(bad, Size::read).is_err(), "{bad}");
        }
    }

    #[test]
    fn stems() {
        for good in ["a", "0", "mail-queue", "a_b", &"x".repeat(128)] {
            assert_eq!(Stem::parse(good).map(|stem| stem.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", "A", "-a", "_a", "a.b", "a/b", "ä", "a b", "promdrop", "a\n", &"x".repeat(129)] {
            assert!(Stem::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels_keep_their_order() {
        let labels = read("{team: mail, a: 'ä \"x\"', collector: c}", read_labels).unwrap();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        assert_eq!(labels, [("team", "mail"), ("a", "ä \"x\""), ("collector", "c")]);
    }

    #[test]
    fn every_bad_label_is_told() {
        let yaml = "{le: a, quantile: a, __x: a, 'a-b': a, 'a:b': a, 9a: a, 'ä': a, '': a, ok: '', c: \"a\\nb\", \
                    d: 1, e: [x], d: twice, 1: x}";
        let found = read(yaml, read_labels).unwrap_err();
        assert_eq!(found.len(), 14, "{found:#?}");
        assert!(read("[a]", read_labels).is_err());
        assert!(read("a", read_labels).is_err());
    }

    #[test]
    fn metric_names() {
        for good in ["a", "_a", ":a", "count_netstat_wait_connections", "a:b:c1"] {
            assert_eq!(read(&format!("'{good}'"), read_metric_name).as_deref(), Ok(good));
        }
        for bad in ["", "1a", "a-b", "a.b", "ä", "a b", "promdrop_x", "a{b=\"c\"}"] {
            assert!(read(&format!("'{bad}'"), read_metric_name).is_err(), "{bad}");
        }
    }

    #[test]
    fn users() {
        for good in ["root", "_apt", "www-data", "john.doe", "machine$", "jan@example.org"] {
            assert_eq!(read(&format!("'{good}'"), read_user).as_deref(), Ok(good));
        }
        for bad in ["", "0", "1000", "-x", "a:b", "a/b", "a b", "a\tb"] {
            assert!(read(&format!("'{bad}'"), read_user).is_err(), "{bad}");
        }
        assert!(read("1000", read_user).is_err());
    }

    #[test]
    fn what_to_do_on_failure() {
        assert_eq!(read("keep", OnFailure::read), Ok(OnFailure::Keep));
        assert_eq!(read("drop", OnFailure::read), Ok(OnFailure::Drop));
        assert!(read("Keep", OnFailure::read).is_err());
        assert!(read("true", OnFailure::read).is_err());
    }
}
